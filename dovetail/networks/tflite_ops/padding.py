"""Padding operators that belong to the windows behind them.

TFLite has names for two paddings only, none and as many zeros as keep ceil(size / stride). Any
other is an operator of its own in front of a convolution, which would read it in any case; and in
front of a maximum, where no code is less than what it pads with.
"""

from __future__ import annotations

from typing import TypeAlias

from dovetail.networks.tflite_ops.node import VALID
from dovetail.networks.tflite_ops.reading import StoredGraph, StoredOperator, StoredTensor

Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
"""Zeros above and left, below and right."""

CONVOLUTIONS = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
MAXIMA = {"MAX_POOL_2D": "Pool2DOptions"}
LEAST = -128


def folded(stored: StoredGraph) -> dict[int, Margins]:
    """Margins of images by index of the padded tensor, where only windows without any read it."""
    readers: dict[int, list[StoredOperator]] = {}
    for op in stored.operators:
        for index in op.inputs:
            readers.setdefault(index, []).append(op)
    found = {}
    for op in stored.operators:
        margins = _margins(op, stored.tensors)
        if margins is None:
            continue
        padded, tables = op.outputs[0], _tables(op, stored.tensors)
        behind = readers.get(padded, [])
        unseen = padded not in stored.outputs
        if behind and unseen and all(_takes(reader, padded, tables) for reader in behind):
            found[padded] = margins
    return found


def _margins(op: StoredOperator, tensors: tuple[StoredTensor, ...]) -> Margins | None:
    """What an operator adds to rows and columns; None of others, and of other paddings."""
    known = all(0 <= index < len(tensors) for index in op.inputs)
    if (op.code, len(op.inputs)) not in (("PAD", 2), ("PADV2", 3)) or not known:
        return None
    if len(op.outputs) != 1:
        return None
    data = tensors[op.inputs[1]].data
    if data is None or data.dtype.kind != "i" or data.shape != (4, 2):
        return None
    (n0, n1), (top, bottom), (left, right), (c0, c1) = data.tolist()
    if any((n0, n1, c0, c1)) or min(top, bottom, left, right) < 0:
        return None
    return (top, left), (bottom, right)


def _tables(op: StoredOperator, tensors: tuple[StoredTensor, ...]) -> dict[str, str]:
    """Options of the windows that mean the same with the margins as their own, by code."""
    x = tensors[op.inputs[0]]
    if op.code == "PADV2":
        value = tensors[op.inputs[2]].data
        least = value is not None and x.type == "INT8" and value.reshape(-1).tolist() == [LEAST]
        return MAXIMA if least else {}
    zeros = x.quantization.zero_points if x.quantization else ()
    least = x.type == "INT8" and zeros == (LEAST,)
    return {**CONVOLUTIONS, **(MAXIMA if least else {})}


def _takes(op: StoredOperator, padded: int, tables: dict[str, str]) -> bool:
    """Whether an operator is such a window over the padded image that pads nothing itself."""
    table = tables.get(op.code)
    if table is None or op.inputs.count(padded) != 1 or op.inputs[0] != padded:
        return False
    return bool(op.options(table, "Padding") == VALID)
