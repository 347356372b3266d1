"""Uniform quantization of weights and activations, with straight-through gradients.

Weights are symmetric per output channel: codes within +-(2^(b-1) - 1), so 2 bits are ternary.
Activations follow a ReLU and are not negative: codes 0 to 2^b - 1, which a two's complement
machine stores with zero point 2^(b-1). The addend of a residual is signed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

Tensor = Any
"""A `torch.Tensor`; the name keeps signatures readable where torch is not type-checked."""


@cache
def step_per_mean(bits: int) -> float:
    """Quantization step, in units of the mean absolute weight.

    It is the step of the symmetric uniform quantizer of 2^bits - 1 levels that loses least on
    normally distributed weights; a function of the mean alone, it follows every slice of a
    shared weight without a parameter of its own.

    References:
        Max, Quantizing for minimum distortion, IRE Trans. Information Theory 6(1), 1960, table II.
    """
    x = np.linspace(-8.0, 8.0, 16001)
    density = np.exp(-(x**2) / 2.0)
    limit = 2 ** (bits - 1) - 1
    steps = np.geomspace(4.0 / limit / 5.0, 2.5, 400)
    losses = [
        ((np.clip(np.round(x / s), -limit, limit) * s - x) ** 2 * density).sum() for s in steps
    ]
    return float(steps[int(np.argmin(losses))] / np.sqrt(2.0 / np.pi))


def weight_step(weight: Tensor, bits: int, *, per_channel: bool = True) -> Tensor:
    """Step of every output channel, shape (K, 1, ...), or of the tensor, shape ()."""
    size = weight.detach().abs()
    mean = (
        size.flatten(1).mean(1).view(-1, *[1] * (weight.dim() - 1)) if per_channel else size.mean()
    )
    return mean.clamp_min(1e-8) * step_per_mean(bits)


def weight_codes(weight: Tensor, step: Tensor, bits: int) -> Tensor:
    """Integer codes of the weights, as floats."""
    limit = 2 ** (bits - 1) - 1
    return (weight / step).round().clamp(-limit, limit)


def fake_weight(weight: Tensor, bits: int, *, per_channel: bool = True) -> Tensor:
    """Weights rounded to their codes; the gradient passes straight through."""
    step = weight_step(weight, bits, per_channel=per_channel)
    return weight + (weight_codes(weight.detach(), step, bits) * step - weight.detach())


def fake_activation(x: Tensor, step: Tensor, bits: int, *, signed: bool = False) -> Tensor:
    """Activations rounded to multiples of a learned step.

    Rounding passes gradients straight through, clipping stops them; the step learns from both.

    References:
        Esser et al., Learned Step Size Quantization, ICLR 2020, equations 1 to 3.
    """
    low, high = code_range(bits, signed=signed)
    scaled = (x / step).clamp(low, high)
    return (scaled + (scaled.detach().round() - scaled.detach())) * step


def code_range(bits: int, *, signed: bool = False) -> tuple[int, int]:
    """Smallest and largest activation code."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
