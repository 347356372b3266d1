"""NSGA-II over integer knobs, vectorised: non-dominated sorting, crowding, Deb's constraint rules.

References:
    Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE Trans.
    Evolutionary Computation 6(2), 2002 (section III; constraints: section VI).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import Variation, fresh_rows
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import non_dominated, pareto_ranks
from dovetail.ir.space import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class NSGA2Args:
    """Settings of NSGA-II.

    Attributes:
        population: survivors per generation and children per ask.
        crossover: probability that two parents exchange knobs; else a child copies one parent.
        mutated_knobs: expected number of knobs that mutate in a child.
        spread: mean step of an ordered knob's mutation, as a share of its number of values.
    """

    population: int = 100
    crossover: float = 0.9
    mutated_knobs: float = 1.5
    spread: float = 0.15

    def __post_init__(self) -> None:
        check_range("population", self.population, 4)
        check_range("crossover", self.crossover, 0, 1)
        check_range("mutated_knobs", self.mutated_knobs, 0, above=True)
        check_range("spread", self.spread, 0, 1)


class NSGA2Agent:
    """Evolves a population; never asks a design twice while it can find a new one."""

    Args = NSGA2Args

    def __init__(self, problem: DesignProblem, seed: int, args: NSGA2Args) -> None:
        self._args = args
        self._space = problem.space
        self._rng = np.random.default_rng(seed)
        self._variation = Variation(problem.space, args.mutated_knobs, args.spread, args.crossover)
        self._seen = Seen(problem.space)
        self._designs: IntArray = np.zeros((0, len(problem.space.knobs)), dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, len(problem.objectives)))
        self._violation: FloatArray = np.zeros(0)
        self._rank: IntArray = np.zeros(0, dtype=np.int64)
        self._crowding: FloatArray = np.zeros(0)

    def ask(self) -> IntArray:
        """Children of the population, or uniform designs at first, (population, knobs)."""
        size = self._args.population
        make = self._children if len(self._designs) >= 2 else self._uniform
        return fresh_rows(make, size, self._seen)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Lets the told designs compete with the population for survival."""
        self._seen.add(designs)
        pool = np.concatenate([self._designs, designs])
        objectives = np.concatenate([self._objectives, evaluation.objectives])
        violation = np.concatenate([self._violation, evaluation.violation])
        rank = constrained_ranks(objectives, violation, self._args.population)
        # Crowding decides among those whose rank may survive.
        last = min(len(rank), self._args.population) - 1
        competing = rank <= np.partition(rank, last)[last]
        crowding = crowding_distances(objectives, rank, (violation <= 0) & competing)
        keep = np.lexsort((-crowding, rank))[: self._args.population]
        self._designs, self._objectives = pool[keep], objectives[keep]
        self._violation, self._rank, self._crowding = violation[keep], rank[keep], crowding[keep]

    def _uniform(self, count: int) -> IntArray:
        return self._space.sample(self._rng, count)

    def _children(self, count: int) -> IntArray:
        mothers, fathers = self._select(count), self._select(count)
        return self._variation.children(self._rng, self._designs[mothers], self._designs[fathers])

    def _select(self, count: int) -> IntArray:
        """Binary tournaments by rank, then crowding; returns (count,) rows of the population."""
        a, b = self._rng.integers(0, len(self._designs), size=(2, count))
        tie = self._crowding[a] >= self._crowding[b]
        first = (self._rank[a] < self._rank[b]) | ((self._rank[a] == self._rank[b]) & tie)
        return np.where(first, a, b)


def constrained_ranks(
    objectives: FloatArray, violation: FloatArray, wanted: int | None = None
) -> IntArray:
    """Ranks by Deb's rules: feasible designs by fronts, then infeasible ones by violation.

    Args:
        objectives: (n, m), minimised; finite where feasible.
        violation: (n,), 0 where feasible.
        wanted: once that many designs are ranked, the other feasible ones share a rank.

    Returns:
        (n,) ranks, 0 is best; infeasible designs of equal violation share a rank.
    """
    feasible = violation <= 0
    ranks = np.zeros(len(violation), dtype=np.int64)
    ranks[feasible] = front_ranks(objectives[feasible], wanted)
    after = int(ranks[feasible].max()) + 1 if feasible.any() else 0
    ranks[~feasible] = after + np.unique(violation[~feasible], return_inverse=True)[1]
    return ranks


def front_ranks(objectives: FloatArray, wanted: int | None = None) -> IntArray:
    """Ranks (n,) by non-dominated sorting of objectives (n, m).

    Args:
        objectives: minimised and finite.
        wanted: once that many are ranked, the others share the next rank.
    """
    # Two objectives sort in O(n log n); else front after front, no further than needed.
    if wanted is None or objectives.shape[1] <= 2:
        return pareto_ranks(objectives)
    ranks = np.zeros(len(objectives), dtype=np.int64)
    left = np.arange(len(objectives))
    while len(left):
        front = non_dominated(objectives[left])
        left = left[~front]
        ranks[left] += 1
        if len(objectives) - len(left) >= wanted:
            break
    return ranks


def crowding_distances(objectives: FloatArray, rank: IntArray, feasible: BoolArray) -> FloatArray:
    """Distance between each design's neighbours on its front, summed over objectives.

    Args:
        objectives: (n, m).
        rank: (n,).
        feasible: (n,); others get 0.

    Returns:
        (n,): infinite at the ends of a front, else in shares of the front's extent.

    References:
        Deb et al. 2002, section III-B.
    """
    distance = np.zeros(len(rank))
    rows = np.flatnonzero(feasible)
    if len(rows):
        gaps = [_gaps(column, rank[rows]) for column in objectives[rows].T]
        distance[rows] = np.sum(gaps, axis=0)
    return distance


def _gaps(values: FloatArray, rank: IntArray) -> FloatArray:
    """Distance (n,) between neighbours on the same front in one objective, values (n,)."""
    order = np.lexsort((values, rank))
    ordered, front = values[order], rank[order]
    first = np.append(True, front[1:] != front[:-1])
    last = np.append(first[1:], True)
    starts, ends = np.flatnonzero(first), np.flatnonzero(last)
    sizes = ends - starts + 1
    extent = np.repeat(ordered[ends] - ordered[starts], sizes)
    gaps = np.full(len(values), np.inf)
    gaps[1:-1] = (ordered[2:] - ordered[:-2]) / np.where(extent > 0, extent, 1.0)[1:-1]
    gaps[extent <= 0] = 0.0
    gaps[(first | last) & (extent > 0) | (np.repeat(sizes, sizes) <= 2)] = np.inf
    distances = np.empty(len(values))
    distances[order] = gaps
    return distances
