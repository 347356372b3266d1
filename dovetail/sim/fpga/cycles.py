"""Cycles of the nodes of FINN's dataflow pipelines, in closed form and for arrays of foldings.

A node works off one inference in so many cycles; nodes run side by side, so that the slowest sets
the interval between inferences. Foldings are whole numbers or arrays of them: `pe` outputs and
`simd` inputs at once. They must divide what they fold; pipelines offer no others.

References:
    Y. Umuroglu et al., FINN, FPGA 2017; M. Blott et al., FINN-R, ACM TRETS 11(3), 2018; the cycle
    estimates of the FINN compiler (`get_exp_cycles`), among them those of its RTL window generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dovetail.ir.space import IntArray

Counts: TypeAlias = int | IntArray
"""A whole number, or an array of them."""


def mvau_cycles(fan_in: int, outputs: int, vectors: int, pe: Counts, simd: Counts) -> IntArray:
    """Cycles of a matrix-vector unit: vectors of `fan_in` elements times a matrix.

    Args:
        fan_in: matrix width: input channels x kernel taps.
        outputs: matrix height: output channels.
        vectors: input vectors: output pixels, or tokens.
        pe: outputs at once.
        simd: inputs at once.
    """
    return _whole(outputs, pe) * _whole(fan_in, simd) * vectors


def vvau_cycles(channels: int, taps: int, pixels: int, pe: Counts, simd: Counts) -> IntArray:
    """Cycles of a vector-vector unit (depthwise): `pe` channels and `simd` kernel taps at once."""
    return _whole(channels, pe) * _whole(taps, simd) * pixels


def pool_cycles(channels: int, taps: int, pixels: int, pe: Counts) -> IntArray:
    """Cycles of a pooling: `pe` channels at once, one tap after the other."""
    return _whole(channels, pe) * taps * pixels


def stream_cycles(channels: int, pixels: int, pe: Counts) -> IntArray:
    """Cycles of what handles `pe` elements of a stream at once: thresholds, additions, padding."""
    return _whole(channels, pe) * pixels


@dataclass(frozen=True, slots=True)
class Slide:
    """What a window generator slides over; pairs are (rows, columns).

    Attributes:
        channels: of the input.
        size: of the input, padding included.
        outputs: positions of the window.
        kernel: taps.
        stride: steps.
        dilation: distances of neighbouring taps.
        depthwise: whether all taps of a channel come before the next channels.
    """

    channels: int
    size: tuple[int, int]
    outputs: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    depthwise: bool = False

    @property
    def span(self) -> int:
        """Pixels from the first to the last tap of a window, both included."""
        rows, columns = (taps - 1 for taps in self.kernel)
        return rows * self.dilation[0] * self.size[1] + columns * self.dilation[1] + 1


def window_cycles(slide: Slide, simd: Counts, *, parallel: bool = False) -> IntArray:
    """Cycles of the RTL window generator with `simd` channels at once.

    Args:
        slide: what it slides over.
        simd: channels at once.
        parallel: all taps leave in one cycle, as fast as the input comes; else one after the other.
    """
    folds = _whole(slide.channels, simd)
    (height, width), (rows, columns) = slide.size, slide.outputs
    if parallel:
        return height * width * folds + 2
    taps = slide.kernel[0] * slide.kernel[1]
    if min(slide.size) == 1:
        return _line_cycles(slide, folds)
    row = np.maximum(columns * taps * folds, slide.stride[1] * width * folds)
    extra: Counts = 0
    if slide.depthwise:
        row = row + columns * (slide.stride[1] - 1) * (folds - 1)
        extra = (slide.stride[0] - 1) * width * folds
    return np.asarray(slide.span * folds + rows * row + extra, dtype=np.int64)


def _line_cycles(slide: Slide, folds: IntArray) -> IntArray:
    """Cycles of a window along one dimension."""
    along = 0 if slide.size[1] == 1 else 1
    taps, outputs = slide.kernel[along], slide.outputs[along]
    extra: Counts = 2
    if slide.depthwise:
        extra = folds * (taps - 1) * (slide.stride[along] - 1) - (taps - 1) + 2
    return np.asarray(outputs * taps * folds + extra, dtype=np.int64)


def window_depth(slide: Slide, simd: Counts, *, parallel: bool = False) -> IntArray:
    """Words of `simd` channels that the window generator buffers."""
    folds = _whole(slide.channels, simd)
    if parallel:
        return (slide.span - 1) * folds + 2
    taps = slide.kernel[0] * slide.kernel[1]
    ahead = max(0, slide.stride[1] - 1 - taps)
    ahead += max(0, (slide.stride[0] - 1) * slide.size[1] - taps)
    return (slide.span + ahead) * folds


def interval(cycles: IntArray) -> IntArray:
    """Cycles (n,) between two inferences, of nodes (n, nodes): the slowest node's."""
    return np.asarray(cycles.max(axis=-1), dtype=np.int64)


def _whole(count: int, by: Counts) -> IntArray:
    return np.asarray(count // np.asarray(by, dtype=np.int64), dtype=np.int64)
