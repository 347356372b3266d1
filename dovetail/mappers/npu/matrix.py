"""Contractions as convolutions, depthwise convolutions and products of an Ethos-U."""

from __future__ import annotations

from dovetail.arch.npu_cores import Shape
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import Tensor
from dovetail.mappers.npu.shapes import Refused, bits_of
from dovetail.mappers.systolic.planar import RANKS, Axis, planar
from dovetail.sim.npu.work import FeatureMap, Work

LARGEST_KERNEL = 64
LARGEST_STRIDE = 3
SQUARES = {4: (2, 2), 6: (2, 3), 8: (2, 4), 9: (3, 3), 12: (3, 4), 16: (4, 4)}
"""Rows and columns as which a product with so many vectors runs, its weights read once."""
FEW_VECTORS = 4


def matrix_work(
    network: Network, op: Operator, given: Tensor, result: Tensor, *, first: bool
) -> Work:
    """The operation of a contraction, results in the format of `result`.

    Args:
        network: that has it.
        op: with an Einsum.
        given: what it reads, before padding and views.
        result: what its output stage writes.
        first: whether it is the network's first, whose columns a stride folds into channels.

    Raises:
        Refused: with the reason, if the NPU cannot run it.
    """
    einsum = op.einsum
    assert einsum is not None
    tensor = network.tensor
    if len(einsum.operands) != 2 or not tensor[einsum.operands[1].tensor].is_parameter:
        raise Refused("product of two activations")
    strange = [name for name, extent in einsum.ranks if name not in RANKS and extent > 1]
    if strange:
        raise Refused(f"contraction over {strange}")
    moving = tensor[einsum.operands[0].tensor]
    view = planar(einsum, moving)
    g, n, k, c, p, q, r, s = (view.extents[rank] for rank in RANKS)
    if n > 1:
        raise Refused(f"batch of {n}")
    bits = bits_of(moving), bits_of(result)
    if op.kind == "matmul":
        if g > 1:
            raise Refused(f"product of {g} groups")
        return _product(p, c, k, *bits)
    kernel, stride = (r, s), (view.rows.stride, view.columns.stride)
    padded = given.elements < moving.elements
    height, width = given.shape[2:] if padded else (view.rows.size, view.columns.size)
    ifm: Shape = (height, width, g * c)
    if first and not padded and g == 1 and _folds(view.columns, q, s):
        ifm, kernel, stride = _folded(ifm, kernel, stride, q, view.columns)
    _check(g, k, c, kernel, stride)
    kind = "depthwise" if g > 1 else "conv"
    dilation = (view.rows.dilation, view.columns.dilation)
    ofm = FeatureMap((p, q, g * k), bits[1])
    return Work(kind, "", FeatureMap(ifm, bits[0]), ofm, None, kernel, stride, dilation)


def _product(vectors: int, inputs: int, outputs: int, bits: int, result_bits: int) -> Work:
    height, width = SQUARES.get(vectors, (1, vectors))
    kind = "conv" if height == 1 and width > FEW_VECTORS else "fully_connected"
    return Work(
        kind,
        "",
        FeatureMap((height, width, inputs), bits),
        FeatureMap((height, width, outputs), result_bits),
    )


def _folds(axis: Axis, columns: int, taps: int) -> bool:
    """Whether columns can fold: no stride is left over, and zeros stand as TFLite's SAME has them.

    Other zeros are an operation of their own there, which then is the network's first.
    """
    zeros = max(_zeros(axis, columns, taps), 0)
    return axis.stride > 1 and axis.size % axis.stride == 0 and axis.padding == zeros // 2


def _zeros(axis: Axis, columns: int, taps: int) -> int:
    """Columns of padding that results need; negative if the last columns are left over."""
    return (columns - 1) * axis.stride + (taps - 1) * axis.dilation + 1 - axis.size


def _folded(
    ifm: Shape, kernel: tuple[int, int], stride: tuple[int, int], columns: int, axis: Axis
) -> tuple[Shape, tuple[int, int], tuple[int, int]]:
    """The same convolution with as many columns per pixel as the stride skips.

    Zero taps keep the padding what it was.
    """
    step = stride[1]
    padding = _zeros(axis, columns, kernel[1])
    taps = padding + 1 if padding > 0 else -(-kernel[1] // step)
    return (ifm[0], ifm[1] // step, ifm[2] * step), (kernel[0], taps), (stride[0], 1)


def _check(groups: int, k: int, c: int, kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    if groups > 1 and (k > 1 or c > 1):
        raise Refused(f"convolution of {groups} groups of {c} to {k} channels")
    if max(kernel) > LARGEST_KERNEL:
        raise Refused(f"kernel of {kernel[0]} x {kernel[1]} taps")
    if max(stride) > LARGEST_STRIDE:
        raise Refused(f"stride of {stride[0]} x {stride[1]}")
