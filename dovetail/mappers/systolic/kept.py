"""On what a pair's counts depend: few values of few of a design's parameters.

Clock, energies and areas change no cycle; the width of the vector unit changes nothing where it has
nothing to do; and where a whole operand fits, a larger scratchpad is as good. Pairs that agree in
what is left have the same counts, and one number: the operator's, and a digit for each column of
the design.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dovetail.arch.systolic import MACHINES
from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.columns import ARRAY, Op
from dovetail.sim.tiles import widest_span

TIMING = (
    Design.ROWS, Design.COLS, Design.ARRAYS, Design.DATAFLOW, Design.INPUT_BITS,
    Design.WEIGHT_BITS, Design.ACCUMULATOR_BITS, Design.INPUT_HALF, Design.WEIGHT_HALF,
    Design.OUTPUT_HALF, Design.LANES, Design.BANDWIDTH, Design.LATENCY, Design.MACHINE,
    Design.OVERLAP, Design.BUS_BYTES,
)  # fmt: skip
"""Columns that cycles and tilings can depend on."""

STREAMING = (
    Design.INPUT_BITS, Design.INPUT_HALF, Design.OUTPUT_HALF, Design.LANES, Design.BANDWIDTH,
    Design.LATENCY,
)  # fmt: skip
"""Those that a vector operator of the ideal machine depends on."""

PRICES = (
    Design.MAC_PJ, Design.VECTOR_PJ, Design.INPUT_PJ, Design.WEIGHT_PJ, Design.OUTPUT_PJ,
    Design.DRAM_PJ,
)  # fmt: skip
"""Those that a tiling depends on, too, if it is to save energy; in the order of `Count`."""

Levels = Mapping[Design, FloatArray]
"""Values that each column of designs takes, ascending."""

HALVES = (Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF)


class Digits(NamedTuple):
    """How pairs are numbered: the operator plus a digit, times its place, for each column.

    Attributes:
        columns: those of the designs that vary, and matter to some operator, (v,).
        values: of each column, ascending, (v, most); filled up by NaN.
        matter: rows of `columns` that matter to each operator first, (operators, v).
        first: how many of them, (operators,).
        digits: of each operator, column and value, times its place, (operators, v, most).
    """

    columns: IntArray
    values: FloatArray
    matter: IntArray
    first: IntArray
    digits: IntArray


def digits_of(levels: Levels, ops: IntArray, objective: str) -> Digits | None:
    """The digits of all operators; None if the numbers do not fit 64 bits.

    Args:
        levels: values that each column of the designs takes, ascending; of one machine.
        ops: rows of `Op` columns, (operators, len(Op)).
        objective: what tilings minimise: `latency`, `energy` or `edp`.
    """
    known = TIMING if objective == "latency" else TIMING + PRICES
    columns = [column for column in known if len(levels[column]) > 1]
    most = max((len(levels[column]) for column in columns), default=1)
    values = np.full((len(columns), most), np.nan)
    for v, column in enumerate(columns):
        values[v, : len(levels[column])] = levels[column]
    digits = np.zeros((len(ops), len(columns), most), dtype=np.int64)
    for row, op in enumerate(ops):
        place = len(ops)
        for v, column in enumerate(columns):
            kinds = _kinds(levels, op, column)
            if place * (int(kinds[-1]) + 1) >= 2**62:
                return None
            digits[row, v, : len(kinds)] = kinds * place
            place *= int(kinds[-1]) + 1
    matters = (digits > 0).any(axis=2)
    order = np.argsort(~matters, axis=1, kind="stable")
    return Digits(np.array(columns, dtype=np.int64), values, order, matters.sum(axis=1), digits)


def nothing_kept(operators: int) -> Digits:
    """Digits of no columns."""
    empty = np.zeros((operators, 0), dtype=np.int64)
    return Digits(
        empty[0], np.zeros((0, 1)), empty, np.zeros(operators, dtype=np.int64), empty[:, :, None]
    )


def _kinds(levels: Levels, op: IntArray, column: Design) -> IntArray:
    """Equal numbers, ascending from 0, for values of a column that are the same to an operator."""
    values = levels[column]
    numbers = np.arange(len(values))
    if levels[Design.MACHINE][-1] == MACHINES.index("rtl"):
        return numbers
    array = op[Op.ENGINE] == ARRAY
    if column in PRICES:
        return numbers
    if not array and column not in STREAMING:
        return np.zeros_like(numbers)
    if array and column == Design.LANES and op[Op.EPILOGUE_OPS] == 0:
        return np.zeros_like(numbers)
    if column in HALVES:
        return np.minimum(numbers, np.searchsorted(values, _whole_bytes(levels, op, column)))
    return numbers


def _whole_bytes(levels: Levels, op: IntArray, column: Design) -> float:
    """Bytes from which on half a scratchpad of the ideal machine is as good as a larger one."""
    bits = {
        Design.INPUT_HALF: op[Op.INPUT_BITS] or levels[Design.INPUT_BITS][-1],
        Design.WEIGHT_HALF: op[Op.WEIGHT_BITS] or levels[Design.WEIGHT_BITS][-1],
        Design.OUTPUT_HALF: levels[Design.ACCUMULATOR_BITS][-1],
    }[column]
    if op[Op.ENGINE] != ARRAY:
        if column == Design.OUTPUT_HALF:
            bits = op[Op.OUTPUT_BITS] or levels[Design.INPUT_BITS][-1]
        streamed = Op.IN_ELEMENTS if column == Design.INPUT_HALF else Op.OUT_ELEMENTS
        return float(op[streamed] * bits / 8)
    G, N, K, C, P, Q, R, S = (int(op[Op[rank]]) for rank in "GNKCPQRS")
    high = widest_span(P, R, op[Op.STRIDE_H], op[Op.DILATION_H], op[Op.HEIGHT])
    wide = widest_span(Q, S, op[Op.STRIDE_W], op[Op.DILATION_W], op[Op.WIDTH])
    elements = {
        Design.INPUT_HALF: G * N * C * high * wide,
        # `greedy` doubles a depth only if twice the tile would fit.
        Design.WEIGHT_HALF: 2 * G * K * C * R * S,
        Design.OUTPUT_HALF: G * N * K * P * Q,
    }[column]
    return float(elements * bits / 8)
