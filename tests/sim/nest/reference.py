"""A literal interpreter of a mapped loop nest: the ground truth of the analysis.

It walks through every iteration in time. At every step it knows, for every instance of every store,
which elements lie there, and counts what moves when they change. A tile is the box around the
elements that the loops inside of its Keep touch. It changes when a loop outside that moves it
advances; a `sliding` store then keeps what it has if that loop is the innermost of them and did not
start again. No formula of the analysis is used.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Node, Spatial, Temporal
from dovetail.ir.operator import Access, Einsum

Box = tuple[frozenset[int], ...]
"""Indices along every dimension of a tensor."""

Point = dict[int, int]
"""Position in the path of a loop -> its index."""


@dataclass
class Place:
    """A store that keeps an operand.

    Attributes:
        store: the memory.
        position: of the Keep among the nodes.
        counts: reads, fills, updates, drains, reductions, spatial_reductions.
        branch: position outside of which loops also run other operators, which take its room.
        held: per instance the box that lies there.
        seen: per instance all that was ever written into it from below.
        tile: elements of a box.
    """

    store: Store
    position: int
    branch: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    held: dict[tuple[int, ...], Box] = field(default_factory=dict)
    seen: dict[tuple[int, ...], set[tuple[int, ...]]] = field(default_factory=dict)
    tile: int = 0


class Walk:
    """One operand's way through one nest.

    Args:
        einsum: the operator.
        array: that runs it.
        path: nodes around the operator, from the outermost to the innermost.
        operand: `input`, `weight` or `output`.
        access: its indices.
        branches: where a tree parts: positions between nodes, outermost first.
    """

    def __init__(
        self,
        einsum: Einsum,
        array: SpatialArray,
        path: Sequence[Node],
        operand: str,
        access: Access,
        branches: Sequence[int] = (),
    ) -> None:
        self.array, self.path, self.operand, self.access = array, path, operand, access
        self.ranks = access.ranks
        stores = {store.name: store for store in array.stores}
        self.places = [
            Place(stores[node.memory], i, max((b for b in branches if b <= i), default=0))
            for i, node in reversed(list(enumerate(path)))
            if isinstance(node, Keep) and operand in node.tensors
        ]
        self.branch = max(branches, default=0)
        self.spatial = [i for i, node in enumerate(path) if isinstance(node, Spatial)]
        self.last: list[tuple[int, ...] | None] = [None] * len(self.places)
        summed = {rank for rank, _ in einsum.ranks} - self.ranks
        self.summed = [
            i for i, e in enumerate(path) if not isinstance(e, Keep) and e.rank in summed
        ]

    def box(self, point: Point) -> Box:
        """What the free loops touch if those in `point` stand still."""
        result = []
        for term in self.access.indices:
            values = {term.offset}
            for rank, step in term.terms:
                values = {v + step * i for v in values for i in self.values(rank, point)}
            if len(term.terms) > 1:
                values = set(range(min(values), max(values) + 1))
            result.append(frozenset(values))
        return tuple(result)

    def values(self, rank: str, point: Point) -> set[int]:
        """Indices that a rank takes."""
        found = {0}
        for i, node in enumerate(self.path):
            if not isinstance(node, Keep) and node.rank == rank:
                steps = [point[i]] if i in point else range(node.count)
                found = {value * node.count + step for value in found for step in steps}
        return found

    def instances(self, store: Store | None) -> Iterator[Point]:
        """Where the instances of a store (None: the PEs) stand: along what they do not serve."""
        serves = store.serves if store else ()
        loops = [i for i in self.spatial if self.path[i].dimension not in serves]
        for index in itertools.product(*(range(self.path[i].count) for i in loops)):
            yield dict(zip(loops, index, strict=True))

    def moving(self, position: int, branch: int = 0) -> list[int]:
        """Temporal loops outside of a position that move the operand or outside of its branch."""
        return [
            i
            for i, node in enumerate(self.path[:position])
            if isinstance(node, Temporal)
            and (node.rank in self.ranks or i < branch)
            and node.count > 1
        ]

    def step(self, time: Point) -> None:
        """One iteration of all temporal loops."""
        for level in reversed(range(1, len(self.places))):
            self.change(level, time)
        self.compute(time)

    def change(self, level: int, time: Point) -> None:
        """Exchanges the tiles of a store if a loop that moves them has advanced."""
        lower, upper = self.places[level - 1], self.places[level]
        loops = self.moving(lower.position, lower.branch)
        now = tuple(time[i] for i in loops)
        before = self.last[level]
        if now == before:
            return
        self.last[level] = now
        if self.operand == "output":
            self.drain(level)
        slides = (
            lower.store.sliding
            and self.operand != "output"
            and before is not None
            and now[:-1] == before[:-1]
            and now[-1] == before[-1] + 1
            and loops[-1] >= lower.branch
        )
        outside = {i: time[i] for i in time if i < lower.position}
        moved: dict[tuple[int, ...], list[set[tuple[int, ...]]]] = {}
        for place in self.instances(lower.store):
            key = tuple(place.values())
            old, new = lower.held.get(key), self.box(outside | place)
            lower.held[key] = new
            lower.tile = volume(new)
            if self.operand == "output":
                fetched = self.back(level, place, new)
            else:
                fetched = elements(new) - (elements(old) if slides and old else set())
            lower.counts["fills"] += len(fetched)
            moved.setdefault(self.parent(upper.store, place), []).append(fetched)
        self.read(level, outside, moved, slides)

    def read(
        self, level: int, outside: Point, moved: dict[tuple[int, ...], list], slides: bool
    ) -> None:
        """Counts what the instances above read, once for all instances below that get it."""
        upper = self.places[level]
        for place in self.instances(upper.store):
            key = tuple(place.values())
            union = elements(self.box(outside | place))
            if self.operand == "output":
                union = set().union(*moved[key])
            elif slides:
                union -= self.covered[level, key]
            upper.counts["reads"] += len(union)
            if self.operand != "output":
                self.covered[level, key] = elements(self.box(outside | place))

    covered: dict[tuple[int, tuple[int, ...]], set[tuple[int, ...]]]

    def parent(self, store: Store, place: Point) -> tuple[int, ...]:
        """The instance of an outer store that serves an inner instance or PE."""
        return tuple(
            value for i, value in place.items() if self.path[i].dimension not in store.serves
        )

    def back(self, level: int, place: Point, new: Box) -> set[tuple[int, ...]]:
        """Partial sums that come back with a tile of the output."""
        upper = self.places[level]
        if self.array.reads_zeros:
            return elements(new) if self.unfinished(level) else set()
        seen = upper.seen.get(self.parent(upper.store, place), set())
        return elements(new) & seen

    def unfinished(self, level: int) -> bool:
        """Whether what arrives in a store is only a part of a sum, in time or across instances."""
        upper = self.places[level]
        below = self.places[level - 1].position if level else len(self.path)
        outside = self.moving(below, self.places[level - 1].branch if level else self.branch)
        innermost = max(outside, default=-1)
        again = any(
            isinstance(self.path[i], Temporal) and self.path[i].count > 1
            for i in self.summed
            if (i <= innermost if level else i < below)
        )
        apart = any(
            isinstance(self.path[i], Spatial)
            and self.path[i].count > 1
            and self.path[i].dimension not in upper.store.serves
            for i in self.summed
        )
        return again or apart

    def drain(self, level: int) -> None:
        """Writes the tiles of a store back to the one above."""
        lower, upper = self.places[level - 1], self.places[level]
        arrived: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for place in self.instances(lower.store):
            box = lower.held.get(tuple(place.values()))
            if box is not None:
                lower.counts["drains"] += volume(box)
                key = self.parent(upper.store, place)
                arrived.setdefault(key, set()).update(elements(box))
                upper.counts["spatial_reductions"] += volume(box)
        self.update(upper, arrived)

    def update(self, upper: Place, arrived: dict[tuple[int, ...], set[tuple[int, ...]]]) -> None:
        """Adds what arrives in the instances of a store to what they have seen."""
        for key, new in arrived.items():
            seen = upper.seen.setdefault(key, set())
            upper.counts["updates"] += len(new)
            upper.counts["spatial_reductions"] -= len(new)
            upper.counts["reductions"] += len(new & seen)
            seen |= new

    def compute(self, time: Point) -> None:
        """One multiply-accumulate in every PE."""
        inner = self.places[0]
        if self.operand != "output":
            if self.operand in self.array.latched:
                now = tuple(time[i] for i in self.moving(len(self.path), self.branch))
                if now == self.last[0]:
                    return
                self.last[0] = now
            for place in self.instances(inner.store):
                inner.counts["reads"] += volume(self.box(time | place))
            return
        arrived: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for place in self.instances(None):
            key = self.parent(inner.store, place)
            arrived.setdefault(key, set()).update(elements(self.box(time | place)))
            inner.counts["spatial_reductions"] += 1
        for key, new in arrived.items():
            if self.array.reads_zeros:
                inner.counts["reads"] += len(new) if self.unfinished(0) else 0
            else:
                inner.counts["reads"] += len(new & inner.seen.get(key, set()))
        self.update(inner, arrived)

    def run(self) -> None:
        """All iterations, and the last tiles of the output."""
        self.covered = {}
        loops = [i for i, node in enumerate(self.path) if isinstance(node, Temporal)]
        for index in itertools.product(*(range(self.path[i].count) for i in loops)):
            self.step(dict(zip(loops, index, strict=True)))
        if self.operand == "output":
            for level in range(1, len(self.places)):
                self.drain(level)
        top = self.places[-1]
        outside = {i: 0 for i in loops if i < top.position}
        top.tile = volume(self.box(outside | next(self.instances(top.store))))


def elements(box: Box) -> set[tuple[int, ...]]:
    return set(itertools.product(*box))


def volume(box: Box) -> int:
    return len(elements(box))


def walk(
    einsum: Einsum, array: SpatialArray, path: Sequence[Node], branches: Sequence[int] = ()
) -> dict[tuple[str, str], Place]:
    """Counts of every (store, operand) over all instances."""
    parts = dict(zip(("input", "weight"), einsum.operands, strict=True))
    result = {}
    for operand, access in (parts | {"output": einsum.output}).items():
        way = Walk(einsum, array, path, operand, access, branches)
        way.run()
        result |= {(place.store.name, operand): place for place in way.places}
    return result
