"""Gates of the RTL's parts in NAND2 equivalents, fitted to synthesis by `benchmarks/area.py --fit`.

Measured with Yosys 0.23 (`dovetail.rtl.synthesis`); rows in tests/golden/yosys_area.csv. Cells of
NanGate45 without buffers and sizing, enables as multiplexers, no clock gating, no test logic, no
space between cells. Memories are no part of this.
"""

from __future__ import annotations

NAND2_UM2 = 0.798
"""NanGate45's NAND2_X1 at 45 nm."""

PE = {
    "os": (9.89, 0.5, 0.5, 17.5, 21.7),
    "ws": (9.86, -0.75, -0.75, 15.4, 20.0),
    "ws overlapped": (9.59, 0.3, 16.5, 15.8, 19.2),
}
"""Per bit of product, left operand, top operand and sum, and once; by kind of PE."""

LANE = (295.6, 2452.0)
"""A lane of the output stage: per bit of sum, and once."""

STORE_COLUMN, STORE = 345.0, 7384.0
"""The rest of the store engine: per column, and once."""

VECTOR_LANE = (4.81, 13.2, 393.0)
"""Per bit of input times bit of sum, per bit of sum, and once."""

ACCUMULATE = (9.37, 1037.0)
"""Per bit of a column's sum, and once."""

CONTROL = 51_600.0
"""Fetch, load, store and execute engines, three sequencers, tokens, channel: once. What whole
accelerators have beyond all the rest; their parts one by one make about 43,000."""

DELAY_BIT = 5.32 / NAND2_UM2
"""A bit of the delay lines around the array: a flip-flop with reset."""

SERIALIZER_BIT = (4.522 + 1.862) / NAND2_UM2
"""A bit of the OS array's input serializer: a flip-flop and a multiplexer."""

SKEW_CONTROL_BITS = 3
OVERLAP_CONTROL_BITS = 2


def pe_gates(
    input_bits: float,
    weight_bits: float,
    accumulator_bits: float,
    dataflow: str = "ws",
    fold_overlap: str = "none",
) -> float:
    """One PE: multiplier, adder, registers of both operands and of the sum."""
    left, top = (weight_bits, input_bits) if dataflow == "is" else (input_bits, weight_bits)
    product, per_left, per_top, per_sum, once = PE[_kind(dataflow, fold_overlap)]
    operands = product * left * top + per_left * left + per_top * top
    return operands + per_sum * accumulator_bits + once


def _kind(dataflow: str, fold_overlap: str) -> str:
    if dataflow == "os":
        return "os"
    return "ws overlapped" if fold_overlap == "full" else "ws"


def lane_gates(accumulator_bits: float) -> float:
    """One lane of the output stage: bias, multiplier, shift, clipping."""
    return LANE[0] * accumulator_bits + LANE[1]


def column_gates(accumulator_bits: float) -> float:
    """What every column has: a lane of the output stage, and the accumulators' adder."""
    return lane_gates(accumulator_bits) + STORE_COLUMN + ACCUMULATE[0] * accumulator_bits


def vector_lane_gates(input_bits: float, accumulator_bits: float) -> float:
    """One lane of the vector unit: weighted sum or maximum."""
    product, per_sum, once = VECTOR_LANE
    return (product * input_bits + per_sum) * accumulator_bits + once


def periphery_gates(
    rows: int, cols: int, input_bits: int, weight_bits: int, accumulator_bits: int, dataflow: str,
    fold_overlap: str,
) -> float:  # fmt: skip
    """All that an accelerator of the RTL machine has beside PEs and memories."""
    row = row_skew_gates(input_bits, dataflow, fold_overlap)
    column = column_skew_gates(weight_bits, accumulator_bits, dataflow, fold_overlap)
    return (
        CONTROL
        + vector_lane_gates(input_bits, accumulator_bits) * min(rows, cols)
        + column_gates(accumulator_bits) * cols
        + row * rows * (rows - 1) / 2
        + column * cols * (cols - 1) / 2
    )


def row_skew_gates(input_bits: float, dataflow: str, fold_overlap: str) -> float:
    """Of the delays before row i, i times this; over all rows, rows (rows - 1) / 2 times."""
    if dataflow == "os":
        return DELAY_BIT * SKEW_CONTROL_BITS + 2 * SERIALIZER_BIT * input_bits
    overlap = OVERLAP_CONTROL_BITS * (fold_overlap == "full")
    return DELAY_BIT * (SKEW_CONTROL_BITS + overlap + input_bits)


def column_skew_gates(
    weight_bits: float, accumulator_bits: float, dataflow: str, fold_overlap: str
) -> float:
    """Of the delays around column i, i times this."""
    early = dataflow != "os" and fold_overlap == "none"
    return DELAY_BIT * (accumulator_bits + (0 if early else weight_bits))
