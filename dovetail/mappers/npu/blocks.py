"""Search for the block of an operation that moves the fewest bytes per result.

References:
    The block configuration search of Arm's open compiler Vela, release 5.2.0, whose choices this
    reproduces, ties included.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from dovetail.arch.npu_cores import Core, Shape
from dovetail.errors import MappingError
from dovetail.ir.space import BoolArray, FloatArray, IntArray
from dovetail.sim.npu.shram import Rules, rules_of
from dovetail.sim.npu.work import DEEP, Block, Work, round_up

LARGEST: Shape = (32, 64, 128)
"""Height, width and channels of the largest block of results."""
DEPTH_STEP = 16
SMALL = 4
"""Rows and columns of blocks that may win a tie."""


@lru_cache(maxsize=8192)
def find_block(core: Core, work: Work) -> Block:
    """The block of least cost; of equal ones a small one that covers most of the input.

    Raises:
        MappingError: if no block fits shared RAM.
    """
    rules = rules_of(core, work)
    sizes = candidates(rules)
    if not len(sizes):
        raise MappingError(f"no block of {work.kind} fits the {core.banks} banks of {core.name}")
    ifm = rules.ifm_sizes(sizes)
    cost = _cost(work, sizes, ifm)
    small = (cost == cost.min()) & (sizes[:, :2].max(axis=1) <= SMALL)
    small[: cost.argmin() + 1] = False
    best = cost.argmin()
    if small.any():
        coverage = np.where(small, _coverage(work, ifm), -1.0)
        best = np.flatnonzero(coverage == coverage.max())[-1]
    height, width, channels = sizes[best].tolist()
    return rules.block((height, width, channels))


def candidates(rules: Rules) -> IntArray:
    """Sizes of blocks that fit, (n, 3), in the order in which ties are broken."""
    steps = rules.core.micro_block
    most = [
        round_up(min(extent, limit), step)
        for extent, limit, step in zip(rules.work.ofm.shape, LARGEST, steps, strict=True)
    ]
    heights, widths = (np.arange(steps[i], most[i] + 1, steps[i]) for i in (0, 1))
    found = []
    for depth in _depths(rules.work.ofm.shape[2], steps[2], most[2]):
        grid = np.stack(np.broadcast_arrays(heights[:, None], widths, depth), axis=-1)
        fits = rules.fits(grid.reshape(-1, 3)).reshape(len(heights), len(widths))
        found.append(grid[fits & ~_mirrored(fits, heights, widths)])
    return np.concatenate(found)


def _mirrored(fits: BoolArray, heights: IntArray, widths: IntArray) -> BoolArray:
    """Tall sizes whose wide mirror image does not fit: these are not tried again."""
    row, column = np.searchsorted(heights, widths), np.searchsorted(widths, heights)
    rows, columns = np.minimum(row, len(heights) - 1), np.minimum(column, len(widths) - 1)
    known = (heights[rows] == widths)[None, :] & (widths[columns] == heights)[:, None]
    wide_fails = ~fits[rows[None, :], columns[:, None]]
    return np.asarray(known & wide_fails & (heights[:, None] > widths))


def _depths(channels: int, step: int, limit: int) -> Iterator[int]:
    depth = max(step, min(limit, DEPTH_STEP))
    if depth < channels:
        depth = round_up(depth, DEPTH_STEP)
    while depth <= limit:
        yield depth
        depth += step
        if depth < channels:
            depth = round_up(depth, DEPTH_STEP)


def _cost(work: Work, ofm: IntArray, ifm: IntArray) -> FloatArray:
    """Elements fetched per result, (n,); the order of the factors decides ties."""
    height, width, channels = work.ofm.shape
    results = height * width * channels
    if work.kind == "elementwise":
        cost = np.maximum(results / ofm.prod(axis=1), 1.0)
    else:
        area = ifm[:, 0] * ifm[:, 1] * work.ifm.shape[2] * len(work.sub_kernels)
        fetched = area * ((height / ofm[:, 0]) * (width / ofm[:, 1]))
        if work.kind in DEEP:
            fetched = fetched * -(-channels // ofm[:, 2])
        cost = (fetched + _weight_fetch(work, ofm)) / results
    # An input that is nearly one block stays in shared RAM.
    return np.where(work.ifm.elements < 2 * ifm.prod(axis=1), cost / 2, cost)


def _weight_fetch(work: Work, ofm: IntArray) -> IntArray | FloatArray:
    if work.kind == "pooling":
        return np.zeros(len(ofm))
    height, width, channels = work.ofm.shape
    passes = -(-height // ofm[:, 0]) * -(-width // ofm[:, 1])
    fetched = work.taps * work.ifm.shape[2] * passes
    return fetched * (ofm[:, 2] * (channels / ofm[:, 2])) if work.kind in DEEP else fetched


def _coverage(work: Work, ifm: IntArray) -> FloatArray:
    height, width, _ = work.ifm.shape
    return np.minimum(height, ifm[:, 0]) * np.minimum(width, ifm[:, 1]) / (height * width)
