"""Measured kernels of two GPUs against the GPU family: matmul, softmax, layernorm, GELU, a layer.

    python experiments/real_gpus.py TABLES [--fit] [--figure FILE]

TABLES is the folder of LLMCompass's measurements (`ae/figure5/{ab,cf,de,g,ijkl}/real_hardware` of
https://github.com/PrincetonUniversity/LLMCompass, BSD-3), one file a kernel and machine, named
`ae_figure5_ab_real_hardware_matmul_A100.csv` and so on; `llmcompass_a100_matmul.csv`, three of the
simulator's own predictions, may lie beside them. A matmul's row is M, K, N, time; a softmax's and a
layernorm's M, N, elements per ns; GELU's elements, elements per ns; a transformer layer's one time
in seconds, in the order of its operators.

The presets `a100` and `mi210` hold data-sheet numbers, and nine that were fitted: the shares of
the peak rate and of the bandwidth that are reached, four times to launch a kernel, the longest
rows that softmax and layernorm keep on chip, and what a row of layernorm takes beside its elements.
`--fit` fits them again, on every other row of each kernel (the first, third, ...); errors are
printed of those and of the rows between, which no fit has seen. The transformer layers are not
fitted at all.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from dovetail.arch import presets
from dovetail.arch.gpu import Gpu
from dovetail.errors import DovetailError, NetworkError
from dovetail.mappers.gpu.tiling import best_tiling
from dovetail.networks.operators import SCALAR_OPS
from dovetail.sim.gpu.kernel import Kernel
from dovetail.sim.gpu.product import Product
from dovetail.sim.gpu.stream import Stream, stream_kernel

SOURCE = "https://github.com/PrincetonUniversity/LLMCompass, ae/figure5/*/real_hardware"
MACHINES = {"A100": "a100", "MI210": "mi210"}
FILES = {
    "matmul": "ae_figure5_ab_real_hardware_matmul",
    "softmax": "ae_figure5_cf_real_hardware_softmax",
    "layernorm": "ae_figure5_de_real_hardware_layernorm",
    "gelu": "ae_figure5_g_real_hardware_gelu",
}
LAYERS = {
    "prefill": "ae_figure5_ijkl_real_hardware_transformer_A100",
    "decode": "ae_figure5_ijkl_real_hardware_transformerAR_A100",
}
SIMULATED = "llmcompass_a100_matmul"
BYTES = 2
WIDTH, HEADS, DEVICES, BATCH = 12288, 96, 4, 8
"""GPT-3's layer on four A100s, as the artifact measures it; its tables do not say so."""
TOKENS = {"prefill": (2048, 2048), "decode": (1, 3072)}
"""Queries and keys of a sequence."""

GRIDS: dict[str, tuple[float, ...]] = {
    "tensor_efficiency": tuple(np.arange(0.4, 1.001, 0.01).round(2)),
    "hbm_efficiency": tuple(np.arange(0.2, 1.001, 0.01).round(2)),
    **dict.fromkeys(
        ("matmul_us", "softmax_us", "norm_us", "elementwise_us"),
        tuple(np.arange(5, 80.01, 0.5).round(1)),
    ),
    "softmax_row": tuple(2**i for i in range(6, 17)),
    "norm_row": tuple(2**i for i in range(6, 17)),
    "norm_row_cycles": tuple(range(0, 2001, 50)),
}
USED = {
    "tensor_efficiency": ("matmul",),
    "hbm_efficiency": ("matmul", "softmax", "layernorm", "gelu"),
    "matmul_us": ("matmul",),
    "softmax_us": ("softmax",),
    "norm_us": ("layernorm",),
    "elementwise_us": ("gelu",),
    "softmax_row": ("softmax",),
    "norm_row": ("layernorm",),
    "norm_row_cycles": ("layernorm",),
}
"""Kernels that a fitted parameter touches."""

Work = Product | Stream


@dataclass(frozen=True)
class Row:
    """A measured kernel: its name, what it does, and its time in seconds."""

    kernel: str
    label: str
    work: Work
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=f"The tables are public: {SOURCE}."
    )
    parser.add_argument("tables", type=Path, help="folder of the tables")
    parser.add_argument("--fit", action="store_true", help="fit the nine parameters again")
    parser.add_argument("--figure", type=Path, help="draw rooflines into a file")
    args = parser.parse_args()
    try:
        measured = {machine: read_kernels(args.tables, machine) for machine in MACHINES}
        gpus = {machine: load(preset) for machine, preset in MACHINES.items()}
        if args.fit:
            gpus = {machine: fitted(gpus[machine], rows) for machine, rows in measured.items()}
        report(args.tables, measured, gpus, Console(width=110))
        if args.figure:
            draw(measured, gpus, args.figure)
    except (DovetailError, OSError) as error:
        print(f"real_gpus: {error}", file=sys.stderr)
        return 2
    return 0


def load(preset: str) -> Gpu:
    gpu = presets.load(preset)
    assert isinstance(gpu, Gpu)
    return gpu


# Tables


def lines(path: Path) -> list[list[str]]:
    if not path.is_file():
        raise NetworkError(f"no file {path}: download {SOURCE}")
    with path.open(newline="", encoding="utf-8") as file:
        return [[cell.strip() for cell in line] for line in csv.reader(file) if line]


def read_kernels(folder: Path, machine: str) -> list[Row]:
    """Rows of all kernels of a machine, in the order of their tables."""
    rows: list[Row] = []
    for kernel, stem in FILES.items():
        path = folder / f"{stem}_{machine}.csv"
        try:
            rows += [row_of(kernel, line) for line in lines(path)]
        except (ValueError, IndexError) as error:
            raise NetworkError(f"{path}: {error}; download {SOURCE}") from None
    return rows


def row_of(kernel: str, line: list[str]) -> Row:
    if kernel == "matmul":
        m, k, n = (int(cell) for cell in line[:3])
        seconds = float(line[3].removesuffix("ms")) / 1e3
        return Row(kernel, f"{m} x {k} x {n}", product(m, k, n), seconds)
    if kernel == "gelu":
        count = int(line[0])
        return Row(kernel, f"{count}", stream("gelu", 1, count), count / float(line[1]) / 1e9)
    m, n = (int(cell) for cell in line[:2])
    return Row(kernel, f"{m} x {n}", stream(kernel, m, n), m * n / float(line[2]) / 1e9)


def product(m: int, k: int, n: int, groups: int = 1) -> Product:
    return Product(
        groups, m, n, k, BYTES * groups * m * k, BYTES * groups * k * n, BYTES * groups * m * n,
        8 * BYTES,
    )  # fmt: skip


def stream(kind: str, m: int, n: int) -> Stream:
    row, rows = (n, m) if kind in ("softmax", "layernorm") else (0, 0)
    return Stream(kind, BYTES * m * n, BYTES * m * n, SCALAR_OPS[kind] * m * n, row, rows)


# Predictions


def kernel_of(work: Work, gpu: Gpu) -> Kernel:
    if isinstance(work, Product):
        return best_tiling(work, gpu, "exhaustive")[1].kernel
    return stream_kernel(work, gpu)


def predicted(work: Work, gpu: Gpu) -> float:
    """Seconds by the closed form."""
    return kernel_of(work, gpu).cycles / gpu.clock_mhz / 1e6


def simulated(work: Work, gpu: Gpu) -> float:
    """Seconds by the task program."""
    return kernel_of(work, gpu).simulate() / gpu.clock_mhz / 1e6


def roofline(work: Work, gpu: Gpu) -> float:
    """Seconds at the nominal rate or bandwidth, whichever takes longer."""
    cycles = moved(work) / gpu.dram_bytes_per_cycle
    if isinstance(work, Product):
        cycles = max(cycles, work.macs / gpu.peak_macs_per_cycle)
    return cycles / gpu.clock_mhz / 1e6


def moved(work: Work) -> int:
    if isinstance(work, Product):
        return work.input_bytes + work.weight_bytes + work.output_bytes
    return work.read_bytes + work.written_bytes


# Fit


def halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Every other row of each kernel for the fit, and those between."""
    fit: list[Row] = []
    rest: list[Row] = []
    for kernel in FILES:
        own = [row for row in rows if row.kernel == kernel]
        fit += own[::2]
        rest += own[1::2]
    return fit, rest


def fitted(gpu: Gpu, rows: list[Row]) -> Gpu:
    """Coordinate descent over the grids; each kernel's mean |log ratio| counts the same."""
    fit, _ = halves(rows)

    def loss(design: Gpu, kernels: Iterable[str]) -> float:
        errors = []
        for kernel in kernels:
            own = [row for row in fit if row.kernel == kernel]
            errors.append(
                np.mean([abs(np.log(predicted(row.work, design) / row.seconds)) for row in own])
            )
        return float(np.sum(errors))

    for _ in range(8):
        before = gpu
        for name, grid in GRIDS.items():
            tried = [gpu.replace({name: value}) for value in near(grid, getattr(gpu, name))]
            gpu = min(tried, key=lambda design: loss(design, USED[name]))  # used at once
        if gpu == before:
            break
    print(f"{gpu.name}: " + ", ".join(f"{name} {getattr(gpu, name):g}" for name in GRIDS))
    return gpu


def near(grid: tuple[float, ...], value: float) -> list[float]:
    """Values of a grid around the present one, and a coarse sample of the rest."""
    place = min(range(len(grid)), key=lambda i: abs(grid[i] - value))
    chosen = {*range(max(0, place - 4), min(len(grid), place + 5)), *range(0, len(grid), 6)}
    return [grid[i] for i in sorted(chosen)]


# Report


def report(
    folder: Path, measured: dict[str, list[Row]], gpus: dict[str, Gpu], console: Console
) -> None:
    table = Table("machine", "kernel", title="error of predicted time, mean of |ratio - 1|, %")
    for column in (
        "rows", "fitted rows", "held out", "largest", "rank correlation", "nominal roofline",
        "cycle - estimate",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    for machine, rows in measured.items():
        fit, rest = halves(rows)
        for kernel in FILES:
            table.add_row(machine, kernel, *summary(gpus[machine], kernel, rows, fit, rest))
    console.print(table)
    console.print(layers(folder, gpus["A100"]))
    if (folder / f"{SIMULATED}.csv").is_file():
        console.print(beside(folder, gpus["A100"]))


def summary(
    gpu: Gpu, kernel: str, rows: list[Row], fit: list[Row], rest: list[Row]
) -> tuple[str, ...]:
    own = [row for row in rows if row.kernel == kernel]
    model = np.array([predicted(row.work, gpu) for row in own])
    real = np.array([row.seconds for row in own])
    exact = np.array([simulated(row.work, gpu) for row in own])
    return (
        str(len(own)),
        f"{error(gpu, kernel, fit, predicted):.1f}",
        f"{error(gpu, kernel, rest, predicted):.1f}",
        f"{100 * np.abs(model / real - 1).max():.1f}",
        f"{spearmanr(model, real).statistic:.4f}",
        f"{error(gpu, kernel, own, roofline):.1f}",
        f"{100 * np.abs(exact / model - 1).max():.2f} at most",
    )


def error(gpu: Gpu, kernel: str, rows: list[Row], model: Callable[[Work, Gpu], float]) -> float:
    """Mean of |ratio - 1| in percent."""
    ratios = [model(row.work, gpu) / row.seconds for row in rows if row.kernel == kernel]
    return float(100 * np.mean(np.abs(np.array(ratios) - 1)))


def layer(phase: str) -> list[tuple[str, Work]]:
    """Operators of a GPT-3 layer on one of four devices, in the order of the table."""
    queries, keys = TOKENS[phase]
    rows, heads, share = BATCH * queries, BATCH * HEADS // DEVICES, WIDTH // DEVICES
    head = WIDTH // HEADS
    return [
        ("query, key, value", product(rows, WIDTH, 3 * share)),
        ("query x key", product(queries, head, keys, heads)),
        ("weights x value", product(queries, keys, head, heads)),
        ("output", product(rows, share, WIDTH)),
        ("feed forward 1", product(rows, WIDTH, 4 * share)),
        ("feed forward 2", product(rows, 4 * share, WIDTH)),
        ("softmax", stream("softmax", heads * queries, keys)),
        ("layernorm 1", stream("layernorm", rows, WIDTH)),
        ("layernorm 2", stream("layernorm", rows, WIDTH)),
        ("GELU", stream("gelu", rows, 4 * share)),
    ]


def layers(folder: Path, gpu: Gpu) -> Table:
    """The transformer layers; all-reduces, the last two rows, are of several devices: left out."""
    table = Table("operator", title="GPT-3's layer on one of four A100s, ms (nothing fitted)")
    found = {}
    for phase, stem in LAYERS.items():
        times = [float(line[0]) for line in lines(folder / f"{stem}.csv")]
        found[phase] = [
            (name, 1e3 * seconds, 1e3 * predicted(work, gpu))
            for (name, work), seconds in zip(layer(phase), times, strict=False)
        ]
        for column in (phase, "ours", "ratio"):
            table.add_column(column, justify="right")
    columns = [*zip(*found.values(), strict=True)]
    totals = tuple(
        ("sum", sum(row[1] for row in rows), sum(row[2] for row in rows)) for rows in found.values()
    )
    for line in (*columns, totals):
        cells = [f"{value:.4g}" for _, real, ours in line for value in (real, ours, ours / real)]
        table.add_row(line[0][0], *cells)
    return table


def beside(folder: Path, gpu: Gpu) -> Table:
    """LLMCompass's own simulation of three matmuls."""
    table = Table("M x K x N", title="three matmuls on A100, ms")
    for column in ("measured", "LLMCompass", "ratio", "ours", "ratio "):
        table.add_column(column, justify="right")
    for line in lines(folder / f"{SIMULATED}.csv")[1:]:
        m, k, n = (int(cell) for cell in line[:3])
        theirs, real = 1e3 * float(line[3]), 1e3 * float(line[5])
        ours = 1e3 * predicted(product(m, k, n), gpu)
        table.add_row(
            f"{m} x {k} x {n}", f"{real:.4f}", f"{theirs:.4f}", f"{theirs / real:.3f}",
            f"{ours:.4f}", f"{ours / real:.3f}",
        )  # fmt: skip
    return table


def draw(measured: dict[str, list[Row]], gpus: dict[str, Gpu], path: Path) -> None:
    """Rooflines: operations per byte against TFLOP/s, measured and predicted."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(measured), figsize=(11, 4.6), sharey=True)
    for axis, (machine, rows) in zip(axes, measured.items(), strict=True):
        gpu = gpus[machine]
        peak = 2 * gpu.peak_macs_per_cycle * gpu.clock_mhz / 1e6
        x = np.logspace(-1, 4, 100)
        axis.loglog(x, np.minimum(peak, x * gpu.hbm_gb_per_s / 1e3), "k-", lw=1, label="roofline")
        for kernel, color in zip(FILES, ("C0", "C1", "C2", "C3"), strict=True):
            own = [row for row in rows if row.kernel == kernel]
            ops = np.array([operations(row.work) for row in own])
            intensity = ops / [moved(row.work) for row in own]
            # Streams of one kind share an intensity: rows are spread a little to be seen.
            spread = intensity * np.linspace(0.93, 1.07, len(own))
            real = ops / [row.seconds for row in own] / 1e12
            model = ops / [predicted(row.work, gpu) for row in own] / 1e12
            axis.plot(spread, real, "o", ms=4, mfc="none", color=color, label=f"{kernel}, measured")
            axis.plot(spread, model, "x", ms=4, color=color, label=f"{kernel}, predicted")
        axis.set(title=machine, xlabel="operations per byte of inputs and outputs")
    axes[0].set_ylabel("10^12 operations per second")
    axes[0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def operations(work: Work) -> int:
    return 2 * work.macs if isinstance(work, Product) else work.ops


if __name__ == "__main__":
    sys.exit(main())
