"""Cycles of the mapping analysis, against those of Timeloop's definition, on Gemmini's layers.

    python experiments/gemmini_analysis.py [TABLE ...]

The tables are those of `experiments/gemmini_rtl.py`: layers and mappings of a 16 x 16 Gemmini, with
`target.cycle` as DOSA's analytical model gives it, which follows Timeloop's definition (the busier
of the array and every memory port, no latency). Public: https://github.com/ucb-bar/dosa,
data/firesim_test_data/analytical.csv and dnn.csv (BSD-2-Clause).

Ours is `dovetail.sim.nest` on DOSA's architecture: weights in the PEs, sums in an accumulator per
column (2 words a cycle), inputs and weights in a scratchpad (32), memory (8); every element is one
word. The definitions coincide except where partial sums spill to memory: DOSA's model counts them
once at the accumulator's port, ours on their way out and back. Exits with 1 if a row differs by
anything else.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import DovetailError, MappingError
from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Einsum
from dovetail.networks.builder import NetworkBuilder
from dovetail.sim.gemmini import Layer, read_levels
from dovetail.sim.nest import analyse

SOURCE = "https://github.com/ucb-bar/dosa, data/firesim_test_data/analytical.csv and dnn.csv"
RANKS = ("C", "K", "P", "Q", "R", "S")
WORD = 8
ACCUMULATOR_WORDS = 2
"""Of one column, read or written per cycle."""
KEEPS = {
    3: Keep("dram", ("input", "weight", "output")),
    2: Keep("scratchpad", ("input", "weight")),
    1: Keep("accumulator", ("output",)),
    0: Keep("register", ("weight",)),
}
SIDES = {"K": "x", "C": "y"}


def gemmini() -> SpatialArray:
    """DOSA's architecture of Gemmini in words of one element."""

    def port(words: float) -> dict[str, float | None]:
        return {"read_bits_per_cycle": words * WORD, "write_bits_per_cycle": None}

    both = ("x", "y")
    return SpatialArray(
        "gemmini",
        (("x", 16), ("y", 16)),
        (
            Store("register", ("weight",)),
            Store("accumulator", ("output",), ("y",), **port(ACCUMULATOR_WORDS)),
            Store("scratchpad", ("weight", "input"), both, sliding=True, **port(32)),
            Store("dram", ("weight", "input", "output"), both, **port(8)),
        ),
        unrolls=(("x", ("K",)), ("y", ("C",))),
        input_bits=WORD,
        weight_bits=WORD,
        sum_bits=WORD,
        output_bits=WORD,
    )


def mapping_of(text: str) -> Mapping:
    """A mapping of DOSA as ours."""
    nodes: list[Node] = []
    for level, loops in read_levels(text):
        nodes.append(KEEPS[level])
        for rank, count, spatial in loops:
            if spatial and rank not in SIDES:
                raise MappingError(f"'{text}' unrolls {rank}: Gemmini unrolls K and C")
            if count > 1:
                nodes.append(
                    Spatial(rank, count, SIDES[rank]) if spatial else Temporal(rank, count)
                )
    return Mapping(tuple(nodes), "layer")


def einsum_of(layer: Layer) -> Einsum:
    net = NetworkBuilder("layer")
    size = ((layer.P - 1) * layer.stride + layer.R, (layer.Q - 1) * layer.stride + layer.S)
    image = net.input("image", (1, layer.C, *size))
    done = net.conv2d(image, layer.K, (layer.R, layer.S), stride=layer.stride, name="layer")
    einsum = net.build([done]).operators[0].einsum
    assert einsum is not None
    return einsum


@dataclass(frozen=True)
class Compared:
    """A row: its mapping, cycles of the table, ours, and those in which partial sums spill."""

    mapping: str
    theirs: float
    ours: float
    spill: float

    @property
    def equal(self) -> bool:
        """The table's cycles are whole numbers, rounded up or down."""
        return abs(self.theirs - self.ours) <= 1.0

    @property
    def explained(self) -> bool:
        """Equal once spilled sums pass the accumulator's port in one direction only."""
        return self.spill > 0 and abs(self.theirs - (self.ours - self.spill)) <= 1.0


def read(path: Path) -> list[Compared]:
    """Analyses the rows of a table; raises MappingError if it is none."""
    if not path.is_file():
        raise MappingError(f"no file {path}: download {SOURCE}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    needed = ("mapping.mapping", "target.cycle", *(f"prob.{rank}" for rank in RANKS))
    missing = [name for name in (*needed, "prob.Wstride") if not rows or name not in rows[0]]
    if missing:
        raise MappingError(f"{path} has no column {missing[0]}: give a table of {SOURCE}")
    array = gemmini()
    return [compared(row, array) for row in rows]


def compared(row: dict[str, str], array: SpatialArray) -> Compared:
    layer = Layer(*(int(row[f"prob.{rank}"]) for rank in RANKS), stride=int(row["prob.Wstride"]))
    mapping = row["mapping.mapping"]
    cost = analyse(einsum_of(layer), array, mapping_of(mapping))
    sums = cost.level("accumulator", "output")
    spill = sums.fills / sums.instances / ACCUMULATOR_WORDS
    return Compared(mapping, float(row["target.cycle"]), cost.steady_cycles, spill)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=f"The tables are public: {SOURCE}."
    )
    parser.add_argument("tables", nargs="*", type=Path, help="CSV files of DOSA")
    args = parser.parse_args()
    try:
        if not args.tables:
            raise MappingError(f"no table given: download {SOURCE}")
        return compare({path.stem: read(path) for path in args.tables})
    except (DovetailError, OSError) as error:
        print(f"gemmini_analysis: {error}", file=sys.stderr)
        return 2


def compare(tables: dict[str, list[Compared]]) -> int:
    table = Table("table", title="cycles by Timeloop's definition: DOSA's model, our analysis")
    columns = ("rows", "equal", "equal but for spilled sums", "different", "largest ratio")
    for column in columns:
        table.add_column(column, justify="right")
    unexplained = 0
    for name, rows in tables.items():
        differ = [row for row in rows if not row.equal]
        spills = sum(row.explained for row in differ)
        unexplained += len(differ) - spills
        largest = max((row.ours / row.theirs for row in rows), key=lambda x: abs(math.log(x)))
        numbers = (len(rows), len(rows) - len(differ), spills, len(differ) - spills)
        table.add_row(name, *map(str, numbers), f"{largest:.4f}")
    Console(width=110).print(table)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
