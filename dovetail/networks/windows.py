"""Shape inference of the builder: windows, broadcasting, axes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dovetail.errors import NetworkError
from dovetail.ir.window import Windows
from dovetail.networks import shapes
from dovetail.networks.operators import Window
from dovetail.networks.shapes import Shape, same_padding

Pair = int | tuple[int, int]
Triple = int | tuple[int, int, int]
Padding = int | tuple[int, int] | tuple[int, int, int, int] | str


def pair(value: Pair) -> tuple[int, int]:
    """Rows and columns; one number stands for both."""
    return (value, value) if isinstance(value, int) else value


def triple(value: Triple) -> tuple[int, int, int]:
    """Depth, rows and columns; one number stands for all."""
    return (value, value, value) if isinstance(value, int) else value


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
        (top, left), (bottom, right) = same_padding(size, bare.kernel, bare.stride, bare.dilation)
        zeros = top, left, bottom, right
    elif isinstance(padding, int):
        zeros = (padding,) * 4
    else:
        zeros = padding * 2 if len(padding) == 2 else padding
    return Window(bare.kernel, bare.stride, zeros, bare.dilation)


def make_windows(
    name: str, size: Shape, kernel: Triple, stride: Triple, padding: Triple | str, dilation: Triple
) -> tuple[Windows, Shape]:
    """The window of operator `name` over an input of `size`, depth first, and its output extents.

    `padding` is zeros at both ends as one number or one per axis, or "same" as in `make_window`.

    Raises:
        NetworkError: if a number is out of range or the window does not fit the padded input.
    """
    taps, steps, spread = triple(kernel), triple(stride), triple(dilation)
    with _named(name):
        if isinstance(padding, str):
            if padding != "same":
                raise NetworkError(f"padding '{padding}': use numbers or 'same'")
            begin, end = same_padding(size, taps, steps, spread)
        else:
            begin = end = triple(padding)
        window = Windows(taps, steps, begin, end, spread)
        return window, window.outputs(size)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Puts the operator's name before errors of shape arithmetic."""
    try:
        yield
    except NetworkError as error:
        raise NetworkError(f"operator '{name}': {error}") from None


def output_size(
    name: str, window: Window, h: int, w: int, *, ceil: bool = False
) -> tuple[int, int]:
    """Output rows and columns of operator `name`.

    Raises:
        NetworkError: if the window does not fit the padded input.
    """
    with _named(name):
        return window.output(h, w, ceil=ceil)


def broadcast(name: str, a: Shape, b: Shape) -> Shape:
    """Shape of elementwise operator `name`: extents of 1, and missing leading ones, stretch.

    Raises:
        NetworkError: if two extents differ and neither is 1.
    """
    with _named(name):
        return shapes.broadcast(a, b)


def axis_index(name: str, axis: int, rank: int) -> int:
    """`axis` counted from the front, for operator `name` on a tensor of `rank` dimensions.

    Raises:
        NetworkError: if the tensor has no such axis.
    """
    with _named(name):
        return shapes.normalize_axis(axis, rank)
