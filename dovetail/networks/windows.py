"""Shape inference of the builder: windows, broadcasting, axes."""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.networks.operators import Window

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int] | str


def pair(value: Pair) -> tuple[int, int]:
    """Rows and columns; one number stands for both."""
    return (value, value) if isinstance(value, int) else value


def make_window(
    name: str, size: tuple[int, int], kernel: Pair, stride: Pair, padding: Padding, dilation: Pair
) -> Window:
    """The window of operator `name` over an input of `size` rows and columns.

    `padding` is zeros as one number, (rows, columns), (top, left, bottom, right), or "same": as
    many as keep ceil(size / stride), the odd one at the end.

    Raises:
        NetworkError: if a number is out of range.
    """
    bare = Window(pair(kernel), pair(stride), dilation=pair(dilation))
    if isinstance(padding, str):
        if padding != "same":
            raise NetworkError(f"operator '{name}': padding '{padding}': use numbers or 'same'")
        zeros = _same(bare, size)
    elif isinstance(padding, int):
        zeros = (padding,) * 4
    else:
        zeros = padding * 2 if len(padding) == 2 else padding
    return Window(bare.kernel, bare.stride, zeros, bare.dilation)


def _same(window: Window, size: tuple[int, int]) -> tuple[int, int, int, int]:
    totals = [
        max(0, (-(-extent // step) - 1) * step + spread * (taps - 1) + 1 - extent)
        for extent, step, spread, taps in zip(
            size, window.stride, window.dilation, window.kernel, strict=True
        )
    ]
    rows, columns = totals
    return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2


def output_size(
    name: str, window: Window, h: int, w: int, *, ceil: bool = False
) -> tuple[int, int]:
    """Output rows and columns of operator `name`.

    Raises:
        NetworkError: if the window does not fit the padded input.
    """
    try:
        return window.output(h, w, ceil=ceil)
    except NetworkError as error:
        raise NetworkError(f"operator '{name}': {error}") from None


def broadcast(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of elementwise operator `name`: extents of 1, and missing leading ones, stretch.

    Raises:
        NetworkError: if two extents differ and neither is 1.
    """
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    shape = []
    for left, right in pairs:
        if left != right and 1 not in (left, right):
            raise NetworkError(
                f"operator '{name}': shapes {list(a)} and {list(b)} do not broadcast together"
            )
        shape.append(max(left, right))
    return tuple(shape)


def axis_index(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front, for operator `name` on a tensor of `rank` dimensions.

    Raises:
        NetworkError: if the tensor has no such axis.
    """
    if not -rank <= axis < rank:
        raise NetworkError(f"operator '{name}': axis {axis} of a tensor of {rank} dimensions")
    return axis % rank
