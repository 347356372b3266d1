"""Fixed-point conversions as `ap_fixed` of the HLS tools defines them, with a movable binary point.

References:
    QFX, arXiv 2401.17544 (trainable binary points); AMD UG1399, "Arbitrary Precision Fixed-Point
    Data Types" (quantization and overflow modes).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError, UnknownNameError
from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap

ROUNDINGS = (
    "AP_TRN", "AP_RND", "AP_RND_CONV", "AP_TRN_ZERO", "AP_RND_ZERO", "AP_RND_MIN_INF", "AP_RND_INF",
)  # fmt: skip
"""Down; to nearest with ties up; ties to even; towards zero; to nearest with ties towards zero,
down, away from zero."""

OVERFLOWS = ("AP_WRAP", "AP_SAT")
"""Drop high bits; clip."""


def quantize(
    x: NDArray[Any],
    shift: NDArray[Any] | int,
    bits: int,
    rounding: str = "AP_TRN",
    overflow: str = "AP_WRAP",
) -> IntArray:
    """Converts fixed-point numbers: overflow(round(x / 2^shift)).

    Args:
        x: integers, the numbers in units of their last bit; magnitudes times 2^-shift stay below
            2^62.
        shift: fractional bits of the argument minus those of the result, at most 62; broadcasts.
        bits: of the signed result, 1 to 63.
        rounding: one of `ROUNDINGS`.
        overflow: one of `OVERFLOWS`.

    Returns:
        Integers in units of the result's last bit, broadcast shape.

    Raises:
        UnknownNameError: if a mode does not exist.
        NetworkError: if `bits` or a shift is out of range.
    """
    if rounding not in ROUNDINGS:
        raise UnknownNameError("rounding", rounding, ROUNDINGS)
    if overflow not in OVERFLOWS:
        raise UnknownNameError("overflow", overflow, OVERFLOWS)
    if not 1 <= bits <= 63:
        raise NetworkError(f"quantization to {bits} bits: must be within 1 to 63")
    x, shift = np.broadcast_arrays(np.asarray(x, dtype=np.int64), np.asarray(shift, dtype=np.int64))
    if (shift > 62).any():
        raise NetworkError(f"quantization drops {shift.max()} bits: must be at most 62")
    rounded = _round(x << np.maximum(-shift, 0), np.maximum(shift, 0), rounding)
    if overflow == "AP_WRAP":
        return wrap(rounded, bits)
    return np.clip(rounded, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def _round(x: IntArray, drop: IntArray, rounding: str) -> IntArray:
    """Integers for x / 2^drop."""
    kept = x >> drop
    dropped = x - (kept << drop)
    unit = np.int64(1) << drop
    # Twice the dropped part against one unit: below, at or above the middle.
    above, tie = dropped > unit - dropped, (dropped == unit - dropped) & (drop > 0)
    up = {
        "AP_TRN": np.zeros_like(tie),
        "AP_RND": above | tie,
        "AP_RND_CONV": above | (tie & (kept & 1 > 0)),
        "AP_TRN_ZERO": (x < 0) & (dropped > 0),
        "AP_RND_ZERO": above | (tie & (x < 0)),
        "AP_RND_MIN_INF": above,
        "AP_RND_INF": above | (tie & (x >= 0)),
    }[rounding]
    return kept + up
