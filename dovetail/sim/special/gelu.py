"""GELU of fixed-point numbers: ReLU minus an interpolated table of the difference.

gelu(x) = x Phi(x) = relu(x) - delta(|x|), delta(t) = t Phi(-t). The difference is even, falls to
nothing at 5.5 and has no exponential left to compute: 177 entries in steps of 2^-5 serve it.

References:
    Edge-MoE, arXiv 2305.18691, section on the GELU approximation.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray

STEP_BITS = 5
"""The table's step is 2^-5."""

ENTRIES = 177
"""Of the table: the last one stands for 5.5 and is zero."""

TABLE_FRACTION = 22
"""Fractional bits of an entry."""


@cache
def gelu_table() -> tuple[int, ...]:
    """delta(i / 32) for i = 0 to 176, in units of 2^-22, rounded to nearest."""
    steps = (i / 2**STEP_BITS for i in range(ENTRIES))
    exact = (t * math.erfc(t / math.sqrt(2)) / 2 for t in steps)
    return tuple(round(delta * 2**TABLE_FRACTION) for delta in exact)


def gelu(x: NDArray[Any], fraction: int) -> IntArray:
    """GELU of fixed-point numbers.

    The difference is interpolated exactly, rounded once, half up, and subtracted.

    Args:
        x: integers in units of 2^-fraction, magnitudes below 2^62.
        fraction: fractional bits of argument and result, 6 to 24.

    Returns:
        Same shape and units.

    Raises:
        NetworkError: if `fraction` is out of range.
    """
    rest_bits = fraction - STEP_BITS
    if not 6 <= fraction <= 24:
        raise NetworkError(f"GELU with {fraction} fractional bits: must be within 6 to 24")
    x = np.asarray(x, dtype=np.int64)
    magnitude = np.abs(x)
    index = magnitude >> rest_bits
    rest = magnitude & ((1 << rest_bits) - 1)
    # One entry more, so that the last interval has an end.
    table = np.array([*gelu_table(), 0, 0], dtype=np.int64)
    begin = table[np.minimum(index, ENTRIES)]
    end = table[np.minimum(index + 1, ENTRIES)]
    # Units of 2^-(22 + fraction - 5): rounding to 2^-fraction drops 17 bits for any fraction.
    exact = (begin << rest_bits) + (end - begin) * rest
    dropped = TABLE_FRACTION - STEP_BITS
    delta = (exact + (1 << (dropped - 1))) >> dropped
    return np.maximum(x, 0) - delta
