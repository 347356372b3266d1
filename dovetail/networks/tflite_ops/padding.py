"""Padding operators that belong to the convolutions behind them.

TFLite has names for two paddings only, none and as many zeros as keep ceil(size / stride). Any
other is an operator of its own in front of a convolution, which would read it in any case.
"""

from __future__ import annotations

from typing import TypeAlias

from dovetail.networks.tflite_ops.node import VALID
from dovetail.networks.tflite_ops.reading import StoredGraph, StoredOperator, StoredTensor

Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and left, below and right."""

TABLES = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}


def folded(stored: StoredGraph) -> dict[int, Margins]:
    """Zeros around an image by index of the padded tensor, where only convolutions read it."""
    readers: dict[int, list[StoredOperator]] = {}
    for op in stored.operators:
        for index in op.inputs:
            readers.setdefault(index, []).append(op)
    found = {}
    for op in stored.operators:
        margins = _margins(op, stored.tensors) if op.code == "PAD" else None
        if margins is None:
            continue
        padded = op.outputs[0]
        behind = readers.get(padded, [])
        if behind and padded not in stored.outputs and all(_takes(b, padded) for b in behind):
            found[padded] = margins
    return found


def _margins(op: StoredOperator, tensors: tuple[StoredTensor, ...]) -> Margins | None:
    """Zeros around rows and columns; None of other paddings."""
    if len(op.inputs) != 2 or len(op.outputs) != 1 or not 0 <= op.inputs[1] < len(tensors):
        return None
    data = tensors[op.inputs[1]].data
    if data is None or data.dtype.kind != "i" or data.shape != (4, 2):
        return None
    (n0, n1), (top, bottom), (left, right), (c0, c1) = data.tolist()
    if any((n0, n1, c0, c1)) or min(top, bottom, left, right) < 0:
        return None
    return (top, left), (bottom, right)


def _takes(op: StoredOperator, padded: int) -> bool:
    """Whether an operator is a convolution of the padded image that pads nothing itself."""
    table = TABLES.get(op.code)
    if table is None or op.inputs.count(padded) != 1 or op.inputs[0] != padded:
        return False
    return bool(op.options(table, "Padding") == VALID)
