"""Tilings of the RTL machine: a simple legal one, and random ones to verify with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.shape import LayerShape, misfit, require_fit
from dovetail.sim.columns import Tile
from dovetail.sim.tiles import ceil_div


def default_tiling(shape: LayerShape, design: SystolicArray) -> IntArray:
    """A large tile: whole depth first, then output channels, then columns, then rows.

    Raises:
        MappingError: if no tile fits.
    """
    p, q = shape.y.outputs, shape.x.outputs
    for least in (q, 1):
        for depth in _halvings(shape, design, "C"):
            for outputs in _halvings(shape, design, "K"):
                if not misfit(shape, design, _row(1, least, outputs, depth)):
                    return _grown(shape, design, p, q, outputs, depth)
    smallest = _row(1, 1, *(min(shape.word(design, r), shape.extent(r)) for r in "KC"))
    require_fit(shape, design, smallest)
    raise MappingError(f"layer '{shape.name}' on '{design.name}': no tile fits")


def random_tiling(
    shape: LayerShape, design: SystolicArray, rng: np.random.Generator, attempts: int = 8
) -> IntArray:
    """A random legal tiling row; few and many tiles are both likely.

    Raises:
        MappingError: if no tile fits.
    """
    order = int(rng.integers(2))
    for _ in range(attempts):
        p, q, outputs, depth = (_draw(shape, design, rank, rng) for rank in "PQKC")
        if not misfit(shape, design, _row(1, 1, outputs, depth)):
            while misfit(shape, design, _row(p, q, outputs, depth)):
                p, q = (p // 2, q) if p >= q else (p, q // 2)
            return _row(p, q, outputs, depth, order)
    tile = default_tiling(shape, design)
    tile[Tile.ORDER] = order
    return tile


def _draw(shape: LayerShape, design: SystolicArray, rank: str, rng: np.random.Generator) -> int:
    """A tile of log-uniform size, or all."""
    word, size = shape.word(design, rank), shape.extent(rank)
    words = ceil_div(size, word)
    drawn = int(words ** float(rng.random()) * float(rng.choice([1.0, 1.5])))
    return min(size, max(1, drawn) * word)


def _halvings(shape: LayerShape, design: SystolicArray, rank: str) -> Iterator[int]:
    word, size = shape.word(design, rank), shape.extent(rank)
    words = ceil_div(size, word)
    yield size
    while words > 1:
        words = ceil_div(words, 2)
        yield words * word


def _grown(
    shape: LayerShape, design: SystolicArray, p: int, q: int, outputs: int, depth: int
) -> IntArray:
    """The largest pixel tile; rows are halved first."""
    while misfit(shape, design, _row(p, q, outputs, depth)):
        p, q = (ceil_div(p, 2), q) if p > 1 else (1, ceil_div(q, 2))
    return _row(p, q, outputs, depth)


def _row(p: int, q: int, outputs: int, depth: int, order: int = 0) -> IntArray:
    tile = np.ones(len(Tile), dtype=np.int64)
    for column, value in zip(
        (Tile.P, Tile.Q, Tile.K, Tile.C, Tile.ORDER), (p, q, outputs, depth, order), strict=True
    ):
        tile[column] = value
    return tile
