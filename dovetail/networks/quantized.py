"""Networks of integers: what the gates run, operator by operator, with every number fixed.

Values are signed *codes*. A tensor's zero point is the code of real 0; convolutions and sums pad
with it. A sum of products plus a bias wraps around in the accumulator; requantization scales it by
multiplier / 2^shift, rounds half up, adds the zero point of the result and clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.networks.operators import Window

MULTIPLIER_BITS = 26
MAX_SHIFT = 62
VECTOR_WEIGHT_BITS = 16
BIAS_LIMIT = 2**30
"""Where quantization bounds a bias, so that no sum of 32 bits wraps around."""
POOLINGS = ("max", "sum")


@dataclass(frozen=True, slots=True)
class Activation:
    """A tensor of (channels, height, width) codes.

    Attributes:
        name: unique in its network.
        channels: of every pixel.
        height: rows.
        width: columns.
        zero_point: code of real 0.
        wide: holds whole accumulators, as an output of the network may.
    """

    name: str
    channels: int
    height: int
    width: int
    zero_point: int = 0
    wide: bool = False

    def __post_init__(self) -> None:
        _need(f"tensor '{self.name}'", min(self.shape) >= 1, f"shape {self.shape}: must be >= 1")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width


@dataclass(frozen=True, slots=True, eq=False)
class Requantization:
    """From accumulators to codes, per channel; or to accumulators again (wide).

    Attributes:
        bias: (K,), added to the accumulator, 32 bits signed.
        multiplier: (K,), 0 to 2^26 - 1.
        shift: (K,), 0 to 62.
        zero_point: added after scaling; the result's zero point.
        low: least code of the result.
        high: greatest code of the result.
        wide: the result is accumulator + bias; all but the bias is unused.
    """

    bias: NDArray[Any]
    multiplier: NDArray[Any]
    shift: NDArray[Any]
    zero_point: int = 0
    low: int = -128
    high: int = 127
    wide: bool = False

    @classmethod
    def wide_of(cls, bias: NDArray[Any]) -> Requantization:
        """Adds the bias and nothing else."""
        ones = np.ones(len(bias), dtype=np.int64)
        return cls(bias, ones, 0 * ones, wide=True)

    def check(self, what: str, channels: int, bits: int) -> None:
        """Checks shapes and ranges.

        Raises:
            NetworkError: naming what is illegal.
        """
        limits = (
            ("bias", self.bias, -(2**31), 2**31 - 1),
            ("multiplier", self.multiplier, 0, 2**MULTIPLIER_BITS - 1),
            ("shift", self.shift, 0, MAX_SHIFT),
        )
        for name, values, low, high in limits:
            _need(what, values.shape == (channels,), f"{name} {values.shape}: not ({channels},)")
            _need_within(f"{what}, {name}", values, low, high)
        least, most = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        legal = least <= self.low <= self.high <= most and least <= self.zero_point <= most
        _need(
            what,
            legal or self.wide,
            f"zero point {self.zero_point}, clipping to {self.low} .. {self.high}: "
            f"must be within {least} to {most}",
        )


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Convolution, and linear layers: their kernel is the whole input.

    Attributes:
        name: unique.
        input: tensor read.
        output: tensor written.
        weight: (K, C / groups, R, S) signed integers.
        window: kernel (R, S), stride, padding, dilation.
        groups: consecutive channel groups.
        requantization: of K channels.
    """

    name: str
    input: str
    output: str
    weight: NDArray[Any]
    window: Window
    groups: int
    requantization: Requantization

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """Greatest code, or sum of all codes, of each window; `requantization` makes a sum a mean.

    Attributes:
        name: unique.
        input: tensor read.
        output: tensor written.
        kind: 'max', padded with the least code, or 'sum', padded with the input's zero point.
        window: kernel, stride, padding, dilation.
        requantization: of C channels.
    """

    name: str
    input: str
    output: str
    kind: str
    window: Window
    requantization: Requantization

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.input,)


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """a x weight_a + b x weight_b, element by element.

    Attributes:
        name: unique.
        a: tensor read.
        b: tensor of the same shape.
        output: tensor written.
        weight_a: 16 bits signed.
        weight_b: 16 bits signed.
        requantization: of C channels.
    """

    name: str
    a: str
    b: str
    output: str
    weight_a: int
    weight_b: int
    requantization: Requantization

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors read."""
        return (self.a, self.b)


Layer = Convolution | Pooling | Addition


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedNetwork:
    """Layers in the order in which they run, image by image.

    Attributes:
        name: of the network.
        tensors: all activations.
        layers: in topological order; each tensor but the input is written once.
        input: name of the tensor that is given.
        output: name of the tensor that is wanted.
        activation_bits: width of codes.
        weight_bits: width of weights.
        accumulator_bits: where sums wrap around.
    """

    name: str
    tensors: tuple[Activation, ...]
    layers: tuple[Layer, ...]
    input: str
    output: str
    activation_bits: int = 8
    weight_bits: int = 8
    accumulator_bits: int = 32

    def __post_init__(self) -> None:
        known = {t.name: t for t in self.tensors}
        _need(self.name, len(known) == len(self.tensors), "two tensors have one name")
        _need(self.name, {self.input, self.output} <= set(known), "input or output is no tensor")
        _need(self.name, not known[self.input].wide, "its input is wide")
        for tensor in self.tensors:
            low = -(1 << (self.activation_bits - 1))
            _need(
                f"tensor '{tensor.name}'",
                low <= tensor.zero_point < -low,
                f"zero point {tensor.zero_point}: must fit {self.activation_bits} bits",
            )
        ready = {self.input}
        for layer in self.layers:
            what = f"layer '{layer.name}'"
            _need(what, set(layer.inputs) <= ready, f"reads {layer.inputs}, not all written before")
            _need(what, layer.output in known, f"writes unknown tensor '{layer.output}'")
            _need(what, layer.output not in ready, f"writes '{layer.output}' again")
            ready.add(layer.output)
            self._check_layer(what, layer)
        _need(self.name, self.output in ready, f"nothing writes the output '{self.output}'")

    def tensor(self, name: str) -> Activation:
        """The tensor of a name."""
        return next(t for t in self.tensors if t.name == name)

    def _check_layer(self, what: str, layer: Layer) -> None:
        first, output = self.tensor(layer.inputs[0]), self.tensor(layer.output)
        _need(what, not any(self.tensor(n).wide for n in layer.inputs), "reads a wide tensor")
        _need(what, output.wide == layer.requantization.wide, "output and requantization differ "
              "in being wide")  # fmt: skip
        match layer:
            case Convolution():
                self._check_convolution(what, layer, first)
                shape = (len(layer.weight), *layer.window.output(first.height, first.width))
            case Pooling():
                _need(what, layer.kind in POOLINGS, f"kind '{layer.kind}': must be max or sum")
                shape = (first.channels, *layer.window.output(first.height, first.width))
            case Addition():
                shape = first.shape
                _need(what, self.tensor(layer.b).shape == shape, "operands differ in shape")
                limit = 1 << (VECTOR_WEIGHT_BITS - 1)
                weights = np.array([layer.weight_a, layer.weight_b])
                _need_within(f"{what}, weights", weights, -limit, limit - 1)
        _need(what, output.shape == shape, f"output {output.shape}: must be {shape}")
        layer.requantization.check(what, output.channels, self.activation_bits)
        same = output.wide or output.zero_point == layer.requantization.zero_point
        _need(what, same, "requantizes to another zero point than its output's")

    def _check_convolution(self, what: str, layer: Convolution, x: Activation) -> None:
        shape = layer.weight.shape
        fits = layer.groups >= 1 and len(shape) == 4 and shape[1] * layer.groups == x.channels
        _need(
            what,
            fits and shape[0] % layer.groups == 0 and shape[2:] == layer.window.kernel,
            f"weight {shape}, {layer.groups} groups, {x.channels} channels do not fit the window",
        )
        limit = 1 << (self.weight_bits - 1)
        _need_within(f"{what}, weight", layer.weight, -limit, limit - 1)


def _need(what: str, law: bool, message: str) -> None:
    if not law:
        raise NetworkError(f"{what}: {message}")


def _need_within(what: str, values: NDArray[Any], low: int, high: int) -> None:
    integers = np.issubdtype(values.dtype, np.integer)
    _need(what, integers, f"type {values.dtype}: must be integers")
    least, most = (int(values.min()), int(values.max())) if values.size else (low, low)
    _need(what, low <= least and most <= high, f"{least} .. {most}: must be within {low} to {high}")
