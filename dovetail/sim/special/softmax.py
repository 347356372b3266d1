"""Softmax in one pass: the maximum of a row and the sum of exponentials under it, kept together.

References:
    Edge-MoE, arXiv 2305.18691, section on single-pass softmax.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.sim.special.exponential import EXP_FRACTION, exponential

RECIPROCAL_FRACTION = 24
"""Fractional bits of 1/s."""


def softmax_rows(scores: NDArray[Any], fraction: int) -> tuple[IntArray, IntArray]:
    """Maximum and reciprocal sum of each row, score by score.

    A score x above the maximum b so far makes s exp(b - x) + 1 of the sum s, with 20 fractional
    bits, rounded down, and becomes b; any other adds exp(x - b).

    Args:
        scores: (rows, n) integers in units of 2^-fraction, 1 <= n <= 4096.
        fraction: fractional bits of the scores, 4 to 20.

    Returns:
        Maxima (rows,), and floor(2^44 / s) (rows,) in units of 2^-24.

    Raises:
        NetworkError: if rows have no score, or more than 4096.
    """
    scores = np.asarray(scores, dtype=np.int64)
    if scores.ndim != 2 or not 1 <= scores.shape[1] <= 4096:
        raise NetworkError(
            f"softmax of {list(scores.shape)}: must be (rows, n) with n within 1 to 4096"
        )
    one = np.int64(1) << EXP_FRACTION
    largest = scores[:, 0]
    total = np.full(len(scores), one)
    for x in scores[:, 1:].T:
        e = exponential(np.abs(x - largest), fraction)
        total = np.where(x > largest, (total * e >> EXP_FRACTION) + one, total + e)
        largest = np.maximum(x, largest)
    return largest, (np.int64(1) << (EXP_FRACTION + RECIPROCAL_FRACTION)) // total


def softmax_weights(
    scores: NDArray[Any], largest: NDArray[Any], reciprocal: NDArray[Any], fraction: int
) -> IntArray:
    """Weights of scores under what `softmax_rows` gives for their row: exp(x - b) (1/s).

    Args:
        scores: integers in units of 2^-fraction, not above their row's maximum.
        largest: maximum of the row, broadcasts.
        reciprocal: 1/s in units of 2^-24, broadcasts.
        fraction: fractional bits of the scores, 4 to 20.

    Returns:
        Broadcast shape, in units of 2^-20, rounded half up.
    """
    distance = np.asarray(largest, dtype=np.int64) - np.asarray(scores, dtype=np.int64)
    products = exponential(distance, fraction) * np.asarray(reciprocal, dtype=np.int64)
    return (products + (1 << (RECIPROCAL_FRACTION - 1))) >> RECIPROCAL_FRACTION
