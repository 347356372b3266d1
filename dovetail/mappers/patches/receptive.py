"""Which part of its inputs a part of an operator's output needs: receptive fields, backwards.

Images are tensors N C H W. Rows and columns are independent, so that a part is one interval per
axis; intervals are half open and count elements of the unpadded tensor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator

Interval = tuple[int, int]
Ints = NDArray[np.int64]
Number = TypeVar("Number", int, Ints)

ROWS, COLUMNS = 2, 3
"""Dimensions of an image that patches cut."""

POINTWISE = frozenset(
    "add sub mul div pow max min neg abs relu clip leaky_relu prelu hard_sigmoid hard_swish sqrt "
    "rsqrt reciprocal exp log compare where cast logical floor sigmoid tanh silu erf gelu elu "
    "softplus quantize dequantize softsign mish round sign batchnorm channel_shuffle concat lrn "
    "identity dropout".split()
)
"""Operators whose output at a pixel depends on their inputs at that pixel alone."""


def activations(network: Network, operator: Operator) -> tuple[str, ...]:
    """Tensors that an operator reads and that are no parameters, each once."""
    names = dict.fromkeys(operator.inputs)
    return tuple(name for name in names if not network.tensor[name].is_parameter)


def is_patchable(network: Network, operator: Operator) -> bool:
    """Whether parts of an operator's output can be computed from parts of its inputs."""
    names = (*activations(network, operator), *operator.outputs)
    if len(operator.outputs) != 1 or any(len(network.tensor[n].shape) != 4 for n in names):
        return False
    if operator.einsum:
        return _is_windowed(network, operator)
    if operator.window is not None:
        return True
    result = network.tensor[operator.outputs[0]].shape[ROWS:]
    images = (network.tensor[name].shape[ROWS:] for name in activations(network, operator))
    # Equal extents, or 1 where one pixel is broadcast.
    local = all(
        extent in (1, wide) for image in images for extent, wide in zip(image, result, strict=True)
    )
    return operator.kind in POINTWISE and local


def _is_windowed(network: Network, operator: Operator) -> bool:
    einsum = operator.einsum
    if einsum is None or len(einsum.operands) != 2 or len(einsum.operands[0].indices) != 4:
        return False
    weight = network.tensor[einsum.operands[1].tensor]
    plain = all(len(einsum.output.indices[axis].terms) == 1 for axis in (ROWS, COLUMNS))
    return weight.is_parameter and len(einsum.output.indices) == 4 and plain


def field(network: Network, operator: Operator, axis: int, part: Interval) -> dict[str, Interval]:
    """What an operator reads for an interval of its output, clipped to the inputs' borders.

    Args:
        network: that the operator belongs to.
        operator: patchable, see `is_patchable`.
        axis: `ROWS` or `COLUMNS`.
        part: interval of the output.

    Returns:
        Interval of every activation that it reads.

    Raises:
        MappingError: if the operator is not patchable.

    References:
        Backward receptive field: in = (out - 1) * stride + dilation * (kernel - 1) + 1.
    """
    if not is_patchable(network, operator):
        raise MappingError(
            f"operator '{operator.name}' ({operator.kind}) needs the whole of its input: end the "
            "patches before it"
        )
    needs = {}
    for name in activations(network, operator):
        extent = network.tensor[name].shape[axis]
        low, high = reach(operator, axis, part)
        if not (operator.einsum or operator.window) and extent == 1:
            low, high = 0, 1  # broadcast
        needs[name] = (min(max(0, low), extent - 1), max(min(high, extent), 1))
    return needs


def reach(operator: Operator, axis: int, part: tuple[Number, Number]) -> tuple[Number, Number]:
    """What an operator reads for an interval of its output, padding included.

    Args:
        operator: patchable, see `is_patchable`.
        axis: `ROWS` or `COLUMNS`.
        part: begin and end of the output's interval, numbers or arrays.
    """
    begin, end = part
    if operator.einsum:
        einsum = operator.einsum
        rank = einsum.output.indices[axis].terms[0][0]
        index = einsum.operands[0].indices[axis]
        low: Any = index.offset
        high: Any = index.offset
        for name, coefficient in index.terms:
            first, last = (begin, end - 1) if name == rank else (0, einsum.extent(name) - 1)
            low, high = low + coefficient * first, high + coefficient * last
        return low, high + 1
    if operator.window:
        window, spot = operator.window, axis - ROWS
        low = begin * window.stride[spot] - window.padding[spot]
        span = window.dilation[spot] * (window.kernel[spot] - 1) + 1
        return low, (end - begin - 1) * window.stride[spot] + low + span
    return part


def fields(
    network: Network, operators: Sequence[Operator], axis: int, parts: Mapping[str, Interval]
) -> dict[str, Interval]:
    """Intervals of all tensors that a run of operators needs for parts of its results.

    A tensor that several operators read is needed where any of them needs it (the hull).

    Args:
        network: that the operators belong to.
        operators: in topological order.
        axis: `ROWS` or `COLUMNS`.
        parts: interval of each result.
    """
    needs = dict(parts)
    for operator in reversed(operators):
        part = needs.get(operator.outputs[0])
        if part is None:
            continue
        for name, (low, high) in field(network, operator, axis, part).items():
            old = needs.get(name, (low, high))
            needs[name] = (min(low, old[0]), max(high, old[1]))
    return needs


def spans(
    network: Network, operators: Sequence[Operator], axis: int,
    parts: Mapping[str, tuple[Ints, Ints]],
) -> dict[str, tuple[Ints, Ints]]:  # fmt: skip
    """`fields` of many parts at once: arrays of begins and ends, one element a part.

    Args:
        network: that the operators belong to.
        operators: patchable, in topological order.
        axis: `ROWS` or `COLUMNS`.
        parts: begins and ends of each result's parts.
    """
    needs = dict(parts)
    for op in reversed(operators):
        part = needs.get(op.outputs[0])
        if part is None:
            continue
        for name in activations(network, op):
            extent = network.tensor[name].shape[axis]
            low, high = reach(op, axis, part)
            if not (op.einsum or op.window) and extent == 1:
                low, high = np.zeros_like(part[0]), np.ones_like(part[0])  # broadcast
            low, high = np.clip(low, 0, extent - 1), np.clip(high, 1, extent)
            if name in needs:
                low, high = np.minimum(low, needs[name][0]), np.maximum(high, needs[name][1])
            needs[name] = low, high
    return needs


def split(extent: int, parts: int) -> tuple[Interval, ...]:
    """Cuts an extent into intervals that differ by one element at most."""
    return tuple(pairwise(extent * i // parts for i in range(parts + 1)))
