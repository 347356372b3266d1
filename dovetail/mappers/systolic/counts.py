"""What time and energy of a pair are made of: few numbers, from which both follow."""

from __future__ import annotations

from enum import auto

import numpy as np

from dovetail.arch.table import Column, Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.exact import FIELDS, Lane, add_neighbourhoods, start_pair
from dovetail.mappers.systolic.terms import LANES
from dovetail.sim.closed_form import operand_bits
from dovetail.sim.columns import Cost, Op, Tile
from dovetail.sim.kernel import kernel
from dovetail.sim.tiles import ceil_div


class Count(Column):
    """Columns of what is counted of a pair (float64); energies are all but the first, in order."""

    CYCLES = auto()
    MAC_OPS = auto()
    VECTOR_OPS = auto()
    INPUT = auto()  # bytes through the input scratchpad
    WEIGHT = auto()
    OUTPUT = auto()
    DRAM = auto()


@kernel
def count_cost(cost: FloatArray, count: FloatArray) -> None:
    """Writes the `Count` columns of a row of `Cost` columns."""
    count[Count.CYCLES] = cost[Cost.CYCLES]
    count[Count.MAC_OPS] = cost[Cost.MAC_OPS]
    count[Count.VECTOR_OPS] = cost[Cost.VECTOR_OPS]
    count[Count.INPUT] = cost[Cost.INPUT_READ] + cost[Cost.DRAM_INPUT]
    count[Count.WEIGHT] = cost[Cost.WEIGHT_READ] + cost[Cost.DRAM_WEIGHT]
    count[Count.OUTPUT] = cost[Cost.OUTPUT_READ] + cost[Cost.OUTPUT_WRITE]
    count[Count.DRAM] = cost[Cost.DRAM_INPUT] + cost[Cost.DRAM_WEIGHT] + cost[Cost.DRAM_OUTPUT]


@kernel
def _count_added(design: FloatArray, op: IntArray, f: FloatArray, count: FloatArray) -> None:
    """Writes the `Count` columns of a pair whose neighbourhoods are all added."""
    bits_in, bits_w, _ = operand_bits(design, op)
    slices_w = ceil_div(bits_w, int(design[Design.WEIGHT_BITS]))
    slices_in = ceil_div(bits_in, int(design[Design.INPUT_BITS]))
    sums = f[Lane.SUMS] * (design[Design.ACCUMULATOR_BITS] / 8)
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * op[Op.P] * op[Op.Q]
    count[Count.CYCLES] = f[Lane.CYCLES]
    count[Count.MAC_OPS] = outputs * op[Op.C] * op[Op.R] * op[Op.S] * f[Lane.PASSES]
    count[Count.VECTOR_OPS] = op[Op.EPILOGUE_OPS]
    count[Count.INPUT] = f[Lane.READ_INPUT] * slices_w * bits_in / 8 + f[Lane.DRAM_INPUT]
    count[Count.WEIGHT] = f[Lane.READ_WEIGHT] * slices_in * bits_w / 8 + f[Lane.DRAM_WEIGHT]
    count[Count.OUTPUT] = sums + sums
    count[Count.DRAM] = f[Lane.DRAM_INPUT] + f[Lane.DRAM_WEIGHT] + f[Lane.DRAM_OUTPUT]


@kernel
def count_tiled(
    designs: FloatArray, ops: IntArray, pair_design: IntArray, pair_op: IntArray, tiles: IntArray,
    counts: FloatArray,
) -> None:  # fmt: skip
    """Counts tiled pairs on ideal arrays, a block at a time.

    Args:
        designs: (designs, len(Design)).
        ops: (operators, len(Op)).
        pair_design: (pairs,) row of `designs`.
        pair_op: (pairs,) row of `ops`, whose windows touch.
        tiles: (pairs, len(Tile)); pairs without groups are left out.
        counts: (pairs, len(Count)), written.
    """
    fields = np.zeros(FIELDS, dtype=np.float64)
    pair = np.full(LANES, -1, dtype=np.int64)
    following = 0
    while True:
        running = 0
        for lane in range(LANES):
            i = pair[lane]
            if i >= 0 and fields[Lane.AT_G + lane] >= fields[Lane.PARTS_G + lane]:
                _count_added(designs[pair_design[i]], ops[pair_op[i]], fields[lane:], counts[i])
                i = -1
            if i < 0:
                while following < len(pair_op) and tiles[following, Tile.G] == 0:
                    following += 1
                if following < len(pair_op):
                    i = following
                    following += 1
                    start_pair(designs[pair_design[i]], ops[pair_op[i]], tiles[i], fields[lane:])
            pair[lane] = i
            running += i >= 0
        if running == 0:
            return
        add_neighbourhoods(fields)
