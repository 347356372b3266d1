"""Bayesian optimisation: a few hundred designs, each chosen with much thought.

Gaussian processes model every objective, every constraint and the laws. A pool of new designs,
improved by local search, is ranked by expected hypervolume improvement; BoTorch's qLogNEHVI picks
the batch from the best of them, one by one, each knowing those before. All candidates are designs
of the grid, so nothing is rounded. Costs tenths of a second per batch: for evaluations that cost as
much. Each fit begins where the one before ended.

It may be asked again before it is told: designs asked and not told yet are pending, and it asks for
what they will probably leave to gain. They may be told in any order and parts.

References:
    See `dovetail.agents.surrogate`; Ginsbourger, Le Riche and Carraro, "Kriging is Well-Suited to
    Parallelize Optimization", 2010 (pending designs believed to turn out as expected); Gelbart,
    Snoek and Adams, "Bayesian Optimization with Unknown Constraints", UAI 2014 (no feasible design
    known: the odds of one are sought).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

import numpy as np

from dovetail.agents.base import require
from dovetail.agents.candidates import Candidates
from dovetail.agents.encoding import UnitEncoding
from dovetail.agents.isolation import Isolation
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import fresh_rows
from dovetail.envs.objectives import by_constraint, constraints_of
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import non_dominated
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space

if TYPE_CHECKING:
    from dovetail.agents.surrogate import Hyperparameters, Surrogate


@dataclass(frozen=True, slots=True)
class BayesianArgs:
    """Settings of Bayesian optimisation.

    Attributes:
        initial: designs of the first ask, spread by a scrambled Sobol sequence.
        batch: designs per later ask, chosen together.
        points: most designs that the models are fitted to; the front, then the latest.
        iterations: most steps of each model's first fit.
        refits: most steps of its later fits, which begin where the one before ended.
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
    refits: int = 10
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
        check_range("refits", self.refits, 1)
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
        load_surrogate("agent 'bayesian'")
        self._args = args
        self._space = problem.space
        self._constraints = constraints_of(problem)
        self._reference = np.asarray(problem.reference_point, dtype=np.float64)
        self._encoding = UnitEncoding(problem.space)
        self._rng = np.random.default_rng(seed)
        self._isolation = Isolation(seed)
        self._candidates = Candidates(
            problem.space, self._rng, args.pool, args.rounds, args.shortlist
        )
        self._spread = Spread(problem.space, seed)
        self._seen = Seen(problem.space)
        self._hyperparameters: dict[str, Hyperparameters] = {}
        knobs, m, c = len(problem.space.knobs), len(problem.objectives), len(self._constraints)
        self._pending: IntArray = np.zeros((0, knobs), dtype=np.int64)
        self._designs: IntArray = np.zeros((0, knobs), dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, m))
        self._excess: FloatArray = np.zeros((0, c))
        self._laws: FloatArray = np.zeros(0)

    def ask(self) -> IntArray:
        """Initial designs, then the batch of greatest expected improvement, (n, knobs)."""
        if len(self._designs) < 2:
            count = self._args.batch if len(self._pending) else self._args.initial
            asked = fresh_rows(self._spread, count, self._seen)
        else:
            with self._isolation, warnings.catch_warnings():
                # The linear algebra warns whenever it adds jitter to a covariance.
                warnings.simplefilter("ignore")
                asked = self._propose()
        self._seen.add(asked)
        self._pending = np.concatenate([self._pending, asked])
        return asked

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds designs, asked or not, to what the models learn from."""
        told = np.isin(self._seen.keys(self._pending), self._seen.keys(designs))
        self._pending = self._pending[~told]
        self._seen.add(designs)
        laws, excess = by_constraint(evaluation, self._constraints)
        self._designs = np.concatenate([self._designs, designs])
        self._objectives = np.concatenate([self._objectives, evaluation.objectives])
        self._excess = np.concatenate([self._excess, excess])
        self._laws = np.concatenate([self._laws, laws])

    def _feasible(self) -> BoolArray:
        # An excess is NaN only where a law is broken.
        return (self._laws <= 0) & ~(self._excess > 0).any(axis=1)

    def _front(self) -> BoolArray:
        """(told,) designs on the feasible front that lie below the reference, or all of it."""
        front = non_dominated(np.where(self._feasible()[:, None], self._objectives, np.nan))
        inside = front & (self._objectives < self._reference).all(axis=1)
        return inside if inside.any() else front

    def _propose(self) -> IntArray:
        surrogate, front = self._fitted(), self._front()
        score = self._score(surrogate, front)
        pool, _ = self._candidates.best(score, self._parents(front), self._seen)
        # Without a front there is nothing to improve: the scores alone decide.
        if not (front.any() and surrogate.objectives):
            return pool[: self._args.batch]
        return self._pick(surrogate, front, pool[: self._args.shortlist])

    def _fitted(self) -> Surrogate:
        from dovetail.agents.surrogate import Surrogate

        rows = self._informative()
        surrogate = Surrogate(
            self._encoding.encode(self._designs[rows]),
            self._objectives[rows],
            self._excess[rows],
            self._laws[rows],
            self._args.iterations,
            self._args.refits,
            self._hyperparameters,
        )
        self._hyperparameters |= surrogate.hyperparameters
        return surrogate

    def _informative(self) -> IntArray:
        """Rows to fit to: the latest of the front, then the latest others, ascending."""
        told, most = len(self._designs), self._args.points
        latest_last = np.lexsort((np.arange(told), self._front()))
        return np.sort(latest_last[-most:])

    def _score(self, surrogate: Surrogate, front: BoolArray) -> Callable[[IntArray], FloatArray]:
        """Expected improvement times odds of feasibility; without a front the odds alone."""
        from dovetail.agents.surrogate import expected_improvement, improvement_cells

        encode = self._encoding.encode
        if not (front.any() and surrogate.objectives):
            return lambda designs: surrogate.log_odds(encode(designs))
        believed = self._objectives[front]
        if len(self._pending):
            mean, _ = surrogate.predict(encode(self._pending))
            believed = np.concatenate([believed, -mean])
        cells = improvement_cells(believed, self._reference)
        draws = self._rng.standard_normal((self._args.samples, len(self._reference)))

        def score(designs: IntArray) -> FloatArray:
            points = encode(designs)
            odds = np.exp(surrogate.log_odds(points))
            return expected_improvement(*surrogate.predict(points), cells, draws, odds)

        return score

    def _parents(self, front: BoolArray) -> IntArray:
        """The front, or the least infeasible designs while none is feasible."""
        if front.any():
            return self._designs[front]
        violation = self._laws + np.nan_to_num(np.maximum(self._excess, 0.0)).sum(axis=1)
        return self._designs[np.argsort(violation, kind="stable")[:16]]

    def _pick(self, surrogate: Surrogate, front: BoolArray, shortlist: IntArray) -> IntArray:
        """Picks a batch from the shortlist, one by one, by qLogNEHVI."""
        import torch

        from dovetail.agents.surrogate import spread_out

        args = self._args
        chosen = spread_out(self._objectives[front], args.baseline)
        known = np.concatenate([self._designs[front][chosen], self._pending[-args.baseline :]])
        seed = int(self._rng.integers(2**31))
        acquisition = surrogate.acquisition(
            self._encoding.encode(known), self._reference, args.samples, seed
        )
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


def load_surrogate(what: str) -> None:
    """Loads the libraries of the models.

    Raises:
        MissingExtraError: if one is not installed.
    """
    require(what, *BayesianAgent.NEEDS)
    with warnings.catch_warnings():
        # GPyTorch's dependencies use what torch deprecates.
        warnings.simplefilter("ignore")
        import_module("dovetail.agents.surrogate")


class Spread:
    """Designs of a space spread by a scrambled Sobol sequence."""

    def __init__(self, space: Space, seed: int) -> None:
        from torch.quasirandom import SobolEngine

        self._sobol = SobolEngine(len(space.knobs), scramble=True, seed=seed)
        self._cardinalities = space.cardinalities

    def __call__(self, count: int) -> IntArray:
        """The next designs (count, knobs)."""
        points = self._sobol.draw(count).numpy().astype(np.float64)
        return (points * self._cardinalities).astype(np.int64)
