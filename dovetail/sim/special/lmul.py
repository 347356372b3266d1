"""L-Mul: the product of floating-point numbers by one addition of their fields.

References:
    Addition is all you need for energy-efficient language models, arXiv 2410.00907, equation 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray


def offset_bits(mantissa: int) -> int:
    """l(m): the offset that stands for the product of both mantissas is 2^-l."""
    if mantissa <= 3:
        return mantissa
    return 3 if mantissa == 4 else 4


def lmul(
    x: NDArray[Any], y: NDArray[Any], exponent: int, mantissa: int, finite: bool = False
) -> IntArray:
    """Products of floating-point numbers, as bit patterns.

    Subnormals count as zero, results below the least normal number become zero; signs are exact,
    that of NaN included.

    Args:
        x: bit patterns of sign, exponent and mantissa.
        y: alike; broadcasts.
        exponent: bits of the exponent, 2 to 8.
        mantissa: bits of the mantissa, 1 to 23.
        finite: only all ones are NaN and large results saturate (OCP's E4M3); otherwise the largest
            exponent holds infinity and NaN, and large results are infinite.

    Returns:
        Bit patterns of the broadcast shape.

    Raises:
        NetworkError: if the format is out of range.
    """
    if not (2 <= exponent <= 8 and 1 <= mantissa <= 23):
        raise NetworkError(
            f"L-Mul of {exponent} exponent and {mantissa} mantissa bits: "
            "must be within 2 to 8 and 1 to 23"
        )
    x, y = np.asarray(x, dtype=np.int64), np.asarray(y, dtype=np.int64)
    fields = exponent + mantissa
    ones, least = (1 << fields) - 1, 1 << mantissa
    infinity = ones - (least - 1)
    a, b = x & ones, y & ones
    bias = (1 << (exponent - 1)) - 1
    total = a + b - (bias << mantissa) + (1 << (mantissa - offset_bits(mantissa)))
    zero = (a < least) | (b < least)
    if finite:
        largest, nan = ones - 1, ones
        infinite = np.zeros_like(zero)
        invalid = (a == ones) | (b == ones)
    else:
        largest, nan = infinity, infinity + (1 << (mantissa - 1))
        infinite = (a == infinity) | (b == infinity)
        invalid = (a > infinity) | (b > infinity) | (zero & infinite)
    product = np.where(zero | (total < least), 0, np.minimum(total, largest))
    product = np.where(invalid, nan, np.where(infinite, infinity, product))
    return ((x ^ y) >> fields & 1) << fields | product


def significand(x: NDArray[Any], y: NDArray[Any], mantissa: int) -> NDArray[np.float64]:
    """1 + x + y + 2^-l: the significand of a product of (1 + x) and (1 + y), as the paper has it.

    The addition of fields gives the same as long as the fractions do not carry; where they do, it
    gives twice their sum, because the carry raises the exponent and the fraction starts anew.

    Args:
        x: fractions, 0 to 1.
        y: alike.
        mantissa: bits, which set the offset.
    """
    return np.asarray(1.0 + x + y + 2.0 ** -offset_bits(mantissa), dtype=np.float64)
