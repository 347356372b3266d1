"""Random weights, and scales that fit the spread that activations have with them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.tensor import Quantization
from dovetail.networks.shapes import Shape

SIGNED, POSITIVE = 8.0, 5.0
"""Root mean squares that the codes of an activation span, around 0 and above it."""
BIAS_SPREAD = 0.1


def spanning(rng: np.random.Generator, spread: float, *, positive: bool) -> Quantization:
    """Scale and zero point of an activation of a root mean square; zero points vary around 0."""
    scale = np.float32((POSITIVE if positive else SIGNED) * spread / 255)
    zero = -128 if positive else int(rng.integers(-8, 8))
    return Quantization((float(scale),), (zero,))


def weight_codes(
    rng: np.random.Generator, shape: Shape, axis: int, gain: float
) -> tuple[NDArray[np.int8], Quantization]:
    """Symmetric codes of normal weights, the greatest of every channel at 127.

    Args:
        rng: draws.
        shape: of the weight.
        axis: of its output channels, which have scales of their own.
        gain: variance of a sum over that of its inputs.
    """
    drawn = np.moveaxis(rng.standard_normal(shape, dtype=np.float32), axis, 0)
    flat = drawn.reshape(shape[axis], -1)
    largest = np.abs(flat).max(axis=1)
    codes = np.rint(flat * (127 / largest)[:, None]).astype(np.int8).reshape(drawn.shape)
    scales = math.sqrt(gain / flat.shape[1]) * largest / 127
    return np.moveaxis(codes, 0, axis), along(axis, scales)


def bias_codes(
    rng: np.random.Generator, step: float, weight: Quantization, spread: float
) -> tuple[NDArray[np.int32], Quantization]:
    """Codes of small biases at the scale of the sums: input scale x weight scale.

    Args:
        rng: draws.
        step: scale of the input.
        weight: quantization of the weight.
        spread: root mean square of the input.
    """
    scales = (np.float32(step) * np.array(weight.scales, np.float32)).astype(np.float32)
    real = BIAS_SPREAD * spread * rng.standard_normal(len(scales))
    codes = np.clip(np.rint(real / scales), -(2**30), 2**30).astype(np.int32)
    return codes, along(0, scales)


def along(axis: int, scales: NDArray[np.floating]) -> Quantization:
    """Symmetric codes with a scale per element of an axis, or one for all."""
    values = tuple(float(scale) for scale in scales.astype(np.float32))
    return Quantization(values, (0,) * len(values), axis if len(values) > 1 else None)
