"""HAWQ-V3's integer programs for the bits of ResNet-18 and ResNet-50, all 18 published rows.

    python experiments/hawqv3.py --tables DIR [--bit-config bit_config.py] [--out out/hawqv3.svg]

Each row bounds one of model size, bit operations or latency (INT4 and INT8 layers measured on a
T4) at 25, 50 or 75 % of the way from all layers at 4 bits to all at 8, and asks for the bits that
perturb the loss least. First and last layer stay at 8 bits; shortcut convolutions share the bits of
the convolution beside them.

DIR holds `hawqv3_ilp_inputs.json` (traces, squared errors, parameters, MACs, latencies),
`hawqv3_ilp_solutions.json` (the programs solved by others) and `hawqv3_vs_table.json` (published
sizes and bit operations). They are made of the repository Zhen-Dong/HAWQ: ILP.ipynb has the inputs,
model_zoo.md the published table, and bit_config.py the bits of the published models, which
--bit-config reads (without running it).
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dovetail.errors import DovetailError, ProblemError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.bits.assign import assign_bits
from dovetail.networks.registry import load_network

BITS = np.array([4, 8])
TIES = {
    "resnet18": ((4, 6), (9, 11), (14, 16)),
    "resnet50": ((0, 3), (10, 13), (23, 26), (42, 45)),
}
"""Layers of the program that share their bits: shortcut convolutions and those beside them."""

CONSTRAINTS = ("size", "bops", "latency")
CONFIG_NAMES = {"size": "modelsize", "bops": "bops", "latency": "latency"}


@dataclass(frozen=True)
class Instance:
    """What the program of one network is given.

    Attributes:
        perturbation: mean trace x squared error (layers, 2).
        costs: (layers, 2) by constraint: bytes, bit operations, ms.
    """

    perturbation: FloatArray
    costs: dict[str, FloatArray]

    def limit(self, constraint: str, fraction: float) -> float:
        """The bound that far from all layers at 4 bits to all at 8."""
        low, high = self.costs[constraint].sum(axis=0)
        return float(low + fraction * (high - low))

    def total(self, constraint: str, bits: IntArray) -> float:
        """Sum of a cost over layers of these bits."""
        chosen = np.searchsorted(BITS, bits)
        return float(self.costs[constraint][np.arange(len(bits)), chosen].sum())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, required=True, help="folder of the three JSON files")
    parser.add_argument("--bit-config", type=Path, help="the repository's bit_config.py")
    parser.add_argument("--out", type=Path, default=Path("out/hawqv3.svg"))
    args = parser.parse_args()
    try:
        rows = compare(args.tables, args.bit_config)
    except DovetailError as error:
        print(f"hawqv3: {error}", file=sys.stderr)
        return 2
    Console(width=150).print(tabulated(rows))
    summarise(rows)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(args.out, rows)
    return 0


def compare(folder: Path, config: Path | None) -> list[dict[str, object]]:
    """One row per published program: ours, solved by others, published."""
    inputs = read_json(folder / "hawqv3_ilp_inputs.json")
    solutions = read_json(folder / "hawqv3_ilp_solutions.json")
    published = {tuple(r[:3]): r for r in read_json(folder / "hawqv3_vs_table.json")}
    bits_of = read_config(config) if config else {}
    instances = {name: instance(values) for name, values in inputs.items()}
    ends = {name: first_and_last(name) for name in instances}
    rows = []
    for solved in solutions:
        net, constraint, fraction = solved["net"], solved["constraint"], solved["fraction"]
        made = instances[net]
        limit = made.limit(constraint, fraction)
        bits = BITS[assign_bits(made.perturbation, made.costs, {constraint: limit}, TIES[net])]
        theirs = bits_of.get((net, constraint, fraction))
        line = published.get((net, constraint, fraction))
        rows.append({
            "net": net, "constraint": constraint, "fraction": fraction, "limit": limit,
            "bits": bits, "solved": np.array(solved["bits"]), "config": theirs,
            "perturbation": perturbation(made, bits),
            "config_perturbation": None if theirs is None else perturbation(made, theirs),
            "config_share": None if theirs is None else made.total(constraint, theirs) / limit,
            "size_mib": (made.total("size", bits) + ends[net][0]) / 2**20,
            "gbops": (made.total("bops", bits) + 64 * ends[net][1]) / 1e9,
            "latency_ms": made.total("latency", bits),
            "paper_size": line and line[4], "paper_gbops": line and line[6],
        })  # fmt: skip
    return rows


def instance(values: dict[str, list[float]]) -> Instance:
    """A network's program from its lists; counts in millions become counts."""
    table = {name: np.array(column, dtype=np.float64) for name, column in values.items()}
    unit = {name: 1e6 if table[name].max() < 1e4 else 1.0 for name in ("parameters", "bops")}
    trace = table["Hutchinson_trace"]
    errors = [trace * table[f"delta_weights_{bits}bit_square"] for bits in BITS]
    return Instance(
        np.stack(errors, axis=1),
        {
            "size": table["parameters"][:, None] * unit["parameters"] * BITS / 8,
            "bops": table["bops"][:, None] * unit["bops"] * BITS**2,
            "latency": np.stack([table[f"latency_int{bits}"] for bits in BITS], axis=1),
        },
    )


def first_and_last(name: str) -> tuple[int, int]:
    """Parameters and MACs of a network's first convolution and classifier."""
    network = load_network(name)
    ends = [op for op in network.operators if op.einsum is not None]
    weights = [network.tensor[op.inputs[1]].elements for op in (ends[0], ends[-1])]
    return sum(weights), ends[0].macs + ends[-1].macs


def perturbation(made: Instance, bits: IntArray) -> float:
    """Sum of the perturbations of layers of these bits."""
    return float(made.perturbation[np.arange(len(bits)), np.searchsorted(BITS, bits)].sum())


def read_json(path: Path) -> object:
    """A table, or an error in one line."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ProblemError(f"'{path}' cannot be read: {error}") from None


def read_config(path: Path) -> dict[tuple[str, str, float], IntArray]:
    """Bits of the published models' convolutions, from the literals of bit_config.py."""
    try:
        tree = ast.parse(path.read_text())
        value = next(n.value for n in tree.body if isinstance(n, ast.Assign))
        configs = ast.literal_eval(value)
    except (OSError, ValueError, SyntaxError, StopIteration) as error:
        raise ProblemError(f"'{path}' is not HAWQ's bit_config.py: {error}") from None
    found = {}
    for net in TIES:
        for constraint, name in CONFIG_NAMES.items():
            for fraction in (0.25, 0.5, 0.75):
                layers = configs.get(f"bit_config_{net}_{name}_{fraction}", {})
                bits = [b for key, b in layers.items() if "unit" in key and "convbn" in key]
                if bits:
                    found[net, constraint, fraction] = np.array(bits)
    return found


def tabulated(rows: list[dict[str, object]]) -> Table:
    """All rows."""
    table = Table(title="HAWQ-V3: bits of least perturbation within one limit")
    for name in ("network", "limit", "layers at 4 bits", "bits as solved", "bits as published",
                 "size MiB", "paper", "ratio", "10^9 BOPs", "paper", "ratio", "T4 ms"):  # fmt: skip
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["net"]), f"{row['constraint']} {row['fraction']:g}",
            str(int((row["bits"] == 4).sum())),
            agreement(row["bits"], row["solved"]), agreement(row["bits"], row["config"]),
            f"{row['size_mib']:.2f}", *paper(row["paper_size"], row["size_mib"]),
            f"{row['gbops']:.1f}", *paper(row["paper_gbops"], row["gbops"]),
            f"{row['latency_ms']:.3f}",
        )  # fmt: skip
    return table


def agreement(ours: IntArray, theirs: IntArray | None) -> str:
    """`equal`, or the layers that differ."""
    if theirs is None:
        return "-"
    if len(ours) != len(theirs):
        return f"{len(theirs)} layers"
    differing = np.flatnonzero(ours != theirs)
    return "layer " + ", ".join(map(str, differing)) if len(differing) else "equal"


def paper(value: float | None, ours: float) -> tuple[str, str]:
    """A published number, and ours as a share of it."""
    return ("-", "-") if value is None else (f"{value:g}", f"{ours / value:.3f}")


def summarise(rows: list[dict[str, object]]) -> None:
    """Prints how many rows agree, and why the others do not."""
    for title, key in (("the solved programs", "solved"), ("the published models", "config")):
        known = [row for row in rows if row[key] is not None]
        if known:
            same = sum(np.array_equal(row["bits"], row[key]) for row in known)
            print(f"bits equal {title} in {same} of {len(known)} rows")
    for row in rows:
        if row["config"] is not None and not np.array_equal(row["bits"], row["config"]):
            print(
                f"{row['net']} {row['constraint']} {row['fraction']:g}: {published_fault(row)}; "
                f"ours perturbs {row['perturbation']:.6f}, the published "
                f"{row['config_perturbation']:.6f}"
            )
    print("sizes lack what the paper adds to weights (scales, biases, batch normalization); how it "
          "counts bit operations of mixed models is not published")  # fmt: skip


def published_fault(row: dict[str, object]) -> str:
    """Why a published model's bits are not the program's optimum."""
    if row["config_share"] > 1:
        return f"the published bits exceed the limit, {row['config_share']:.4f} of it"
    return "the published bits are within the limit, but not the best there"


def draw(path: Path, rows: list[dict[str, object]]) -> None:
    """Our sizes and bit operations over the published ones."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
    for axis, ours, theirs, title in (
        (axes[0], "size_mib", "paper_size", "model size, MiB"),
        (axes[1], "gbops", "paper_gbops", "10^9 bit operations"),
    ):
        for net in TIES:
            chosen = [row for row in rows if row["net"] == net and row[theirs] is not None]
            axis.plot([r[theirs] for r in chosen], [r[ours] for r in chosen], "o", label=net)
        low, high = axis.get_xlim()
        axis.plot([low, high], [low, high], color="grey", linewidth=0.8)
        axis.set(xlabel="published", ylabel="our optimum", title=title)
        axis.legend()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
