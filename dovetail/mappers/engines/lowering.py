"""Lowers a network to steps of the FPGA engines, operator by operator.

Products with stored weights (and convolutions, window by window) go to the linear unit, products of
two activations to attention, where scores meet softmax on the way. What follows the linear unit
element by element rides along in its output path. Moves of data are addresses of what reads or
writes next: they cost nothing of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from dovetail.arch.engines import FpgaEngines
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.engines.alone import alone, depthwise, nothing_runs, require
from dovetail.sim.fpga import engines
from dovetail.sim.fpga.engines import Attend, Linear
from dovetail.sim.fpga.steps import Step

MOVES = frozenset("transpose slice concat split gather expand".split())
"""Kinds that other engines do by their addresses; a gather from a table of weights reads it."""

RIDES = frozenset("relu clip batchnorm quantize dequantize cast mul div gelu".split())
"""Kinds in the linear unit's output path: the requantizer's factor, bounds, or the GELU lanes."""

WEIGHS = frozenset({"mul", "scatter_reduce"})
"""Kinds in the output path that take the attention engine's multipliers and adders."""


@dataclass(frozen=True)
class Placed:
    """Where an operator runs.

    Attributes:
        operator: what runs.
        engine: `linear`, `attention`, `softmax`, `norm`, `gelu`, `stream`, `deformable`, or
            `none` for views and moves.
        host: the operator in whose steps it rides; "" if it runs by itself.
        steps: of its own.
    """

    operator: Operator
    engine: str
    host: str = ""
    steps: tuple[Step, ...] = ()


@dataclass
class _Draft:
    """What is known of the network so far.

    Attributes:
        network: what is lowered.
        design: the engines.
        placed: by operator, in order.
        works: products by operator, until all that rides with them is known.
        origin: of tensors: the operator whose output path they leave, if nothing else reads them.
    """

    network: Network
    design: FpgaEngines
    placed: dict[str, Placed] = field(default_factory=dict)
    works: dict[str, Linear | Attend] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)


def lower(network: Network, design: FpgaEngines) -> tuple[Placed, ...]:
    """Places every operator, in the network's order.

    Raises:
        MappingError: naming the operator that no engine runs, or what it lacks.
    """
    draft = _Draft(network, design)
    for op in network.operators:
        _place(draft, op)
    return tuple(_finished(draft, placed) for placed in draft.placed.values())


def _finished(draft: _Draft, placed: Placed) -> Placed:
    work = draft.works.get(placed.operator.name)
    if isinstance(work, Linear):
        return replace(placed, steps=tuple(engines.linear_steps(work, draft.design)))
    if work is not None:
        return replace(placed, steps=(engines.attend_step(work, draft.design),))
    return placed


def _place(draft: _Draft, op: Operator) -> None:
    if op.einsum is not None:
        found = _product(draft, op)
    elif op.is_view or _moves(draft.network, op):
        _keep_origin(draft, op)
        found = Placed(op, "none")
    elif host := _host(draft, op):
        found = Placed(op, draft.placed[host].engine, host)
    else:
        engine, step = alone(draft.network, op, draft.design)
        found = Placed(op, engine, steps=(step,))
        if engine == "deformable":
            draft.origin[op.outputs[0]] = op.name
    draft.placed[op.name] = found


def _moves(network: Network, op: Operator) -> bool:
    table = op.kind == "gather" and network.tensor[op.inputs[0]].is_parameter
    return op.kind in MOVES and not table


def _moving(network: Network, op: Operator) -> list[str]:
    """Its inputs that are no parameters."""
    return [name for name in op.inputs if not network.tensor[name].is_parameter]


def _alone_in(draft: _Draft, tensor: str) -> str:
    """The operator whose output path a tensor leaves towards one reader only; "" if none."""
    read_once = len(draft.network.consumers[tensor]) == 1 and tensor not in draft.network.outputs
    return draft.origin.get(tensor, "") if read_once else ""


def _keep_origin(draft: _Draft, op: Operator) -> None:
    origins = [_alone_in(draft, name) for name in _moving(draft.network, op)]
    if origins and all(origins) and len(op.outputs) == 1:
        draft.origin[op.outputs[0]] = origins[-1]


def _host(draft: _Draft, op: Operator) -> str:
    """The operator with which one rides; "" if it does not."""
    moving = _moving(draft.network, op)
    host = _alone_in(draft, moving[0]) if moving else ""
    work = draft.works.get(host)
    if isinstance(work, Attend):
        return _with_scores(draft, op, host, work)
    if op.kind == "topk" and moving:
        return _behind_softmax(draft, op, moving[0])
    if host and work is None:  # the deformable engine has no more than a requantizer behind it
        rides = op.kind in RIDES - {"gelu"} and len(moving) == 1
        draft.origin[op.outputs[0]] = host if rides else ""
        return host if rides else ""
    if work is None or not _rides(draft, op, moving):
        return ""
    others = sum(draft.network.tensor[name].elements for name in moving[1:])
    if op.kind == "scatter_reduce":  # adds to what is there
        others = draft.network.tensor[moving[0]].elements
    draft.works[host] = replace(
        work, gelu=work.gelu or op.kind == "gelu", extra=work.extra + others
    )
    draft.origin[op.outputs[0]] = host
    return host


def _rides(draft: _Draft, op: Operator, moving: list[str]) -> bool:
    if op.kind == "gelu":
        require(op, draft.design.gelu_lanes, "gelu_lanes")
    if op.kind == "scatter_reduce" or (op.kind in WEIGHS and len(moving) > 1):
        require(op, draft.design.queries, "queries")
        return True
    return op.kind in RIDES and len(moving) == 1


def _with_scores(draft: _Draft, op: Operator, host: str, work: Attend) -> str:
    """What happens to scores before they are weights: scale, mask, softmax."""
    if work.mixes:
        return ""
    network = draft.network
    if op.kind in ("mul", "div", "where"):
        draft.origin[op.outputs[0]] = host
        return host
    readers = network.consumers[op.outputs[0]]
    attends = [r for r in readers if r.einsum and op.outputs[0] == r.einsum.operands[0].tensor]
    if op.kind == "softmax" and len(attends) == len(readers) > 0:
        draft.works[host] = replace(work, softmax=True)
        return host
    return ""


def _behind_softmax(draft: _Draft, op: Operator, read: str) -> str:
    """Scores that stream past are inserted into the largest so far: no cycle more."""
    for name, placed in reversed(draft.placed.items()):
        if read in placed.operator.outputs:
            return name if placed.engine == "softmax" else ""
    return ""


def _product(draft: _Draft, op: Operator) -> Placed:
    assert op.einsum is not None
    if len(op.einsum.operands) != 2:
        raise nothing_runs(op)
    first, weights = (draft.network.tensor[access.tensor] for access in op.einsum.operands)
    for tensor in (first, weights):
        if tensor.format.kind == "int" and tensor.format.bits > draft.design.bits:
            raise MappingError(
                f"operator '{op.name}' reads {tensor.format.bits}-bit '{tensor.name}': the engines "
                f"multiply {draft.design.bits} bits: set bits = 16"
            )
    draft.origin[op.outputs[0]] = op.name
    if op.kind == "depthwise_conv2d":
        return Placed(op, "deformable", steps=(depthwise(op, draft.design),))
    if weights.is_parameter:
        draft.works[op.name] = _linear(draft.network, op)
    else:
        require(op, draft.design.queries, "queries")
        draft.works[op.name] = _attend(draft, op)
    return Placed(op, "linear" if weights.is_parameter else "attention")


def _linear(network: Network, op: Operator) -> Linear:
    assert op.einsum is not None
    extents = dict(op.einsum.ranks)
    if not extents.keys() <= set("NGKCPQRS") or extents.get("G", 1) > 1:
        raise MappingError(
            f"operator '{op.name}' ({op.kind}) has groups or ranks {', '.join(extents)}: the "
            "linear unit runs matrix products and ungrouped 2-D convolutions"
        )
    n, k, c, p, q, r, s = (extents.get(rank, 1) for rank in "NKCPQRS")
    return Linear(op.name, n * p * q, c * r * s, k, bias=len(op.inputs) > 2, runs=r)


def _attend(draft: _Draft, op: Operator) -> Attend:
    assert op.einsum is not None
    extents, second = dict(op.einsum.ranks), op.einsum.operands[1]
    if not extents.keys() <= set("GPCK"):
        raise nothing_runs(op)
    heads, queries, inner, outer = (extents.get(rank, 1) for rank in "GPCK")
    mixes = second.indices[-1].coefficient("K") == 1
    keys, features = (inner, outer) if mixes else (outer, inner)
    weighed = mixes and any(
        placed.operator.kind == "softmax" and op.inputs[0] in placed.operator.outputs
        for placed in draft.placed.values()
        if placed.host
    )
    return Attend(op.name, heads, queries, keys, features, mixes, weighed)
