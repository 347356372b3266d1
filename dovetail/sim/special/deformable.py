"""Deformable 3x3 convolution as hardware can afford it: whole, bounded, square, depthwise.

The nine taps of a pixel lie on a square around it whose half side, the pixel's own dilation, is all
that is learnt: 1 is an ordinary 3x3 window, 0 has all taps on the pixel itself.

References:
    CoDeNet, arXiv 2006.08357, section on hardware-friendly deformable convolution.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.space import IntArray
from dovetail.sim.values import wrap


def dilations(offsets: NDArray[Any], most: int, fraction: int = 4) -> IntArray:
    """Whole dilations: offsets rounded half up and clipped.

    Args:
        offsets: integers in units of 2^-fraction pixels.
        most: the highest dilation; the lowest is 0.
        fraction: fractional bits of the offsets.
    """
    half = (1 << fraction) >> 1
    rounded = (np.asarray(offsets, dtype=np.int64) + half) >> fraction
    return np.clip(rounded, 0, most)


def line_buffer(width: int, most: int, *, symmetric: bool = True) -> int:
    """Earlier pixels that a stream of pixels in row order has to keep.

    A square window with dilation d reaches d rows and d pixels to either side of its pixel; the
    newest pixel comes from the stream itself. So 2 `most` rows and 2 `most` pixels are kept, which
    lie in 2 `most` + 1 rows. A window that only reaches down from an ordinary one, by 0 to `most`
    rows and as many columns, spans `most` + 3 rows.

    Args:
        width: pixels of a row.
        most: the highest dilation, or offset, in pixels.
        symmetric: whether the offset is a dilation, not a move down and right.
    """
    rows = 2 * most if symmetric else most + 2
    return rows * (width + 1)


def deformable(
    x: NDArray[Any],
    offsets: NDArray[Any],
    weights: NDArray[Any],
    most: int,
    fraction: int = 4,
    bits: int = 20,
) -> IntArray:
    """Depthwise 3x3 sums at each pixel's own dilation; pixels beyond the borders are zero.

    Args:
        x: (images, channels, height, width) integers.
        offsets: (images, height, width) integers in units of 2^-fraction pixels.
        weights: (images or 1, channels, 3, 3) integers.
        most: the highest dilation.
        fraction: fractional bits of the offsets.
        bits: of a sum; it wraps around.

    Returns:
        (images, channels, height, width).

    Raises:
        NetworkError: if the shapes do not belong together.
    """
    x, weights = np.asarray(x, dtype=np.int64), np.asarray(weights, dtype=np.int64)
    offsets = np.asarray(offsets)
    if (
        x.ndim != 4
        or offsets.shape != (x.shape[0], *x.shape[2:])
        or weights.ndim != 4
        or weights.shape[0] not in (1, x.shape[0])
        or weights.shape[1:] != (x.shape[1], 3, 3)
    ):
        raise NetworkError(
            f"deformable convolution of {list(x.shape)} with offsets {list(offsets.shape)} and "
            f"weights {list(weights.shape)}: must be (n, c, h, w), (n, h, w) and (n or 1, c, 3, 3)"
        )
    d = dilations(offsets, most, fraction)
    padded = np.pad(x, ((0, 0), (0, 0), (most, most), (most, most)))
    image = np.arange(len(x))[:, None, None]
    rows = np.arange(x.shape[2])[:, None] + most
    columns = np.arange(x.shape[3]) + most
    total = np.zeros((len(x), *x.shape[2:], x.shape[1]), dtype=np.int64)
    for i in range(3):
        for j in range(3):
            taps = padded[image, :, rows + d * (i - 1), columns + d * (j - 1)]
            total += taps * weights[:, None, None, :, i, j]
    return wrap(np.moveaxis(total, -1, 1), bits)
