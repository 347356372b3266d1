"""Where stages lie on a socket's mesh, and what the way between them takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dovetail.arch.rdu import Rdu
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.rdu.outline import Outline


def places(rdu: Rdu, units: IntArray, order: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Row and column of the middle unit of each stage (s, t).

    Stages lie one after the other on a path that goes down one column of the mesh and up the next.
    """
    height = rdu.mesh[0]
    along = np.empty_like(units)
    along[list(order)] = np.cumsum(units[list(order)], axis=0)
    middle = np.maximum(along - (units + 1) // 2, 0)
    column, step = middle // height, middle % height
    return np.where(column % 2 == 0, step, height - 1 - step), column


def wires(section: Outline, units: IntArray, order: Sequence[int], tiles: IntArray) -> FloatArray:
    """Cycles of edges (e, t): the mesh's links between two stages side by side, and the way."""
    rdu = section.pipeline.rdu
    if not section.edges:
        return np.zeros((0, len(tiles)))
    row, column = places(rdu, units, order)
    p = [edge.producer for edge in section.edges]
    c = [edge.consumer for edge in section.edges]
    ways = np.minimum(*(np.where(units[e] > 0, units[e], rdu.units) for e in (p, c)))
    size = np.array([[edge.size] for edge in section.edges])
    hops = np.abs(row[p] - row[c]) + np.abs(column[p] - column[c])
    cycles: FloatArray = np.ceil(size / tiles / (ways * rdu.link_bytes)) + hops * rdu.hop_cycles
    return cycles
