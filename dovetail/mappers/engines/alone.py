"""Operators that FPGA engines run by themselves, and what is said of those that none runs."""

from __future__ import annotations

from dovetail.arch.engines import DEFORMABLE_BITS, FpgaEngines
from dovetail.arch.kernels import built
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.sim.fpga import engines
from dovetail.sim.fpga.steps import Step

STREAMS = frozenset("add sub max min neg abs relu clip where cast".split())
"""Kinds that adders and comparators of a block run by themselves."""

ROWS = frozenset({"layernorm", "softmax", "gather"})
"""Kinds whose rows are the last dimension; those of others are the channels of a pixel, if any."""


def alone(network: Network, op: Operator, design: FpgaEngines) -> tuple[str, Step]:
    """Engine and step of an operator without an Einsum.

    Raises:
        MappingError: if no engine runs it.
    """
    tensor = network.tensor
    shape = tensor[op.outputs[0]].shape
    features = shape[1] if len(shape) >= 4 and op.kind not in ROWS else (1, *shape)[-1]
    rows = tensor[op.outputs[0]].elements // features
    read = sum(tensor[name].elements for name in op.inputs)
    if op.kind == "layernorm":
        return "norm", _norm(op, rows, features, design)
    if op.kind == "softmax":
        require(op, design.queries, "queries")
        return "softmax", engines.softmax_step(op.name, rows, features, design)
    if op.kind == "gelu":
        require(op, design.gelu_lanes, "gelu_lanes")
        step = engines.stream_step(op.name, rows, features, design, read=read, gelu=True)
        return "gelu", step
    if op.kind == "deformable" and len(shape) == 4:
        _require_deformable(op, design)
        step = engines.deformable_step(op.name, shape[0], shape[1], (shape[2], shape[3]), design)
        return "deformable", step
    if op.window is not None:
        taps = op.window.kernel[0] * op.window.kernel[1]
        return "stream", engines.pool_step(op.name, rows, features, taps, design)
    if op.kind in STREAMS or op.kind == "gather":
        read = rows * features if op.kind == "gather" else read
        return "stream", engines.stream_step(op.name, rows, features, design, read=read)
    raise nothing_runs(op)


def _norm(op: Operator, rows: int, features: int, design: FpgaEngines) -> Step:
    require(op, design.norm_lanes, "norm_lanes")
    if features != design.norm_features:
        every = built("layernorm", "count")
        remedy = f"set norm_features = {features}"
        if features not in every:
            remedy = f"there are builds for {', '.join(map(str, every))}"
        raise MappingError(
            f"operator '{op.name}' (layernorm) normalizes rows of {features}; the engine is built "
            f"for {design.norm_features}: {remedy}"
        )
    return engines.norm_step(op.name, rows, features, design)


def depthwise(op: Operator, design: FpgaEngines) -> Step:
    """A depthwise convolution on the deformable engine, at one dilation for all pixels.

    Raises:
        MappingError: if the engine does not run it.
    """
    assert op.einsum is not None
    extents, (_, _, rows, columns) = dict(op.einsum.ranks), op.einsum.operands[0].indices
    n, g, k, p, q = (extents.get(rank, 1) for rank in "NGKPQ")
    dilations = {rows.coefficient("R"), columns.coefficient("S")}
    plain = (extents.get("R"), extents.get("S"), k) == (3, 3, 1)
    steady = rows.coefficient("P") == columns.coefficient("Q") == 1
    centred = {-rows.offset, -columns.offset} == dilations
    reach = max(built("deformable", "range"))
    if not (plain and steady and centred and len(dilations) == 1 and max(dilations) <= reach):
        raise MappingError(
            f"operator '{op.name}' (depthwise_conv2d): the deformable engine runs 3 x 3 kernels of "
            f"stride 1 and dilation up to {reach} that keep the size"
        )
    _require_deformable(op, design)
    return engines.deformable_step(op.name, n, g, (p, q), design)


def _require_deformable(op: Operator, design: FpgaEngines) -> None:
    narrow = "" if design.bits == DEFORMABLE_BITS else f" with bits = {DEFORMABLE_BITS}"
    require(op, design.deformable_channels, "deformable_channels", narrow)


def require(op: Operator, has: int, parameter: str, besides: str = "") -> None:
    """Refuses an operator whose engine a design lacks.

    Raises:
        MappingError: naming the parameter that gives it one.
    """
    if not has:
        raise MappingError(
            f"operator '{op.name}' ({op.kind}) has no engine in this design: set {parameter} >= 1"
            f"{besides}"
        )


def nothing_runs(op: Operator) -> MappingError:
    """What is said of an operator that no engine runs."""
    return MappingError(
        f"operator '{op.name}' ({op.kind}) has no engine: there are products, attention, softmax, "
        "GELU, layer normalization, deformable 3x3 convolution, pooling and sums"
    )
