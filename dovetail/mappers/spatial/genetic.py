"""The mapper `genetic`, in the manner of GAMMA, a baseline.

GAMMA's are the genes (which ranks lie along the array, tile sizes per memory, the order of loops)
and the operators: reorder, mutation of tiles, crossover, growth and aging of the parallel part.
Ours are the form of a genome (a sequence of prime loops that each operand's memories cut, so that
every genome covers the operator exactly), the repair that moves cuts inwards until tiles fit, the
bypass operator, and populations that are costed as one batch.

References:
    S.-C. Kao, T. Krishna: "GAMMA: automating the HW mapping of DNN models on accelerators via
    genetic algorithm", ICCAD 2020.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.operator import Einsum
from dovetail.ir.space import FloatArray
from dovetail.mappers.found import Found
from dovetail.mappers.spatial.anytime import Incumbent
from dovetail.mappers.spatial.genetic_moves import crossover, mutate
from dovetail.mappers.spatial.mapspace import Mapspace, Point

POPULATION = 100
GENERATIONS = 40
ELITE = 0.2
"""Share of a generation that lives on."""

CROSSOVER = 0.5
"""Share of children of two parents."""

PRESSURE = 3
"""Points of which the best becomes a parent."""


def genetic_mapping(
    einsum: Einsum, accelerator: SpatialArray, objective: str = "latency", *, seed: int = 0,
    time_limit_s: float | None = None, generations: int = GENERATIONS,
    population: int = POPULATION,
) -> Found:  # fmt: skip
    """The best mapping of a genetic search, or of what it saw before the time limit or Ctrl-C.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto.
        objective: `latency`, `energy` or `edp`.
        seed: same seed, same search.
        time_limit_s: seconds; the first generation is always costed.
        generations: after the first.
        population: points of a generation.

    Raises:
        MappingError: if no mapping fits the memories.
    """
    space = Mapspace(einsum, accelerator)
    rng = np.random.default_rng(seed)
    incumbent = Incumbent(space, objective, time_limit_s)
    done = 0
    with suppress(KeyboardInterrupt):
        points = [space.draw(rng) for _ in range(population)]
        values = incumbent.evaluate(points)
        while done < generations and not incumbent.expired:
            order = np.argsort(values, kind="stable")[: max(1, int(ELITE * population))]
            children = [_child(space, points, values, rng) for _ in range(population - len(order))]
            born = incumbent.evaluate(children)
            points = [points[i] for i in order.tolist()] + children
            values = np.concatenate([values[order], born])
            done += 1
    return incumbent.found(interrupted=done < generations)


def _child(
    space: Mapspace, points: list[Point], values: FloatArray, rng: np.random.Generator
) -> Point:
    """A varied copy whose tiles fit; a stranger if none comes of it."""
    child = _parent(points, values, rng)
    if rng.random() < CROSSOVER:
        child = crossover(space, child, _parent(points, values, rng), rng)
    for _ in range(1 + int(rng.geometric(0.5))):
        child = mutate(space, child, rng)
    return space.fit(child, rng) or space.draw(rng)


def _parent(points: list[Point], values: FloatArray, rng: np.random.Generator) -> Point:
    rivals = rng.integers(len(points), size=PRESSURE)
    return points[int(rivals[np.argmin(values[rivals])])]
