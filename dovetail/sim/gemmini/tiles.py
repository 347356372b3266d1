"""What Gemmini's loop unroller issues for every kind of tile of a layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.sim.gemmini.layer import RANKS, Layer, TiledMapping
from dovetail.sim.gemmini.machine import Machine

Extent = dict[str, int]


@dataclass(frozen=True, slots=True)
class Tile:
    """Work of one tile; `count` tiles of a layer are of this kind.

    Attributes:
        count: tiles.
        requests: reads of the DMA, inputs and weights.
        read_bytes: that they carry.
        commands: loads of up to 16 rows of 64 bytes.
        narrow_reads: requests of less than a scratchpad row that follow on one cache line.
        zero_rows: accumulator rows cleared, on average over the tiles of a sum.
        blocks: 16 x 16 blocks of weights.
        block_rows: rows that stream through the array for a block, at least 4 a command.
        block_commands: preload and compute pairs of a block.
        write_bytes: outputs stored, on average over the tiles of a sum.
        narrow_writes: stores of less than a scratchpad row that follow on one cache line.
    """

    count: int
    requests: float
    read_bytes: float
    commands: float
    narrow_reads: float
    zero_rows: float
    blocks: float
    block_rows: float
    block_commands: float
    write_bytes: float
    narrow_writes: float


def tiles(layer: Layer, mapping: TiledMapping, machine: Machine) -> Iterator[Tile]:
    """Every kind of tile: full ones, and those at the upper end of each rank."""
    size = dict(mapping.tile)
    total = layer.computed
    kinds = []
    for rank in RANKS:
        full, rest = divmod(total[rank], size[rank])
        kinds.append([(size[rank], full)] * (full > 0) + [(rest, 1)] * (rest > 0))
    sums = math.prod(-(-total[rank] // size[rank]) for rank in "CRS")
    for combination in itertools.product(*kinds):
        extent = {rank: length for rank, (length, _) in zip(RANKS, combination, strict=True)}
        count = math.prod(n for _, n in combination)
        yield _tile(layer, size, extent, count, sums, machine)


def _tile(
    layer: Layer, size: Extent, extent: Extent, count: int, sums: int, machine: Machine
) -> Tile:
    array, most = machine.array, machine.request_bytes
    C, K, P, Q = (extent[rank] for rank in "CKPQ")
    rows = 1 if layer.is_matmul else Q
    pixels, row_commands = _input_pixels(layer, size, extent, array)
    taps = C if layer.is_matmul else C * extent["R"] * extent["S"]
    commands = row_commands * -(-C // most) + -(-C // array) * (taps // C) * -(-K // most)
    columns = [min(array, P - start) for start in range(0, P, array)]
    output_blocks = -(-K // array)
    return Tile(
        count=count,
        requests=pixels * -(-C // most) + taps * -(-K // most),
        read_bytes=pixels * C + taps * K,
        commands=commands,
        narrow_reads=pixels * -(-C // most) if layer.C < array else 0.0,
        zero_rows=0.0 if layer.is_matmul else rows * P * output_blocks / sums,
        blocks=output_blocks * -(-C // array) * (taps // C),
        block_rows=rows * sum(max(machine.least_rows, length) for length in columns),
        block_commands=rows * len(columns),
        write_bytes=rows * P * output_blocks * array / sums,
        narrow_writes=rows * P / sums if layer.K < array else 0.0,
    )


def _input_pixels(layer: Layer, size: Extent, extent: Extent, array: int) -> tuple[float, int]:
    """Pixels read from memory (padding costs none), and groups of 16 pixels of a row."""
    if layer.is_matmul:
        return extent["P"], -(-extent["P"] // array)
    rows = extent["Q"] * layer.stride + extent["S"] - 1
    columns = extent["P"] * layer.stride + extent["R"] - 1
    inside = _inside(layer, size, extent, "Q", "S") * _inside(layer, size, extent, "P", "R")
    return inside, rows * -(-columns // array)


def _inside(layer: Layer, size: Extent, extent: Extent, outputs: str, kernel: str) -> float:
    """Input rows (or columns) of a tile inside the image, averaged over tiles of this size."""
    total, taps = layer.computed[outputs], getattr(layer, kernel)
    image = getattr(layer, outputs) * layer.stride
    length = extent[outputs] * layer.stride + extent[kernel] - 1
    found = [
        max(0, min(begin + length, image) - max(begin, 0))
        for out in range(0, total, size[outputs])
        if min(size[outputs], total - out) == extent[outputs]
        for tap in range(0, taps, size[kernel])
        if min(size[kernel], taps - tap) == extent[kernel]
        for begin in (out * layer.stride + tap - taps // 2,)
    ]
    return sum(found) / len(found)
