"""exp(-t) of fixed-point numbers: a power of two, by a shift and an interpolated table."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray

EXP_FRACTION = 20
"""Fractional bits of the result and of the table."""

LOG2E_FRACTION = 16
INDEX_BITS = 7
_REST_BITS = EXP_FRACTION - INDEX_BITS


@cache
def power_table() -> tuple[int, ...]:
    """2^(-i / 128) for i = 0 to 128, in units of 2^-20, rounded to nearest."""
    return tuple(round(2 ** (EXP_FRACTION - i / 2**INDEX_BITS)) for i in range(2**INDEX_BITS + 1))


def exponential(t: NDArray[Any], fraction: int) -> IntArray:
    """exp(-t) = 2^-n 2^-f, n + f = t log2(e).

    f is cut to 20 bits; its power comes from a table of 129 entries, interpolated and rounded half
    down; the shift by n rounds half up.

    Args:
        t: integers >= 0 in units of 2^-fraction, below 2^40.
        fraction: fractional bits of the argument, 4 to 20.

    Returns:
        Same shape, in units of 2^-20: 0 to 2^20.

    Raises:
        NetworkError: if `fraction` is out of range.
    """
    if not 4 <= fraction <= 20:
        raise NetworkError(f"exp with {fraction} fractional bits: must be within 4 to 20")
    log2e = round(math.log2(math.e) * 2**LOG2E_FRACTION)
    powers = np.asarray(t, dtype=np.int64) * log2e >> (fraction + LOG2E_FRACTION - EXP_FRACTION)
    whole = np.minimum(powers >> EXP_FRACTION, EXP_FRACTION + 2)
    index = (powers >> _REST_BITS) & (2**INDEX_BITS - 1)
    rest = powers & ((1 << _REST_BITS) - 1)
    table = np.array(power_table(), dtype=np.int64)
    falls = (table[index] - table[index + 1]) * rest + (1 << (_REST_BITS - 1)) >> _REST_BITS
    return (table[index] - falls + (np.int64(1) << whole >> 1)) >> whole
