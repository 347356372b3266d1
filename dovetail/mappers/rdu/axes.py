"""Which axis of an operator's output an axis of its input becomes, if tiles pass it one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.ir.network import Network
from dovetail.ir.operator import VIEW_KINDS, Operator

LAST_AXIS = frozenset({"softmax", "log_softmax", "layernorm", "rmsnorm"})
"""Operators that need their last axis whole."""

SPATIAL = frozenset({"maxpool", "avgpool", "lrn", "interpolate", "resize", "pad"})
"""Operators over images whose rows come and go in order."""

CHANNELWISE = frozenset({"groupnorm", "instancenorm"})
"""Operators that need a whole image."""


def passed(op: Operator, name: str, axis: int, network: Network) -> int | None:
    """The output's axis along which an operator's first output grows as an input grows.

    Args:
        op: the operator.
        name: one of its inputs, an activation.
        axis: of that input: its slices come one after the other.
        network: whose tensors these are.

    Returns:
        The axis whose slices then leave one after the other; None if the operator needs the whole
        input before it can give anything, or no such axis is certain.
    """
    before, after = network.tensor[name].shape, network.tensor[op.outputs[0]].shape
    if op.einsum is not None:
        return _contracted(op, name, axis, before, after)
    if op.kind in VIEW_KINDS:
        return _renamed(axis, before, after)
    if op.kind == "transpose":
        return _permuted(axis, before, after)
    if op.kind == "gather":
        return axis if name != op.inputs[0] else None
    if op.kind in CHANNELWISE:
        return axis if axis == 0 else None
    if op.kind in LAST_AXIS and axis == len(before) - 1:
        return None
    if op.kind in SPATIAL and axis > 1 and len(before) == len(after) > 2:
        return axis if after[axis] > 1 or before[axis] == 1 else None
    return _aligned(axis, before, after)


def _contracted(
    op: Operator, name: str, axis: int, before: Sequence[int], after: Sequence[int]
) -> int | None:
    if op.kind != "matmul":  # a convolution: images or rows come one after the other
        if axis == 1:
            return 1 if op.kind.startswith("depthwise") else None
        return axis if axis < len(after) and name == op.inputs[0] else None
    if axis == len(before) - 1:
        return None
    if name != op.inputs[0]:
        leading = axis < len(before) - 2 and axis < len(after) - 2
        return axis if leading and before[axis] == after[axis] else None
    return axis if len(before) == len(after) and before[axis] == after[axis] else None


def _renamed(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    """The axis with as many elements before it, which holds the old one's, or some of them."""
    outer, extent = math.prod(before[:axis]), before[axis]
    found = None
    for position, size in enumerate(after):
        if math.prod(after[:position]) != outer:
            continue
        if size == extent:
            return position
        if size > 1 and (size % extent == 0 or extent % size == 0):
            found = position
    return found


def _permuted(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    """The axis of that extent; of equal extents their order is kept, unless nothing seems moved.

    The order of axes is no part of an operator: where input and output look alike, two equal axes
    have changed places, and none of these passes.
    """
    extent = before[axis]
    if tuple(before) == tuple(after):
        return axis if list(before).count(extent) == 1 else None
    rank = list(before[:axis]).count(extent)
    places = [position for position, size in enumerate(after) if size == extent]
    return places[rank] if rank < len(places) else None


def _aligned(axis: int, before: Sequence[int], after: Sequence[int]) -> int | None:
    """Of elementwise operators, shapes aligned at their ends; None if the extent changes."""
    position = axis + len(after) - len(before)
    if 0 <= position < len(after) and after[position] == before[axis]:
        return position
    return None
