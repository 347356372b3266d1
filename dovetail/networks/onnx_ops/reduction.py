"""Normalizations, softmax and reductions of ONNX."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dovetail.ir.tensor import FLOAT32
from dovetail.networks.assembly import Value
from dovetail.networks.onnx_ops.formats import INT64
from dovetail.networks.onnx_ops.node import Extra, Fold, Node
from dovetail.networks.shapes import normalize_axes, normalize_axis, reduced, replaced

NORMS = {
    "BatchNormalization": "batchnorm", "InstanceNormalization": "instancenorm",
    "LayerNormalization": "layernorm", "GroupNormalization": "groupnorm",
    "RMSNormalization": "rmsnorm", "LpNormalization": "rmsnorm",
    "MeanVarianceNormalization": "instancenorm",
}  # fmt: skip

REDUCTIONS: dict[str, Fold | None] = {
    "ReduceMean": None, "ReduceSum": np.sum, "ReduceMax": np.max, "ReduceMin": np.min,
    "ReduceProd": np.prod, "ReduceL1": None, "ReduceL2": None, "ReduceLogSum": None,
    "ReduceLogSumExp": None, "ReduceSumSquare": None,
}  # fmt: skip


def norm(node: Node) -> None:
    """Normalizations that read x, a scale and a shift.

    The running statistics of a batch normalization are folded into its scale and shift, so that
    parameters are those which training sets.
    """
    x = node.input(0)
    for name, default in (("axis", -1), ("num_groups", 1), ("p", 2)):
        node.integer(name, default)
    node.integers("axes")
    if node.flag("training_mode"):
        raise node.fail("training_mode = 1 is not supported: export the model for inference")
    read = [x, *(v for v in (node.optional(1), node.optional(2)) if v is not None)]
    for value in read[1:]:
        if value.elements > x.elements:
            raise node.fail(f"'{value.name}' {list(value.shape)} does not fit {list(x.shape)}")
    if node.op == "BatchNormalization":
        channels = x.shape[1] if len(x.shape) > 1 else 1
        for index in range(1, 5):
            if node.input(index).shape != (channels,):
                given = node.input(index)
                raise node.fail(f"'{given.name}' {list(given.shape)} must be ({channels},)")
    node.emit(NORMS[node.op], x.shape, read, extra=_statistics(node, x))


def _statistics(node: Node, x: Value) -> list[Extra]:
    """Mean and inverse deviation that a layer normalization may also return."""
    if node.op != "LayerNormalization":
        return []
    axis = normalize_axis(node.integer("axis", -1), len(x.shape))
    shape = reduced(x.shape, range(axis, len(x.shape)), keep=True)
    return [(1, shape, FLOAT32), (2, shape, FLOAT32)]


def lrn(node: Node) -> None:
    """LRN: a window of `size` channels per element."""
    x = node.image()
    size = node.integer("size")
    if size < 1:
        raise node.fail(f"attribute 'size' = {size}: must be >= 1")
    node.emit("lrn", x.shape, [x], work=x.elements * min(size, x.shape[1]))


def softmax(node: Node) -> None:
    """Softmax, LogSoftmax, Hardmax over one axis, or all from `axis` on before opset 13."""
    x = node.input(0)
    normalize_axis(node.integer("axis", -1 if node.opset >= 13 else 1), max(1, len(x.shape)))
    kinds = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Hardmax": "argmax"}
    node.emit(kinds[node.op], x.shape, [x])


def reduction(node: Node) -> None:
    """Reduce...: one unit of work per input element."""
    x = node.input(0)
    axes = node.integers_or_input("axes", 1)
    keep = node.flag("keepdims", True)
    skip = node.flag("noop_with_empty_axes")
    if not axes and skip:
        node.emit("identity", x.shape, [x], fold=lambda a: a)
        return
    chosen = normalize_axes(axes or range(len(x.shape)), len(x.shape))
    fold = REDUCTIONS[node.op]

    def run(a: Any) -> Any:
        assert fold is not None
        return np.asarray(fold(a, axis=chosen, keepdims=keep)).astype(a.dtype)

    shape = reduced(x.shape, chosen, keep=keep)
    node.emit("reduce", shape, [x], work=x.elements, fold=run if fold else None)


def arg_reduction(node: Node) -> None:
    """ArgMax, ArgMin: one comparison per input element."""
    x = node.input(0)
    axis = node.integer("axis", 0)
    shape = reduced(x.shape, [axis], keep=node.flag("keepdims", True))
    node.emit("argmax", shape, [x], work=x.elements, form=INT64)


def top_k(node: Node) -> None:
    """TopK: k comparisons per input element of the axis; writes values and indices."""
    x = node.input(0)
    axis = normalize_axis(node.integer("axis", -1), len(x.shape))
    count = node.integer("k") if "k" in node.attributes else node.known_ints(1)[0]
    if not 1 <= count <= x.shape[axis]:
        raise node.fail(f"k = {count} of an axis of {x.shape[axis]}")
    shape = replaced(x.shape, axis, count)
    work = x.elements * max(1, math.ceil(math.log2(count + 1)))
    node.emit("topk", shape, [x], work=work, extra=[(1, shape, INT64)])


def cumulative_sum(node: Node) -> None:
    """CumSum along a constant axis."""
    x = node.input(0)
    axis = normalize_axis(node.known_ints(1)[0], len(x.shape))
    plain = not node.flag("exclusive") and not node.flag("reverse")
    fold = (lambda a: np.cumsum(a, axis=axis).astype(a.dtype)) if plain else None
    node.emit("cumsum", x.shape, [x], fold=fold)
