"""A genetic algorithm with one niche per preference, every design competing in all of them.

A niche keeps the designs of highest scalar reward under its preference. Children have parents of
one niche; what they are worth is seen by all. With one objective there is one niche: the plain
elitist algorithm.

References:
    Goldberg, "Genetic Algorithms in Search, Optimization and Machine Learning", 1989 (tournaments,
    uniform crossover); Schaffer, "Multiple Objective Optimization with Vector Evaluated Genetic
    Algorithms", ICGA 1985 (a share of the population per criterion).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed
from dovetail.agents.preferences import preference_set, rewards_under
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import Variation, fresh_rows
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class GeneticArgs:
    """Settings of the genetic algorithm.

    Attributes:
        population: children per ask.
        niche: designs that each preference keeps.
        tournament: candidates of which the best becomes a parent.
        crossover: probability that two parents exchange knobs; else a child copies one parent.
        mutated_knobs: expected number of knobs that mutate in a child.
        spread: mean step of an ordered knob's mutation, as a share of its number of values.
    """

    population: int = 100
    niche: int = 50
    tournament: int = 2
    crossover: float = 0.9
    mutated_knobs: float = 1.5
    spread: float = 0.15

    def __post_init__(self) -> None:
        check_range("population", self.population, 1)
        check_range("niche", self.niche, 2)
        check_range("tournament", self.tournament, 1)
        check_range("crossover", self.crossover, 0, 1)
        check_range("mutated_knobs", self.mutated_knobs, 0, above=True)
        check_range("spread", self.spread, 0, 1)


class GeneticAgent:
    """Breeds the best designs of each preference; asks none twice while it can find a new one."""

    Args = GeneticArgs

    def __init__(self, problem: DesignProblem, seed: int, args: GeneticArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        space = self._allowed.space
        self._preferences = preference_set(len(problem.objectives))
        self._rng = np.random.default_rng(seed)
        self._variation = Variation(space, args.mutated_knobs, args.spread, args.crossover)
        self._seen = Seen(space)
        self._designs: IntArray = np.zeros((0, len(space.knobs)), dtype=np.int64)
        self._rewards: FloatArray = np.zeros((0, len(self._preferences)))
        self._niches: IntArray = np.zeros((0, len(self._preferences)), dtype=np.int64)

    def ask(self) -> IntArray:
        """Children of the niches in turn, or uniform designs at first, (population, knobs)."""
        make = self._children if len(self._niches) >= 2 else self._uniform
        return self._allowed.outer(fresh_rows(make, self._args.population, self._seen))

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Lets the told designs compete for a place in every niche."""
        told = self._allowed.inner(designs)
        self._seen.add(told)
        pool = np.concatenate([self._designs, told])
        rewards = np.concatenate([self._rewards, rewards_under(evaluation, self._preferences)])
        best = np.argsort(-rewards, axis=0, kind="stable")[: self._args.niche]
        rows, places = np.unique(best, return_inverse=True)
        self._designs, self._rewards = pool[rows], rewards[rows]
        self._niches = places.reshape(best.shape)

    def _uniform(self, count: int) -> IntArray:
        return self._allowed.space.sample(self._rng, count)

    def _children(self, count: int) -> IntArray:
        niche = np.arange(count) % len(self._preferences)
        mothers, fathers = self._select(niche), self._select(niche)
        return self._variation.children(self._rng, self._designs[mothers], self._designs[fathers])

    def _select(self, niche: IntArray) -> IntArray:
        """Tournaments within niches (n,), whose rows stand best first; rows (n,) of the pool."""
        shape = (self._args.tournament, len(niche))
        place = self._rng.integers(0, len(self._niches), size=shape).min(axis=0)
        return self._niches[place, niche]
