"""The space of mappings of one operator, its points, and random draws from it.

A point is a spatial choice, one sequence of prime loops, and for every operand the places of that
sequence at which its memories cut it. Each operand is cut where it likes (ZigZag calls this uneven
mapping: L. Mei et al., IEEE TC 2021); mappings that cut all operands at the same places, as
Timeloop's, are among them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import dropwhile

import numpy as np

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Access, Einsum
from dovetail.mappers.spatial.mapspace_factors import Loop, prime_loops, useful_counts
from dovetail.sim.nest import MappingBatch

BYPASSED = -1
"""Cut of a memory that a mapping leaves out."""

ATTEMPTS = 200
"""Spatial choices that are tried for one draw before the operator counts as too large."""


@dataclass(frozen=True, slots=True)
class Point:
    """One mapping as numbers.

    Attributes:
        spatial: per dimension of the array, (rank index, count) pairs.
        loops: temporal loops from the innermost to the outermost.
        cuts: per operand and memory that it lives in, from the inside out and without the
            outermost: how many loops run inside of its tile; `BYPASSED` if it is left out.
    """

    spatial: tuple[tuple[Loop, ...], ...]
    loops: tuple[Loop, ...]
    cuts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Mapspace:
    """All mappings of an operator on an accelerator.

    Attributes:
        einsum: the operator.
        accelerator: what it is laid onto.
    """

    einsum: Einsum
    accelerator: SpatialArray

    @cached_property
    def extents(self) -> tuple[int, ...]:
        """Extents of the ranks."""
        return tuple(extent for _, extent in self.einsum.ranks)

    @cached_property
    def unrolls(self) -> tuple[tuple[int, ...], ...]:
        """Per dimension, the ranks (as indices) that may lie along it."""
        allowed = dict(self.accelerator.unrolls)
        names = [name for name, _ in self.einsum.ranks]
        return tuple(
            tuple(i for i, name in enumerate(names) if name in allowed.get(dimension, ()))
            for dimension, _ in self.accelerator.dimensions
        )

    @cached_property
    def hierarchies(self) -> tuple[tuple[Store, ...], ...]:
        """Memories of each operand from the inside out."""
        return tuple(self.accelerator.hierarchy(operand) for operand in OPERANDS)

    @cached_property
    def shapes(self) -> tuple[tuple[tuple[Loop, ...], ...], ...]:
        """Per operand and tensor dimension, (rank index, coefficient) pairs."""
        index = {name: i for i, (name, _) in enumerate(self.einsum.ranks)}
        accesses = accesses_of(self.einsum)
        return tuple(
            tuple(tuple((index[rank], c) for rank, c in dim.terms) for dim in access.indices)
            for access in accesses
        )

    @cached_property
    def relevant(self) -> tuple[frozenset[int], ...]:
        """Per operand, the ranks that its elements depend on."""
        return tuple(frozenset(r for dim in shape for r, _ in dim) for shape in self.shapes)

    @cached_property
    def served(self) -> dict[str, tuple[bool, ...]]:
        """By name of a memory, whether one instance serves each dimension."""
        names = [name for name, _ in self.accelerator.dimensions]
        return {
            store.name: tuple(name in store.serves for name in names)
            for store in self.accelerator.stores
        }

    def temporal(self, spatial: Sequence[Sequence[Loop]]) -> tuple[int, ...]:
        """What remains of each rank's extent for loops in time."""
        spread = [1] * len(self.extents)
        for pairs in spatial:
            for rank, count in pairs:
                spread[rank] *= count
        return tuple(-(-e // s) for e, s in zip(self.extents, spread, strict=True))

    def tile_elements(self, point: Point, operand: int, store: Store, cut: int) -> int:
        """Elements of an operand's tile in one instance of a memory that cuts at `cut`."""
        extents = [1] * len(self.extents)
        for rank, count in point.loops[:cut]:
            extents[rank] *= count
        for pairs, serves in zip(point.spatial, self.served[store.name], strict=True):
            if serves:
                for rank, count in pairs:
                    extents[rank] *= count
        return footprint(self.shapes[operand], extents)

    def mapping(self, point: Point) -> Mapping:
        """The point as a tree; loops of one rank that nothing parts are one loop."""
        return Mapping(tuple(self._nodes(point)), operator=self.einsum.output.tensor)

    def _nodes(self, point: Point) -> list[Node]:
        names = [name for name, _ in self.einsum.ranks]
        loops, inside = _merged(point)
        keeps = self._keeps(point)
        nodes: list[Node] = list(keeps[None])
        at = {inside[cut]: kept for cut, kept in keeps.items() if cut is not None}
        for position in range(len(loops), -1, -1):
            nodes += at.get(position, ())
            if position:
                rank, count = loops[position - 1]
                nodes.append(Temporal(names[rank], count))
        return nodes + self._spatial_nodes(point, names)

    def _keeps(self, point: Point) -> dict[int | None, list[Keep]]:
        """Keep nodes by cut, outer memories first; those of the outermost memory under None."""
        table: dict[int | None, dict[str, list[str]]] = {None: {}}
        for operand, stores, cuts in zip(OPERANDS, self.hierarchies, point.cuts, strict=True):
            for store, cut in zip(stores, (*cuts, None), strict=True):
                if cut != BYPASSED:
                    table.setdefault(cut, {}).setdefault(store.name, []).append(operand)
        order = {store.name: i for i, store in enumerate(self.accelerator.stores)}
        return {
            cut: [Keep(name, tuple(kept[name])) for name in sorted(kept, key=lambda n: -order[n])]
            for cut, kept in table.items()
        }

    def _spatial_nodes(self, point: Point, names: Sequence[str]) -> list[Node]:
        return [
            Spatial(names[rank], count, dimension)
            for (dimension, _), pairs in zip(
                self.accelerator.dimensions, point.spatial, strict=True
            )
            for rank, count in pairs
            if count > 1
        ]

    def encode(self, points: Sequence[Point]) -> MappingBatch:
        """Points as the arrays that `analyse_batch` takes."""
        n, stores = len(points), self.accelerator.stores
        length = max((len(point.loops) for point in points), default=0)
        ranks, counts = np.zeros((n, length), np.int64), np.ones((n, length))
        spatial = np.ones((n, len(self.accelerator.dimensions), len(self.extents)))
        keeps = np.full((n, len(OPERANDS), len(stores)), BYPASSED, np.int64)
        level = {store.name: i for i, store in enumerate(stores)}
        places = [[level[store.name] for store in chain] for chain in self.hierarchies]
        for i, point in enumerate(points):
            loops, inside = _merged(point)
            for j, (rank, count) in enumerate(reversed(loops)):
                ranks[i, j], counts[i, j] = rank, count
            for axis, pairs in enumerate(point.spatial):
                for rank, count in pairs:
                    spatial[i, axis, rank] *= count
            for operand, (chain, cuts) in enumerate(zip(places, point.cuts, strict=True)):
                keeps[i, operand, chain[-1]] = 0
                for place, cut in zip(chain, cuts, strict=False):
                    kept = cut != BYPASSED
                    keeps[i, operand, place] = len(loops) - inside[cut] if kept else BYPASSED
        return MappingBatch(ranks, counts, spatial, keeps)

    def draw(self, rng: np.random.Generator) -> Point:
        """A random mapping whose tiles fit their memories.

        Raises:
            MappingError: if none is found.
        """
        for attempt in range(ATTEMPTS):
            # Spreading less makes tiles of shared memories smaller: the last resort is no spread.
            spatial = self.draw_spatial(rng, full=attempt < ATTEMPTS // 2)
            loops = self.draw_loops(spatial, rng)
            point = self.fit(Point(spatial, loops, self.draw_cuts(len(loops), rng)), rng)
            if point is not None:
                return point
        raise MappingError(self._too_large())

    def draw_spatial(
        self, rng: np.random.Generator, *, full: bool = True
    ) -> tuple[tuple[Loop, ...], ...]:
        """Ranks along the array's dimensions.

        Args:
            rng: source of chance.
            full: prefer to use as many PEs as a rank can.
        """
        left = list(self.extents)
        chosen: list[tuple[Loop, ...]] = []
        for (_, size), ranks in zip(self.accelerator.dimensions, self.unrolls, strict=True):
            room, pairs = size, []
            for rank in rng.permutation(np.array(ranks, dtype=np.int64)).tolist():
                counts = useful_counts(left[rank], room)
                greedy = full and rng.random() < 0.7
                count = counts[-1] if greedy else counts[int(rng.integers(len(counts)))]
                if count > 1:
                    pairs.append((rank, count))
                    left[rank] = -(-left[rank] // count)
                    room //= count
            chosen.append(tuple(pairs))
        return tuple(chosen)

    def draw_loops(
        self, spatial: Sequence[Sequence[Loop]], rng: np.random.Generator
    ) -> tuple[Loop, ...]:
        """The prime loops of what remains, in a random order."""
        loops = prime_loops(self.temporal(spatial))
        return tuple(loops[i] for i in rng.permutation(len(loops)).tolist())

    def draw_cuts(self, loops: int, rng: np.random.Generator) -> tuple[tuple[int, ...], ...]:
        """Cuts of every operand, and memories that it goes past."""
        cuts = []
        for operand, stores in zip(OPERANDS, self.hierarchies, strict=True):
            places = np.sort(rng.integers(0, loops + 1, size=len(stores) - 1)).tolist()
            for i, store in enumerate(stores[:-1]):
                if operand in store.bypass and rng.random() < 0.3:
                    places[i] = BYPASSED
            cuts.append(tuple(places))
        return tuple(cuts)

    def fit(self, point: Point, rng: np.random.Generator) -> Point | None:
        """The point with cuts moved inwards until every tile fits; None if even that fails."""
        cuts = [list(operand) for operand in point.cuts]
        for store in self.accelerator.stores:
            if not math.isfinite(store.tile_bits):
                continue
            kept = [
                (operand, stores.index(store))
                for operand, stores in enumerate(self.hierarchies)
                if store in stores[:-1] and cuts[operand][stores.index(store)] != BYPASSED
            ]
            if not self._shrink(point, store, kept, cuts, rng):
                return None
        return Point(point.spatial, point.loops, tuple(tuple(operand) for operand in cuts))

    def _shrink(
        self, point: Point, store: Store, kept: list[Loop], cuts: list[list[int]],
        rng: np.random.Generator,
    ) -> bool:  # fmt: skip
        """Moves the cuts of one memory inwards; whether its tiles fit in the end."""

        def bits(operand: int, level: int) -> int:
            return self._tile_bits(point, operand, store, cuts[operand], level)

        used = {place: bits(*place) for place in kept}
        while sum(used.values()) > store.tile_bits:
            movable = [place for place in kept if cuts[place[0]][place[1]] > 0]
            droppable = [place for place in kept if OPERANDS[place[0]] in store.bypass]
            places = movable or droppable
            if not places:
                return False
            operand, level = place = places[int(rng.integers(len(places)))]
            if movable:
                cut = cuts[operand][level] - 1
                # Inner memories hold no more than this one.
                cuts[operand][: level + 1] = [min(c, cut) for c in cuts[operand][: level + 1]]
                used[place] = bits(operand, level)
            else:
                cuts[operand][level] = BYPASSED
                kept.remove(place)
                del used[place]
        return True

    def _tile_bits(
        self, point: Point, operand: int, store: Store, cuts: Sequence[int], level: int
    ) -> int:
        """Bits of a tile in one instance; of sums that arrive finished, those of results."""
        below = next((cut for cut in reversed(cuts[:level]) if cut != BYPASSED), None)
        outside: Iterator[int] = (rank for rank, _ in point.loops[below or 0 :])
        role, relevant = OPERANDS[operand], self.relevant[operand]
        if below is not None or role in self.accelerator.latched:
            outside = dropwhile(lambda rank: rank not in relevant, outside)
        # Sums that PEs of different instances hold parts of are finished further out.
        apart = (
            rank
            for pairs, serves in zip(point.spatial, self.served[store.name], strict=True)
            for rank, _ in pairs
            if not serves
        )
        final = relevant.issuperset(outside) and relevant.issuperset(apart)
        width = self.accelerator.bits(role, final=final)
        return self.tile_elements(point, operand, store, cuts[level]) * width

    def _too_large(self) -> str:
        lone = Point(((),) * len(self.accelerator.dimensions), (), ((), (), ()))
        for store in self.accelerator.stores[:-1]:
            must = [
                o for o, operand in enumerate(OPERANDS)
                if operand in store.operands and operand not in store.bypass
            ]  # fmt: skip
            need = sum(
                self.tile_elements(lone, o, store, 0) * self.accelerator.bits(OPERANDS[o])
                for o in must
            )
            if need > store.tile_bits:
                return (
                    f"memory '{store.name}' holds tiles of {store.tile_bits / 8:g} B; the smallest "
                    f"tiles of {', '.join(OPERANDS[o] for o in must)} need {need / 8:g} B: "
                    "enlarge it or let operands bypass it"
                )
        return (
            f"no random mapping onto '{self.accelerator.name}' fits its memories: take another "
            "mapper, or enlarge the memories"
        )


def accesses_of(einsum: Einsum) -> tuple[Access, Access, Access]:
    """Accesses of `input`, `weight` and `output`.

    Raises:
        MappingError: if the Einsum is no product of two tensors.
    """
    if len(einsum.operands) != 2:
        raise MappingError(
            f"an Einsum of {len(einsum.operands)} factors: spatial accelerators multiply two"
        )
    return einsum.operands[0], einsum.operands[1], einsum.output


def footprint(shape: Sequence[Sequence[Loop]], extents: Sequence[int]) -> int:
    """Elements of a tile: product over dimensions of 1 + sum of coefficient x (extent - 1)."""
    total = 1
    for terms in shape:
        total *= 1 + sum(coefficient * (extents[rank] - 1) for rank, coefficient in terms)
    return total


def _merged(point: Point) -> tuple[list[Loop], dict[int, int]]:
    """Loops from the inside out, joined where one rank follows itself and no memory cuts.

    Returns:
        The loops; and by cut, how many of them lie inside it.
    """
    cuts = {cut for operand in point.cuts for cut in operand if cut != BYPASSED}
    loops: list[Loop] = []
    inside = {0: 0}
    for position, (rank, count) in enumerate(point.loops):
        if position not in cuts and loops and loops[-1][0] == rank:
            loops[-1] = rank, loops[-1][1] * count
        else:
            loops.append((rank, count))
        inside[position + 1] = len(loops)
    return loops, inside
