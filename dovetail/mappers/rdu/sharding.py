"""Tensor parallelism: which sockets hold what of every tensor, and where they must exchange.

Megatron's rules, found operator by operator: a product with weights of a whole input is split by
columns, of an input that is split along its features by rows, and then sums cross the sockets;
what lies between stays split, or is gathered where an operator needs the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dovetail.ir.network import Network
from dovetail.ir.operator import VIEW_KINDS, Operator
from dovetail.mappers.rdu.axes import passed

JOINS = frozenset({"concat"})
"""Operators whose parts are written where the whole will lie: nothing moves."""


def is_view(op: Operator) -> bool:
    """Whether an operator renames or joins memory and moves nothing."""
    return op.kind in VIEW_KINDS or op.kind in JOINS


@dataclass
class Sharding:
    """How sockets share a network.

    Attributes:
        axis: by tensor: the axis along which each socket holds a part; whole if it is not there.
        parts: by operator: sockets that share its work; 1 if each does all of it.
        summed: operators whose outputs are sums over sockets (all-reduce).
        gathered: tensors of an operator that it needs whole (all-gather), by operator.
    """

    axis: dict[str, int] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    summed: set[str] = field(default_factory=set)
    gathered: dict[str, tuple[str, ...]] = field(default_factory=dict)


def shard(network: Network, sockets: int) -> Sharding:
    """Splits every operator over sockets, in the network's order.

    Args:
        network: what is computed.
        sockets: that share every product; 1 splits nothing.
    """
    found = Sharding()
    for op in network.operators:
        axis, parts = (None, 1) if sockets == 1 else _split(op, network, sockets, found)
        found.parts[op.name] = parts
        if axis is not None:
            found.axis |= dict.fromkeys(op.outputs, axis)
    return found


def _split(op: Operator, network: Network, sockets: int, found: Sharding) -> tuple[int | None, int]:
    """The axis of the output that is split, and how many sockets share the work."""
    held = {name: found.axis[name] for name in op.inputs if name in found.axis}
    if op.kind in JOINS:
        return _joined(op, network, held, found)
    first = op.inputs[0]
    weighted = op.einsum is not None and network.tensor[op.inputs[1]].is_parameter
    if weighted and first not in held:
        return _columns(op, network, sockets)
    if weighted and passed(op, first, held[first], network) is None:
        found.summed.add(op.name)
        return None, sockets
    shape = network.tensor[op.outputs[0]].shape
    axes = {name: passed(op, name, axis, network) for name, axis in held.items()}
    axes = {n: a if a is not None and shape[a] % sockets == 0 else None for n, a in axes.items()}
    kept = next((axis for axis in axes.values() if axis is not None), None)
    lost = tuple(name for name, axis in axes.items() if axis != kept or axis is None)
    if lost:
        found.gathered[op.name] = lost
    return kept, sockets if kept is not None else 1


def _columns(op: Operator, network: Network, sockets: int) -> tuple[int | None, int]:
    shape = network.tensor[op.outputs[0]].shape
    axis = len(shape) - 1 if op.kind == "matmul" else 1
    return (axis, sockets) if shape[axis] % sockets == 0 else (None, 1)


def _joined(
    op: Operator, network: Network, held: dict[str, int], found: Sharding
) -> tuple[int | None, int]:
    """A cache that the network is given is split as what extends it is."""
    if not held:
        return None, 1
    axis = next(iter(held.values()))
    for name in op.inputs:
        if name in network.inputs:
            found.axis[name] = axis
    return axis, 1
