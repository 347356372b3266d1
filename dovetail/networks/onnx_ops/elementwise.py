"""Elementwise operators of ONNX, casts and quantization."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from onnx import helper

from dovetail.errors import NetworkError
from dovetail.ir.tensor import FLOAT32, INT8
from dovetail.networks.assembly import Value
from dovetail.networks.onnx_ops.formats import format_of
from dovetail.networks.onnx_ops.node import Extra, Fold, Node
from dovetail.networks.shapes import broadcast, broadcast_along


def _divide(a: Any, b: Any) -> Any:
    """Divides as ONNX does: integers truncate towards zero."""
    if a.dtype.kind not in "iu":
        return np.divide(a, b)
    if not np.all(b):
        raise NetworkError("a constant is divided by 0")
    quotient = np.floor_divide(a, b)
    return quotient + ((quotient < 0) & (quotient * b != a)).astype(a.dtype)


def _sigmoid(a: Any) -> Any:
    return (1 / (1 + np.exp(-a))).astype(a.dtype)


UNARY: dict[str, tuple[str, Fold | None]] = {
    "Relu": ("relu", lambda a: np.maximum(a, 0)), "LeakyRelu": ("leaky_relu", None),
    "ThresholdedRelu": ("relu", None), "Elu": ("elu", None), "Celu": ("elu", None),
    "Selu": ("elu", None), "Sigmoid": ("sigmoid", _sigmoid),
    "HardSigmoid": ("hard_sigmoid", None), "HardSwish": ("hard_swish", None),
    "Swish": ("silu", None), "Tanh": ("tanh", np.tanh), "Softplus": ("softplus", None),
    "Softsign": ("softsign", None), "Mish": ("mish", None), "Gelu": ("gelu", None),
    "Erf": ("erf", None), "Neg": ("neg", np.negative), "Abs": ("abs", np.abs),
    "Sqrt": ("sqrt", np.sqrt), "Reciprocal": ("reciprocal", np.reciprocal),
    "Exp": ("exp", np.exp), "Log": ("log", np.log), "Floor": ("floor", np.floor),
    "Ceil": ("round", np.ceil), "Round": ("round", np.round), "Sign": ("sign", np.sign),
    "Sin": ("sin", np.sin), "Cos": ("cos", np.cos), "Not": ("logical", np.logical_not),
    "Tan": ("tan", None), "Atan": ("atan", None), "IsNaN": ("compare", np.isnan),
    "IsInf": ("compare", None), "Shrink": ("clip", None), "BitwiseNot": ("logical", np.invert),
}  # fmt: skip
"""Kind and folding of operators of one operand."""

BINARY: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "Add": ("add", np.add), "Sub": ("sub", np.subtract), "Mul": ("mul", np.multiply),
    "Div": ("div", _divide), "Pow": ("pow", lambda a, b: np.power(a.astype(float), b)),
    "Mod": ("mod", np.mod), "PRelu": ("prelu", lambda a, b: np.where(a < 0, a * b, a)),
    "And": ("logical", np.logical_and), "Or": ("logical", np.logical_or),
    "Xor": ("logical", np.logical_xor), "Equal": ("compare", np.equal),
    "Less": ("compare", np.less), "Greater": ("compare", np.greater),
    "LessOrEqual": ("compare", np.less_equal), "GreaterOrEqual": ("compare", np.greater_equal),
    "BitwiseAnd": ("logical", np.bitwise_and), "BitwiseOr": ("logical", np.bitwise_or),
    "BitwiseXor": ("logical", np.bitwise_xor),
}  # fmt: skip
"""Kind and folding of operators of two operands."""

VARIADIC: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "Sum": ("add", np.add), "Max": ("max", np.maximum), "Min": ("min", np.minimum),
    "Mean": ("add", np.add),
}  # fmt: skip


def unary(node: Node) -> None:
    """One operand, one result of its shape."""
    kind, fold = UNARY[node.op]
    x = node.input(0)
    node.text("approximate", "none")
    for name in ("detect_negative", "detect_positive"):
        node.integer(name, 1)
    predicate = node.op in ("IsNaN", "IsInf")
    cast = None if fold is None else lambda a: _like(fold(a), a, free=predicate)
    node.emit(kind, x.shape, [x], fold=cast, form=INT8 if predicate else None)


def binary(node: Node) -> None:
    """Two operands that broadcast; before opset 7 the second may align with an axis."""
    kind, fold = BINARY[node.op]
    fold = np.fmod if node.flag("fmod") else fold
    a, b = node.input(0), node.input(1)
    aligned = b.shape
    if node.flag("broadcast"):
        axis = node.integer("axis", len(a.shape) - len(b.shape))
        aligned = broadcast_along(a.shape, b.shape, axis)
    elif node.op == "PRelu" and len(b.shape) == 1 and len(a.shape) > 2 and b.elements > 1:
        aligned = b.shape if a.shape[-1] == b.elements else broadcast_along(a.shape, b.shape, 1)
    shape = broadcast(a.shape, aligned)
    free = kind in ("compare", "logical")
    form = INT8 if kind == "compare" else None
    read = [a, b] if a.constant and b.constant else _in_memory([a, b])
    node.emit(
        kind, shape, read, form=form,
        fold=lambda x, y: _like(fold(x, y.reshape(aligned)), x, free=free),
    )  # fmt: skip


def variadic(node: Node) -> None:
    """Any number of operands that broadcast: one operation less than operands per element."""
    kind, fold = VARIADIC[node.op]
    operands = node.given()
    shape = broadcast(*(value.shape for value in operands))
    if len(operands) < 2:
        node.emit("identity", shape, operands, fold=lambda x: x)
        return
    mean = node.op == "Mean"
    passes = len(operands) - (0 if mean else 1)
    read = operands if all(v.constant for v in operands) else _in_memory(operands)
    node.emit(
        kind, shape, read, work=math.prod(shape) * passes,
        fold=lambda *xs: reduce(fold, xs) / len(xs) if mean else reduce(fold, xs),
    )  # fmt: skip


def clip(node: Node) -> None:
    """Clip: two comparisons per element; the limits are immediates."""
    x = node.input(0)
    for name in ("min", "max"):
        node.real(name, 0.0)
    limits = [v for v in node.given()[1:] if not v.constant]
    node.emit("clip", x.shape, [x, *limits])


def where(node: Node) -> None:
    """Where: selects elements of two operands by a third."""
    condition, a, b = node.input(0), node.input(1), node.input(2)
    shape = broadcast(condition.shape, a.shape, b.shape)
    read = [condition, a, b]
    if not all(value.constant for value in read):
        read = _in_memory(read)
    node.emit("where", shape, read, fold=np.where, form=a.format)


def cast(node: Node) -> None:
    """Cast, CastLike: a change of the number format."""
    x = node.input(0)
    if node.op == "CastLike":
        form, dtype = node.input(1).format, None
    else:
        target = node.integer("to")
        form = format_of(target, f"node '{node.name}' (Cast)")
        dtype = helper.tensor_dtype_to_np_dtype(target)
    fold = None if dtype is None else lambda a: a.astype(dtype)
    node.emit("cast", x.shape, [x], fold=fold, form=form)


def quantize(node: Node) -> None:
    """QuantizeLinear, DynamicQuantizeLinear: scale, round, clip."""
    x = node.input(0)
    for name in ("axis", "block_size", "output_dtype"):
        node.integer(name, 0)
    if node.op == "DynamicQuantizeLinear":
        extra: list[Extra] = [(1, (), FLOAT32), (2, (), INT8)]
        node.emit("quantize", x.shape, [x], form=INT8, extra=extra)
        return
    zero = node.optional(2)
    read = [x] if node.input(1).is_immediate else [x, node.input(1)]
    node.emit("quantize", x.shape, read, form=zero.format if zero else INT8)


def dequantize(node: Node) -> None:
    """DequantizeLinear: subtract and scale; a constant stays stored in its own format."""
    x, scale = node.input(0), node.input(1)
    for name in ("axis", "block_size", "output_dtype"):
        node.integer(name, 0)
    if x.constant:
        node.alias(Value(x.name, x.shape, x.format, constant=True))
        return
    read = [x] if scale.is_immediate else [x, scale]
    node.emit("dequantize", x.shape, read, form=scale.format)


def _in_memory(values: list[Value]) -> list[Value]:
    return [value for value in values if not value.is_immediate]


def _like(result: Any, operand: Any, *, free: bool) -> Any:
    return result if free else np.asarray(result).astype(operand.dtype)
