"""Operators of all 15,625 networks of NAS-Bench-201, from a few dozen that are built.

What an operator costs depends on little: its kind, its place, and what is fused into it, which is
whatever alone reads its result. These facts are derived for all cells at once; operators for which
they agree are the same, and are taken from any network that has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.network import Network
from dovetail.ir.space import BoolArray, IntArray
from dovetail.networks.nasbench201 import CELLS, EDGES, NODES, OPERATIONS, SPACE

NONE, SKIP, CONV1, CONV3, POOL = range(len(OPERATIONS))

STAGES = 3

RELU, OTHER, NORM = range(3)
"""What may read a node: a rectifier, something that is never fused, the last batchnorm."""

_CODES = 5 ** np.arange(len(EDGES))[::-1]

Slot = tuple[str, IntArray]
"""Name of an operator, and for each cell a number: where it is equal, the operator is the same."""


@dataclass(frozen=True)
class CellTables:
    """Operator rows of every cell's network.

    Attributes:
        operators: distinct rows of `Op` columns, (operators, len(Op)).
        table: row of `operators` in each slot, (15625, slots) of int16, empty slots left out and
            -1 after the last; cells in the order of `code`.
        built: networks that were built to fill it.
    """

    operators: IntArray
    table: NDArray[np.int16]
    built: int

    def networks(self, cells: IntArray) -> tuple[NDArray[np.int16], IntArray]:
        """Rows of `operators` in the slots of all networks, and the network of cells (n, 6)."""
        return self.table, code(cells)


def code(cells: IntArray) -> IntArray:
    """Numbers (n,) of cells (n, 6), 0 to 15,624; the last edge counts fastest."""
    return cells @ _CODES


def all_cells() -> IntArray:
    """All cells (15625, 6), in the order of `code`."""
    return np.stack(np.unravel_index(np.arange(SPACE.size), (5,) * len(EDGES)), axis=1)


def tabulate_cells(
    network: Callable[[IntArray], Network], rows_of: Callable[[Network], Mapping[str, IntArray]]
) -> CellTables:
    """Builds as many networks as it takes to know every operator of all.

    Args:
        network: the network of a cell (6,), with `CELLS` cells a stage.
        rows_of: operator rows of one network by name; fused operators and views have none.

    Raises:
        KeyError: if a network has an operator that no slot stands for.
    """
    cells = all_cells()
    slots = dict(_slots(cells))
    rows = {name: np.full(int(keys.max()) + 1, -2) for name, keys in slots.items()}
    distinct: dict[bytes, int] = {}
    built = 0
    for name, keys in slots.items():
        while (unknown := np.flatnonzero(rows[name][keys] == -2)).size:
            cell, built = unknown[0], built + 1
            found = {op: row.tobytes() for op, row in rows_of(network(cells[cell])).items()}
            if strange := set(found) - set(slots):
                raise KeyError(f"operators without a slot: {sorted(strange)}")
            for op, row in found.items():
                rows[op][slots[op][cell]] = distinct.setdefault(row, len(distinct))
            for op in slots.keys() - found:
                rows[op][slots[op][cell]] = -1
    table = np.stack([rows[name][keys] for name, keys in slots.items()], axis=1)
    filled = np.take_along_axis(table, np.argsort(table < 0, axis=1, kind="stable"), axis=1)
    used = (filled >= 0).any(axis=0)
    operators = np.stack([np.frombuffer(row, dtype=np.int64) for row in distinct])
    return CellTables(operators, filled[:, used].astype(np.int16), built)


def _slots(cells: IntArray) -> Iterator[Slot]:
    """Slots of all operators of cells (n, 6)."""
    graph = _Graph(cells)
    always = np.zeros(len(cells), dtype=np.int64)
    for stage in range(STAGES):
        inside = list(graph.readers(last=stage == STAGES - 1))
        if stage:
            yield from ((f"reduce{stage}.{name}", always) for name in _REDUCTION)
        yield (f"reduce{stage}.add" if stage else "stem.conv"), _number(inside[0][:, 0])
        for place, readers in enumerate(inside):
            for name, keys in graph.slots(readers):
                yield f"stage{stage + 1}.cell{place}.{name}", keys
    yield "last.norm", _number(inside[-1][:, NODES - 1])
    yield "pool", always
    yield "classifier", always


_REDUCTION = ("relu0", "first.conv", "second.conv", "shortcut.pool", "shortcut.conv")


class _Graph:
    """Facts about cells (n, 6) that do not depend on where they stand."""

    def __init__(self, cells: IntArray) -> None:
        self.cells = cells
        self.into = [[e for e, (_, b) in enumerate(EDGES) if b == node] for node in range(NODES)]
        self.out = [[e for e, (a, _) in enumerate(EDGES) if a == node] for node in range(NODES)]
        self.conv = (cells == CONV1) | (cells == CONV3)
        self.degree = np.stack([(cells[:, e] != NONE).sum(axis=1) for e in self.into], axis=1)
        # A node that one edge feeds, a skip, is the same tensor as the edge's source.
        targets = [b for _, b in EDGES]
        self.alias: BoolArray = (cells == SKIP) & (self.degree[:, targets] == 1)
        self.root = np.tile(np.arange(NODES), (len(cells), 1))
        for edge, (source, target) in enumerate(EDGES):
            same = self.alias[:, edge]
            self.root[same, target] = self.root[same, source]

    def readers(self, last: bool) -> list[IntArray]:
        """For each cell of a stage, how many of each kind read each node: (n, 4, kinds)."""
        outside = np.zeros((len(self.cells), 3), dtype=np.int64)
        outside[:, [NORM] if last else [RELU, OTHER]] = 1
        own: list[IntArray] = []
        for _ in range(CELLS):
            own.insert(0, self._own_readers(outside))
            outside = own[0][:, 0]
        before = own[0][:, 0]
        for readers in own:
            readers[:, 0] = before
            for edge, (source, target) in enumerate(EDGES):
                same = self.alias[:, edge]
                readers[same, target] = readers[same, source]
            before = readers[:, NODES - 1]
        return own

    def _own_readers(self, outside: IntArray) -> IntArray:
        """Readers (n, 4, kinds) from here on; `outside` (n, kinds) read the last node."""
        readers = np.zeros((len(self.cells), NODES, 3), dtype=np.int64)
        readers[:, NODES - 1] = outside
        for node in range(NODES - 2, -1, -1):
            readers[:, node, RELU] = self.conv[:, self.out[node]].any(axis=1)
            for edge in self.out[node]:
                summed = (self.cells[:, edge] == SKIP) & ~self.alias[:, edge]
                readers[:, node, OTHER] += (self.cells[:, edge] == POOL) | summed
                readers[:, node] += self.alias[:, edge, None] * readers[:, EDGES[edge][1]]
        # More than two are as good as two: nothing is fused.
        return np.minimum(readers, 2)

    def slots(self, readers: IntArray) -> Iterator[Slot]:
        """Slots of a cell whose nodes have these readers (n, 4, kinds)."""
        for edge, (source, target) in enumerate(EDGES):
            alone = (self.degree[:, target] == 1)[:, None]
            written = np.where(alone, readers[:, target], -1)
            keys = _number(self.cells[:, edge], written)
            name = f"edge{source}{target}"
            yield f"{name}.conv", keys
            yield name, keys
        for node in range(NODES - 1):
            rectified = self.conv[:, self.out[node]].any(axis=1)
            yield f"relu{node}", _number(rectified, readers[:, node])
        for node in range(1, NODES):
            yield f"node{node}", _number(self.degree[:, node] == 0, readers[:, node])
            for place in range(node - 1):
                keys = _number(self.degree[:, node], self._doubled(node), readers[:, node])
                yield f"sum{node}.{place}", keys

    def _doubled(self, node: int) -> BoolArray:
        """(n,) True if the first two terms of a node's sum are the same tensor."""
        edges = np.array(self.into[node])
        sources = np.array([EDGES[edge][0] for edge in edges])
        order = np.argsort(self.cells[:, edges] == NONE, axis=1, kind="stable")[:, :2]
        row = np.arange(len(self.cells))[:, None]
        roots = self.root[row, sources[order]]
        skips = self.cells[row, edges[order]] == SKIP
        return skips.all(axis=1) & (roots[:, 0] == roots[:, -1]) & (self.degree[:, node] > 1)


def _number(*facts: IntArray | BoolArray) -> IntArray:
    """Numbers (n,) that are equal where all facts (n,) or (n, k), of -1 to 6, are."""
    columns = np.concatenate([f.reshape(len(f), -1).astype(np.int64) for f in facts], axis=1)
    packed = (columns + 1) @ 8 ** np.arange(columns.shape[1])
    return np.unique(packed, return_inverse=True)[1]
