"""Sliding windows of ONNX: attributes of convolutions and poolings, and the poolings."""

from __future__ import annotations

import math

from dovetail.ir.window import Window, Windows
from dovetail.networks.onnx_ops.formats import INT64
from dovetail.networks.onnx_ops.node import Node
from dovetail.networks.shapes import Shape, same_padding

POOLS = {
    "MaxPool": "maxpool", "AveragePool": "avgpool", "LpPool": "avgpool",
    "GlobalMaxPool": "maxpool", "GlobalAveragePool": "avgpool", "GlobalLpPool": "avgpool",
}  # fmt: skip


def window_of(node: Node, sizes: Shape, taps: list[int] | None = None) -> Windows:
    """Window of a convolution or pooling.

    Args:
        node: whose attributes say it.
        sizes: spatial extents of the input.
        taps: kernel extents of the weight, None for a pooling.

    Raises:
        NetworkError: if attributes have the wrong length or do not fit the weight.
    """
    rank = len(sizes)
    kernel = node.integers("kernel_shape") or taps
    if kernel is None:
        raise node.fail("attribute 'kernel_shape' is missing")
    if taps is not None and kernel != taps:
        raise node.fail(f"kernel_shape {kernel} is not the weight's {taps}")
    stride = node.integers("strides") or [1] * rank
    dilation = node.integers("dilations") or [1] * rank
    pads = node.integers("pads") or [0] * 2 * rank
    auto = node.text("auto_pad", "NOTSET") or "NOTSET"
    lengths = {"kernel_shape": kernel, "strides": stride, "dilations": dilation}
    for name, values in lengths.items():
        if len(values) != rank:
            raise node.fail(f"attribute '{name}' {values} must have {rank} entries")
    if len(pads) != 2 * rank:
        raise node.fail(f"attribute 'pads' {pads} must have {2 * rank} entries")
    begin, end = tuple(pads[:rank]), tuple(pads[rank:])
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = same_padding(sizes, kernel, stride, dilation, lower=auto == "SAME_LOWER")
    elif auto == "VALID":
        begin = end = (0,) * rank
    elif auto != "NOTSET":
        raise node.fail(f"attribute 'auto_pad' = '{auto}' is not supported")
    ceil = node.flag("ceil_mode") and auto == "NOTSET"
    return Windows(tuple(kernel), tuple(stride), begin, end, tuple(dilation), ceil)


def pool(node: Node) -> None:
    """MaxPool, AveragePool, LpPool: one unit of work per window element."""
    x = node.image()
    node.integer("p", 2)
    window = window_of(node, x.shape[2:])
    shape = (*x.shape[:2], *window.outputs(x.shape[2:]))
    work = math.prod(shape) * math.prod(window.kernel)
    flat = window.flat if node.op != "LpPool" else None
    node.emit(POOLS[node.op], shape, [x], work=work, extra=[(1, shape, INT64)], window=flat)


def global_pool(node: Node) -> None:
    """GlobalMaxPool, GlobalAveragePool, GlobalLpPool: one unit of work per input element."""
    x = node.image()
    node.integer("p", 2)
    shape = (*x.shape[:2], *(1 for _ in x.shape[2:]))
    known = len(x.shape) == 4 and node.op != "GlobalLpPool"
    window = Window((x.shape[2], x.shape[3])) if known else None
    node.emit(POOLS[node.op], shape, [x], work=x.elements, window=window)
