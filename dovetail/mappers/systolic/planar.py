"""Contractions as an array of two dimensions runs them: 2-D convolutions, 3-D ones folded.

A 3-D convolution becomes a 2-D one of the same products. If it spans depth alone (T x 1 x 1, rows
and columns neither strided nor padded), depth takes the place of rows and all pixels of a frame
that of columns. Otherwise every output frame is an image of its own, whose channels are those of
the T frames that it reads: N x O images of C x T channels. MACs, weights and outputs are exact in
both; inputs are too if frames do not overlap, as with T = 1, and are otherwise read once for every
output frame that needs them, frames of padding included.
"""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.ir.operator import Affine, Einsum
from dovetail.ir.tensor import Tensor

RANKS = ("G", "N", "K", "C", "P", "Q", "R", "S")
DEPTH_RANKS = ("O", "T")
"""Output depth and kernel depth of a 3-D convolution."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One sliding dimension of the input.

    Attributes:
        stride: input elements between two outputs.
        dilation: input elements between two taps.
        padding: zeros before the input.
        size: extent of the input.
    """

    stride: int
    dilation: int
    padding: int
    size: int


@dataclass(frozen=True, slots=True)
class Planar:
    """A convolution over rows and columns.

    Attributes:
        extents: of `RANKS`.
        rows: axis of P and R.
        columns: axis of Q and S.
    """

    extents: dict[str, int]
    rows: Axis
    columns: Axis


def planar(einsum: Einsum, moving: Tensor) -> Planar:
    """The convolution over rows and columns that `einsum` is or is folded into.

    Args:
        einsum: over `RANKS` and `DEPTH_RANKS` only.
        moving: tensor that its first operand reads.
    """
    extents = {rank: einsum.extent(rank) for rank in RANKS}
    rows, columns = _axis(einsum, moving, "P", "R"), _axis(einsum, moving, "Q", "S")
    frames, taps = (einsum.extent(rank) for rank in DEPTH_RANKS)
    if taps > 1 and _is_still(rows, extents["P"]) and _is_still(columns, extents["Q"]):
        pixels = extents["P"] * extents["Q"]
        extents |= {"P": frames, "R": taps, "Q": pixels}
        return Planar(extents, _axis(einsum, moving, "O", "T"), Axis(1, 1, 0, pixels))
    extents["N"] *= frames
    extents["C"] *= taps
    return Planar(extents, rows, columns)


def _is_still(axis: Axis, outputs: int) -> bool:
    """True if output i reads input i alone: a kernel of one tap, no stride, no padding."""
    return (axis.stride, axis.padding, axis.size) == (1, 0, outputs)


def _axis(einsum: Einsum, moving: Tensor, output: str, kernel: str) -> Axis:
    """The input dimension that slides with `output`."""
    index, size = _sliding(einsum, moving, output, kernel)
    stride, dilation = index.coefficient(output), index.coefficient(kernel)
    return Axis(max(1, stride), max(1, dilation), -index.offset, size)


def _sliding(einsum: Einsum, moving: Tensor, output: str, kernel: str) -> tuple[Affine, int]:
    for position, index in enumerate(einsum.operands[0].indices):
        if index.coefficient(kernel):
            # A 1-D convolution sees its tensors with a last extent of 1.
            return index, (*moving.shape, 1)[position]
    return Affine(((output, 1),)), einsum.extent(output)
