"""Convolutions of any number of dimensions by slicing, independent of any Einsum."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from dovetail.ir.window import Windows

Array = NDArray[np.int64]


def convolve(x: Array, w: Array, window: Windows, groups: int = 1) -> Array:
    """x (N, C, sizes...) and w (K, C / groups, taps...) to (N, K, outputs...)."""
    made = window.outputs(x.shape[2:])
    ends = list(zip(window.begin, window.end, strict=True))
    x = np.pad(x, ((0, 0), (0, 0), *ends))
    out = np.zeros((x.shape[0], w.shape[0], *made), dtype=np.int64)
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for k, *position in itertools.product(range(w.shape[0]), *map(range, made)):
        group = k // per_out
        patch = x[:, group * per_in : (group + 1) * per_in]
        for axis, at in enumerate(position):
            taps = np.arange(w.shape[axis + 2]) * window.dilation[axis]
            patch = patch.take(at * window.stride[axis] + taps, axis=axis + 2)
        out[(slice(None), k, *position)] = (patch * w[k]).reshape(len(x), -1).sum(axis=1)
    return out


@st.composite
def volumes(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], Windows, int]:
    """Shapes of x and w, window and groups of a small 3-D convolution."""
    small = st.integers(1, 2)

    def triple(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(3))

    kernel = draw(st.sampled_from([(1, 3, 3), (3, 1, 1), (1, 1, 1), triple(1, 3)]))
    stride, begin, end = triple(1, 2), triple(0, 2), triple(0, 2)
    if draw(st.booleans()):  # rows and columns neither strided nor padded
        stride, begin, end = (stride[0], 1, 1), (begin[0], 0, 0), (end[0], 0, 0)
    window = Windows(kernel, stride, begin, end, triple(1, 2))
    groups, c, k = draw(small), draw(small), draw(small)
    sizes = tuple(draw(st.integers(5, 6)) for _ in range(3))
    return (draw(small), groups * c, *sizes), (groups * k, c, *kernel), window, groups
