"""Bayesian optimisation: a few hundred designs, each chosen with much thought.

Gaussian processes model every objective and the violation. A pool of new designs, improved by
local search, is ranked by expected hypervolume improvement; BoTorch's qLogNEHVI picks the batch
from the best of them, one by one, each knowing those before. All candidates are designs of the
grid, so nothing is rounded. Costs seconds per batch: for evaluations that cost as much.

References:
    See `dovetail.agents.surrogate`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from dovetail.agents.base import require
from dovetail.agents.encoding import UnitEncoding
from dovetail.agents.isolation import Isolation
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import Variation, fresh_rows
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import non_dominated
from dovetail.ir.space import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from dovetail.agents.surrogate import Surrogate


@dataclass(frozen=True, slots=True)
class BayesianArgs:
    """Settings of Bayesian optimisation.

    Attributes:
        initial: designs of the first ask, spread by a scrambled Sobol sequence.
        batch: designs per later ask.
        points: most designs that the models are fitted to; the front, then the latest.
        iterations: most steps of each model's fit.
        pool: candidates per round of local search.
        rounds: rounds of local search.
        shortlist: candidates among which qLogNEHVI picks.
        baseline: most points of the front that qLogNEHVI compares with.
        samples: Monte Carlo samples of the posterior.
    """

    initial: int = 24
    batch: int = 4
    points: int = 200
    iterations: int = 50
    pool: int = 512
    rounds: int = 3
    shortlist: int = 16
    baseline: int = 16
    samples: int = 16

    def __post_init__(self) -> None:
        check_range("initial", self.initial, 2)
        check_range("batch", self.batch, 1, self.shortlist)
        check_range("points", self.points, 4)
        check_range("iterations", self.iterations, 1)
        check_range("pool", self.pool, 8)
        check_range("rounds", self.rounds, 1)
        check_range("shortlist", self.shortlist, 1, self.pool)
        check_range("baseline", self.baseline, 1)
        check_range("samples", self.samples, 2)


class BayesianAgent:
    """Fits models to what it is told and asks where they expect the front to grow most."""

    Args = BayesianArgs
    NEEDS = ("bo", "torch", "gpytorch", "botorch")

    def __init__(self, problem: DesignProblem, seed: int, args: BayesianArgs) -> None:
        require("agent 'bayesian'", *self.NEEDS)
        with warnings.catch_warnings():
            # GPyTorch's dependencies use what torch deprecates.
            warnings.simplefilter("ignore")
            import_module("dovetail.agents.surrogate")
        self._args = args
        self._space = problem.space
        self._reference = np.asarray(problem.reference_point, dtype=np.float64)
        self._encoding = UnitEncoding(problem.space)
        self._rng = np.random.default_rng(seed)
        self._isolation = Isolation(seed)
        self._variation = Variation(problem.space, mutated_knobs=1.5, spread=0.15)
        self._sobol = self._make_sobol(seed)
        self._seen = Seen(problem.space)
        self._designs: IntArray = np.zeros((0, len(problem.space.knobs)), dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, len(problem.objectives)))
        self._violation: FloatArray = np.zeros(0)

    def ask(self) -> IntArray:
        """Initial designs, then the batch of greatest expected improvement, (n, knobs)."""
        if len(self._designs) < 2:
            return fresh_rows(self._spread, self._args.initial, self._seen)
        with self._isolation, warnings.catch_warnings():
            # The linear algebra warns whenever it adds jitter to a covariance.
            warnings.simplefilter("ignore")
            return self._propose()

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds designs, asked or not, to what the models learn from."""
        self._seen.add(designs)
        self._designs = np.concatenate([self._designs, designs])
        self._objectives = np.concatenate([self._objectives, evaluation.objectives])
        self._violation = np.concatenate([self._violation, evaluation.violation])

    def _make_sobol(self, seed: int) -> Any:
        from torch.quasirandom import SobolEngine

        return SobolEngine(len(self._space.knobs), scramble=True, seed=seed)

    def _spread(self, count: int) -> IntArray:
        points = self._sobol.draw(count).numpy().astype(np.float64)
        return (points * self._space.cardinalities).astype(np.int64)

    def _front(self) -> BoolArray:
        """(told,) designs on the feasible front that lie below the reference, or all of it."""
        feasible = self._violation <= 0
        front = non_dominated(np.where(feasible[:, None], self._objectives, np.nan))
        inside = front & (self._objectives < self._reference).all(axis=1)
        return inside if inside.any() else front

    def _propose(self) -> IntArray:
        from dovetail.agents.surrogate import Surrogate

        rows = self._informative()
        surrogate = Surrogate(
            self._encoding.encode(self._designs[rows]),
            self._objectives[rows],
            self._violation[rows],
            self._args.iterations,
        )
        front = self._front()
        score = _Score(surrogate, self._objectives[front], self._reference, self._draws())
        pool, scores = self._search(score)
        order = np.argsort(-scores, kind="stable")
        # With one objective there is no hypervolume: the score is the expected improvement.
        if not (front.any() and len(surrogate.objectives) > 1):
            return pool[order[: self._args.batch]]
        return self._pick(surrogate, front, pool[order[: self._args.shortlist]])

    def _draws(self) -> FloatArray:
        return self._rng.standard_normal((self._args.samples, len(self._reference)))

    def _informative(self) -> IntArray:
        """Rows to fit to: the latest of the front, then the latest others, ascending."""
        told, most = len(self._designs), self._args.points
        latest_last = np.lexsort((np.arange(told), self._front()))
        return np.sort(latest_last[-most:])

    def _search(self, score: _Score) -> tuple[IntArray, FloatArray]:
        """Candidates not told before and their scores, best found by mutating the best."""
        size = self._args.pool
        parents = self._parents()
        kept: IntArray = np.zeros((0, len(self._space.knobs)), dtype=np.int64)
        scores: FloatArray = np.zeros(0)
        for turn in range(self._args.rounds):
            fresh = self._candidates(parents, size, uniform=size // 2 if turn == 0 else 0)
            union = np.concatenate([kept, fresh])
            scores = np.concatenate([scores, score(self._encoding.encode(fresh))])
            union, first = np.unique(union, axis=0, return_index=True)
            scores = scores[first]
            best = np.argsort(-scores, kind="stable")[:size]
            kept, scores = union[best], scores[best]
            parents = kept[: max(2, self._args.shortlist)]
        return kept, scores

    def _candidates(self, parents: IntArray, count: int, uniform: int) -> IntArray:
        def make(n: int) -> IntArray:
            mothers, fathers = self._rng.integers(0, len(parents), size=(2, n))
            bred = self._variation.children(self._rng, parents[mothers], parents[fathers])
            return np.concatenate([self._space.sample(self._rng, uniform), bred])[:n]

        return fresh_rows(make, count, self._seen)

    def _parents(self) -> IntArray:
        """The front, or the least infeasible designs while none is feasible."""
        front = self._front()
        if front.any():
            return self._designs[front]
        return self._designs[np.argsort(self._violation, kind="stable")[:16]]

    def _pick(self, surrogate: Surrogate, front: BoolArray, shortlist: IntArray) -> IntArray:
        """Picks a batch from the shortlist, one by one, by qLogNEHVI."""
        import torch

        from dovetail.agents.surrogate import spread_out

        args = self._args
        chosen = spread_out(self._objectives[front], args.baseline)
        baseline = self._encoding.encode(self._designs[front][chosen])
        seed = int(self._rng.integers(2**31))
        acquisition = surrogate.acquisition(baseline, self._reference, args.samples, seed)
        points = torch.as_tensor(self._encoding.encode(shortlist))
        picked: list[int] = []
        with torch.no_grad():
            for _ in range(min(args.batch, len(shortlist))):
                if picked:
                    acquisition.set_X_pending(points[picked])
                values = acquisition(points[:, None, :]).numpy().copy()
                values[picked] = -np.inf
                picked.append(int(np.argmax(values)))
        return shortlist[picked]


class _Score:
    """Ranks candidates: expected improvement times odds of feasibility, or odds alone."""

    def __init__(
        self, surrogate: Surrogate, front: FloatArray, reference: FloatArray, draws: FloatArray
    ) -> None:
        self._surrogate, self._draws = surrogate, draws
        self._cells: Any = None
        if len(front) and surrogate.objectives:
            from dovetail.agents.surrogate import improvement_cells

            self._cells = improvement_cells(front, reference)

    def __call__(self, points: FloatArray) -> FloatArray:
        from dovetail.agents.surrogate import expected_improvement

        mean, deviation = self._surrogate.violations(points)
        odds = _sigmoid(-1.702 * mean / np.maximum(deviation, 1e-6))
        if self._cells is None:
            return deviation - mean
        return odds * expected_improvement(
            *self._surrogate.predict(points), self._cells, self._draws
        )


def _sigmoid(x: FloatArray) -> FloatArray:
    """Logistic function; of 1.702 z it is the normal distribution's within 0.01."""
    return 0.5 * (1.0 + np.tanh(0.5 * x))
