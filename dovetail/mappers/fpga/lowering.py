"""Lowers a network to a pipeline of FINN's nodes.

A convolution is a window generator and a matrix-vector unit (depthwise: vector-vector unit), a
matrix product with stored weights a matrix-vector unit. Biases, normalizations and monotone
activations are thresholds behind them. What comes last and has no node stays with the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.schedule import Placement, Schedule
from dovetail.mappers.schedule import FUSIBLE, schedule
from dovetail.mappers.systolic.planar import RANKS, planar
from dovetail.sim.fpga.cycles import Slide
from dovetail.sim.fpga.pipeline import Node, Pipeline
from dovetail.sim.fpga.resources import Numbers

NOT_MONOTONE = frozenset({"gelu", "silu", "hard_swish", "abs", "pow", "where", "reciprocal"})
"""Elementwise kinds that no list of thresholds computes."""

TWO_STREAMS = frozenset({"add", "sub", "mul", "max", "min"})
"""Elementwise kinds that may read two activations."""


@dataclass(frozen=True)
class Lowered:
    """A network as a pipeline.

    Attributes:
        network: what is computed.
        plan: engines and fusion.
        pipeline: its nodes.
        host: operators at the end that have no node.
    """

    network: Network
    plan: Schedule
    pipeline: Pipeline
    host: frozenset[str]


def lower(network: Network, accelerator: FpgaDataflow) -> Lowered:
    """Lowers a network for an accelerator.

    Raises:
        MappingError: if an operator has no node and others come after it, a tensor is wider than
            the nodes, or there is nothing to compute.
    """
    plan = schedule(network)
    host = _left_to_host(network, plan)
    nodes: list[Node] = []
    for placement in plan.placements:
        if placement.engine != "none" and placement.operator.name not in host:
            nodes += _nodes(network, placement, accelerator)
    if not any(node.kind in ("matrix", "vector") for node in nodes):
        raise MappingError(f"network '{network.name}' has no layer with weights to fold")
    numbers = Numbers(
        accelerator.weight_bits,
        accelerator.input_bits,
        accelerator.input_bits,
        sum_bits=accelerator.sum_bits,
        multipliers=accelerator.multipliers,
        weight_memory=accelerator.weight_memory,
        threshold_memory=accelerator.threshold_memory,
        window_memory=accelerator.window_memory,
    )
    return Lowered(network, plan, Pipeline(network.name, tuple(nodes), numbers), host)


def _left_to_host(network: Network, plan: Schedule) -> frozenset[str]:
    """Operators without a node behind which only such operators come."""
    left: set[str] = set()
    for placement in reversed(plan.placements):
        last = placement.fused[-1] if placement.fused else placement.operator
        names = {op.name for name in last.outputs for op in network.consumers[name]}
        if names <= left and not _has_node(placement.operator):
            left |= {placement.operator.name, *(op.name for op in placement.fused)}
    return frozenset(left)


def _has_node(op: Operator) -> bool:
    return (
        op.einsum is not None or op.window is not None or op.kind in FUSIBLE or op.kind == "concat"
    )


def _nodes(network: Network, placement: Placement, accelerator: FpgaDataflow) -> Iterator[Node]:
    op = placement.operator
    for part in (op, *placement.fused):
        if part.kind in NOT_MONOTONE:
            raise MappingError(
                f"operator '{part.name}' ({part.kind}) is not monotone, so that no thresholds "
                "compute it: replace it by relu"
            )
    if op.einsum is not None:
        yield from _compute(network, op, op.einsum, accelerator)
        return
    shape = network.tensor[op.outputs[0]].shape
    if op.window is not None:
        yield from _pool(network, op)
    elif op.kind in FUSIBLE or op.kind == "concat":
        moving = [name for name in op.inputs if not network.tensor[name].is_parameter]
        if len(moving) > 1 and op.kind not in TWO_STREAMS | {"concat"}:
            raise _no_node(op)
        channels, pixels = _channels(shape)
        compares = bool(placement.fused) or op.kind not in TWO_STREAMS | {"concat"}
        yield Node(op.name, op.name, "stream", channels, vectors=pixels, compares=compares)
    else:
        raise _no_node(op)


def _no_node(op: Operator) -> MappingError:
    return MappingError(
        f"operator '{op.name}' ({op.kind}) has no node in a pipeline: FPGA designs run "
        "convolutions, products with stored weights, pooling, sums and monotone activations"
    )


def _channels(shape: tuple[int, ...]) -> tuple[int, int]:
    """Channels and pixels of an activation; the last dimension counts where there are no rows."""
    channels = shape[1] if len(shape) >= 4 else shape[-1]
    total = 1
    for extent in shape:
        total *= extent
    return channels, total // channels


def _compute(
    network: Network, op: Operator, einsum: Einsum, accelerator: FpgaDataflow
) -> Iterator[Node]:
    _check(network, op, einsum, accelerator)
    view = planar(einsum, network.tensor[einsum.operands[0].tensor])
    g, n, k, c, p, q, r, s = (view.extents.get(rank, 1) for rank in RANKS)
    depthwise = g > 1
    if (depthwise and (k > 1 or c > 1)) or (op.kind != "matmul" and n > 1):
        what = f"{g} groups of {c} to {k} channels" if depthwise else f"a batch of {n}"
        raise MappingError(
            f"operator '{op.name}' has {what}: pipelines take depthwise or ungrouped layers, one "
            "input at a time"
        )
    strides = view.rows.stride, view.columns.stride
    if r * s > 1 or max(strides) > 1:
        channels, dilation = g * c, (view.rows.dilation, view.columns.dilation)
        size = tuple(
            max(axis.size + axis.padding, (out - 1) * axis.stride + (tap - 1) * axis.dilation + 1)
            for axis, out, tap in ((view.rows, p, r), (view.columns, q, s))
        )
        slide = Slide(channels, (size[0], size[1]), (p, q), (r, s), strides, dilation, depthwise)
        if size != (view.rows.size, view.columns.size):
            pad = f"{op.name}.pad"
            yield Node(pad, op.name, "stream", channels, vectors=size[0] * size[1])
        reader = op.name if depthwise else ""
        window = f"{op.name}.window"
        yield Node(window, op.name, "window", channels, slide=slide, reader=reader)
    if depthwise:
        yield Node(op.name, op.name, "vector", g, r * s, p * q)
    else:
        yield Node(op.name, op.name, "matrix", k, c * r * s, n * p * q)


def _check(network: Network, op: Operator, einsum: Einsum, accelerator: FpgaDataflow) -> None:
    strange = [name for name, extent in einsum.ranks if name not in RANKS and extent > 1]
    if strange or len(einsum.operands) != 2:
        raise MappingError(
            f"operator '{op.name}' has {len(einsum.operands)} factors over ranks "
            f"{[name for name, _ in einsum.ranks]}: pipelines run two factors over {list(RANKS)}"
        )
    stored = network.tensor[einsum.operands[1].tensor]
    if not stored.is_parameter:
        raise MappingError(
            f"operator '{op.name}' multiplies two activations: pipelines hold one factor as weights"
        )
    widths = (accelerator.input_bits, accelerator.weight_bits)
    for role, access, width in zip(("input", "weight"), einsum.operands, widths, strict=True):
        number = network.tensor[access.tensor].format
        if number.kind == "int" and number.bits > width:
            raise MappingError(
                f"operator '{op.name}' reads '{access.tensor}' of {number.bits} bit; the nodes of "
                f"'{accelerator.name}' take {width}: set {role}_bits = {number.bits}"
            )


def _pool(network: Network, op: Operator) -> Iterator[Node]:
    window, before = op.window, network.tensor[op.inputs[0]].shape
    assert window is not None
    after = network.tensor[op.outputs[0]].shape
    (_, channels, height, width), (p, q) = before, after[2:]
    top, left, bottom, right = window.padding
    size = (height + top + bottom, width + left + right)
    if window.kernel != size:  # a window over everything needs no generator
        slide = Slide(
            channels, size, (p, q), window.kernel, window.stride, window.dilation, depthwise=True
        )
        if size != (height, width):
            pad = f"{op.name}.pad"
            yield Node(pad, op.name, "stream", channels, vectors=size[0] * size[1])
        name = f"{op.name}.window"
        yield Node(name, op.name, "window", channels, slide=slide, reader=op.name)
    taps = window.kernel[0] * window.kernel[1]
    yield Node(op.name, op.name, "pool", channels, taps, p * q)
