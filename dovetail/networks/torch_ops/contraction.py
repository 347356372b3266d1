"""Convolutions, matrix products and attention of torch."""

from __future__ import annotations

import math

from dovetail.ir.window import Windows
from dovetail.networks.assembly import Value
from dovetail.networks.einsum import contract
from dovetail.networks.shapes import same_padding
from dovetail.networks.torch_ops.call import Call


def convolution(call: Call) -> None:
    """conv1d, conv2d, conv3d, convolution and their transposed forms."""
    x, weight = call.tensor("input"), call.tensor("weight")
    rank = len(weight.shape) - 2
    if len(x.shape) != rank + 2:
        raise call.fail(f"input {list(x.shape)} needs a batch dimension")
    if call.op.startswith("conv_transpose") or call.get("transposed", False):
        _transposed(call, x, weight)
        return
    if rank not in (1, 2, 3):
        raise call.fail(
            f"weight {list(weight.shape)}: only convolutions of one to three spatial dimensions "
            "can be imported"
        )
    stride, dilation = call.spatial("stride", rank, 1), call.spatial("dilation", rank, 1)
    if call.get("padding") in ("same", "valid"):
        same = call.get("padding") == "same"
        found = same_padding(x.shape[2:], weight.shape[2:], stride, dilation)
        begin, end = found if same else ((0,) * rank, (0,) * rank)
    else:
        begin = end = call.spatial("padding", rank, 0)
    window = Windows(weight.shape[2:], stride, begin, end, dilation)
    groups = int(call.get("groups", 1))
    bias = call.optional("bias")
    call.graph.conv(call.name, x, weight, call.output, window, groups, bias)


def _transposed(call: Call, x: Value, weight: Value) -> None:
    groups, depth = int(call.get("groups", 1)), weight.shape[0]
    pixels, taps = x.elements // x.shape[1], math.prod(weight.shape[1:])
    columns = call.made("columns", (groups, pixels, taps))
    views = ((groups, pixels, depth // groups), (groups, depth // groups, taps))
    call.graph.product(call.name, x, weight, columns, views)
    bias = call.optional("bias")
    read = [columns] if bias is None else [columns, bias]
    call.emit("col2im", read, columns.elements)


def linear(call: Call) -> None:
    """linear: x times a transposed weight."""
    call.graph.matmul(
        call.name, call.tensor("input"), call.tensor("weight"), call.output,
        bias=call.optional("bias"), transpose_b=True,
    )  # fmt: skip


def matmul(call: Call) -> None:
    """mm, bmm, matmul, mv, dot: leading extents broadcast."""
    a, b = call.tensor("self", "input"), call.tensor("mat2", "other", "vec", "tensor")
    call.graph.matmul(call.name, a, b, call.output)


def addmm(call: Call) -> None:
    """addmm, baddbmm: a product that starts from an addend."""
    start = call.tensor("self")
    a, b = call.tensor("mat1", "batch1"), call.tensor("mat2", "batch2")
    columns = call.output.shape[-1]
    if start.shape == (columns,):
        call.graph.matmul(call.name, a, b, call.output, bias=start)
        return
    product = call.made("product", call.output.shape)
    call.graph.matmul(call.name, a, b, product)
    call.emit("add", [product, start])


def einsum(call: Call) -> None:
    """Einsum of one or two tensors."""
    contract(call.graph, call.name, str(call.get("equation")), call.tensors(), call.output)


def attention(call: Call) -> None:
    """scaled_dot_product_attention: two products around a softmax."""
    call.graph.attention(
        call.name, call.tensor("query"), call.tensor("key"), call.tensor("value"), call.output,
        mask=call.optional("attn_mask", "attn_bias"), causal=bool(call.get("is_causal", False)),
    )  # fmt: skip
