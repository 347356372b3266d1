"""What operators take on the FPGA engines: their steps, from shapes and a design's parallelism.

Cycles of attention, of the linear unit and of weight loads are Edge-MoE's (`edge_moe`), for any
parallelism; latency and initiation interval of each kernel are those of its build.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.arch.engines import LONGEST_ROW, FpgaEngines
from dovetail.errors import MappingError
from dovetail.sim.fpga import edge_moe
from dovetail.sim.fpga.steps import Stage, Step, Traffic

BIAS_BITS = 32
"""Of a bias, which starts a sum."""


@dataclass(frozen=True, slots=True)
class Linear:
    """A product with stored weights.

    Attributes:
        operator: its name.
        rows: of the input.
        inputs: of a row.
        outputs: of a row.
        bias: whether there is one per output.
        gelu: whether its results go through GELU.
        extra: further activations that are read: what it adds its rows to, or weighs them by.
        runs: pieces that lie in a row of memory each, of the input: rows of a window.
    """

    operator: str
    rows: int
    inputs: int
    outputs: int
    bias: bool = True
    gelu: bool = False
    extra: int = 0
    runs: int = 1


@dataclass(frozen=True, slots=True)
class Attend:
    """A product of two activations, for heads one after the other.

    Attributes:
        operator: its name.
        heads: products of this shape.
        queries: rows of the first factor.
        keys: rows of the second.
        features: of a row of the second.
        mixes: whether it adds rows of the second up, by weights; else it multiplies rows by rows.
        softmax: whether the scores are normalized on the way.
    """

    operator: str
    heads: int
    queries: int
    keys: int
    features: int
    mixes: bool
    softmax: bool


def traffic(design: FpgaEngines, read: int, written: int, weight: int = 0) -> tuple[Traffic, int]:
    """Bytes of activations read and written and of weights, and the cycles they take at least."""
    first, last = (-(-count * design.activation_bits // 8) for count in (read, written))
    found = Traffic(first, weight, last)
    return found, math.ceil(sum(found) / design.dram_bytes_per_cycle)


def linear_steps(op: Linear, design: FpgaEngines) -> Iterator[Step]:
    """Passes over the rows, as many as the weight buffer cuts the outputs into.

    Raises:
        MappingError: if a row, or the weights of the least outputs, do not fit their buffers.
    """
    if op.inputs > design.row_features:
        remedy = f"raise row_features ({design.row_features:,})"
        raise MappingError(
            f"operator '{op.operator}' reads rows of {op.inputs:,}, longer than the row buffers: "
            + (remedy if op.inputs <= LONGEST_ROW else f"they hold at most {LONGEST_ROW:,}")
        )
    deep = -(-op.inputs // design.linear_inputs) * design.linear_inputs * design.bits
    most = int(design.weight_buffer_kib * 8192 / (deep * design.linear_outputs))
    if not most:
        need, has = deep * design.linear_outputs / 8192, design.weight_buffer_kib
        raise MappingError(
            f"operator '{op.operator}' needs {need:.4g} KiB for the weights of "
            f"{design.linear_outputs} outputs; a buffer has {has:g}: raise weight_buffer_kib"
        )
    left, each = op.outputs, most * design.linear_outputs
    while left > 0:
        yield _linear_pass(op, min(left, each), left <= each, design)
        left -= each


def _linear_pass(op: Linear, outputs: int, last: bool, design: FpgaEngines) -> Step:
    unit = (design.linear_inputs, design.linear_outputs)
    through = ["linear", design.requantizer]
    stages = [
        Stage("read", op.runs * -(-op.inputs // (op.runs * design.block))),
        Stage("linear", edge_moe.linear_cycles(1, op.inputs, outputs, unit)),
        Stage("requantize", -(-outputs // design.requantize_lanes)),
    ]
    if op.gelu:
        through.append("gelu")
        stages.append(Stage("gelu", -(-outputs // design.gelu_lanes)))
    stages.append(Stage("write", -(-outputs // design.block)))
    load = edge_moe.load_cycles(op.inputs, outputs, design.axi_bits // design.bits)
    load += -(-outputs * BIAS_BITS // design.axi_bits) if op.bias else 0
    read = op.rows * op.inputs + (op.extra if last else 0)
    latency = sum(design.kernel(name).latency_cycles for name in through)
    weights = load * design.axi_bits // 8
    moved = traffic(design, read, op.rows * outputs, weights)
    load = max(load, math.ceil(weights / design.dram_bytes_per_cycle))
    return Step(op.operator, op.rows, tuple(stages), latency, *moved, load)


def attend_step(op: Attend, design: FpgaEngines) -> Step:
    """All heads, each as `edge_moe.simulate_attention` goes: a row of keys or values per pass.

    Raises:
        MappingError: if rows of scores are longer than the softmax kernel is built for.
    """
    if op.softmax:
        _check_length(op.operator, op.keys, design)
    parallel = min(design.queries, op.keys)
    rows = op.heads * edge_moe.key_rows(op.queries, parallel, op.keys)
    blocks, scores = -(-op.features // design.block), -(-parallel // design.block)
    kernel = "softmax_weight" if op.mixes else "softmax"
    slowest = design.kernel(kernel).initiation_interval if op.softmax else 1
    read, write = (max(blocks, scores), blocks) if op.mixes else (blocks, scores)
    stages = [Stage("read", read), Stage("attention", max(blocks, slowest))]
    latency = sum(design.kernel(name).latency_cycles for name in ("linear", design.requantizer))
    latency += design.kernel(kernel).latency_cycles if op.softmax else 0
    if op.mixes:  # one query ends per row at most, P of N rows: the last one is waited for
        latency += -(-op.features // design.requantize_lanes)
    else:
        stages.append(Stage("requantize", -(-parallel // design.requantize_lanes)))
    stages.append(Stage("write", write))
    vectors, pairs = op.heads * op.queries * op.features, op.heads * op.queries * op.keys
    into, out = (pairs, vectors) if op.mixes else (vectors, pairs)
    moved = traffic(design, into + rows * op.features, out)
    return Step(op.operator, rows, tuple(stages), latency, *moved)


def softmax_step(operator: str, rows: int, features: int, design: FpgaEngines) -> Step:
    """A softmax by itself: each of the attention engine's units has a row.

    Raises:
        MappingError: if a row is longer than the kernel is built for.
    """
    _check_length(operator, features, design)
    statistics, weigh = design.kernel("softmax"), design.kernel("softmax_weight")
    return _by_rows(
        operator, rows, features, design.queries,
        (("softmax", features * statistics.initiation_interval),
         ("softmax_weight", features * weigh.initiation_interval)),
        statistics.latency_cycles + weigh.latency_cycles, design,
    )  # fmt: skip


def _check_length(operator: str, scores: int, design: FpgaEngines) -> None:
    most = 2 ** dict(design.kernel("softmax").parameters)["length"]
    if scores > most:
        raise MappingError(
            f"operator '{operator}' has rows of {scores:,} scores: the softmax kernel is built for "
            f"at most {most:,}"
        )


def norm_step(operator: str, rows: int, features: int, design: FpgaEngines) -> Step:
    """A layer normalization: statistics of one row of each lane while the last ones are scaled."""
    statistics, scale = design.kernel("layernorm"), design.kernel("layernorm_scale")
    return _by_rows(
        operator, rows, features, design.norm_lanes,
        (("norm", features * statistics.initiation_interval),
         ("norm_scale", features * scale.initiation_interval)),
        statistics.latency_cycles + scale.latency_cycles, design,
    )  # fmt: skip


def _by_rows(
    operator: str, rows: int, features: int, lanes: int, work: tuple[tuple[str, int], ...],
    latency: int, design: FpgaEngines,
) -> Step:  # fmt: skip
    """Rows side by side, an element of each per cycle."""
    ports = lanes * -(-features // design.block)
    stages = (Stage("read", ports), *(Stage(*part) for part in work), Stage("write", ports))
    moved = traffic(design, rows * features, rows * features)
    return Step(operator, -(-rows // lanes), stages, latency, *moved)


def stream_step(
    operator: str, rows: int, features: int, design: FpgaEngines, *, read: int, gelu: bool = False
) -> Step:
    """An elementwise operator by itself, a block per cycle; GELU by its lanes.

    Args:
        operator: its name.
        rows: of the result.
        features: of a row.
        design: the engines.
        read: activations read; up to two come at a time.
        gelu: whether it is one.
    """
    blocks = -(-features // design.block)
    engine, latency, work = "stream", 1, blocks
    if gelu:
        cost = design.kernel("gelu")
        engine, latency = "gelu", cost.latency_cycles
        work = -(-features // design.gelu_lanes)
    stages = (Stage("read", blocks), Stage(engine, work), Stage("write", blocks))
    return Step(operator, rows, stages, latency, *traffic(design, read, rows * features))


def pool_step(operator: str, pixels: int, channels: int, taps: int, design: FpgaEngines) -> Step:
    """A pooling: a block of a tap per cycle, through the adders or comparators of sums."""
    blocks = -(-channels // design.block)
    stages = (Stage("read", taps * blocks), Stage("stream", taps * blocks), Stage("write", blocks))
    moved = traffic(design, pixels * taps * channels, pixels * channels)
    return Step(operator, pixels, stages, 1, *moved)


def deformable_step(
    operator: str, images: int, channels: int, size: tuple[int, int], design: FpgaEngines
) -> Step:
    """A depthwise 3x3 convolution over its line buffer: a pixel of some channels per cycle.

    Images go through one after the other, padded to the width that the kernel is built for, and to
    the rows below that its last sums wait for.

    Raises:
        MappingError: if an image is too wide or too high.
    """
    cost = design.kernel("deformable")
    form = dict(cost.parameters)
    if size[1] > form["width"] or size[0] > form["height"]:
        raise MappingError(
            f"operator '{operator}' has images of {size[0]} x {size[1]} pixels: the deformable "
            f"kernel is built for at most {form['height']} x {form['width']}"
        )
    passes = images * -(-channels // form["channels"])
    row = form["width"] * cost.initiation_interval
    words = -(-form["width"] * form["channels"] // design.block)
    ahead = form["range"] * (form["width"] + 1) * cost.initiation_interval
    pixels = images * size[0] * size[1]
    sums = -(-form["width"] * form["channels"] // design.requantize_lanes)
    stages = (
        Stage("read", words), Stage("deformable", row), Stage("requantize", sums),
        Stage("write", words),
    )  # fmt: skip
    latency = cost.latency_cycles + design.kernel(design.requantizer).latency_cycles + ahead
    return Step(
        operator, passes * form["height"], stages, latency,
        *traffic(design, pixels * (channels + 1), pixels * channels),
    )  # fmt: skip
