"""NVDLA's published performance sheet, layer by layer: cycles of its MAC array against ours.

    python experiments/nvdla_sheet.py [TABLE ...]

The tables are the sheets of NVIDIA's performance spreadsheet (2,048 int8 MACs, 1 GHz), exported as
CSV: `perf/` of https://github.com/nvdla/hw, sheets AlexNet, GoogLeNet and ResNet50.

Two predictions of the column `MAC cycles`:

`rule`: what the sheet's numbers follow. Channels and filters are rounded up to 16; a stride folds
stride x stride pixels into channels; 3 x 3 Winograd takes 1 / 2.25 of the cycles; nothing else is
lost: up16(C sv sh) P Q up16(K) R S / (sv sh) / 2048.

`array`: the fastest mapping that the optimal mapper finds on the preset `nvdla_large`, whose array
is 64 channels by 32 filters, memory never waiting; 1 / 2.25 of it where the sheet says Winograd.
The sheet is an idealised count: the array's is larger where channels or filters are no multiples
of its sides, above all in first layers, whose stride it does not fold.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.errors import DovetailError, MappingError
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.mapper import find_mapping
from dovetail.networks.builder import NetworkBuilder

SOURCE = "https://github.com/nvdla/hw, the sheets of the performance spreadsheet in perf/"
COLUMNS = 15
WINOGRAD = 2.25
ATOM = 16
MACS = 2048


@dataclass(frozen=True)
class Row:
    """A convolution or fully-connected layer of the sheet, and the cycles it gives."""

    name: str
    kind: str
    inputs: int
    height: int
    width: int
    outputs: int
    kernel: tuple[int, int]
    padded: bool
    stride: tuple[int, int]
    winograd: bool
    mac_cycles: float

    @property
    def rows(self) -> int:
        """Of the output, as the sheet counts them."""
        return _outputs(self.height, self.kernel[0], self.stride[0], self.padded)

    @property
    def columns(self) -> int:
        """Of the output."""
        return _outputs(self.width, self.kernel[1], self.stride[1], self.padded)


def _outputs(size: int, kernel: int, stride: int, padded: bool) -> int:
    return -(-size // stride) if padded or kernel < stride else (size - kernel) // stride + 1


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], epilog=f"The tables are public: {SOURCE}."
    )
    parser.add_argument("tables", nargs="*", type=Path, help="CSV files, one a sheet")
    parser.add_argument("--rows", type=int, default=6, help="worst rows to list (default 6)")
    args = parser.parse_args()
    try:
        if not args.tables:
            raise MappingError(f"no table given: download {SOURCE}")
        return compare({path.stem: read(path) for path in args.tables}, args.rows)
    except (DovetailError, OSError) as error:
        print(f"nvdla_sheet: {error}", file=sys.stderr)
        return 2


def compare(sheets: dict[str, list[Row]], worst: int) -> int:
    console = Console(width=110)
    table = Table("sheet", title="MAC cycles of NVDLA's sheet")
    for column in (
        "layers", "rule: equal", "array: equal", "array: mean error %", "array / sheet, all layers",
    ):  # fmt: skip
        table.add_column(column, justify="right")
    lines = []
    for name, rows in sheets.items():
        sheet = np.array([row.mac_cycles for row in rows])
        by_rule = np.array([rule(row) for row in rows]) / sheet
        by_array = np.array([array_cycles(row) for row in rows]) / sheet
        equal = [int(np.isclose(ratio, 1.0, rtol=1e-6).sum()) for ratio in (by_rule, by_array)]
        error = 100 * np.abs(by_array - 1).mean()
        total = (by_array * sheet).sum() / sheet.sum()
        table.add_row(
            name, str(len(rows)), str(equal[0]), str(equal[1]), f"{error:.1f}", f"{total:.3f}"
        )
        lines += [(ratio, name, row) for ratio, row in zip(by_array, rows, strict=True)]
    console.print(table)
    console.print(worst_table(sorted(lines, key=lambda one: -abs(math.log(one[0])))[:worst]))
    return 0


def read(path: Path) -> list[Row]:
    """Layers of a sheet that have MAC cycles; raises MappingError if it is none."""
    if not path.is_file():
        raise MappingError(f"no file {path}: download {SOURCE}")
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    heads = [line for line in lines if len(line) > COLUMNS and line[1] == "Net"]
    names = [name.strip().lower().rstrip("?") for name in heads[0]] if heads else []
    if "mac cycles" not in names or "winograd" not in names:
        raise MappingError(f"{path} is no sheet of NVDLA: download {SOURCE}")
    cycles, winograd = names.index("mac cycles"), names.index("winograd")
    layers = [
        line
        for line in lines
        if len(line) > cycles and line[3] in ("conv", "fc") and number(line[cycles]) is not None
    ]
    try:
        return [row_of(line, cycles, winograd) for line in layers]
    except ValueError as error:
        raise MappingError(f"{path}: {error}; download {SOURCE}") from None


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def row_of(line: list[str], cycles: int, winograd: int) -> Row:
    c, height, width, k, r, s = (int(float(text)) for text in line[4:10])
    return Row(
        line[2], line[3], c, height, width, k, (r, s), line[10] == "True",
        (int(line[11]), int(line[12])), line[winograd] == "True", float(line[cycles]),
    )  # fmt: skip


def rule(row: Row) -> float:
    """The sheet's own count."""
    taps = math.prod(row.kernel)
    if row.kind == "fc":
        return row.inputs * row.height * row.width * row.outputs / MACS
    folded = math.prod(row.stride)
    channels = -(-row.inputs * folded // ATOM) * ATOM
    filters = -(-row.outputs // ATOM) * ATOM
    cycles = channels * row.rows * row.columns * filters * taps / folded / MACS
    return cycles / WINOGRAD if row.winograd else cycles


def array_cycles(row: Row) -> float:
    """Cycles of the fastest mapping on the preset's array."""
    shape: tuple[int, ...] = (row.inputs, row.outputs, row.rows, row.columns, *row.kernel)
    if row.kind == "fc":
        shape = (row.inputs * row.height * row.width, row.outputs, 1, 1, 1, 1)
    cycles = fastest(shape, row.stride)
    return cycles / WINOGRAD if row.winograd else cycles


@cache
def fastest(shape: tuple[int, ...], stride: tuple[int, int]) -> float:
    found = find_mapping(einsum_of(shape, stride), array(), "latency", "optimal", time_limit_s=20)
    return float(found.cost.compute_cycles)


@cache
def array() -> SpatialArray:
    """The preset with memories that never wait."""
    preset = presets.load("nvdla_large")
    assert isinstance(preset, SpatialArray)
    stores = (
        replace(store, read_bits_per_cycle=math.inf, write_bits_per_cycle=math.inf)
        for store in preset.stores
    )
    return replace(preset, stores=tuple(stores))


def einsum_of(shape: tuple[int, ...], stride: tuple[int, int]) -> Einsum:
    inputs, outputs, rows, columns, high, wide = shape
    net = NetworkBuilder("layer")
    size = ((rows - 1) * stride[0] + high, (columns - 1) * stride[1] + wide)
    image = net.input("image", (1, inputs, *size))
    done = net.conv2d(image, outputs, (high, wide), stride=stride, name="conv")
    einsum = net.build([done]).operators[0].einsum
    assert einsum is not None
    return einsum


def worst_table(lines: list[tuple[float, str, Row]]) -> Table:
    table = Table("sheet", "layer", "C x K, kernel, stride", title="where the array differs most")
    for column in ("sheet's cycles", "array / sheet"):
        table.add_column(column, justify="right")
    for ratio, name, row in lines:
        kernel = "x".join(map(str, row.kernel))
        what = f"{row.inputs} x {row.outputs}, {kernel}, /{row.stride[0]}"
        table.add_row(name, row.name, what, f"{row.mac_cycles:,.0f}", f"{ratio:.2f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
