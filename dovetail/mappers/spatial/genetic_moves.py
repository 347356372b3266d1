"""Variation of mappings: the operators of the genetic mapper, each from valid points to points."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from dovetail.ir.mapping import OPERANDS
from dovetail.mappers.spatial.mapspace import BYPASSED, Mapspace, Point
from dovetail.mappers.spatial.mapspace_factors import Loop, prime_loops, useful_counts

Cuts = tuple[tuple[int, ...], ...]


def crossover(space: Mapspace, a: Point, b: Point, rng: np.random.Generator) -> Point:
    """The spatial part of one parent, the order of loops of either, each operand's cuts of either.

    Args:
        space: of both parents.
        a: gives the spatial part.
        b: the other parent.
        rng: source of chance.
    """
    other = respread(space, b, a.spatial, rng)
    loops = a.loops if rng.random() < 0.5 else other.loops
    cuts = tuple(
        ours if rng.random() < 0.5 else theirs
        for ours, theirs in zip(a.cuts, other.cuts, strict=True)
    )
    return Point(a.spatial, loops, cuts)


def mutate(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """One random change: reorder, tile, growth, aging or bypass."""
    move = MOVES[int(rng.choice(len(MOVES), p=CHANCES))]
    return move(space, point, rng)


def reorder(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """Moves one loop to another place."""
    if len(point.loops) < 2:
        return point
    loops = list(point.loops)
    loop = loops.pop(int(rng.integers(len(loops))))
    loops.insert(int(rng.integers(len(loops) + 1)), loop)
    return Point(point.spatial, tuple(loops), point.cuts)


def retile(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """Moves one memory's cut of one operand, or of all; inner and outer cuts give way."""
    places = [(o, i) for o, cuts in enumerate(point.cuts) for i in range(len(cuts))]
    if not places:
        return point
    operand, level = places[int(rng.integers(len(places)))]
    old = point.cuts[operand][level]
    wild = rng.random() < 0.3
    step = int(rng.integers(1, 4)) * (1 if rng.random() < 0.6 else -1)
    target = int(rng.integers(len(point.loops) + 1)) if wild else max(0, old) + step
    target = min(max(target, 0), len(point.loops))
    chosen = range(len(OPERANDS)) if rng.random() < 0.2 else (operand,)
    store = space.hierarchies[operand][level]
    cuts = list(point.cuts)
    for o in chosen:
        inner = space.hierarchies[o][:-1]
        if store in inner and (o == operand or cuts[o][inner.index(store)] != BYPASSED):
            cuts[o] = moved_cut(cuts[o], inner.index(store), target)
    return Point(point.spatial, point.loops, tuple(cuts))


def moved_cut(cuts: Sequence[int], level: int, target: int) -> tuple[int, ...]:
    """Cuts with that of one memory at `target`, and those around it in order again."""
    return tuple(
        c
        if c == BYPASSED and i != level
        else target
        if i == level
        else min(c, target)
        if i < level
        else max(c, target)
        for i, c in enumerate(cuts)
    )


def grow(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """Spreads one rank over as many PEs of a dimension as are free."""
    options = [(d, rank) for d, ranks in enumerate(space.unrolls) for rank in ranks]
    if not options:
        return point
    dimension, rank = options[int(rng.integers(len(options)))]
    spatial = [dict(pairs) for pairs in point.spatial]
    spatial[dimension].pop(rank, None)
    room = space.accelerator.dimensions[dimension][1]
    for count in spatial[dimension].values():
        room //= count
    left = space.temporal([tuple(pairs.items()) for pairs in spatial])[rank]
    counts = useful_counts(left, room)
    count = counts[-1] if rng.random() < 0.7 else counts[int(rng.integers(len(counts)))]
    if count > 1:
        spatial[dimension][rank] = count
    return respread(space, point, tuple(tuple(pairs.items()) for pairs in spatial), rng)


def age(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """Takes one rank off the array."""
    options = [(d, rank) for d, pairs in enumerate(point.spatial) for rank, _ in pairs]
    if not options:
        return point
    dimension, rank = options[int(rng.integers(len(options)))]
    spatial = list(point.spatial)
    spatial[dimension] = tuple(pair for pair in spatial[dimension] if pair[0] != rank)
    return respread(space, point, tuple(spatial), rng)


def bypass(space: Mapspace, point: Point, rng: np.random.Generator) -> Point:
    """Leaves a memory out for an operand, or takes it in again."""
    places = [
        (o, i)
        for o, (role, stores) in enumerate(zip(OPERANDS, space.hierarchies, strict=True))
        for i, store in enumerate(stores[:-1])
        if role in store.bypass
    ]
    if not places:
        return retile(space, point, rng)
    operand, level = places[int(rng.integers(len(places)))]
    cuts = list(point.cuts)
    row = list(cuts[operand])
    if row[level] == BYPASSED:
        outer = [c for c in row[level + 1 :] if c != BYPASSED]
        inner = [c for c in row[:level] if c != BYPASSED]
        low, high = max(inner, default=0), min(outer, default=len(point.loops))
        row[level] = int(rng.integers(low, high + 1))
    else:
        row[level] = BYPASSED
    cuts[operand] = tuple(row)
    return Point(point.spatial, point.loops, tuple(cuts))


MOVES = (reorder, retile, grow, age, bypass)
CHANCES = (0.35, 0.35, 0.15, 0.05, 0.1)


def respread(
    space: Mapspace, point: Point, spatial: tuple[tuple[Loop, ...], ...], rng: np.random.Generator
) -> Point:
    """The point with another spatial part.

    Loops in time that remain keep their order and their side of every cut; new ones come in
    anywhere.
    """
    if spatial == point.spatial:
        return point
    needed = Counter(prime_loops(space.temporal(spatial)))
    loops: list[Loop] = []
    kept = [0]
    for loop in point.loops:
        if needed[loop]:
            needed[loop] -= 1
            loops.append(loop)
        kept.append(len(loops))
    cuts = [[c if c == BYPASSED else kept[c] for c in row] for row in point.cuts]
    for loop in needed.elements():
        place = int(rng.integers(len(loops) + 1))
        loops.insert(place, loop)
        cuts = [[c + (c > place) for c in row] for row in cuts]
    return Point(spatial, tuple(loops), tuple(tuple(row) for row in cuts))
