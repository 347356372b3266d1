"""Makes a case's network, data, executable and memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import NetworkError
from dovetail.ir.encoding import ENTRY_BYTES, LAYOUT, OPCODE_BITS, Opcode
from dovetail.ir.executable import Bytes, Executable
from dovetail.ir.space import IntArray
from dovetail.ir.window import Window
from dovetail.mappers.rtl.exchange import exchanged_shape, lower_exchanged
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.shape import LayerShape, layer_shape
from dovetail.mappers.rtl.tiling import random_tiling
from dovetail.networks.quantized import (
    MAX_SHIFT,
    MULTIPLIER_BITS,
    VECTOR_WEIGHT_BITS,
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)
from dovetail.sim import interpreter
from dovetail.verify.case import MOST_VALUES, Case, Elaboration, LayerSpec

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What a case runs.

    Attributes:
        design: the accelerator with its memory.
        network: layers with all numbers.
        image: the input, (C, H, W).
        tilings: by layer; empty where the lowering chose.
        executable: the program.
        memory: before the run.
    """

    design: SystolicArray
    network: QuantizedNetwork
    image: IntArray
    tilings: dict[str, IntArray]
    executable: Executable
    memory: Bytes

    def fits(self, gates: Elaboration) -> bool:
        """Whether the gates' program and parameter memories hold the program."""
        program = self.executable
        return (
            program.param_depth <= gates.param_depth
            and program.program_depth <= gates.program_depth
        )


def prepare(case: Case) -> Work:
    """Draws the data, lowers the network and fills the memory.

    Raises:
        DovetailError: if the case is illegal.
    """
    design = case.design()
    network = make_network(case, design)
    rng = np.random.default_rng(case.data)
    image = extreme(rng, network.tensor(network.input).shape, design.input_bits)
    tilings: dict[str, IntArray] = {}
    if case.tiling >= 0:
        for i, layer in enumerate(network.layers):
            draws = np.random.default_rng([case.tiling, i])
            tilings[layer.name] = random_tiling(shape_of(case, network, layer), design, draws)
    executable = (lower_exchanged if case.exchanged else lower)(network, design, tilings)
    memory = executable.memory(image)
    if case.per_pixel:
        _store_per_pixel(executable, memory)
    return Work(design, network, image, tilings, executable, memory)


def shape_of(case: Case, network: QuantizedNetwork, layer: Layer) -> LayerShape:
    """The extents that a tiling of a layer has."""
    if case.exchanged:
        return exchanged_shape(network, layer)
    return layer_shape(network, layer, case.elaboration.base())


def _store_per_pixel(executable: Executable, memory: Bytes) -> None:
    """Lets all stores take parameters by pixel.

    Raises:
        MappingError: if there are fewer parameter words than pixels.
    """
    layout = LAYOUT[Opcode.STORE]
    names = [name for name, _ in layout]
    bit = OPCODE_BITS + sum(abs(bits) for _, bits in layout[: names.index("param_per_pixel")])
    for segment in executable.segments:
        first = segment.address + ENTRY_BYTES * (1 + segment.entries[0] + segment.entries[1])
        for i in range(segment.entries[2]):
            at = first + i * ENTRY_BYTES
            if memory[at] & ((1 << OPCODE_BITS) - 1) == Opcode.STORE:
                memory[at + bit // 8] |= 1 << bit % 8
    interpreter.execute(executable, memory.copy())


def make_network(case: Case, design: SystolicArray) -> QuantizedNetwork:
    """The network of a case.

    Raises:
        NetworkError: if a layer does not fit its input, or is too large for a case.
    """
    bits = design.input_bits
    _check_size("input", case.shape)
    zero = _zero_point(np.random.default_rng([case.data, 0]), bits)
    tensors = [Activation("t0", *case.shape, zero)]
    layers: list[Layer] = []
    for i, spec in enumerate(case.layers):
        rng = np.random.default_rng([case.data, i + 1])
        layer, output = _layer(f"l{i}", spec, tensors, design, rng)
        tensors.append(output)
        layers.append(layer)
    return QuantizedNetwork(
        case.name, tuple(tensors), tuple(layers), "t0", tensors[-1].name, bits,
        design.weight_bits, design.accumulator_bits,
    )  # fmt: skip


def extreme(rng: Rng, shape: tuple[int, ...], bits: int) -> IntArray:
    """Random signed integers; the least, the greatest and 0 come often."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = rng.integers(low, high + 1, shape)
    corners = rng.choice([low, high, 0], shape)
    return np.where(rng.random(shape) < 0.25, corners, values)


def _layer(
    name: str, spec: LayerSpec, tensors: list[Activation], design: SystolicArray, rng: Rng
) -> tuple[Layer, Activation]:
    x, target = tensors[-1], f"t{len(tensors)}"
    if spec.kind == "addition":
        other = tensors[min(spec.other, len(tensors) - 1)]
        law = _requantization(spec.wide, x.channels, design, rng)
        a, b = (int(w) for w in extreme(rng, (2,), VECTOR_WEIGHT_BITS))
        layer: Layer = Addition(name, x.name, other.name, target, a, b, law)
        return layer, _tensor(target, x.shape, law)
    if spec.kind == "linear":
        window = Window((x.height, x.width))
    else:
        window = Window(spec.kernel, spec.stride, spec.padding, spec.dilation)
    p, q = window.output(x.height, x.width)
    _check_size(name, (max(x.channels, spec.outputs), p, q))
    if spec.kind in ("max", "sum"):
        law = _requantization(spec.wide, x.channels, design, rng)
        layer = Pooling(name, x.name, target, spec.kind, window, law)
        return layer, _tensor(target, (x.channels, p, q), law)
    shape = (spec.outputs, x.channels // spec.groups, *window.kernel)
    _check_size(name, shape)
    law = _requantization(spec.wide, spec.outputs, design, rng)
    weight = extreme(rng, shape, design.weight_bits)
    layer = Convolution(name, x.name, target, weight, window, spec.groups, law)
    return layer, _tensor(target, (spec.outputs, p, q), law)


def _check_size(name: str, shape: tuple[int, ...]) -> None:
    """Fails before the memory is full."""
    if math.prod(shape) > MOST_VALUES:
        raise NetworkError(f"'{name}' has {math.prod(shape):,} values: at most {MOST_VALUES:,}")


def _tensor(name: str, shape: tuple[int, int, int], law: Requantization) -> Activation:
    return Activation(name, *shape, 0 if law.wide else law.zero_point, law.wide)


def _zero_point(rng: Rng, bits: int) -> int:
    return 0 if rng.random() < 0.4 else int(extreme(rng, (), bits))


def _requantization(wide: bool, channels: int, design: SystolicArray, rng: Rng) -> Requantization:
    """Random constants: usual ones that spread over all codes, and extreme ones."""
    small = extreme(rng, (channels,), int(rng.integers(4, 17)))
    bias = extreme(rng, (channels,), 32) if rng.random() < 0.3 else small
    if wide:
        return Requantization.wide_of(bias)
    multiplier, shift = _scale(rng, channels, design)
    zero, bits = _zero_point(rng, design.input_bits), design.input_bits
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if rng.random() < 0.4:
        low = max(low, min(zero, high))
    if rng.random() < 0.2:
        low, high = sorted(int(v) for v in rng.integers(low, high + 1, 2))
    return Requantization(bias, multiplier, shift, zero, low, high)


def _scale(rng: Rng, channels: int, design: SystolicArray) -> tuple[NDArray[Any], NDArray[Any]]:
    most = (1 << MULTIPLIER_BITS) - 1
    if rng.random() < 0.3:
        corners = rng.choice([0, 1, most, most // 2 + 1], channels)
        drawn = rng.integers(0, most + 1, channels)
        multiplier = np.where(rng.random(channels) < 0.4, corners, drawn)
        return multiplier, rng.integers(0, MAX_SHIFT + 1, channels)
    multiplier = rng.integers(most // 2, most + 1, channels)
    sums = min(design.accumulator_bits, design.input_bits + design.weight_bits + 3)
    drop = max(0, sums - design.input_bits) + MULTIPLIER_BITS - 1
    return multiplier, np.clip(drop + rng.integers(-2, 3, channels), 0, MAX_SHIFT)
