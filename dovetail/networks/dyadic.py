"""Real scales as the integers that gates multiply with.

References:
    Yao et al., "HAWQ-V3: Dyadic Neural Network Quantization", ICML 2021, section 3.1: a rescaling
    is a multiplication by an integer b and a shift right by c bits, b / 2^c.
"""

from __future__ import annotations

import math
from fractions import Fraction

from dovetail.errors import NetworkError


def dyadic(scale: float, multiplier_bits: int = 31) -> tuple[int, int]:
    """The dyadic number nearest to a real scale.

    Args:
        scale: positive; below 2^multiplier_bits.
        multiplier_bits: width of the multiplier, 1 to 31.

    Returns:
        (multiplier, shift) with multiplier / 2^shift = scale up to a relative error of
        2^-multiplier_bits; the error grows where scales below 2^-31 would need a shift above 62.

    Raises:
        NetworkError: if no such pair exists.
    """
    if not (math.isfinite(scale) and scale > 0 and 1 <= multiplier_bits <= 31):
        raise NetworkError(f"scale {scale} in {multiplier_bits} bits: must be positive, 1 to 31")
    shift = min(multiplier_bits - math.frexp(scale)[1], 62)
    multiplier = round(math.ldexp(scale, shift))
    if multiplier == 2**multiplier_bits:
        multiplier, shift = multiplier // 2, shift - 1
    if shift < 0 or multiplier == 0:
        raise NetworkError(f"scale {scale}: must be within 2^-63 and 2^{multiplier_bits}")
    return multiplier, shift


def pair(first: float, second: float, bits: int = 16) -> tuple[int, int, float]:
    """Two signed weights whose ratio is nearest to that of two scales, and their unit.

    Args:
        first: a scale, not 0.
        second: another, not 0.
        bits: width of a weight, its sign included.

    Returns:
        (a, b, unit) with a x unit = first and b x unit = second: the greater of them exactly, the
        other up to 2^(1 - bits) of the greater.

    Raises:
        NetworkError: if a scale is 0 or not finite, or one is negligible beside the other.
    """
    limit = 2 ** (bits - 1) - 1
    large, small = max(abs(first), abs(second)), min(abs(first), abs(second))
    if not (math.isfinite(first) and math.isfinite(second) and 0 < large <= small * limit):
        raise NetworkError(
            f"scales {first} and {second}: must be finite, and differ by less than {limit} times"
        )
    ratio = Fraction(small / large).limit_denominator(limit)
    low, high = ratio.numerator, ratio.denominator
    a, b = (high, low) if abs(first) == large else (low, high)
    return int(math.copysign(a, first)), int(math.copysign(b, second)), large / high
