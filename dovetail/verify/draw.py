"""Draws random elaborations and cases; the same name always gives the same case."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import AcceleratorError, DovetailError
from dovetail.ir.window import Window
from dovetail.verify.case import Case, Elaboration, LayerSpec
from dovetail.verify.work import Work, prepare

MOST_BYTES = 64 * 1024
"""Of a case's memory, so that it runs in milliseconds."""
MOST_WORK = 60_000
"""Of array steps and vector steps, roughly cycles."""
MOST_CHANNELS = 20
EDGE = 8
"""Most rows and columns of most designs."""
Rng = np.random.Generator


def draw_elaboration(seed: int, number: int) -> Elaboration:
    """A random legal design.

    Args:
        seed: of the campaign.
        number: of the elaboration. Every eighth has up to 16 rows and columns, another eighth one
            column.
    """
    rng = np.random.default_rng([seed, 0, number])
    fixed: dict[str, int | float | str] = {
        # The first ones go through all combinations.
        "dataflow": ("ws", "os")[(number + number // 8) % 2],
        "fold_overlap": ("full", "none")[(number // 2 + number // 8) % 2],
    }
    while True:
        design = _draw_design(rng, *_extents(rng, number)) | fixed
        depths = int(rng.choice([64, 128, 256])), int(rng.choice([48, 64, 128]))
        drawn = Elaboration(design, *depths)
        if _is_legal(drawn):
            return drawn


def _is_legal(gates: Elaboration) -> bool:
    try:
        return not gates.base().validate()
    except AcceleratorError:
        return False


def _extents(rng: Rng, number: int) -> tuple[int, int, bool]:
    """Rows, columns, and whether words are such that a wide bus divides them."""
    if number % 16 == 15:
        return 2 * EDGE, 2 * EDGE, True
    if number % 8 == 3:
        return int(rng.integers(2, EDGE + 1)), 1, False
    edge = 2 * EDGE if number % 8 == 7 else EDGE
    if rng.random() < 0.5:
        rows, cols = (int(2 ** rng.integers(1, edge.bit_length())) for _ in range(2))
        return rows, cols, True
    return int(rng.integers(2, edge + 1)), int(rng.integers(1, edge + 1)), False


def _draw_design(rng: Rng, rows: int, cols: int, wide: bool) -> dict[str, int | float | str]:
    inputs, weights = (int(rng.choice([2, 4, 6, 8, 8, 8, 12, 16])) for _ in range(2))
    sums = int(rng.choice([8, 16, 20, 24, 32, 32, 32]))
    if wide:
        inputs, weights = (int(rng.choice([4, 8, 8, 8, 16])) for _ in range(2))
        sums = int(rng.choice([16, 32, 32]))
        if rows * cols == 4 * EDGE**2:
            inputs = weights = 8
    most = math.gcd(rows * inputs, cols * inputs, cols * weights, cols * sums, cols * 64, 512)
    most &= -most
    less = 0 if rows * cols > EDGE**2 else int(rng.choice([0, 0, 0, 1, 2]))
    bus = max(most >> less, min(most, 8))
    widths = {"input": rows * inputs, "weight": cols * weights, "output": cols * sums}
    depths = {
        "input": int(rng.integers(12, 160)),
        "weight": int(rng.integers(3 * rows, 20 * rows)),
        "output": int(rng.integers(4, 128)),
    }
    return {
        "rows": rows, "cols": cols, "input_bits": inputs, "weight_bits": weights,
        "accumulator_bits": sums, "bus_bits": bus,
        **{f"{name}_sram_kib": 2 * depths[name] * widths[name] / 8 / 1024 for name in widths},
    }  # fmt: skip


def draw_case(seed: int, elaboration: int, number: int) -> Case:
    """A random case; drawn again until it is legal and small."""
    return draw_prepared(seed, elaboration, number)[0]


def draw_prepared(seed: int, elaboration: int, number: int) -> tuple[Case, Work]:
    """A random case, and what it runs."""
    gates = draw_elaboration(seed, elaboration)
    rng = np.random.default_rng([seed, 1, elaboration, number])
    design = gates.base()
    while True:
        case = _draw(f"{seed}-{elaboration}-{number}", gates, design, rng)
        try:
            work = prepare(case)
        except DovetailError:
            continue
        if work.fits(gates) and work.executable.size <= MOST_BYTES and _steps(work) <= MOST_WORK:
            return case, work


def _steps(work: Work) -> int:
    """Roughly the cycles of all layers."""
    network, steps = work.network, 0
    for layer in network.layers:
        out = network.tensor(layer.output)
        weight = getattr(layer, "weight", None)
        taps = math.prod(layer.window.kernel) if hasattr(layer, "window") else 2
        channels = out.channels * (weight.shape[1] if weight is not None else 1)
        steps += taps * channels * out.height * out.width
    return steps


def _draw(name: str, gates: Elaboration, design: SystolicArray, rng: Rng) -> Case:
    size = int(rng.integers(1, 12))
    height, width = (max(1, int(rng.integers(-1, 3)) + size) for _ in "HW")
    exchanged = _can_exchange(design) and rng.random() < 0.2
    shapes = [(_channels(rng, design), height, width)]
    layers: list[LayerSpec] = []
    for _ in range(int(rng.choice([1, 1, 1, 2, 2, 3]))):
        if exchanged:
            drawn = [LayerSpec("convolution", _channels(rng, design))]
        elif rng.random() < 0.15:
            drawn = _residual(shapes, rng)
        else:
            drawn = [_layer(shapes, design, rng)]
        for layer in drawn:
            layers.append(layer)
            shapes.append(out_shape(layer, shapes))
    if rng.random() < 0.1:
        layers[-1] = dataclasses.replace(layers[-1], wide=True)
    stalls = int(rng.integers(1, 2**31)) if rng.random() < 0.1 else 0
    return Case(
        name, gates, shapes[0], tuple(layers), int(rng.integers(2**31)), int(rng.integers(2**31)),
        int(rng.choice(np.array([0, 1, rng.integers(2, 10), rng.integers(10, 61)]))),
        _bandwidth(rng, design.bus_bits // 8), stalls, not exchanged and rng.random() < 0.05,
        exchanged, int(rng.choice([1, 1, 1, 1, 1, 1, 1, 2])),
    )  # fmt: skip


def _can_exchange(design: SystolicArray) -> bool:
    return design.dataflow == "ws" and design.input_bits == design.weight_bits


def _channels(rng: Rng, design: SystolicArray) -> int:
    """Any number, or around a whole number of words."""
    if rng.random() < 0.5:
        return int(rng.integers(1, MOST_CHANNELS + 1))
    word = int(rng.choice([design.rows, design.cols]))
    return max(1, int(rng.integers(1, 3)) * word + int(rng.integers(-1, 2)))


def _bandwidth(rng: Rng, bus_bytes: int) -> int:
    """Full, a fraction that divides the bus, or any number."""
    full = 256 * bus_bytes
    draw = rng.random()
    if draw < 0.35:
        return full
    if draw < 0.6:
        return int(full >> rng.integers(1, 4))
    return int(rng.integers(full // 10, full))


def _layer(shapes: Sequence[tuple[int, int, int]], design: SystolicArray, rng: Rng) -> LayerSpec:
    channels, height, width = shapes[-1]
    kind = str(rng.choice(["convolution"] * 6 + ["linear", "max", "sum", "addition"]))
    if kind == "addition":
        same = [i for i, shape in enumerate(shapes) if shape == shapes[-1]]
        return LayerSpec(kind, other=int(rng.choice(same)))
    if kind == "linear":
        return LayerSpec("linear", _channels(rng, design))
    window = _window(rng, height, width)
    if kind != "convolution":
        return LayerSpec(kind, **window)
    groups = _groups(rng, channels)
    depthwise = groups == channels and rng.random() < 0.7
    outputs = channels if depthwise else groups * max(1, _channels(rng, design) // groups)
    return LayerSpec(kind, outputs, groups=groups, **window)


def _residual(shapes: Sequence[tuple[int, int, int]], rng: Rng) -> list[LayerSpec]:
    """A convolution that keeps the shape, and the addition of its input."""
    pad = int(rng.integers(0, 2))
    kernel, padding = (2 * pad + 1, 2 * pad + 1), (pad, pad, pad, pad)
    branch = LayerSpec("convolution", shapes[-1][0], kernel=kernel, padding=padding)
    return [branch, LayerSpec("addition", other=len(shapes) - 1)]


def _groups(rng: Rng, channels: int) -> int:
    if rng.random() < 0.65:
        return 1
    divisors = [g for g in range(1, channels + 1) if channels % g == 0]
    return int(rng.choice([*divisors, channels]))


def _window(rng: Rng, height: int, width: int) -> dict[str, Any]:
    """Kernel, stride, padding and dilation that fit an image."""
    while True:
        kernel = tuple(int(rng.choice([1, 1, 2, 3, 3, 4, 5])) for _ in "RS")
        stride = tuple(int(rng.choice([1, 1, 1, 2, 3])) for _ in "PQ")
        dilation = tuple(int(rng.choice([1, 1, 1, 2, 3])) for _ in "RS")
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        more = 2 if rng.random() < 0.1 else -1  # whole windows of padding are legal, too
        most = [0 if rng.random() < 0.4 else reach[i % 2] + more for i in range(4)]
        padding = tuple(int(rng.integers(0, min(m, 4) + 1)) for m in most)
        fits = (
            reach[0] <= height + padding[0] + padding[2]
            and reach[1] <= width + padding[1] + padding[3]
        )
        if fits:
            return {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}


def out_shape(layer: LayerSpec, shapes: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Shape that a layer writes, after tensors of `shapes`."""
    channels, height, width = shapes[-1]
    if layer.kind == "addition":
        return shapes[-1]
    if layer.kind == "linear":
        return layer.outputs, 1, 1
    p, q = Window(layer.kernel, layer.stride, layer.padding, layer.dilation).output(height, width)
    return (layer.outputs if layer.kind == "convolution" else channels), p, q
