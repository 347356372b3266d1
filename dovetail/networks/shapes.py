"""Shape arithmetic that all importers share; it raises one-line errors and never allocates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.errors import NetworkError
from dovetail.ir.window import window_outputs as window_outputs

Shape = tuple[int, ...]

MAX_RANK = 16


def normalize_axis(axis: int, rank: int) -> int:
    """Axis counted from the front, 0 <= axis < rank.

    Raises:
        NetworkError: if the tensor does not have this axis.
    """
    if not -rank <= axis < rank:
        raise NetworkError(f"axis {axis} lies outside a tensor of {rank} dimensions")
    return axis % rank


def normalize_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Distinct axes counted from the front, in the given order.

    Raises:
        NetworkError: if an axis is missing or named twice.
    """
    result = tuple(normalize_axis(axis, rank) for axis in axes)
    if len(set(result)) != len(result):
        raise NetworkError(f"axes {list(axes)} name a dimension twice")
    return result


def broadcast(*shapes: Shape) -> Shape:
    """Common shape of operands, by the rules of numpy.

    Raises:
        NetworkError: if they do not fit each other.
    """
    rank = max((len(shape) for shape in shapes), default=0)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for extents in zip(*padded, strict=True):
        wide = {extent for extent in extents if extent != 1}
        if len(wide) > 1:
            texts = " and ".join(str(list(shape)) for shape in shapes)
            raise NetworkError(f"shapes {texts} do not broadcast together")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


def broadcast_along(x: Shape, operand: Shape, axis: int | None) -> Shape:
    """Shape of `operand` padded with ones so that its first dimension meets `axis` of x.

    This is the `broadcast=1, axis=k` rule of ONNX before opset 7.

    Raises:
        NetworkError: if the operand does not lie within x.
    """
    if math.prod(operand) == 1:
        return ()
    start = len(x) - len(operand) if axis is None else normalize_axis(axis, len(x))
    tail = len(x) - start - len(operand)
    if start < 0 or tail < 0:
        raise NetworkError(f"shape {list(operand)} does not align with axis {axis} of {list(x)}")
    return operand + (1,) * tail


def reshaped(x: Shape, target: Sequence[int], *, zero_copies: bool = True) -> Shape:
    """Shape after a reshape: -1 is inferred, 0 copies the input's extent if `zero_copies`.

    Raises:
        NetworkError: if the number of elements changes or two extents are to be inferred.
    """
    if len(target) > MAX_RANK:
        raise NetworkError(f"reshape to {len(target)} dimensions: at most {MAX_RANK}")
    result = [int(extent) for extent in target]
    if zero_copies and any(not extent and i >= len(x) for i, extent in enumerate(result)):
        raise NetworkError(f"reshape of {list(x)} to {result}: 0 copies a missing dimension")
    result = [x[i] if zero_copies and not extent else extent for i, extent in enumerate(result)]
    elements = math.prod(x)
    if result.count(-1) == 1:
        rest = math.prod(extent for extent in result if extent != -1)
        result[result.index(-1)] = elements // rest if rest > 0 else 0
    if any(extent < 0 for extent in result) or math.prod(result) != elements:
        raise NetworkError(f"{list(x)} does not reshape to {[int(e) for e in target]}")
    return tuple(result)


def flattened(x: Shape, axis: int) -> Shape:
    """Two-dimensional shape whose rows are the dimensions before `axis`."""
    if not -len(x) <= axis <= len(x):
        raise NetworkError(f"flatten at axis {axis} of a tensor of {len(x)} dimensions")
    axis = axis + len(x) if axis < 0 else axis
    return math.prod(x[:axis]), math.prod(x[axis:])


def squeezed(x: Shape, axes: Sequence[int] | None) -> Shape:
    """Shape without the given extents of 1; without all of them if `axes` is None.

    Raises:
        NetworkError: if a given extent is not 1.
    """
    chosen = (
        [i for i, e in enumerate(x) if e == 1] if axes is None else normalize_axes(axes, len(x))
    )
    for axis in chosen:
        if x[axis] != 1:
            raise NetworkError(f"squeeze of axis {axis} of {list(x)}: its extent must be 1")
    return tuple(extent for i, extent in enumerate(x) if i not in chosen)


def unsqueezed(x: Shape, axes: Sequence[int]) -> Shape:
    """Shape with extents of 1 inserted at `axes` of the result."""
    rank = len(x) + len(axes)
    if rank > MAX_RANK:
        raise NetworkError(f"unsqueeze to {rank} dimensions: at most {MAX_RANK}")
    chosen = normalize_axes(axes, rank)
    rest = iter(x)
    return tuple(1 if i in chosen else next(rest) for i in range(rank))


def permuted(x: Shape, axes: Sequence[int]) -> Shape:
    """Shape whose dimension i is dimension axes[i] of x."""
    if sorted(axes) != list(range(len(x))):
        raise NetworkError(f"axes {list(axes)} do not permute {len(x)} dimensions")
    return tuple(x[axis] for axis in axes)


def concatenated(shapes: Sequence[Shape], axis: int) -> Shape:
    """Shape of tensors joined along `axis`.

    Raises:
        NetworkError: if another extent differs.
    """
    axis = normalize_axis(axis, len(shapes[0]))
    rests = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rests) != 1 or len({len(shape) for shape in shapes}) != 1:
        texts = " and ".join(str(list(shape)) for shape in shapes[:4])
        raise NetworkError(f"shapes {texts} do not join along axis {axis}")
    joined = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], joined, *shapes[0][axis + 1 :])


def reduced(x: Shape, axes: Sequence[int], *, keep: bool) -> Shape:
    """Shape after reducing `axes`, which stay as extents of 1 if `keep`."""
    chosen = normalize_axes(axes, len(x))
    kept = [1 if i in chosen else e for i, e in enumerate(x) if keep or i not in chosen]
    return tuple(kept)


def replaced(x: Shape, axis: int, extent: int) -> Shape:
    """Shape with one extent replaced."""
    return (*x[:axis], extent, *x[axis + 1 :])


def same_padding(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int],
    *, lower: bool = False,
) -> tuple[Shape, Shape]:  # fmt: skip
    """Zeros before and after each extent that keep ceil(size / stride) outputs.

    Args:
        sizes: input extents.
        kernel: window extents.
        stride: steps, >= 1.
        dilation: distances of neighbouring taps.
        lower: puts the odd zero before the input instead of after it.
    """
    if min(stride) < 1:
        raise NetworkError(f"stride {list(stride)}: must be >= 1")
    totals = [
        max(0, (-(-size // s) - 1) * s + d * (k - 1) + 1 - size)
        for size, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    begin, end = (large, small) if lower else (small, large)
    return tuple(begin), tuple(end)
