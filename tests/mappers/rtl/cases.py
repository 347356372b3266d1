"""Random small layers and designs for the RTL machine."""

from __future__ import annotations

import math

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.networks.operators import Window
from dovetail.networks.quantized import (
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)

KINDS = ("convolution", "same", "grouped", "depthwise", "linear", "max", "sum", "add")


def random_design(rng: np.random.Generator) -> SystolicArray:
    """A legal design with small scratchpads and any widths; rows and columns often differ."""
    while True:
        rows, cols = int(rng.integers(2, 13)), int(rng.integers(1, 13))
        bits = [int(b) for b in rng.integers(2, 17, size=2)]
        accumulator = int(rng.integers(8, 33))
        words = (rows * bits[0], cols * bits[0], cols * bits[1], cols * accumulator, cols * 64)
        bus = math.gcd(512, *words)
        if bus < 8:
            continue
        design = SystolicArray(
            machine="rtl",
            rows=rows,
            cols=cols,
            input_bits=bits[0],
            weight_bits=bits[1],
            accumulator_bits=accumulator,
            bus_bits=bus,
            dataflow=str(rng.choice(["ws", "os"])),
            input_sram_kib=float(rng.choice([1, 2, 4])),
            weight_sram_kib=float(rng.choice([8, 16, 32])),
            output_sram_kib=float(rng.choice([1, 2, 4])),
        )
        if not design.validate():
            return design


def codes(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> np.ndarray:
    """Signed integers of `bits` bits, now and then only the extremes."""
    low = -(1 << (bits - 1))
    if rng.random() < 0.2:
        return rng.choice([low, -low - 1], size=shape)
    return rng.integers(low, -low, size=shape)


def random_law(
    rng: np.random.Generator, channels: int, bits: int, zero_point: int, wide: bool
) -> Requantization:
    """Any requantization; the scale is chosen so that results spread over the codes."""
    bias = rng.integers(-(2**31), 2**31, channels)
    if rng.random() < 0.8:
        bias >>= 16
    if wide:
        return Requantization.wide_of(bias)
    low, high = sorted(int(c) for c in codes(rng, bits, (2,)))
    if rng.random() < 0.7:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    multiplier = rng.integers(0, 2**26, channels)
    shift = rng.integers(0, 63, channels) if rng.random() < 0.2 else rng.integers(24, 36, channels)
    return Requantization(bias, multiplier, shift, zero_point, low, high)


def random_window(rng: np.random.Generator, height: int, width: int) -> Window:
    """Any window that fits an image."""
    while True:
        kernel, stride, dilation = (
            (int(a), int(b)) for a, b in (rng.integers(1, most, size=2) for most in (5, 4, 4))
        )
        top, left, bottom, right = (int(v) for v in rng.integers(0, 4, size=4))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        if reach[0] <= height + top + bottom and reach[1] <= width + left + right:
            return Window(kernel, stride, (top, left, bottom, right), dilation)


def random_network(
    rng: np.random.Generator, design: SystolicArray, kinds: tuple[str, ...]
) -> QuantizedNetwork:
    """A chain of layers; the last one may be wide."""
    bits = design.input_bits - int(rng.integers(0, min(3, design.input_bits - 1)))
    weight_bits = design.weight_bits - int(rng.integers(0, min(3, design.weight_bits - 1)))
    channels, height, width = (int(v) for v in rng.integers(1, [20, 14, 14]))
    tensors = [Activation("t0", channels, height, width, int(codes(rng, bits, ())))]
    layers: list[Layer] = []
    for i, kind in enumerate(kinds):
        wide = i == len(kinds) - 1 and bool(rng.random() < 0.3)
        wide = wide and design.lanes * design.accumulator_bits % design.bus_bits == 0
        layer, tensor = _layer(rng, kind, tensors, (bits, weight_bits), wide)
        layers.append(layer)
        tensors.append(tensor)
    return QuantizedNetwork(
        "random", tuple(tensors), tuple(layers), "t0", tensors[-1].name, bits, weight_bits,
        design.accumulator_bits,
    )  # fmt: skip


def _layer(
    rng: np.random.Generator,
    kind: str,
    tensors: list[Activation],
    bits: tuple[int, int],
    wide: bool,
) -> tuple[Layer, Activation]:
    x, name, out = tensors[-1], f"l{len(tensors)}", f"t{len(tensors)}"
    zero_point = 0 if wide else int(codes(rng, bits[0], ()))
    window = random_window(rng, x.height, x.width)
    if kind == "linear":
        window = Window((x.height, x.width))
    if kind == "same":
        window = Window((3, 3), padding=(1, 1, 1, 1))
    groups, k = 1, int(rng.integers(1, 20))
    if kind in ("grouped", "depthwise"):
        divisors = [g for g in range(1, x.channels + 1) if x.channels % g == 0]
        groups = x.channels if kind == "depthwise" else int(rng.choice(divisors))
        k = groups * int(rng.integers(1, 4))
    if kind in ("max", "sum", "add", "same"):
        k = x.channels
    p, q = (x.height, x.width) if kind == "add" else window.output(x.height, x.width)
    law = random_law(rng, k, bits[0], zero_point, wide)
    tensor = Activation(out, k, p, q, zero_point, wide)
    if kind == "add":
        a, b = (int(v) for v in rng.integers(-(2**15), 2**15, 2))
        alike = [t.name for t in tensors if t.shape == x.shape]
        return Addition(name, x.name, alike[0], out, a, b, law), tensor
    if kind in ("max", "sum"):
        return Pooling(name, x.name, out, kind, window, law), tensor
    weight = codes(rng, bits[1], (k, x.channels // groups, *window.kernel))
    return Convolution(name, x.name, out, weight, window, groups, law), tensor
