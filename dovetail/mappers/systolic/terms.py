"""What all tilings of one operator on one design share, for blocks of (design, operator) pairs.

Channels count in units: single ones on the ideal machine, words on the RTL machine. Terms of a
block lie term after term, `LANES` pairs each: the same arithmetic on neighbouring numbers is what
compilers turn into vector instructions.
"""

from __future__ import annotations

from enum import IntEnum, auto

import numpy as np
from numpy import floor

from dovetail.arch.systolic import MACHINES
from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import operand_bits, operand_passes
from dovetail.sim.columns import OS, VECTOR, Op
from dovetail.sim.kernel import kernel
from dovetail.sim.rtl_closed_form import rtl_extents, stored_step
from dovetail.sim.rtl_timing import (
    LOAD_OVERHEAD,
    OS_OVERHEAD,
    STORE_OVERHEAD,
    WS_OVERHEAD,
)
from dovetail.sim.tiles import ceil_div, widest_span

RTL = MACHINES.index("rtl")

LANES = 32
"""Pairs in a block."""


class Term(IntEnum):
    """Where each term of a block starts (float64); pair `lane`'s stands at `Term + lane`."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[int]) -> int:
        return count * LANES

    ROWS = auto()  # units in a fold
    COLS = auto()
    ARRAYS = auto()
    DATAFLOW = auto()
    PASSES = auto()
    G = auto()
    N = auto()
    K = auto()
    C = auto()
    P = auto()
    Q = auto()
    KERNEL = auto()  # R S
    R = auto()
    S = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    REACH_H = auto()  # rows that one window spans
    REACH_W = auto()
    HEIGHT = auto()
    WIDTH = auto()
    HIGH = auto()  # input rows that all outputs span
    WIDE = auto()
    ONE_HIGH = auto()  # input rows that one output spans
    ROOM_IN = auto()  # elements in half the input scratchpad
    ROOM_W = auto()
    ROOM_OUT = auto()
    BANDWIDTH = auto()
    LATENCY = auto()
    BYTES_IN = auto()  # per element
    BYTES_W = auto()
    BYTES_OUT = auto()
    EPILOGUE = auto()  # cycles per output element
    OVERLAP = auto()
    SKEW = auto()  # cycles until the last PE sees its last operand
    STAY = auto()  # cycles that load a stationary operand
    STREAMED = auto()  # elements of a unit of input channels that OS streams
    WORK_MORE = auto()  # cycles of every step's computation besides its folds
    STORE_MORE = auto()  # cycles of every store besides its bytes
    UNIT_K = auto()  # output channels of a unit
    UNIT_C = auto()  # input channels of a unit
    MOST_G = auto()  # groups in a tile
    ALL_K = auto()  # output channels
    ALL_C = auto()  # input channels
    MAC_PJ = auto()
    INPUT_PJ = auto()  # per byte
    WEIGHT_PJ = auto()
    OUTPUT_PJ = auto()
    DRAM_PJ = auto()
    BYTES_SUM = auto()  # per partial sum


TERMS = len(Term) * LANES


@kernel
def fill_terms(design: FloatArray, op: IntArray, terms: FloatArray) -> None:
    """Fills one pair's terms.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY, or any of the RTL machine's.
        terms: the block's from this pair's lane on, written.
    """
    if design[Design.MACHINE] == RTL:
        _fill_rtl_terms(design, op, terms)
    else:
        _fill_ideal_terms(design, op, terms)
    terms[Term.MAC_PJ] = design[Design.MAC_PJ]
    terms[Term.INPUT_PJ] = design[Design.INPUT_PJ]
    terms[Term.WEIGHT_PJ] = design[Design.WEIGHT_PJ]
    terms[Term.OUTPUT_PJ] = design[Design.OUTPUT_PJ]
    terms[Term.DRAM_PJ] = design[Design.DRAM_PJ]
    terms[Term.BYTES_SUM] = design[Design.ACCUMULATOR_BITS] / 4


@kernel
def _fill_ideal_terms(design: FloatArray, op: IntArray, terms: FloatArray) -> None:
    bits_in, bits_w, bits_out = operand_bits(design, op)
    P, Q, R, S = op[Op.P], op[Op.Q], op[Op.R], op[Op.S]
    sh, sw, dh, dw = op[Op.STRIDE_H], op[Op.STRIDE_W], op[Op.DILATION_H], op[Op.DILATION_W]
    H, W = op[Op.HEIGHT], op[Op.WIDTH]
    terms[Term.ROWS] = design[Design.ROWS]
    terms[Term.COLS] = design[Design.COLS]
    terms[Term.ARRAYS] = design[Design.ARRAYS]
    terms[Term.DATAFLOW] = design[Design.DATAFLOW]
    terms[Term.PASSES] = operand_passes(design, bits_in, bits_w)
    terms[Term.G] = op[Op.G]
    terms[Term.N] = op[Op.N]
    terms[Term.K] = op[Op.K]
    terms[Term.C] = op[Op.C]
    terms[Term.P] = P
    terms[Term.Q] = Q
    terms[Term.KERNEL] = R * S
    terms[Term.R] = R
    terms[Term.S] = S
    terms[Term.STRIDE_H] = sh
    terms[Term.STRIDE_W] = sw
    terms[Term.REACH_H] = (R - 1) * dh + 1
    terms[Term.REACH_W] = (S - 1) * dw + 1
    terms[Term.HEIGHT] = H
    terms[Term.WIDTH] = W
    terms[Term.HIGH] = widest_span(P, R, sh, dh, H)
    terms[Term.WIDE] = widest_span(Q, S, sw, dw, W)
    terms[Term.ONE_HIGH] = widest_span(1, R, sh, dh, H)
    terms[Term.ROOM_IN] = floor(design[Design.INPUT_HALF] * 8 / bits_in)
    terms[Term.ROOM_W] = floor(design[Design.WEIGHT_HALF] * 8 / bits_w)
    terms[Term.ROOM_OUT] = floor(design[Design.OUTPUT_HALF] * 8 / design[Design.ACCUMULATOR_BITS])
    terms[Term.BANDWIDTH] = design[Design.BANDWIDTH]
    terms[Term.LATENCY] = design[Design.LATENCY]
    terms[Term.BYTES_IN] = bits_in / 8
    terms[Term.BYTES_W] = bits_w / 8
    terms[Term.BYTES_OUT] = bits_out / 8
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * P * Q
    terms[Term.OVERLAP] = design[Design.OVERLAP]
    terms[Term.EPILOGUE] = op[Op.EPILOGUE_OPS] / outputs / design[Design.LANES]
    terms[Term.SKEW] = design[Design.ROWS] + design[Design.COLS] - 2
    terms[Term.STAY] = design[Design.ROWS]
    terms[Term.STREAMED] = terms[Term.UNIT_K] = terms[Term.UNIT_C] = 1
    terms[Term.WORK_MORE] = terms[Term.STORE_MORE] = 0
    terms[Term.MOST_G] = op[Op.G]
    terms[Term.ALL_K] = op[Op.K]
    terms[Term.ALL_C] = op[Op.C]


@kernel
def _fill_rtl_terms(design: FloatArray, op: IntArray, terms: FloatArray) -> None:
    """The RTL machine's terms: its tiles keep every so many rows, and channels are whole words."""
    rows, cols = design[Design.ROWS], design[Design.COLS]
    vector = op[Op.ENGINE] == VECTOR
    lanes = int(design[Design.LANES] if vector else cols)
    word_in = int(lanes if vector else rows)
    groups, outputs, depth = rtl_extents(design, op)
    streams = int(design[Design.DATAFLOW]) == OS
    for term in range(0, TERMS, LANES):
        terms[term] = 1
    terms[Term.ROWS] = rows if streams else 1
    terms[Term.DATAFLOW] = design[Design.DATAFLOW]
    terms[Term.G] = groups
    terms[Term.K] = ceil_div(outputs, lanes)
    terms[Term.C] = ceil_div(depth, word_in)
    terms[Term.P], terms[Term.Q] = op[Op.P], op[Op.Q]
    terms[Term.KERNEL] = op[Op.R] * op[Op.S]
    # Rows between those that are kept count as if they were not there.
    terms[Term.R] = terms[Term.S] = np.inf
    _fill_rtl_axis(terms, op[Op.P], op[Op.R], op[Op.STRIDE_H], op[Op.DILATION_H], op[Op.HEIGHT], 0)
    _fill_rtl_axis(terms, op[Op.Q], op[Op.S], op[Op.STRIDE_W], op[Op.DILATION_W], op[Op.WIDTH], 1)
    bits_in, bits_sum = design[Design.INPUT_BITS], design[Design.ACCUMULATOR_BITS]
    terms[Term.BYTES_IN] = word_in * bits_in / 8
    terms[Term.BYTES_W] = 0.0 if vector else rows * cols * design[Design.WEIGHT_BITS] / 8
    terms[Term.BYTES_OUT] = lanes * (bits_sum if op[Op.WIDE] else bits_in) / 8
    terms[Term.ROOM_IN] = floor(design[Design.INPUT_HALF] * 8 / (rows * bits_in))
    terms[Term.ROOM_W] = np.inf
    if not vector:
        terms[Term.ROOM_W] = floor(design[Design.WEIGHT_HALF] / terms[Term.BYTES_W])
    terms[Term.ROOM_OUT] = floor(design[Design.OUTPUT_HALF] * 8 / (cols * bits_sum))
    terms[Term.BANDWIDTH] = design[Design.BANDWIDTH]
    terms[Term.LATENCY] = design[Design.LATENCY] + LOAD_OVERHEAD
    terms[Term.EPILOGUE] = 0
    terms[Term.OVERLAP] = design[Design.OVERLAP]
    terms[Term.SKEW] = rows + cols - 2
    terms[Term.STAY] = terms[Term.STREAMED] = rows
    terms[Term.WORK_MORE] = OS_OVERHEAD if streams else WS_OVERHEAD
    terms[Term.STORE_MORE] = STORE_OVERHEAD
    terms[Term.UNIT_K], terms[Term.UNIT_C] = lanes, word_in
    terms[Term.ALL_K], terms[Term.ALL_C] = outputs, depth


@kernel
def _fill_rtl_axis(
    terms: FloatArray, count: int, kernel: int, stride: int, dilation: int, size: int, axis: int
) -> None:
    """Terms of rows (axis 0) or columns (1), in kept ones."""
    step = stored_step(kernel, stride, dilation)
    reach = (kernel - 1) * (dilation // step) + 1 if kernel > 1 else 1
    kept = ceil_div(size, step)
    terms[Term.STRIDE_W if axis else Term.STRIDE_H] = stride // step
    terms[Term.REACH_W if axis else Term.REACH_H] = reach
    terms[Term.WIDTH if axis else Term.HEIGHT] = kept
    terms[Term.WIDE if axis else Term.HIGH] = min((count - 1) * (stride // step) + reach, kept)
    if axis == 0:
        terms[Term.ONE_HIGH] = min(reach, kept)
