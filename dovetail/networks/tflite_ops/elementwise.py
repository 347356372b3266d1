"""TFLite operators that a vector unit runs: elementwise ones, poolings, reductions."""

from __future__ import annotations

import math
from dataclasses import replace

from dovetail.ir.window import Window
from dovetail.networks.assembly import Value
from dovetail.networks.shapes import broadcast, normalize_axes, permuted, reduced
from dovetail.networks.tflite_ops.node import Node, channels_first

UNARY: dict[str, str] = {
    "RELU": "relu", "RELU6": "clip", "RELU_N1_TO_1": "clip", "RELU_0_TO_1": "clip",
    "LOGISTIC": "sigmoid", "TANH": "tanh", "HARD_SWISH": "hard_swish", "ELU": "elu",
    "LEAKY_RELU": "leaky_relu", "GELU": "gelu", "EXP": "exp", "LOG": "log", "SQRT": "sqrt",
    "RSQRT": "rsqrt", "NEG": "neg", "ABS": "abs", "SIN": "sin", "COS": "cos", "FLOOR": "floor",
    "CEIL": "round", "ROUND": "round", "SIGN": "sign", "SQUARE": "mul", "LOGICAL_NOT": "logical",
    "SOFTMAX": "softmax", "LOG_SOFTMAX": "log_softmax", "CUMSUM": "cumsum", "CAST": "cast",
    "QUANTIZE": "quantize", "DEQUANTIZE": "dequantize", "L2_NORMALIZATION": "rmsnorm",
}  # fmt: skip
"""Kind of operators of one operand and its shape."""

BINARY: dict[str, tuple[str, str]] = {
    "ADD": ("add", "AddOptions"), "SUB": ("sub", "SubOptions"), "MUL": ("mul", "MulOptions"),
    "DIV": ("div", "DivOptions"), "MAXIMUM": ("max", ""), "MINIMUM": ("min", ""),
    "POW": ("pow", ""), "PRELU": ("prelu", ""), "FLOOR_DIV": ("div", ""), "FLOOR_MOD": ("mod", ""),
    "SQUARED_DIFFERENCE": ("sub", ""), "EQUAL": ("compare", ""), "NOT_EQUAL": ("compare", ""),
    "LESS": ("compare", ""), "LESS_EQUAL": ("compare", ""), "GREATER": ("compare", ""),
    "GREATER_EQUAL": ("compare", ""), "LOGICAL_AND": ("logical", ""), "LOGICAL_OR": ("logical", ""),
}  # fmt: skip
"""Kind of operators of two operands, and the options that hold a fused activation."""

REDUCTIONS: dict[str, str] = {
    "MEAN": "reduce", "SUM": "reduce", "REDUCE_MAX": "reduce", "REDUCE_MIN": "reduce",
    "REDUCE_PROD": "reduce", "REDUCE_ANY": "reduce", "REDUCE_ALL": "reduce",
    "ARG_MAX": "argmax", "ARG_MIN": "argmax",
}  # fmt: skip

POOLS = {"AVERAGE_POOL_2D": "avgpool", "MAX_POOL_2D": "maxpool"}


def unary(node: Node) -> None:
    """One operand, one result of its shape; a constant that is only converted stays stored."""
    x, kind = node.input(0), UNARY[node.stored.code]
    output = node.shaped(x.shape)
    if x.constant and kind in ("dequantize", "cast"):
        node.define(x)
        return
    node.vector(kind, [x], [output])


def binary(node: Node) -> None:
    """Two operands that broadcast, and perhaps a fused activation."""
    kind, table = BINARY[node.stored.code]
    a, b = node.input(0), node.input(1)
    output = node.shaped(broadcast(a.shape, b.shape))
    if a.constant and b.constant:
        node.vector(kind, [a, b], [output])
        return
    read = [_aligned(value, len(output.shape)) for value in (a, b)]
    read = [value for value in read if not _is_number(value)]
    passes = 2 if node.stored.code == "SQUARED_DIFFERENCE" else 1

    def write(name: str, value: Value) -> None:
        node.graph.vector(name, kind, read, [value], work=passes * value.elements)

    activation = node.option(table, "FusedActivationFunction") if table else 0
    node.activated(activation, output, write)


def add_n(node: Node) -> None:
    """ADD_N: one operation less than operands per element."""
    operands = node.given()
    if not operands:
        raise node.fail("has no inputs")
    output = node.shaped(broadcast(*(value.shape for value in operands)))
    node.vector("add", operands, [output], work=output.elements * (len(operands) - 1))


def select(node: Node) -> None:
    """SELECT, SELECT_V2: elements of two operands by a third."""
    operands = [node.input(i) for i in range(3)]
    node.vector("where", operands, [node.output()])


def pool(node: Node) -> None:
    """AVERAGE_POOL_2D, MAX_POOL_2D: one unit of work per window element."""
    table, x = "Pool2DOptions", node.input(0)
    if len(x.shape) != 4:
        raise node.fail(f"x {list(x.shape)} must be (N, H, W, C)")
    kernel = (node.option(table, "FilterHeight"), node.option(table, "FilterWidth"))
    window = node.window(x.shape[1:3], kernel, table, dilated=False)
    output = node.shaped((x.shape[0], *window.outputs(x.shape[1:3]), x.shape[3]))
    kind = POOLS[node.stored.code]
    work = output.elements * math.prod(kernel)

    def write(name: str, value: Value) -> None:
        node.graph.vector(name, kind, [x], [value], work=work, window=window.flat)

    node.activated(node.option(table, "FusedActivationFunction"), output, write)


def reduction(node: Node) -> None:
    """MEAN, SUM, ...: one unit of work per input element; the mean of an image is a pooling."""
    x, output = node.input(0), node.output()
    axes = normalize_axes(node.known(1), len(x.shape))
    shapes = {reduced(x.shape, axes, keep=keep) for keep in (True, False)}
    if output.shape not in shapes:
        raise node.fail(f"'{output.name}' is declared as {list(output.shape)}, not {shapes}")
    if node.stored.code == "MEAN" and len(x.shape) == 4 and sorted(axes) == [1, 2]:
        _global_pool(node, x, output)
        return
    node.vector(REDUCTIONS[node.stored.code], [x], [output], work=x.elements)


def _global_pool(node: Node, x: Value, output: Value) -> None:
    n, rows, columns, channels = x.shape
    whole = (n, channels, 1, 1)
    window = Window((rows, columns))
    if len(output.shape) == 4:
        node.vector("avgpool", [x], [output], work=x.elements, window=window)
        return
    means = replace(output, name=f"{output.name}.means", shape=whole, stored=None)
    node.graph.vector(means.name, "avgpool", [x], [means], work=x.elements, window=window)
    node.vector("reshape", [means], [output])


def _aligned(value: Value, rank: int) -> Value:
    """A constant per channel as an image, so that it broadcasts along channels stored first."""
    if not value.constant or rank != 4 or len(value.shape) >= rank:
        return value
    wide = (1,) * (rank - len(value.shape)) + value.shape
    shape = permuted(wide, channels_first(rank))
    per_axis = value.quantization and value.quantization.axis is not None
    quantization = None if per_axis else value.quantization
    return replace(value, shape=shape, stored=shape, quantization=quantization)


def _is_number(value: Value) -> bool:
    """True for a constant of one element: operators hold it, no memory does."""
    return value.constant and value.elements == 1
