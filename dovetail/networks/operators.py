"""Factories of operators: every importer and the zoo make their operators here.

Contractions become Einsums over the ranks N G K C P Q R S, 3-D convolutions with O and T beside
them. Everything else is a vector operator whose scalar operations are counted by `SCALAR_OPS`.
"""

from __future__ import annotations

import math

from dovetail.errors import NetworkError
from dovetail.ir.operator import Access, Affine, Einsum, Operator
from dovetail.ir.tensor import Tensor
from dovetail.ir.window import Window as Window
from dovetail.ir.window import Windows

SCALAR_OPS: dict[str, int] = {
    # elementwise, one pass
    "add": 1, "sub": 1, "mul": 1, "div": 1, "pow": 1, "max": 1, "min": 1, "neg": 1, "abs": 1,
    "relu": 1, "clip": 2, "leaky_relu": 2, "prelu": 2, "hard_sigmoid": 3, "hard_swish": 4,
    "sqrt": 1, "rsqrt": 1, "reciprocal": 1, "exp": 1, "log": 1, "compare": 1, "where": 1, "cast": 1,
    "logical": 1, "floor": 1, "sigmoid": 4, "tanh": 5, "silu": 5, "erf": 8, "gelu": 9, "elu": 3,
    "softplus": 3, "quantize": 3, "dequantize": 2, "sin": 1, "cos": 1, "tan": 1, "atan": 1,
    "softsign": 3, "mish": 6, "round": 1, "sign": 1, "mod": 1,
    # multiply and add with folded statistics
    "batchnorm": 2,
    # max, subtract, exp, sum, divide
    "softmax": 5, "log_softmax": 6,
    # mean, subtract, square and sum, rescale, scale, shift
    "layernorm": 7, "instancenorm": 7, "groupnorm": 7, "rmsnorm": 4, "rope": 3,
    # per window element
    "maxpool": 1, "avgpool": 1, "reduce": 1, "lrn": 2, "argmax": 1, "topk": 1, "cumsum": 1,
    # per element of the columns that a transposed convolution adds up; interpolated axis; update
    "col2im": 1, "interpolate": 3, "scatter_reduce": 1,
    # multiply and add, nine taps (depthwise, at a dilation of its own for each pixel)
    "deformable": 18,
    # moving data takes no arithmetic
    "concat": 0, "split": 0, "slice": 0, "transpose": 0, "gather": 0, "pad": 0, "expand": 0,
    "resize": 0, "scatter": 0, "tile": 0, "space_to_depth": 0, "depth_to_space": 0,
    "channel_shuffle": 0,
}  # fmt: skip
"""Scalar operations per unit of work: an output element, or a window element where noted.

Transcendental functions count one operation each (a special-function lane), composite ones the
operations they are made of; erf and GELU use a polynomial of degree 5 (Abramowitz-Stegun 7.1.26).
"""


SPATIAL_RANKS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "conv2d": (("P", "Q"), ("R", "S")),
    "conv3d": (("O", "P", "Q"), ("T", "R", "S")),
}
"""Ranks of output positions and of taps of a convolution, outer to inner."""


def conv2d(
    name: str,
    x: Tensor,
    weight: Tensor,
    output: Tensor,
    window: Window,
    groups: int = 1,
    bias: Tensor | None = None,
) -> Operator:
    """Convolution: x (N, C, H, W), weight (K, C/groups, R, S), output (N, K, P, Q).

    Depthwise is groups = C. The bias, shape (K,), starts the accumulation: it adds no operation.

    Raises:
        NetworkError: if shapes, groups and window do not fit each other.
    """
    top, left, bottom, right = window.padding
    axes = Windows(window.kernel, window.stride, (top, left), (bottom, right), window.dilation)
    return _convolution(name, "conv2d", (x, weight, output), axes, groups, bias)


def conv3d(
    name: str,
    x: Tensor,
    weight: Tensor,
    output: Tensor,
    window: Windows,
    groups: int = 1,
    bias: Tensor | None = None,
) -> Operator:
    """Convolution: x (N, C, D, H, W), weight (K, C/groups, T, R, S), output (N, K, O, P, Q).

    Its window spans depth (or time), rows and columns; otherwise as `conv2d`.

    Raises:
        NetworkError: if shapes, groups and window do not fit each other.
    """
    return _convolution(name, "conv3d", (x, weight, output), window, groups, bias)


def _convolution(
    name: str,
    kind: str,
    tensors: tuple[Tensor, Tensor, Tensor],
    window: Windows,
    groups: int,
    bias: Tensor | None,
) -> Operator:
    x, weight, output = tensors
    outer, inner = SPATIAL_RANKS[kind]
    dimensions = len(outer) + 2
    _need(
        name,
        len(x.shape) == len(weight.shape) == dimensions,
        f"{kind} needs {dimensions}-D input and weight",
    )
    (n, c, *sizes), (k, c_group, *kernel) = x.shape, weight.shape
    _need(
        name,
        groups >= 1 and c == c_group * groups and k % groups == 0,
        f"{c} input channels, weight {list(weight.shape)} and groups {groups} do not fit",
    )
    taps = window.kernel
    _need(name, tuple(kernel) == taps, f"weight {list(weight.shape)} is not {taps}")
    made = window.outputs(sizes)
    _need(
        name, output.shape == (n, k, *made), f"output {list(output.shape)} is not {[n, k, *made]}"
    )
    batch, depth = Affine((("N", 1),)), Affine((("C", 1),))
    channel = Affine((("G", k // groups), ("K", 1)))
    moving = tuple(
        Affine(((position, window.stride[i]), (tap, window.dilation[i])), -window.begin[i])
        for i, (position, tap) in enumerate(zip(outer, inner, strict=True))
    )
    reads = (
        Access(x.name, (batch, Affine((("G", c_group), ("C", 1))), *moving)),
        Access(weight.name, (channel, depth, *(Affine(((tap, 1),)) for tap in inner))),
    )
    result = Access(output.name, (batch, channel, *(Affine(((rank, 1),)) for rank in outer)))
    names = ("N", "G", "K", "C", *outer, *inner)
    extents = (n, groups, k // groups, c_group, *made, *taps)
    einsum = Einsum(tuple(zip(names, extents, strict=True)), reads, result)
    inputs = (x.name, weight.name) + ((bias.name,) if bias else ())
    prefix = "depthwise_" if groups > 1 and c_group == 1 else ""
    return Operator(name, prefix + kind, inputs, (output.name,), einsum)


def matmul(
    name: str, a: Tensor, b: Tensor, output: Tensor, bias: Tensor | None = None,
    *, transpose_b: bool = False,
) -> Operator:  # fmt: skip
    """Matrix product a (..., M, K) x b -> output (..., M, N), in ranks G P C K.

    b is (K, N), or (N, K) with `transpose_b`, shared by all leading dimensions of a, which then
    join M; or it carries the same leading dimensions as a (batched: they become G); or its
    leading dimensions divide those of a (grouped queries: consecutive slices of a share one of b).

    Raises:
        NetworkError: if the shapes do not fit.
    """
    _need(name, len(a.shape) >= 2 and len(b.shape) >= 2, "matmul needs at least 2-D operands")
    rows, inner = a.shape[-2:]
    b_inner, columns = (b.shape[-1], b.shape[-2]) if transpose_b else b.shape[-2:]
    lead_a, lead_b = math.prod(a.shape[:-2]), math.prod(b.shape[:-2])
    _need(
        name,
        inner == b_inner and lead_a % lead_b == 0,
        f"{list(a.shape)} x {list(b.shape)}{' transposed' if transpose_b else ''} do not fit",
    )
    _need(
        name,
        output.elements == lead_a * rows * columns,
        f"output {list(output.shape)} does not hold {lead_a} x {rows} x {columns}",
    )
    extents = {"G": lead_b, "P": lead_a // lead_b * rows, "K": columns, "C": inner}
    group, row = Affine((("G", 1),)), Affine((("P", 1),))
    depth, column = Affine((("C", 1),)), Affine((("K", 1),))
    einsum = Einsum(
        tuple(extents.items()),
        (
            Access(a.name, (group, row, depth)),
            Access(b.name, (group, column, depth) if transpose_b else (group, depth, column)),
        ),
        Access(output.name, (group, row, column)),
    )
    inputs = (a.name, b.name) + ((bias.name,) if bias else ())
    return Operator(name, "matmul", inputs, (output.name,), einsum)


def vector(
    name: str,
    kind: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    *,
    work_elements: int | None = None,
    window: Window | None = None,
) -> Operator:
    """A non-Einsum operator of `kind`, a key of `SCALAR_OPS` or a view kind.

    Args:
        name: unique name.
        kind: what it does.
        inputs: tensors read.
        outputs: tensors written.
        work_elements: units of work that `SCALAR_OPS` counts; all output elements by default.
            Pooling passes output elements x window elements, reductions their input elements.
        window: of a pooling over two spatial dimensions.

    Raises:
        NetworkError: if the kind is unknown.
    """
    work = sum(t.elements for t in outputs) if work_elements is None else work_elements
    operator = Operator(
        name,
        kind,
        tuple(t.name for t in inputs),
        tuple(t.name for t in outputs),
        vector_ops=SCALAR_OPS.get(kind, 0) * work,
        window=window,
    )
    _need(name, operator.is_view or kind in SCALAR_OPS, f"unknown vector operator '{kind}'")
    return operator


def _need(name: str, law: bool, message: str) -> None:
    if not law:
        raise NetworkError(f"operator '{name}': {message}")
