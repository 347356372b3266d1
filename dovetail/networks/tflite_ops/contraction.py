"""Convolutions and matrix products of TFLite."""

from __future__ import annotations

import math
from dataclasses import replace

from dovetail.networks.assembly import Value
from dovetail.networks.tflite_ops.node import Node, image, reordered

OHWI = (0, 3, 1, 2)
HWO = (3, 0, 1, 2)
DHWIO = (4, 3, 0, 1, 2)
"""Axes of weights in the order (K, C / groups, taps)."""


def conv(node: Node) -> None:
    """CONV_2D, CONV_3D, DEPTHWISE_CONV_2D: x, weight, and a bias."""
    table, axes = {
        "CONV_2D": ("Conv2DOptions", OHWI),
        "CONV_3D": ("Conv3DOptions", DHWIO),
        "DEPTHWISE_CONV_2D": ("DepthwiseConv2DOptions", HWO),
    }[node.stored.code]
    x, weight, bias = node.input(0), node.input(1), node.optional(2)
    if len(x.shape) != len(axes) or len(weight.shape) != len(axes):
        raise node.fail(f"x {list(x.shape)} and weight {list(weight.shape)} must be {len(axes)}-D")
    x, weight = image(x), reordered(weight, axes)
    depth = weight.shape[1]
    if depth < 1 or x.shape[1] % depth:
        raise node.fail(f"{x.shape[1]} channels do not divide into weights of {depth}")
    window = node.window(x.shape[2:], weight.shape[2:], table)
    made = window.outputs(x.shape[2:])
    output = node.shaped((x.shape[0], *made, weight.shape[0]))
    groups = x.shape[1] // depth

    def write(name: str, value: Value) -> None:
        node.graph.conv(name, x, weight, image(value), window, groups, bias)

    node.activated(node.option(table, "FusedActivationFunction"), output, write)


def fully_connected(node: Node) -> None:
    """FULLY_CONNECTED: rows of x times a weight (features, C), and a bias."""
    table = "FullyConnectedOptions"
    x, weight, bias = node.input(0), node.input(1), node.optional(2)
    if node.option(table, "WeightsFormat"):
        raise node.fail("shuffled weights cannot be imported: convert without them")
    if len(weight.shape) != 2 or weight.elements < 1 or x.elements % weight.shape[1]:
        raise node.fail(f"x {list(x.shape)} does not fit weight {list(weight.shape)}")
    features, depth = weight.shape
    rows, output = x.elements // depth, node.output()
    if output.elements != rows * features:
        raise node.fail(f"output {list(output.shape)} does not hold {rows} x {features}")
    left = replace(x, shape=(rows, depth))

    def write(name: str, value: Value) -> None:
        made = replace(value, shape=(rows, features), stored=value.stored or value.shape)
        node.graph.matmul(name, left, weight, made, bias=bias, transpose_b=True)

    node.activated(node.option(table, "FusedActivationFunction"), output, write)


def batch_matmul(node: Node) -> None:
    """BATCH_MATMUL: leading extents broadcast."""
    a, b = node.input(0), node.input(1)
    if min(len(a.shape), len(b.shape)) < 2:
        raise node.fail(f"{list(a.shape)} x {list(b.shape)}: operands must be matrices at least")
    if node.option("BatchMatMulOptions", "AdjX"):
        a = _transposed(node, a)
    transpose = bool(node.option("BatchMatMulOptions", "AdjY"))
    output = node.output()
    columns = b.shape[-2 if transpose else -1]
    if output.shape[-2:] != (a.shape[-2], columns):
        raise node.fail(f"output {list(output.shape)} must end in {a.shape[-2]} x {columns}")
    node.graph.matmul(node.name, a, b, output, transpose_b=transpose)
    node.define(output)


def transpose_conv(node: Node) -> None:
    """TRANSPOSE_CONV: a product of pixels and kernels, whose columns are then added in place.

    The product has C x K x R x S MACs per input pixel, the true number; `col2im` adds them.
    """
    table = "TransposeConvOptions"
    weight, x, bias = node.input(1), node.input(2), node.optional(3)
    output = node.output()
    if not len(weight.shape) == len(x.shape) == len(output.shape) == 4:
        raise node.fail("output, weight and x must be 4-D")
    if weight.shape[3] != x.shape[3] or output.shape[::3] != (x.shape[0], weight.shape[0]):
        raise node.fail(f"x {list(x.shape)} does not fit weight {list(weight.shape)}")
    _check_sizes(node, x, weight, output)
    pixels, taps = math.prod(x.shape[:3]), math.prod(weight.shape[:3])
    shape = (1, pixels, taps)
    columns = Value(f"{output.name}.columns", shape, output.format)
    views = ((1, pixels, x.shape[3]), (1, taps, x.shape[3]))
    node.graph.product(columns.name, x, weight, columns, views, transpose_b=True)
    read = [columns] if bias is None else [columns, bias]

    def write(name: str, value: Value) -> None:
        node.graph.vector(name, "col2im", read, [value], work=columns.elements)

    node.activated(node.option(table, "FusedActivationFunction"), output, write)


def _check_sizes(node: Node, x: Value, weight: Value, output: Value) -> None:
    """The forward window over the output's rows and columns must make those of x."""
    table = "TransposeConvOptions"
    sizes, kernel = output.shape[1:3], weight.shape[1:3]
    window = node.window(sizes, kernel, table, dilated=False)
    made = window.outputs(sizes)
    if made != x.shape[1:3]:
        raise node.fail(f"x {list(x.shape)} and output {list(output.shape)} do not fit the window")


def _transposed(node: Node, a: Value) -> Value:
    """The value with its last two dimensions exchanged."""
    shape = (*a.shape[:-2], a.shape[-1], a.shape[-2])
    if a.constant:
        return a.seen_as(shape)
    turned = Value(f"{node.name}.transposed", shape, a.format, quantization=a.quantization)
    node.graph.vector(turned.name, "transpose", [a], [turned])
    return turned
