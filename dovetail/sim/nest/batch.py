"""Mappings of one operator as arrays, and their loop nests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import OPERANDS, Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.boundary import Array

Ints = NDArray[np.int64]

MAX_ITERATIONS = 2**53
"""Of all loops together, spatial ones included: what a float64 counts exactly."""


@dataclass(frozen=True)
class MappingBatch:
    """n mappings of one operator onto one accelerator.

    Attributes:
        ranks: position in the Einsum of the rank of every temporal loop, from the outermost to
            the innermost, (n, loops). Nests of fewer loops are filled with loops of count 1.
        counts: iterations of these loops, (n, loops).
        spatial: product of the spatial counts per dimension and rank, (n, dimensions, ranks).
        keeps: temporal loops outside the `Keep` of each of `OPERANDS` in each store of the
            accelerator, (n, 3, stores); -1 where there is none.
        floors: outermost temporal loops across which a kept tile (and, in a last column, a value
            in a PE) cannot stay, (n, 3, stores + 1); None: 0. Other operators run in between.
    """

    ranks: Ints
    counts: Array
    spatial: Array
    keeps: Ints
    floors: Ints | None = None

    def __len__(self) -> int:
        return len(self.ranks)

    def __getitem__(self, rows: slice | Ints | NDArray[np.bool_]) -> MappingBatch:
        """Some of the mappings."""
        floors = None if self.floors is None else self.floors[rows]
        return MappingBatch(
            self.ranks[rows], self.counts[rows], self.spatial[rows], self.keeps[rows], floors
        )

    @classmethod
    def of(
        cls, einsum: Einsum, accelerator: SpatialArray, mappings: Sequence[Mapping]
    ) -> MappingBatch:
        """Encodes valid mappings (see `faults`) of a single operator."""
        return cls.of_paths(einsum, accelerator, [single_path(mapping) for mapping in mappings])

    @classmethod
    def of_paths(
        cls, einsum: Einsum, accelerator: SpatialArray, paths: Sequence[Sequence[Node]]
    ) -> MappingBatch:
        """Encodes the nodes around an operator, from the outermost to the innermost."""
        position = {rank: i for i, (rank, _) in enumerate(einsum.ranks)}
        axis = {name: i for i, (name, _) in enumerate(accelerator.dimensions)}
        level = {store.name: i for i, store in enumerate(accelerator.stores)}
        n = len(paths)
        loops = max((sum(isinstance(e, Temporal) for e in path) for path in paths), default=0)
        ranks = np.zeros((n, loops), np.int64)
        counts = np.ones((n, loops))
        spatial = np.ones((n, len(axis), len(position)))
        keeps = np.full((n, len(OPERANDS), len(level)), -1, np.int64)
        for i, path in enumerate(paths):
            outside = 0
            for node in path:
                if isinstance(node, Temporal):
                    ranks[i, outside], counts[i, outside] = position[node.rank], node.count
                    outside += 1
                elif isinstance(node, Spatial):
                    spatial[i, axis[node.dimension], position[node.rank]] *= node.count
                else:
                    for tensor in node.tensors:
                        keeps[i, OPERANDS.index(tensor), level[node.memory]] = outside
        return cls(ranks, counts, spatial, keeps)

    @staticmethod
    def try_path(
        einsum: Einsum, accelerator: SpatialArray, mapping: Mapping
    ) -> tuple[Node, ...] | None:
        """Nodes of a mapping that `of` can encode: one operator, known names; None otherwise."""
        paths = [nodes for _, nodes in mapping.paths()]
        ranks = {rank for rank, _ in einsum.ranks}
        dimensions = {name for name, _ in accelerator.dimensions}
        memories = {store.name for store in accelerator.stores}
        if len(paths) != 1:
            return None
        kept: set[tuple[str, str]] = set()
        for node in paths[0]:
            if isinstance(node, Keep):
                pairs = {(node.memory, tensor) for tensor in node.tensors}
                if node.memory not in memories or pairs & kept or set(node.tensors) - set(OPERANDS):
                    return None
                kept |= pairs
            elif (
                node.count > MAX_ITERATIONS
                or node.rank not in ranks
                or (isinstance(node, Spatial) and node.dimension not in dimensions)
            ):
                return None
        return paths[0]

    def mapping(self, i: int, einsum: Einsum, accelerator: SpatialArray, operator: str) -> Mapping:
        """Decodes one of the mappings: spatial loops innermost, loops of count 1 left out."""
        nodes: list[Node] = []
        names = [rank for rank, _ in einsum.ranks]
        loops = self.ranks.shape[1]
        for outside in range(loops + 1):
            for level in reversed(range(len(accelerator.stores))):
                kept = self.keeps[i, :, level] == outside
                tensors = tuple(e for e, here in zip(OPERANDS, kept, strict=True) if here)
                if tensors:
                    nodes.append(Keep(accelerator.stores[level].name, tensors))
            if outside < loops and self.counts[i, outside] > 1:
                rank = names[self.ranks[i, outside]]
                nodes.append(Temporal(rank, int(self.counts[i, outside])))
        for axis, (dimension, _) in enumerate(accelerator.dimensions):
            for rank, count in zip(names, self.spatial[i, axis], strict=True):
                if count > 1:
                    nodes.append(Spatial(rank, int(count), dimension))
        return Mapping(tuple(nodes), operator)


def single_path(mapping: Mapping) -> tuple[Node, ...]:
    """Nodes around the operator of a mapping that has only one."""
    ((_, nodes),) = mapping.paths()
    return nodes


class Nest:
    """Temporal loops of n mappings: products inside every position, and stationarity.

    Args:
        batch: the mappings.
        ranks: how many ranks the Einsum has.
    """

    def __init__(self, batch: MappingBatch, ranks: int) -> None:
        self.ranks = np.ascontiguousarray(batch.ranks.T)
        self.counts = np.ascontiguousarray(batch.counts.T)
        self.spatial = np.ascontiguousarray(np.moveaxis(batch.spatial, 0, -1))
        self._batch = batch
        loops, n = self.ranks.shape
        self._rows = np.arange(n)
        self._movers: dict[tuple[int, ...], Ints] = {}
        self.inside = np.ones((loops + 1, ranks, n))
        """(loops + 1, ranks, n): products of the counts inside of each position."""
        for loop in reversed(range(loops)):
            self.inside[loop] = self.inside[loop + 1]
            self.inside[loop, self.ranks[loop], self._rows] *= self.counts[loop]

    @property
    def loops(self) -> int:
        """Temporal loops of every mapping."""
        return len(self.ranks)

    @cached_property
    def totals(self) -> Array:
        """Products of all temporal counts per rank, (ranks, n)."""
        return self.inside[0]

    def position(self, operand: int, store: int | None) -> Ints:
        """Loops outside a tile, (n,); of the PEs if `store` is None."""
        if store is None:
            return np.full(len(self._rows), self.loops)
        return self._batch.keeps[:, operand, store]

    def absorbed(self, position: Ints, relevant: tuple[int, ...], floor: Ints | int = 0) -> Ints:
        """Where a boundary stands once the irrelevant loops directly above it count as inside."""
        if relevant not in self._movers:
            self._movers[relevant] = self._last_mover(relevant)
        kept: Ints = np.maximum(
            self._movers[relevant][position, self._rows], np.minimum(floor, position)
        )
        return kept

    def _last_mover(self, relevant: tuple[int, ...]) -> Ints:
        """Loops outside of and including the last one that moves an operand, by position."""
        table = np.zeros(self.inside.shape[1], bool)
        table[list(relevant)] = True
        moves = table[self.ranks] & (self.counts > 1)
        last: Ints = np.zeros((self.loops + 1, len(self._rows)), np.int64)
        for loop in range(self.loops):
            last[loop + 1] = np.where(moves[loop], loop + 1, last[loop])
        return last

    def floor(self, operand: int, store: int | None) -> Ints | int:
        """Loops across which a tile cannot stay."""
        if self._batch.floors is None:
            return 0
        return self._batch.floors[:, operand, -1 if store is None else store]

    def inner(self, position: Ints) -> Array:
        """Products inside a position per mapping, (ranks, n)."""
        return np.ascontiguousarray(self.inside[position, :, self._rows].T)

    def above(self, position: Ints, floor: Ints | int = 0) -> tuple[NDArray[np.intp], Array]:
        """Rank and count of the loop directly above a position; (-1, 1) where there is none."""
        if not self.loops:
            return np.full(len(self._rows), -1), np.ones(len(self._rows))
        loop = np.maximum(position - 1, 0)
        none = position <= floor
        rank = np.where(none, -1, self.ranks[loop, self._rows])
        return rank, np.where(none, 1.0, self.counts[loop, self._rows])
