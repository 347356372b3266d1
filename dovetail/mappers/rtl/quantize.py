"""From a network to integers: scales by calibration, everything else by arithmetic.

A code q of an activation means scale x (q - zero point), a weight code of channel k means its step
times the code: the sum of products means scale x step x sum, which one multiplier per channel
brings to the scale of the result. Weights are symmetric per channel, or per tensor where sums leave
as they are, so that they compare; activations span what calibration saw, and 0.

References:
    Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
    Inference, CVPR 2018, sections 2.1 to 2.4.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError, NetworkError
from dovetail.ir.network import Network
from dovetail.ir.schedule import Schedule
from dovetail.mappers.rtl.calibrate import Calibration, Epilogue, calibrate, synthetic
from dovetail.mappers.rtl.twins import Twin, Twins, twins_of
from dovetail.mappers.schedule import schedule
from dovetail.networks.dyadic import dyadic, pair
from dovetail.networks.quantized import (
    BIAS_LIMIT,
    MULTIPLIER_BITS,
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)

Reals = NDArray[np.float64]
CALIBRATION_IMAGES = 4


@dataclass(frozen=True, slots=True)
class Scale:
    """What the codes of an activation mean: real = step x (code - zero_point)."""

    step: float
    zero_point: int


def quantize(
    network: Network,
    plan: Schedule | None = None,
    *,
    parameters: Mapping[str, NDArray[Any]] | None = None,
    images: NDArray[Any] | None = None,
    seed: int = 0,
    activation_bits: int = 8,
    weight_bits: int = 8,
    accumulator_bits: int = 32,
) -> QuantizedNetwork:
    """Quantizes a network for the RTL machine.

    Args:
        network: of batch 1.
        plan: its schedule; made if not given.
        parameters: real weights by tensor name; random ones of `seed` if not given.
        images: (n, C, H, W) that calibrate; random ones within 0 to 1 if not given.
        seed: of whatever is random.
        activation_bits: width of codes.
        weight_bits: width of weights.
        accumulator_bits: width of sums.

    Raises:
        MappingError: if an operator has no RTL twin.
        NetworkError: if a parameter has another shape than the network says.
    """
    twins = twins_of(network, plan or schedule(network))
    if parameters is None:
        parameters = synthetic(network, seed)
    if images is None:
        shape = (CALIBRATION_IMAGES, *twins.input.shape)
        images = np.random.default_rng(seed).random(shape, dtype=np.float32)
    if images.ndim != 4 or images.shape[1:] != twins.input.shape:
        raise NetworkError(f"images {images.shape}: must be (n, {twins.input.shape})")
    found = calibrate(twins, parameters, images)
    numbers = _Numbers(twins, found, activation_bits, weight_bits)
    layers = tuple(numbers.layer(twin) for twin in twins.layers)
    return QuantizedNetwork(
        network.name, tuple(numbers.activation(t) for t in twins.tensors), layers,
        twins.input.name, twins.output.name, activation_bits, weight_bits, accumulator_bits,
    )  # fmt: skip


class _Numbers:
    """Fills the structure of layers with integers."""

    def __init__(
        self, twins: Twins, found: Calibration, activation_bits: int, weight_bits: int
    ) -> None:
        self.found = found
        self.least = -(1 << (activation_bits - 1))
        self.most = -self.least - 1
        self.weight_limit = (1 << (weight_bits - 1)) - 1
        self.scales = {t.name: self._scale(t.name) for t in twins.tensors}
        for twin in twins.layers:
            if isinstance(twin.layer, Pooling) and twin.layer.kind == "max" and not twin.epilogue:
                # The greatest of some codes is one of them: nothing to scale.
                self.scales[twin.layer.output] = self.scales[twin.layer.input]

    def _scale(self, name: str) -> Scale:
        low, high = self.found.low[name], self.found.high[name]
        step = (high - low) / (self.most - self.least) or 1.0
        zero = round(self.least - low / step)
        return Scale(step, max(self.least, min(self.most, zero)))

    def activation(self, tensor: Activation) -> Activation:
        if tensor.wide:
            return tensor
        return replace(tensor, zero_point=self.scales[tensor.name].zero_point)

    def layer(self, twin: Twin) -> Layer:
        law = self.found.epilogues[twin.layer.name]
        match twin.layer:
            case Convolution() as layer:
                return self._convolution(layer, law)
            case Pooling() as layer:
                return self._pooling(layer, law)
            case Addition() as layer:
                return self._addition(layer, law)

    def _convolution(self, layer: Convolution, law: Epilogue) -> Convolution:
        source = self.scales[layer.input]
        real = self.found.weights[layer.name] * law.gain[:, None, None, None]
        steps = self._weight_steps(real, law.bias, source, layer.requantization.wide)
        codes = np.round(real / steps[:, None, None, None]).astype(np.int64)
        codes = np.clip(codes, -self.weight_limit, self.weight_limit)
        bias = np.round(law.bias / (source.step * steps)).astype(np.int64)
        bias -= source.zero_point * codes.sum(axis=(1, 2, 3))
        if layer.requantization.wide:
            values = Requantization.wide_of(bias)
        else:
            values = self._requantization(layer, law, bias, source.step * steps)
        return replace(layer, weight=codes, requantization=values)

    def _weight_steps(self, real: Reals, bias: Reals, source: Scale, wide: bool) -> Reals:
        """Values of a weight code, (K,); coarse enough that the bias fits its width."""
        largest = np.abs(real).max(axis=(1, 2, 3))
        steps = np.maximum(largest / self.weight_limit, np.abs(bias) / source.step / BIAS_LIMIT)
        steps = np.maximum(steps, 1e-9)
        return np.broadcast_to(steps.max(), steps.shape) if wide else steps

    def _pooling(self, layer: Pooling, law: Epilogue) -> Pooling:
        source = self.scales[layer.input]
        taps = 1 if layer.kind == "max" else math.prod(layer.window.kernel)
        units = self._positive(layer, law.gain) * source.step / taps
        bias = np.round(law.bias / units).astype(np.int64) - taps * source.zero_point
        return replace(layer, requantization=self._requantization(layer, law, bias, units))

    def _addition(self, layer: Addition, law: Epilogue) -> Addition:
        a, b = self.scales[layer.a], self.scales[layer.b]
        weight_a, weight_b, unit = pair(a.step, layer.weight_b * b.step)
        units = self._positive(layer, law.gain) * unit
        offset = weight_a * a.zero_point + weight_b * b.zero_point
        bias = np.round(law.bias / units).astype(np.int64) - offset
        values = self._requantization(layer, law, bias, units)
        return replace(layer, weight_a=weight_a, weight_b=weight_b, requantization=values)

    def _positive(self, layer: Pooling | Addition, gain: Reals) -> Reals:
        if gain.min() <= 0:
            raise MappingError(
                f"operator '{layer.name}' has no RTL twin: a scale of {gain.min():.3g} follows it, "
                "and only a convolution can change signs; put a convolution before the scale"
            )
        return gain

    def _requantization(
        self, layer: Layer, law: Epilogue, bias: NDArray[np.int64], units: Reals
    ) -> Requantization:
        """From sums that mean `units` each to the codes of the layer's output."""
        target = self.scales[layer.output]
        pairs = np.array([dyadic(u / target.step, MULTIPLIER_BITS) for u in units], dtype=np.int64)
        low, high = (
            max(self.least, min(self.most, round(bound / target.step) + target.zero_point))
            if math.isfinite(bound)
            else default
            for bound, default in ((law.low, self.least), (law.high, self.most))
        )
        bias = np.clip(bias, -BIAS_LIMIT, BIAS_LIMIT)
        return Requantization(bias, pairs[:, 0], pairs[:, 1], target.zero_point, low, high)
