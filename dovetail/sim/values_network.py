"""Reference values of a quantized network: plain convolutions, no Program and no machine."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.networks.operators import Window
from dovetail.networks.quantized import (
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)
from dovetail.sim.values import conv2d_int, requantize, wrap


def reference(network: QuantizedNetwork, image: NDArray[Any]) -> dict[str, IntArray]:
    """Every tensor of the network.

    Args:
        network: what to compute.
        image: (C, H, W) codes of its input.

    Returns:
        (C, H, W) values by tensor: codes, or accumulators where wide.

    Raises:
        NetworkError: if the image has another shape or width than the input.
    """
    shape, limit = network.tensor(network.input).shape, 1 << (network.activation_bits - 1)
    if image.shape != shape or image.min() < -limit or image.max() >= limit:
        raise NetworkError(
            f"image {image.shape} of {image.min()} .. {image.max()}: must be {shape} codes of "
            f"{network.activation_bits} bits"
        )
    tensors = {network.input: image.astype(np.int64)}
    for layer in network.layers:
        acc = sums(network, layer, [tensors[name] for name in layer.inputs])
        tensors[layer.output] = requantized(network, layer.requantization, acc)
    return tensors


def sums(network: QuantizedNetwork, layer: Layer, inputs: list[IntArray]) -> IntArray:
    """What a layer's accumulators hold before its bias, (C, H, W), of inputs (C, H, W)."""
    bits, x = network.accumulator_bits, inputs[0]
    match layer:
        case Convolution():
            padded, window = _pad(x, layer.window, network.tensor(layer.input).zero_point)
            return conv2d_int(padded[None], layer.weight, window, layer.groups, bits)[0]
        case Pooling(kind="max"):
            windows = _windows(x, layer.window, -(1 << (network.activation_bits - 1)))
            return wrap(windows.max(axis=0), bits)
        case Pooling():
            windows = _windows(x, layer.window, network.tensor(layer.input).zero_point)
            return wrap(windows.sum(axis=0), bits)
        case Addition():
            return wrap(x * layer.weight_a + inputs[1] * layer.weight_b, bits)


def requantized(network: QuantizedNetwork, law: Requantization, acc: IntArray) -> IntArray:
    """Accumulators (C, H, W) as codes; with their bias only where wide."""
    column = (slice(None), None, None)
    total = wrap(acc + law.bias.astype(np.int64)[column], network.accumulator_bits)
    if law.wide:
        return total
    codes = requantize(
        total, law.multiplier[column], law.shift[column], law.zero_point, network.activation_bits
    )
    return np.clip(codes, law.low, law.high)


def _pad(x: IntArray, window: Window, value: int) -> tuple[IntArray, Window]:
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=value)
    return padded, Window(window.kernel, window.stride, dilation=window.dilation)


def _windows(x: IntArray, window: Window, pad: int) -> IntArray:
    """(taps, C, P, Q) values."""
    p, q = window.output(*x.shape[1:])
    padded, _ = _pad(x, window, pad)
    step_y, step_x = window.stride
    taps = []
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            y, left = r * window.dilation[0], s * window.dilation[1]
            rows = slice(y, y + (p - 1) * step_y + 1, step_y)
            columns = slice(left, left + (q - 1) * step_x + 1, step_x)
            taps.append(padded[:, rows, columns])
    return np.stack(taps)
