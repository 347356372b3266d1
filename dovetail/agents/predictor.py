"""Search on learned predictors: train, search the predictions, evaluate their front, train again.

Every metric has a predictor of its own, over the knobs that it can depend on: the error of a
network over the network's knobs alone, costs over all. Where one evaluation takes a supernet and a
simulator, thousands of predictions take neither. Predictions may be hopeful by some of their
deviations, so that what is not known is looked at.

References:
    Cummings et al., "A Hardware-Aware Framework for Accelerating Neural Architecture Search Across
    Modalities" (LINAS), 2022 (the loop: NSGA-II inside, evaluated fronts outside); Cai et al.,
    "Once-for-All", ICLR 2020, and Wang et al., "APQ", CVPR 2020 (accuracy and latency predictors
    from one-hot architectures and bits).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed
from dovetail.agents.nsga2 import NSGA2Agent, NSGA2Args, constrained_ranks, crowding_distances
from dovetail.agents.predictors import PredictedProblem, Predictors
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import fresh_rows
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PredictorArgs:
    """Settings of the search on predictors.

    Attributes:
        initial: uniform designs that the first predictors learn from.
        batch: designs of the predicted front per ask.
        population: of NSGA-II on the predictions.
        generations: of it, per ask.
        samples: most designs that predictors learn from.
        optimism: deviations that a prediction is lowered by.
    """

    initial: int = 100
    batch: int = 50
    population: int = 100
    generations: int = 20
    samples: int = 600
    optimism: float = 0.5

    def __post_init__(self) -> None:
        check_range("initial", self.initial, 2)
        check_range("batch", self.batch, 1)
        check_range("population", self.population, 4)
        check_range("generations", self.generations, 1)
        check_range("samples", self.samples, 8)
        check_range("optimism", self.optimism, 0)


class PredictorAgent:
    """Asks for the front that its predictors see; no design twice while it can find a new one."""

    Args = PredictorArgs

    def __init__(self, problem: DesignProblem, seed: int, args: PredictorArgs) -> None:
        self._problem = problem
        self._args = args
        self._allowed = Allowed(problem)
        self._space = self._allowed.space
        self._rng = np.random.default_rng(seed)
        self._seen = Seen(self._space)
        self._predictors = Predictors(problem, self._space)
        self._designs: IntArray = np.zeros((0, len(self._space.knobs)), dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, len(problem.objectives)))
        self._violation: FloatArray = np.zeros(0)

    def ask(self) -> IntArray:
        """Uniform designs until some have objectives, then the predicted front, (batch, knobs)."""
        if not np.isfinite(self._objectives).all(axis=1).any():
            return self._allowed.outer(fresh_rows(self._uniform, self._args.initial, self._seen))
        rows = self._informative()
        self._predictors.learn(self._designs[rows], self._objectives[rows], self._violation[rows])
        found = self._seen.new(self._searched())
        chosen = found[self._front(found)]
        if len(chosen) < self._args.batch:
            wanted = self._args.batch - len(chosen)
            chosen = np.concatenate([chosen, fresh_rows(self._uniform, wanted, self._seen)])
        return self._allowed.outer(chosen)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds the designs to what predictors learn from."""
        told = self._allowed.inner(designs)
        self._seen.add(told)
        self._designs = np.concatenate([self._designs, told])
        self._objectives = np.concatenate([self._objectives, evaluation.objectives])
        self._violation = np.concatenate([self._violation, evaluation.violation])

    def _uniform(self, count: int) -> IntArray:
        return self._space.sample(self._rng, count)

    def _informative(self) -> IntArray:
        """Rows that predictors learn from: half the best ranks, half drawn from the others."""
        most = self._args.samples
        if len(self._designs) <= most:
            return np.arange(len(self._designs))
        order = np.argsort(self._ranks(self._objectives, self._violation), kind="stable")
        others = self._rng.permutation(order[most // 2 :])[: most - most // 2]
        return np.sort(np.concatenate([order[: most // 2], others]))

    def _searched(self) -> IntArray:
        """Everything that NSGA-II meets on the predictions, starting from the known front."""
        args = self._args
        problem = PredictedProblem(self._problem, self._space, self._predictors, args.optimism)
        seed = int(self._rng.integers(2**31))
        inner = NSGA2Agent(problem, seed, NSGA2Args(population=args.population))
        start = self._designs[self._ranks(self._objectives, self._violation) == 0]
        inner.tell(start, problem.evaluate(start))
        met = []
        for _ in range(args.generations):
            designs = inner.ask()
            inner.tell(designs, problem.evaluate(designs))
            met.append(designs)
        return np.concatenate(met)

    def _front(self, designs: IntArray) -> IntArray:
        """Rows of the `batch` best predicted designs (n, knobs): by rank, then by crowding."""
        predicted = self._predictors.evaluation(designs, self._args.optimism)
        ranks = self._ranks(predicted.objectives, predicted.violation)
        crowding = crowding_distances(predicted.objectives, ranks, predicted.feasible)
        return np.lexsort((-crowding, ranks))[: self._args.batch]

    def _ranks(self, objectives: FloatArray, violation: FloatArray) -> IntArray:
        return constrained_ranks(np.nan_to_num(objectives), violation, self._args.samples)
