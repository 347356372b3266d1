"""Sliding windows of convolutions and poolings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.errors import NetworkError

MAX_STEP = 2**31
"""Bound of a window's numbers, so that positions stay far from 64 bits."""


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window of a convolution or pooling.

    Attributes:
        kernel: (rows, columns).
        stride: (rows, columns).
        padding: (top, left, bottom, right) zeros.
        dilation: (rows, columns).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            raise NetworkError(
                f"window {self}: kernel, stride and dilation must be >= 1, padding >= 0"
            )
        if max(*self.kernel, *self.stride, *self.dilation, *self.padding) > MAX_STEP:
            raise NetworkError(f"window {self}: no number may exceed 2^31")

    def output(self, height: int, width: int, *, ceil: bool = False) -> tuple[int, int]:
        """Output rows and columns over an input of `height` x `width`.

        Raises:
            NetworkError: if the window does not fit the padded input.
        """
        top, left, bottom, right = self.padding
        p, q = window_outputs(
            (height, width), self.kernel, self.stride, (top, left), (bottom, right),
            self.dilation, ceil=ceil,
        )  # fmt: skip
        return p, q


@dataclass(frozen=True, slots=True)
class Windows:
    """A sliding window of any number of dimensions; every attribute has one entry per dimension.

    Attributes:
        kernel: extents.
        stride: steps.
        begin: zeros before the input.
        end: zeros behind it.
        dilation: distances of neighbouring taps.
        ceil: whether output extents are rounded up.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    begin: tuple[int, ...]
    end: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False

    def __post_init__(self) -> None:
        numbers = (self.kernel, self.stride, self.begin, self.end, self.dilation)
        if len({len(entries) for entries in numbers}) != 1:
            raise NetworkError(f"window {self}: its entries differ in number of dimensions")
        if max(max(entries) for entries in numbers) > MAX_STEP:
            raise NetworkError(f"window {self}: no number may exceed 2^31")

    @property
    def flat(self) -> Window | None:
        """The same as a window over rows and columns; None of another rank."""
        if len(self.kernel) != 2:
            return None
        pads = (self.begin[0], self.begin[1], self.end[0], self.end[1])
        kernel, stride, dilation = self.kernel, self.stride, self.dilation
        return Window(
            (kernel[0], kernel[1]), (stride[0], stride[1]), pads, (dilation[0], dilation[1])
        )

    def outputs(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Output extents over an input of `sizes`.

        Raises:
            NetworkError: if the window does not fit the padded input.
        """
        return window_outputs(
            sizes, self.kernel, self.stride, self.begin, self.end, self.dilation, ceil=self.ceil
        )


def window_outputs(
    sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], begin: Sequence[int],
    end: Sequence[int], dilation: Sequence[int], *, ceil: bool = False,
) -> tuple[int, ...]:  # fmt: skip
    """Output extents of a window of any number of dimensions.

    Args:
        sizes: input extents.
        kernel: window extents.
        stride: steps.
        begin: zeros before each extent.
        end: zeros after each extent.
        dilation: distances of neighbouring taps.
        ceil: rounds up, with windows that start inside the input or its leading zeros.

    Raises:
        NetworkError: if the window does not fit.
    """
    if min(*kernel, *stride, *dilation) < 1 or min(*begin, *end) < 0:
        raise NetworkError(
            f"window {list(kernel)}, stride {list(stride)}, dilation {list(dilation)}, padding "
            f"{[*begin, *end]}: kernel, stride and dilation must be >= 1, padding >= 0"
        )
    result = []
    for size, k, s, b, e, d in zip(sizes, kernel, stride, begin, end, dilation, strict=True):
        room = size + b + e - d * (k - 1) - 1
        if room < 0:
            raise NetworkError(
                f"window of {k} taps, dilation {d} does not fit an extent of {size} with padding "
                f"{b} and {e}"
            )
        steps = -(-room // s) if ceil else room // s
        if ceil and steps * s >= size + b:
            steps -= 1
        result.append(steps + 1)
    return tuple(result)
