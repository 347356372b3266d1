"""A network in real numbers: its weights, and the ranges of its activations on sample images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.window import Window
from dovetail.mappers.rtl.twins import CLAMPS, NEUTRAL, Twin, Twins
from dovetail.networks.quantized import Addition, Convolution, Pooling

Reals = NDArray[np.float64]
EPSILON = 1e-5
"""Added to variances by batch normalizations that read their statistics."""


@dataclass(frozen=True, slots=True, eq=False)
class Epilogue:
    """What follows a sum: clip(sum x gain + bias), per channel.

    Attributes:
        gain: (K,).
        bias: (K,).
        low: least result.
        high: greatest result.
    """

    gain: Reals
    bias: Reals
    low: float
    high: float


@dataclass(slots=True, eq=False)
class Calibration:
    """Real numbers of every layer, and the range of every activation.

    Attributes:
        weights: (K, C / groups, R, S) by layer name.
        epilogues: by layer name.
        low: least value of each activation, at most 0.
        high: greatest value, at least 0.
        values: every activation of the last image, (C, H, W).
    """

    weights: dict[str, NDArray[Any]] = field(default_factory=dict)
    epilogues: dict[str, Epilogue] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    values: dict[str, NDArray[Any]] = field(default_factory=dict)


def calibrate(
    twins: Twins,
    parameters: Mapping[str, NDArray[Any]],
    images: NDArray[Any],
) -> Calibration:
    """Runs a network in real numbers.

    Args:
        twins: its layers.
        parameters: by tensor name.
        images: (n, C, H, W).
    """
    found = Calibration()
    for twin in twins.layers:
        if isinstance(twin.layer, Convolution):
            found.weights[twin.layer.name] = _weight(twins.network, twin, parameters)
        found.epilogues[twin.layer.name] = _epilogue(twins.network, twin, parameters)
    for image in images:
        found.values = {twins.input.name: image.astype(np.float32)}
        for twin in twins.layers:
            found.values[twin.layer.output] = _run(twin, found)
        for name, values in found.values.items():
            found.low[name] = min(found.low.get(name, 0.0), float(values.min()))
            found.high[name] = max(found.high.get(name, 0.0), float(values.max()))
    return found


def synthetic(network: Network, seed: int) -> dict[str, NDArray[np.float32]]:
    """Random parameters by tensor name: He's spread for weights, small biases, positive gains.

    Args:
        network: has the shapes.
        seed: equal seeds give equal parameters.
    """
    made: dict[str, NDArray[np.float32]] = {}
    for number, op in enumerate(network.operators):
        rng = np.random.default_rng([seed, number])
        parameters = [n for n in op.inputs if network.tensor[n].is_parameter and n not in made]
        for name in parameters:
            shape = network.tensor[name].shape
            if op.einsum is not None and name == op.inputs[1]:
                taps = math.prod(op.einsum.extent(rank) for rank in "CRS")
                values = rng.standard_normal(shape, np.float32) * math.sqrt(2.0 / taps)
            elif op.einsum is not None or op.inputs.index(name) > 1:
                values = rng.standard_normal(shape, np.float32) * 0.1
            else:
                values = rng.uniform(0.5, 1.5, shape)
            made[name] = np.asarray(values, dtype=np.float32)
    return made


def _weight(
    network: Network, twin: Twin, parameters: Mapping[str, NDArray[Any]]
) -> NDArray[np.float32]:
    """The weight of a layer, (K, C / groups, R, S)."""
    op, layer = twin.operator, twin.layer
    assert op.einsum is not None
    assert isinstance(layer, Convolution)
    access = op.einsum.operands[1]
    values = _parameter(network, op, access.tensor, parameters)
    if op.kind == "matmul" and access.indices[-1].coefficient("K"):
        values = values.reshape(-1, values.shape[-1]).T
    return np.ascontiguousarray(values.reshape(layer.weight.shape), dtype=np.float32)


def _parameter(
    network: Network, op: Operator, name: str, parameters: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    shape = network.tensor[name].shape
    if name not in parameters or parameters[name].shape != shape:
        given = parameters[name].shape if name in parameters else "nothing"
        raise MappingError(
            f"operator '{op.name}' needs parameter '{name}' of shape {list(shape)}, not {given}"
        )
    return np.asarray(parameters[name])


def _epilogue(network: Network, twin: Twin, parameters: Mapping[str, NDArray[Any]]) -> Epilogue:
    """The host's bias and all fused operators as one gain, bias and clip per channel."""
    layer = twin.layer
    channels = len(layer.requantization.bias)
    gain, bias = np.ones(channels), np.zeros(channels)
    low, high = -math.inf, math.inf
    if twin.operator.einsum is not None:
        for name in twin.operator.inputs[2:]:
            bias = bias + _vector(network, twin.operator, name, parameters, channels)
    for op in twin.epilogue:
        if op.kind in CLAMPS:
            low, high = max(low, CLAMPS[op.kind][0]), min(high, CLAMPS[op.kind][1])
        elif op.kind not in NEUTRAL:
            if (low, high) != (-math.inf, math.inf):
                raise MappingError(
                    f"operator '{op.name}' ({op.kind}) has no RTL twin behind a clip: the gates "
                    "scale first and clip last; put it before the activation"
                )
            factor, offset = _affine(network, op, parameters, channels)
            gain, bias = gain * factor, bias * factor + offset
    return Epilogue(gain, bias, low, high)


def _affine(
    network: Network, op: Operator, parameters: Mapping[str, NDArray[Any]], channels: int
) -> tuple[Reals, Reals]:
    """Factor and summand of an elementwise operator."""
    read = [
        _vector(network, op, name, parameters, channels)
        for name in op.inputs
        if network.tensor[name].is_parameter
    ]
    one, zero = np.ones(channels), np.zeros(channels)
    swapped = network.tensor[op.inputs[0]].is_parameter
    match op.kind, len(read):
        case "batchnorm", 2:
            return read[0], read[1]
        case "batchnorm", 4:
            factor = read[0] / np.sqrt(np.abs(read[3]) + EPSILON)
            return factor, read[1] - read[2] * factor
        case "neg", 0:
            return -one, zero
        case "add", 1:
            return one, read[0]
        case "sub", 1:
            return (-one, read[0]) if swapped else (one, -read[0])
        case "mul", 1:
            return read[0], zero
        case "div", 1 if not swapped:
            return 1.0 / read[0], zero
    raise MappingError(
        f"operator '{op.name}' ({op.kind}) has no RTL twin with {len(read)} parameters: the gates "
        "scale and shift each channel by known numbers"
    )


def _vector(
    network: Network, op: Operator, name: str, parameters: Mapping[str, NDArray[Any]],
    channels: int,
) -> Reals:  # fmt: skip
    values = _parameter(network, op, name, parameters).astype(np.float64).reshape(-1)
    if len(values) not in (1, channels):
        raise MappingError(
            f"operator '{op.name}' ({op.kind}) has no RTL twin: parameter '{name}' of "
            f"{len(values)} elements is not one number for each of {channels} channels"
        )
    return np.broadcast_to(values, channels)


def _run(twin: Twin, found: Calibration) -> NDArray[np.float32]:
    layer, law = twin.layer, found.epilogues[twin.layer.name]
    x = found.values[layer.inputs[0]]
    match layer:
        case Convolution():
            y = _convolve(x, found.weights[layer.name], layer.window, layer.groups)
        case Pooling(kind="max"):
            y = _windows(x, layer.window, -np.inf).max(axis=(3, 4))
        case Pooling():
            y = _windows(x, layer.window, 0.0).mean(axis=(3, 4))
        case Addition():
            y = x + layer.weight_b * found.values[layer.b]
    y = y * law.gain[:, None, None] + law.bias[:, None, None]
    return np.clip(y, law.low, law.high).astype(np.float32)


def _windows(x: NDArray[Any], window: Window, pad: float) -> NDArray[Any]:
    """All windows of the padded image: a view (C, P, Q, R, S)."""
    top, left, bottom, right = window.padding
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right)), constant_values=pad)
    (rows, columns), (down, across) = window.kernel, window.dilation
    extent = (down * (rows - 1) + 1, across * (columns - 1) + 1)
    dense = sliding_window_view(padded, extent, axis=(1, 2))
    return dense[:, :: window.stride[0], :: window.stride[1], ::down, ::across]


def _convolve(x: NDArray[Any], weight: NDArray[Any], window: Window, groups: int) -> NDArray[Any]:
    channels, depth = weight.shape[:2]
    patches = _windows(x, window, 0.0)
    p, q = patches.shape[1:3]
    taps = depth * weight.shape[2] * weight.shape[3]
    columns = patches.transpose(0, 3, 4, 1, 2).reshape(groups, taps, p * q)
    product = weight.reshape(groups, channels // groups, taps) @ columns
    return product.reshape(channels, p, q)
