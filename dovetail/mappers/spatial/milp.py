"""The mapper `milp`, in the manner of CoSA: one integer program per round, then a descent.

See `milp_model` for what is CoSA's. Ours are the rounds (the weights of the objective follow the
costs of the mapping that the last round gave, because a sum of logarithms does not know which of
its terms matters), and a descent over neighbouring mappings that uses what the logarithms waste.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import Found
from dovetail.mappers.spatial.anytime import Incumbent
from dovetail.mappers.spatial.genetic_moves import moved_cut, respread
from dovetail.mappers.spatial.mapspace import BYPASSED, Mapspace, Point
from dovetail.mappers.spatial.mapspace_factors import Loop, useful_counts
from dovetail.mappers.spatial.milp_model import AssignmentModel, Boundary, Weights
from dovetail.sim.nest import NestCost, analyse

ROUNDS = 3
"""Programs that are solved."""

SOLVER_SECONDS = 10.0
"""For one program; the best solution until then is taken."""

STEPS = 60
"""Of the descent, each to the best neighbour."""


def milp_mapping(
    einsum: Einsum, accelerator: SpatialArray, objective: str = "latency", *,
    time_limit_s: float | None = None, polish: bool = True,
) -> Found:  # fmt: skip
    """The mapping of integer programs over logarithms, polished by a descent.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto.
        objective: `latency`, `energy` or `edp`.
        time_limit_s: seconds; the first program always gets a tenth of a second.
        polish: whether to descend from the program's mapping.

    Raises:
        MappingError: if the program is infeasible, or no mapping fits the memories.
        ToolError: if the solver fails.
    """
    space = Mapspace(einsum, accelerator)
    incumbent = Incumbent(space, objective, time_limit_s)
    weights = first_weights(space, objective)
    done = False
    with suppress(KeyboardInterrupt):
        for _ in range(ROUNDS):
            point = _solve(space, weights, incumbent)
            if point is None or incumbent.expired:
                break
            weights = next_weights(space, objective, _cost(space, point))
        else:
            done = True
        if polish and incumbent.best is not None:
            done = descend(space, incumbent) and done
    return incumbent.found(interrupted=not done)


def _solve(space: Mapspace, weights: Weights, incumbent: Incumbent) -> Point | None:
    """Solves one program and costs its mapping; None if there is none.

    Raises:
        MappingError: if there is none because no assignment fits.
    """
    left = incumbent.remaining_s
    limit = SOLVER_SECONDS if left is None else min(SOLVER_SECONDS, max(left, 0.1))
    model = AssignmentModel(space, weights)
    answer = model.solve(limit)
    if answer.status == "infeasible":
        raise MappingError(
            f"no assignment of prime factors fits the memories of '{space.accelerator.name}': "
            "enlarge them, or take another mapper"
        )
    if not answer.found:
        return None
    # Which of several operands gives way where logarithms were too kind is a matter of taste.
    fitted = space.fit(model.point(answer), np.random.default_rng(0))
    if fitted is None:
        return None
    values = incumbent.evaluate([fitted])
    return fitted if np.isfinite(values[0]) else None


def _cost(space: Mapspace, point: Point) -> NestCost:
    return analyse(space.einsum, space.accelerator, space.mapping(point))


def first_weights(space: Mapspace, objective: str) -> Weights:
    """Weights before any mapping is known: by energy per bit, or by time per bit."""
    by_energy = {b: _pj_per_bit(store) for b, store in _boundaries(space)}
    by_time = {
        b: 0.0 if math.isinf(store.read_bits_per_cycle) else 1 / store.read_bits_per_cycle
        for b, store in _boundaries(space)
    }
    if objective == "latency":
        return Weights(1.0, _normed(by_time))
    return Weights(0.02 if objective == "energy" else 1.0, _normed(by_energy))


def next_weights(space: Mapspace, objective: str, cost: NestCost) -> Weights:
    """The gradient of a mapping's cost: shares of its energy, or of its time."""
    levels = {b: cost.level(store.name, OPERANDS[b[0]]) for b, store in _boundaries(space)
              if _keeps(cost, store.name, OPERANDS[b[0]])}  # fmt: skip
    stores = dict(_boundaries(space))
    if objective == "latency":
        busy = {
            b: (level.read_bits + level.write_bits)
            / level.instances
            / stores[b].read_bits_per_cycle
            / cost.cycles
            for b, level in levels.items()
        }
        return Weights(cost.compute_cycles / cost.cycles, busy)
    shares = {b: level.energy_pj / cost.energy_pj for b, level in levels.items()}
    compute = 0.02 if objective == "energy" else cost.compute_cycles / cost.cycles
    return Weights(compute, shares)


def _keeps(cost: NestCost, store: str, operand: str) -> bool:
    return any((level.store, level.operand) == (store, operand) for level in cost.levels)


def _boundaries(space: Mapspace) -> Iterator[tuple[Boundary, Store]]:
    for operand, chain in enumerate(space.hierarchies):
        for upper, store in enumerate(chain):
            yield (operand, upper), store


def _pj_per_bit(store: Store) -> float:
    return (store.read_pj + store.write_pj) / store.access_bits


def _normed(weights: dict[Boundary, float]) -> dict[Boundary, float]:
    total = sum(weights.values())
    return {b: weight / total if total else 0.0 for b, weight in weights.items()}


def descend(space: Mapspace, incumbent: Incumbent) -> bool:
    """Goes to the best neighbour until none is better.

    Args:
        space: of the incumbent.
        incumbent: holds the start, and what is found.

    Returns:
        Whether it came to an end in time.
    """
    for _ in range(STEPS):
        if incumbent.expired:
            return False
        before = incumbent.value
        assert incumbent.best is not None
        incumbent.evaluate(list(neighbours(space, incumbent.best)))
        if incumbent.value >= before:
            break
    return True


def neighbours(space: Mapspace, point: Point) -> Iterator[Point]:
    """Mappings with one cut, one loop, or one rank along the array changed."""
    yield from _recut(space, point)
    yield from _reordered(point)
    yield from _respread(space, point)


def _recut(space: Mapspace, point: Point) -> Iterator[Point]:
    """One cut elsewhere, or one memory left out or taken in."""
    for operand, chain in enumerate(space.hierarchies):
        for level, store in enumerate(chain[:-1]):
            old = point.cuts[operand][level]
            places = set(range(len(point.loops) + 1)) - {old}
            if OPERANDS[operand] in store.bypass and old != BYPASSED:
                places.add(BYPASSED)
            for place in sorted(places):
                row = list(point.cuts[operand])
                if place == BYPASSED:
                    row[level] = BYPASSED
                else:
                    row = list(moved_cut(row, level, place))
                cuts = (*point.cuts[:operand], tuple(row), *point.cuts[operand + 1 :])
                yield Point(point.spatial, point.loops, cuts)


def _reordered(point: Point) -> Iterator[Point]:
    """One loop elsewhere."""
    for start in range(len(point.loops)):
        for end in range(len(point.loops)):
            loops = list(point.loops)
            loops.insert(end, loops.pop(start))
            if loops != list(point.loops):
                yield Point(point.spatial, tuple(loops), point.cuts)


def _respread(space: Mapspace, point: Point) -> Iterator[Point]:
    """One rank over as many PEs as are free or would be without another rank, or over none."""
    rng = np.random.default_rng(0)
    for dimension, (_, size) in enumerate(space.accelerator.dimensions):
        here = dict(point.spatial[dimension])
        for gone in (None, *here):
            rest = {rank: count for rank, count in here.items() if rank != gone}
            for rank in space.unrolls[dimension]:
                others = {r: c for r, c in rest.items() if r != rank}
                room = size // math.prod(others.values())
                bare = _with(point.spatial, dimension, others)
                count = useful_counts(space.temporal(bare)[rank], max(1, room))[-1]
                chosen = {**others, rank: count} if count > 1 else others
                if chosen != here:
                    spatial = _with(point.spatial, dimension, chosen)
                    fitted = space.fit(respread(space, point, spatial, rng), rng)
                    if fitted is not None:
                        yield fitted


def _with(
    spatial: tuple[tuple[Loop, ...], ...], dimension: int, pairs: dict[int, int]
) -> tuple[tuple[Loop, ...], ...]:
    """The spatial part with other ranks along one dimension."""
    return (*spatial[:dimension], tuple(pairs.items()), *spatial[dimension + 1 :])
