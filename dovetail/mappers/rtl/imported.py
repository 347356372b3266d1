"""A network whose file fixes all integers, on the RTL machine: weights, biases and scales are its.

Nothing is calibrated, and no code is changed: sums are those of the file. What may differ from
TFLite's own kernels is the rounding on the way to the next codes. Here a sum is multiplied by 26
bits, shifted, and ties are rounded up; there by 31 bits, with ties away from 0, twice in the
reference kernels (first to 32 bits, then to the code). Additions are scaled by 16-bit weights here,
by 31-bit ones there.

References:
    Jacob et al., CVPR 2018, sections 2.2 and 2.3; gemmlowp's fixed-point multiplication.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import Quantization
from dovetail.mappers.rtl.twins import CLAMPS, Twin, Twins, twins_of
from dovetail.mappers.schedule import schedule
from dovetail.networks.dyadic import dyadic, pair
from dovetail.networks.quantized import (
    BIAS_LIMIT,
    MULTIPLIER_BITS,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)

Codes = Mapping[str, NDArray[Any]]
LEAST, MOST = -128, 127


def imported(network: Network, codes: Codes) -> QuantizedNetwork:
    """The network in the integers of its file.

    Args:
        network: of batch 1, int8, its tensors with scales and zero points.
        codes: elements of its parameters by tensor name (`dovetail.networks.tflite_codes`).

    Raises:
        MappingError: if an operator has no RTL twin, or a tensor no scale or other codes than int8.
    """
    twins = twins_of(network, schedule(network))
    numbers = _Numbers(twins, codes)
    layers = tuple(numbers.layer(twin) for twin in twins.layers)
    tensors = tuple(
        replace(t, zero_point=numbers.scale(t.name)[1], wide=False) for t in twins.tensors
    )
    return QuantizedNetwork(network.name, tensors, layers, twins.input.name, twins.output.name)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Fills the structure of layers with the integers of a file."""

    twins: Twins
    codes: Codes

    def scale(self, name: str) -> tuple[float, int]:
        """Scale and zero point of an activation."""
        quantization = self._quantization(name)
        if quantization.axis is not None or self.twins.network.tensor[name].format.bits != 8:
            raise MappingError(f"activation '{name}': the RTL runs int8 with one scale a tensor")
        return quantization.scales[0], quantization.zero_points[0]

    def _quantization(self, name: str) -> Quantization:
        found = self.twins.network.tensor[name].quantization
        if found is None:
            raise MappingError(f"tensor '{name}' has no scale: convert the model to int8")
        return found

    def layer(self, twin: Twin) -> Layer:
        """The layer of a twin with its numbers."""
        strange = [op for op in twin.epilogue if op.kind not in CLAMPS]
        if strange:
            raise MappingError(
                f"operator '{strange[0].name}' ({strange[0].kind}): behind the sums of an "
                "imported model only relu and clip have a twin"
            )
        match twin.layer:
            case Convolution() as layer:
                return self._convolution(twin, layer)
            case Pooling() as layer:
                return self._pooling(twin, layer)
            case Addition() as layer:
                return self._addition(twin, layer)

    def _convolution(self, twin: Twin, layer: Convolution) -> Convolution:
        step, zero = self.scale(layer.input)
        name = twin.operator.inputs[1]
        scales = np.array(self._quantization(name).scales)
        if any(self._quantization(name).zero_points):
            raise MappingError(f"weight '{name}' has a zero point: the RTL's are symmetric")
        weight = self._weight(twin.operator, name, layer)
        channels = len(weight)
        bias = np.zeros(channels, np.int64)
        if len(twin.operator.inputs) > 2:
            bias = self.codes[twin.operator.inputs[2]].reshape(-1).astype(np.int64)
        bias = bias - zero * weight.sum(axis=(1, 2, 3))
        units = np.broadcast_to(step * scales, channels)
        return replace(layer, weight=weight, requantization=self._law(twin, bias, units))

    def _weight(self, op: Operator, name: str, layer: Convolution) -> NDArray[np.int64]:
        """(K, C / groups, R, S); a flattened image is (H, W, C) in the file."""
        codes = self.codes[name].astype(np.int64)
        shape = layer.weight.shape
        if op.kind == "matmul" and math.prod(shape[2:]) > 1:
            k, c, r, s = shape
            return np.ascontiguousarray(codes.reshape(k, r, s, c).transpose(0, 3, 1, 2))
        return codes.reshape(shape)

    def _pooling(self, twin: Twin, layer: Pooling) -> Pooling:
        step, zero = self.scale(layer.input)
        taps = 1 if layer.kind == "max" else math.prod(layer.window.kernel)
        if taps > 1 and any(layer.window.padding):
            raise MappingError(
                f"operator '{layer.name}' (avgpool): TFLite leaves padding out of a mean, the RTL "
                "counts it: pad nothing"
            )
        channels = len(layer.requantization.bias)
        bias, units = np.full(channels, -taps * zero), np.full(channels, step / taps)
        return replace(layer, requantization=self._law(twin, bias, units))

    def _addition(self, twin: Twin, layer: Addition) -> Addition:
        (step_a, zero_a), (step_b, zero_b) = self.scale(layer.a), self.scale(layer.b)
        a, b, unit = pair(step_a, layer.weight_b * step_b)
        channels = len(layer.requantization.bias)
        bias = np.full(channels, -(a * zero_a + b * zero_b))
        law = self._law(twin, bias, np.full(channels, unit))
        return replace(layer, weight_a=a, weight_b=b, requantization=law)

    def _law(
        self, twin: Twin, bias: NDArray[np.int64], units: NDArray[np.float64]
    ) -> Requantization:
        """From sums that mean `units` each to the codes of the layer's output."""
        if np.abs(bias).max(initial=0) > BIAS_LIMIT:
            raise MappingError(f"operator '{twin.operator.name}': a bias exceeds 2^30")
        step, zero = self.scale(twin.layer.output)
        pairs = np.array([dyadic(u / step, MULTIPLIER_BITS) for u in units], dtype=np.int64)
        low, high = LEAST, MOST
        for op in twin.epilogue or (twin.operator,):
            bounds = CLAMPS.get(op.kind, (-math.inf, math.inf))
            low = max(low, _code(bounds[0], step, zero, LEAST))
            high = min(high, _code(bounds[1], step, zero, MOST))
        return Requantization(bias, pairs[:, 0], pairs[:, 1], zero, low, max(low, high))


def _code(bound: float, step: float, zero: int, default: int) -> int:
    """The code of a bound, within int8: divided in 32 bits, as TFLite does."""
    if not math.isfinite(bound):
        return default
    codes = np.float32(bound) / np.float32(step)
    return max(LEAST, min(MOST, math.floor(codes + 0.5) + zero))
