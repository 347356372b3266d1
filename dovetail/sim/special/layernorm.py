"""Layer normalization in one pass: sum and inverse deviation of a row, then each element's value.

With n elements, S = sum x and V = n sum x^2 - S^2, the normalized x is (n x - S) / sqrt(V): no mean
has to be divided out first. Scale and shift of the layer belong to what comes after.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap

ROOT_FRACTION = 4
"""Fractional bits of sqrt(V)."""

INVERSE_FRACTION = 47


def layernorm_rows(x: NDArray[Any]) -> tuple[IntArray, IntArray]:
    """Sum and inverse deviation of each row.

    Args:
        x: (rows, n) integers of at most 16 bits, 2 <= n <= 4096.

    Returns:
        S (rows,), and floor(2^47 / floor(16 sqrt(V))) (rows,); without deviation 2^47.

    Raises:
        NetworkError: if the shape is illegal or an element is too large.
    """
    x = np.asarray(x, dtype=np.int64)
    if x.ndim != 2 or not 2 <= x.shape[1] <= 4096:
        raise NetworkError(
            f"normalization of {list(x.shape)}: must be (rows, n) with n within 2 to 4096"
        )
    if x.size and (x.min() < -(2**15) or x.max() >= 2**15):
        raise NetworkError("normalization of elements beyond 16 bits: scale them down")
    total, squares = x.sum(axis=1), (x * x).sum(axis=1)
    spread = x.shape[1] * squares - total * total
    root = np.maximum(_root(spread << (2 * ROOT_FRACTION)), 1)
    return total, (np.int64(1) << INVERSE_FRACTION) // root


def layernorm_scale(
    x: NDArray[Any],
    total: NDArray[Any],
    inverse: NDArray[Any],
    count: int,
    fraction: int = 8,
    bits: int = 16,
) -> IntArray:
    """Normalized elements, under what `layernorm_rows` gives for their row.

    Args:
        x: elements.
        total: S of the row, broadcasts.
        inverse: of the row, broadcasts.
        count: elements of a row.
        fraction: fractional bits of the result, 0 to 16.
        bits: of the result; higher ones are dropped.

    Returns:
        Broadcast shape, in units of 2^-fraction, rounded half up.
    """
    distance = count * np.asarray(x, dtype=np.int64) - np.asarray(total, dtype=np.int64)
    drop = INVERSE_FRACTION - ROOT_FRACTION - fraction
    product = distance * np.asarray(inverse, dtype=np.int64)
    return wrap((product + (np.int64(1) << (drop - 1))) >> drop, bits)


def _root(values: IntArray) -> IntArray:
    """Square roots of integers below 2^62, rounded down."""
    guess = np.sqrt(values.astype(np.float64)).astype(np.int64)
    guess -= guess * guess > values
    return guess + ((guess + 1) * (guess + 1) <= values)
