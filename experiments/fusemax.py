"""FuseMax: attention as one cascade against FLAT and the unfused baseline, cell by cell.

    python experiments/fusemax.py [--figures PREFIX] [--table FILE]

Encoder attention of four models at six lengths, batch 64, on the presets `fusemax`,
`fusemax_architecture`, `flat_cascade`, `flat` and `flat_unfused`: utilization of the 2D array,
speed-up and energy, of attention alone and with the linear layers (Q, K, V, output, feed-forward).
Prints the paper's value, ours and their ratio, the headline means, and by how much the simulated
pipeline differs from the closed form. Exits with 1 if a cell is missed: by more than 0.5 % and more
than half its last printed digit, energies by more than 5 % (FLAT's buffers are calibrated, see
docs/attention.md); but for one cell of 288 that is 0.505 % off (`KNOWN`).

The table (tests/golden/fusemax.csv) is from the CSV files of the paper's artifact,
https://github.com/FPSG-UIUC/micro24-fusemax-artifact.

References:
    Nayak et al., FuseMax, MICRO 2024, arXiv 2406.10491.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dovetail.arch import presets
from dovetail.arch.attention import AttentionArray
from dovetail.errors import DovetailError, ReportError
from dovetail.ir.files import replaced_file
from dovetail.mappers.attention.choose import choose
from dovetail.sim.attention.cycle import cascade_program, simulate_attention
from dovetail.sim.attention.estimate import attention_cost
from dovetail.sim.attention.kernels import matmul_cost
from dovetail.sim.attention.programs import TICKS
from dovetail.sim.attention.work import AttentionWork, Resident
from dovetail.sim.tasks import run

BATCH = 64
LENGTHS = tuple(1024 * 4**i for i in range(6))
TABLE = Path(__file__).parents[1] / "tests" / "golden" / "fusemax.csv"
DESIGNS = {
    "unfused": "flat_unfused",
    "flat": "flat",
    "cascade": "flat_cascade",
    "architecture": "fusemax_architecture",
    "fusemax": "fusemax",
}

# Means over the 24 points that the paper's artifact gives (arithmetic), and the paper's words.
MEANS = {
    "fusemax_over_flat": (6.7226, "6.7x"),
    "energy_over_flat": (0.7875, "79 %"),
    "end_to_end_over_flat": (5.3017, "5.3x"),
    "end_to_end_energy_over_flat": (0.8335, "83 %"),
    "speedup_fusemax": (10.05, ""),
    "energy_over_unfused": (0.767, ""),
    "end_to_end_over_unfused": (7.60, ""),
    "end_to_end_energy_over_unfused": (0.821, ""),
    "util_unfused": (0.099, ""),
    "util_flat": (0.149, ""),
    "util_cascade": (0.132, ""),
    "util_architecture": (0.326, ""),
    "util_fusemax": (0.970, ""),
    "util_1d_unfused": (0.633, ""),
    "util_1d_flat": (0.953, ""),
    "util_1d_cascade": (1.0, ""),
    "util_1d_architecture": (0.337, ""),
    "util_1d_fusemax": (1.0, ""),
}
# 256K tokens, BERT: PEs a side, cm2, seconds.
PARETO = {
    16: (0.0544, 30267.0), 32: (0.203, 7567.0), 64: (0.784, 1892.0), 128: (3.079, 473.0),
    256: (12.21, 118.3), 512: (48.85, 29.58),
}  # fmt: skip
# The artifact's unfused baseline is 0.24 % slower there than its closed form.
KNOWN = {("XLM", LENGTHS[4], "speedup_cascade")}
PRINTED = {
    "util_fusemax": "utilization", "speedup_fusemax": "over unfused",
    "fusemax_over_flat": "over FLAT", "energy_over_flat": "energy",
    "end_to_end_over_flat": "end to end", "end_to_end_energy_over_flat": "its energy",
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A transformer encoder: width D, of a head E, heads H, feed-forward S."""

    width: int
    head: int
    heads: int
    hidden: int

    def attention(self, length: int) -> AttentionWork:
        """Self-attention of a batch of encoders."""
        return AttentionWork(BATCH * self.heads, length, length, self.head, self.head)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(inner, columns) of its linear layers."""
        d, s = self.width, self.hidden
        return [(d, d)] * 4 + [(d, s), (s, d)]


MODELS = {
    "BERT": Model(768, 64, 12, 3072),
    "TrXL": Model(1024, 64, 16, 4096),
    "T5": Model(512, 64, 8, 2048),
    "XLM": Model(2048, 128, 16, 8192),
}


@dataclass(frozen=True)
class Cell:
    """Attention on one design, and the linear layers there; cycles and picojoules."""

    cycles: float
    array: float
    vector: float
    traffic: float
    energy: float
    linear_cycles: float
    linear_energy: float

    @property
    def whole(self) -> tuple[float, float]:
        """Cycles and energy with the linear layers."""
        return self.cycles + self.linear_cycles, self.energy + self.linear_energy


@cache
def design(name: str) -> AttentionArray:
    found = presets.load(DESIGNS[name])
    assert isinstance(found, AttentionArray)
    return found


@cache
def cell(name: str, model: str, length: int) -> Cell:
    a, m = design(name), MODELS[model]
    work = m.attention(length)
    kernels = attention_cost(a, work, choose(a, work))
    linear = [matmul_cost(a, 1, BATCH * length, columns, inner) for inner, columns in m.layers]
    return Cell(
        sum(one.cycles for one in kernels),
        sum(one.array_cycles for one in kernels),
        sum(one.vector_cycles for one in kernels),
        sum(one.traffic for one in kernels),
        sum(one.energy for one in kernels),
        sum(one.cycles for one in linear),
        sum(one.energy for one in linear),
    )


def values(model: str, length: int) -> dict[str, float]:
    """What the table has of one model at one length, by its columns, and more."""
    at = {name: cell(name, model, length) for name in DESIGNS}
    found = {f"util_{name}": one.array / one.cycles for name, one in at.items()}
    found |= {f"util_1d_{name}": one.vector / one.cycles for name, one in at.items()}
    best = at["fusemax"]
    for name, one in at.items():
        found[f"speedup_{name}"] = at["unfused"].cycles / one.cycles
    for name in ("flat", "unfused"):
        other = at[name]
        found[f"fusemax_over_{name}"] = other.cycles / best.cycles
        found[f"energy_over_{name}"] = best.energy / other.energy
        found[f"end_to_end_over_{name}"] = other.whole[0] / best.whole[0]
        found[f"end_to_end_energy_over_{name}"] = best.whole[1] / other.whole[1]
    return found


def means() -> dict[str, float]:
    """Arithmetic means over all models and lengths."""
    every = [values(model, length) for model in MODELS for length in LENGTHS]
    return {name: sum(one[name] for one in every) / len(every) for name in every[0]}


def read(path: Path) -> dict[tuple[str, int], dict[str, float]]:
    """The paper's table; raises ReportError if it is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        found = {
            (row.pop("model"), int(row.pop("length"))): {k: float(v) for k, v in row.items()}
            for row in rows
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ReportError(f"{path}: not the table of tests/golden/fusemax.csv: {error}") from None
    if set(found) != {(model, length) for model in MODELS for length in LENGTHS}:
        raise ReportError(f"{path}: needs {len(MODELS) * len(LENGTHS)} rows")
    return found


def missed(column: str, ours: float, paper: float) -> bool:
    """Whether a cell is off by more than half its last digit and its tolerance."""
    digits = 3 if column.startswith("util") or "energy" in column else 2
    tolerance = 0.05 if "energy" in column else 0.005
    return abs(ours - paper) > 0.5 * 10**-digits + 1e-9 and abs(ours / paper - 1) > tolerance


def compare(path: Path, console: Console) -> list[str]:
    """Prints paper / ours / ratio; returns the cells that are missed."""
    lines, worst = [], {}
    table = Table("model", "length", *PRINTED.values(), title="FuseMax: paper / ours / ratio")
    for (model, length), row in read(path).items():
        ours = values(model, length)
        for column, paper in row.items():
            error = abs(ours[column] / paper - 1)
            worst[column] = max(worst.get(column, 0.0), error)
            if missed(column, ours[column], paper):
                line = f"{model} {label(length)} {column}: paper {paper:g}, ours {ours[column]:.4f}"
                console.print(f"missed by {100 * error:.3f} %: {line}")
                if (model, length, column) not in KNOWN:
                    lines.append(line)
        cells = (f"{row[c]:g} / {ours[c]:.3f} / {ours[c] / row[c]:.3f}" for c in PRINTED)
        table.add_row(model, label(length), *cells)
    console.print(table)
    errors = ", ".join(f"{column} {100 * error:.2f} %" for column, error in worst.items())
    console.print(f"largest error by column (printed digits and all): {errors}")
    return lines


def headlines(console: Console) -> list[str]:
    table = Table("mean over 24 points", title="Means (arithmetic)")
    for column in ("paper says", "its artifact", "ours", "ratio"):
        table.add_column(column, justify="right")
    lines, found = [], means()
    for name, (paper, words) in MEANS.items():
        ours = found[name]
        table.add_row(name, words, f"{paper:g}", f"{ours:.4f}", f"{ours / paper:.4f}")
        if abs(ours / paper - 1) > (0.03 if "energy" in name else 0.01):
            lines.append(f"mean {name}: paper {paper:g}, ours {ours:.4f}")
    console.print(table)
    return lines


def pareto(console: Console) -> list[str]:
    """Area of the PEs and latency over their number."""
    table = Table("PEs a side", title="BERT at 256K: area of PEs and latency, paper / ours / ratio")
    table.add_column("cm2", justify="right")
    table.add_column("seconds", justify="right")
    lines = []
    for dim, (area, seconds) in PARETO.items():
        ours = scaled(dim)
        cells = [
            f"{paper:g} / {mine:.4g} / {mine / paper:.4f}"
            for paper, mine in zip((area, seconds), ours, strict=True)
        ]
        table.add_row(str(dim), *cells)
        if abs(ours[0] / area - 1) > 0.01 or abs(ours[1] / seconds - 1) > 0.005:
            lines.append(f"{dim} PEs a side: {cells}")
    console.print(table)
    return lines


def scaled(dim: int) -> tuple[float, float]:
    """cm2 and seconds of FuseMax with `dim` x `dim` PEs."""
    a = design("fusemax").replace({"dim": dim})
    work = MODELS["BERT"].attention(LENGTHS[4])
    (cost,) = attention_cost(a, work, choose(a, work))
    return a.pe_area_mm2 / 100, cost.cycles / (a.clock_mhz * 1e6)


@dataclass(frozen=True)
class Difference:
    """Simulated pipeline beside the closed form: cycles of both, of fill and drain, and seconds."""

    closed: float
    cycles: float
    fill: float
    drain: float
    took: float

    @property
    def error(self) -> float:
        """Relative."""
        return self.cycles / self.closed - 1


def differences() -> dict[str, list[Difference]]:
    """By design, at each length."""
    found: dict[str, list[Difference]] = {}
    for name in DESIGNS:
        a = design(name)
        for length in LENGTHS:
            work = MODELS["BERT"].attention(length)
            start = time.perf_counter()
            kernels = simulate_attention(a, work, choose(a, work))
            took = time.perf_counter() - start
            closed = attention_cost(a, work, choose(a, work))
            found.setdefault(name, []).append(
                Difference(
                    sum(one.cycles for one in closed),
                    sum(one.cycles for one in kernels),
                    sum(one.fill_cycles for one in kernels),
                    sum(
                        one.drain_cycles - two.drain_cycles
                        for one, two in zip(kernels, closed, strict=True)
                    ),
                    took,
                )
            )
    return found


def convergence(console: Console) -> dict[str, list[Difference]]:
    found = differences()
    table = Table(
        "design",
        title="BERT: simulated pipeline / closed form - 1 (cycles of fill + drain + other waits)",
    )
    for length in LENGTHS:
        table.add_column(label(length), justify="right")
    for name, row in found.items():
        table.add_row(name, *(f"{one.error:.1e} ({_parts(one)})" for one in row))
    console.print(table)
    slowest = max(one.took for row in found.values() for one in row)
    tiles = BATCH * MODELS["BERT"].heads * (LENGTHS[-1] // 256) ** 2
    console.print(f"{tiles:.3g} tiles at 1M tokens; the slowest simulation took {slowest:.2f} s")
    return found


def _parts(one: Difference) -> str:
    """Where the extra cycles are; one number where memory is busy throughout."""
    extra = one.cycles - one.closed
    rest = extra - one.fill - one.drain
    if not 0 <= rest < 1000:
        return f"{extra:,.0f}"
    return f"{one.fill:,.0f} + {one.drain:,.0f} + {rest:,.0f}"


def label(length: int) -> str:
    return f"{length >> 20}M" if length >= 1 << 20 else f"{length >> 10}K"


def draw(prefix: str, found: dict[str, list[Difference]]) -> None:
    """Figures: utilization and speed-up; simulated against closed form; the pipeline itself."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"svg.hashsalt": "fusemax", "svg.fonttype": "none"}
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(MODELS), figsize=(12, 5.6), sharex=True, sharey="row")
    names = [label(length) for length in LENGTHS]
    for column, model in zip(axes.T, MODELS, strict=True):
        rows = [values(model, length) for length in LENGTHS]
        for name in ("flat", "cascade", "architecture", "fusemax"):
            column[0].plot(names, [row[f"util_{name}"] for row in rows], marker="o", label=name)
            column[1].plot(names, [row[f"speedup_{name}"] for row in rows], marker="o", label=name)
        column[0].set_title(model)
        column[1].set_xlabel("tokens")
    axes[0, 0].set_ylabel("utilization of the 2D array")
    axes[1, 0].set_ylabel("speed-up over unfused")
    axes[0, 0].legend(fontsize="small")
    save(figure, f"{prefix}_table.svg")
    figure, axis = plt.subplots(figsize=(5.6, 3.8))
    for name, row in found.items():
        axis.loglog(LENGTHS, [abs(one.error) for one in row], marker="o", label=name)
    axis.set_xticks(LENGTHS, names)
    axis.set_xlabel("tokens")
    axis.set_ylabel("|simulated / closed form - 1|")
    axis.legend(fontsize="small")
    save(figure, f"{prefix}_cycle.svg")
    figure, axes = plt.subplots(2, 1, figsize=(10, 4.4), sharex=True)
    for axis, name in zip(axes, ("architecture", "fusemax"), strict=True):
        timeline(axis, name)
    axes[1].set_xlabel("cycles")
    save(figure, f"{prefix}_pipeline.svg")
    plt.close("all")


def timeline(axis, name: str) -> None:
    """Tasks of the first tiles of BERT at 4K on the engines; those of a tile in one colour."""
    a, work = design(name), MODELS["BERT"].attention(LENGTHS[1])
    mapping = choose(a, work)
    assert isinstance(mapping, Resident)
    engines = ("dram", "vector", "array")
    seen: dict[str, int] = {}
    for task, engine, start, end in run(
        cascade_program(a, work, mapping).program(), trace=140
    ).events:
        tile = seen[task] = seen.get(task, -1) + 1
        bar = (start / TICKS, (end - start) / TICKS)
        color = "silver" if engine == "dram" else f"C{tile % 7}"
        place = (engines.index(engine) + 0.1, 0.8)
        axis.broken_barh([bar], place, color=color, edgecolor="white", linewidth=0.5)
    axis.set_yticks([0.5, 1.5, 2.5], ["memory", "1D PEs", "2D array"])
    axis.set_xlim(1000, 3400)
    axis.set_title(f"{name}: tasks of the first tiles, one colour a tile", fontsize="medium")


def save(figure, path: str) -> None:
    figure.tight_layout()
    with replaced_file(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE, help="the paper's numbers")
    parser.add_argument(
        "--figures", metavar="PREFIX", help="write PREFIX_table.svg, _cycle.svg, _pipeline.svg"
    )
    args = parser.parse_args()
    console = Console(width=190)
    try:
        lines = compare(args.table, console)
        lines += headlines(console) + pareto(console)
        found = convergence(console)
        if args.figures:
            draw(args.figures, found)
    except (DovetailError, OSError) as error:
        print(f"fusemax: {error}", file=sys.stderr)
        return 2
    if lines:
        console.print("missed: " + "; ".join(lines))
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
