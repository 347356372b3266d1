"""Convolutions and matrix products of ONNX, float and integer."""

from __future__ import annotations

import math

import numpy as np

from dovetail.ir.tensor import INT32, NumberFormat
from dovetail.networks.assembly import Value
from dovetail.networks.onnx_ops.node import FOLD_ELEMENTS, Node
from dovetail.networks.onnx_ops.windows import window_of
from dovetail.networks.shapes import Shape, broadcast


def conv(node: Node) -> None:
    """Conv, ConvInteger: x, weight, and a bias or zero points that cost nothing."""
    integer = node.op == "ConvInteger"
    bias = None if integer else node.optional(2)
    x, weight = node.input(0), node.input(1)
    _emit_conv(node, x, weight, bias, node.output(), INT32 if integer else x.format)


def qlinear_conv(node: Node) -> None:
    """QLinearConv: an integer convolution, then a rescaling of its accumulators."""
    x, weight = node.input(0), node.input(3)
    sums = _emit_conv(node, x, weight, node.optional(8), f"{node.output()}.sums", INT32)
    node.emit("quantize", sums.shape, [sums], form=_output_format(node, 7))


def qlinear_matmul(node: Node) -> None:
    """QLinearMatMul: an integer product, then a rescaling of its accumulators."""
    sums = _emit_matmul(node, node.input(0), node.input(3), f"{node.output()}.sums", INT32)
    node.emit("quantize", sums.shape, [sums], form=_output_format(node, 7))


def matmul(node: Node) -> None:
    """MatMul, MatMulInteger: leading extents broadcast."""
    a, b = node.input(0), node.input(1)
    form = INT32 if node.op == "MatMulInteger" else a.format
    _emit_matmul(node, a, b, node.output(), form)


def gemm(node: Node) -> None:
    """Gemm: alpha A' B' + beta C; the factors are folded into the operands."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    transpose_a, transpose_b = node.flag("transA"), node.flag("transB")
    node.integer("broadcast", 0)
    if len(a.shape) != 2 or len(b.shape) != 2:
        raise node.fail(f"A {list(a.shape)} and B {list(b.shape)} must be matrices")
    if transpose_a:
        a = _transposed(node, a)
    columns = b.shape[0] if transpose_b else b.shape[1]
    shape = (a.shape[0], columns)
    inner = b.shape[1] if transpose_b else b.shape[0]
    if a.shape[1] != inner:
        raise node.fail(f"A {list(a.shape)} and B {list(b.shape)} do not share an inner extent")
    if a.constant and b.constant:
        node.emit("add", shape)
        return
    starts = c is not None and c.shape in ((columns,), (1, columns))
    graph, form = node.scope.graph, a.format
    output = Value(
        node.output() if c is None or starts else f"{node.output()}.product", shape, form
    )
    graph.matmul(node.name, a, b, output, bias=c if starts else None, transpose_b=transpose_b)
    if c is None or starts:
        node.define(output)
        return
    if broadcast(shape, c.shape) != shape:
        raise node.fail(f"C {list(c.shape)} does not broadcast to {list(shape)}")
    node.emit("add", shape, [output] if c.is_immediate else [output, c])


def conv_transpose(node: Node) -> None:
    """ConvTranspose: a product of pixels and kernels, whose columns are then added in place.

    The product has C x K x R x S MACs per input pixel, the true number; `col2im` adds them.
    """
    x, weight, bias = node.image(0), node.input(1), node.optional(2)
    rank = len(x.shape) - 2
    groups = node.integer("group", 1)
    kernel = node.integers("kernel_shape") or list(weight.shape[2:])
    batch, channels, *sizes = x.shape
    if len(weight.shape) != rank + 2 or list(weight.shape[2:]) != kernel:
        raise node.fail(f"weight {list(weight.shape)} does not fit x {list(x.shape)}")
    if groups < 1 or channels % groups or weight.shape[0] != channels:
        raise node.fail(f"{channels} channels, weight {list(weight.shape)}, groups {groups}")
    spatial = _transposed_sizes(node, sizes, kernel)
    shape = (batch, weight.shape[1] * groups, *spatial)
    if x.constant and weight.constant:
        node.emit("col2im", shape)
        return
    pixels, taps = batch * math.prod(sizes), weight.shape[1] * math.prod(kernel)
    columns = Value(f"{node.output()}.columns", (groups, pixels, taps), x.format)
    depth = channels // groups
    views = ((groups, pixels, depth), (groups, depth, taps))
    node.scope.graph.product(node.name, x, weight, columns, views)
    read = [columns] if bias is None else [columns, bias]
    node.emit("col2im", shape, read, work=columns.elements)


def _transposed_sizes(node: Node, sizes: list[int], kernel: list[int]) -> Shape:
    rank = len(sizes)
    stride = node.integers("strides") or [1] * rank
    dilation = node.integers("dilations") or [1] * rank
    extra = node.integers("output_padding") or [0] * rank
    pads = node.integers("pads") or [0] * 2 * rank
    auto, wanted = node.text("auto_pad", "NOTSET"), node.integers("output_shape")
    lengths = {len(stride), len(dilation), len(extra), len(kernel), len(wanted or kernel)}
    if lengths != {rank} or len(pads) != 2 * rank:
        raise node.fail(f"attributes do not have {rank} spatial dimensions")
    if min(*stride, *dilation, *kernel) < 1:
        raise node.fail("kernel, stride and dilation must be >= 1")
    if wanted is not None:
        return tuple(wanted)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        return tuple(size * step for size, step in zip(sizes, stride, strict=True))
    full = [
        stride[i] * (sizes[i] - 1) + extra[i] + dilation[i] * (kernel[i] - 1) + 1
        for i in range(rank)
    ]
    cut = [0] * rank if auto == "VALID" else [pads[i] + pads[i + rank] for i in range(rank)]
    return tuple(f - c for f, c in zip(full, cut, strict=True))


def _emit_conv(
    node: Node, x: Value, weight: Value, bias: Value | None, name: str, form: NumberFormat
) -> Value:
    rank = len(x.shape) - 2
    if rank not in (1, 2, 3) or len(weight.shape) != rank + 2:
        raise node.fail(
            f"x {list(x.shape)}, weight {list(weight.shape)}: only convolutions of one to three "
            "spatial dimensions can be imported"
        )
    window = window_of(node, x.shape[2:], list(weight.shape[2:]))
    groups = node.integer("group", 1)
    shape = (x.shape[0], weight.shape[0], *window.outputs(x.shape[2:]))
    if x.constant and weight.constant:
        return node.define(Value(name, shape, form, constant=True))
    output = Value(name, shape, form)
    node.scope.graph.conv(node.name, x, weight, output, window, groups, bias)
    return node.define(output)


def _emit_matmul(node: Node, a: Value, b: Value, name: str, form: NumberFormat) -> Value:
    if not a.shape or not b.shape:
        raise node.fail("operands of a matrix product need at least one dimension")
    rows = a.shape if len(a.shape) > 1 else (1, *a.shape)
    columns = b.shape if len(b.shape) > 1 else (*b.shape, 1)
    if rows[-1] != columns[-2]:
        raise node.fail(f"{list(a.shape)} x {list(b.shape)} do not share an inner extent")
    lead = broadcast(rows[:-2], columns[:-2])
    shape = (
        *lead,
        *(rows[-2:-1] if len(a.shape) > 1 else ()),
        *(columns[-1:] if len(b.shape) > 1 else ()),
    )
    if a.constant and b.constant:
        data = None
        exact = node.op == "MatMul" and math.prod(shape) <= FOLD_ELEMENTS
        if exact and a.data is not None and b.data is not None:
            data = np.matmul(a.data, b.data)
        return node.define(Value(name, shape, form, constant=True, data=data))
    output = Value(name, shape, form)
    node.scope.graph.matmul(node.name, a, b, output)
    return node.define(output)


def _transposed(node: Node, a: Value) -> Value:
    shape = (a.shape[1], a.shape[0])
    if a.constant:
        return a.seen_as(shape)
    turned = Value(f"{node.output()}.transposed", shape, a.format)
    node.scope.graph.vector(turned.name, "transpose", [a], [turned])
    return turned


def _output_format(node: Node, zero_point: int) -> NumberFormat:
    value = node.optional(zero_point)
    return value.format if value else node.input(0).format
