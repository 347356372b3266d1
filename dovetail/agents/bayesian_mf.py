"""Bayesian optimisation over fidelities: cheap evaluations where they raise the rate of gain.

What counts is the hypervolume at the highest fidelity, per cost. A design is evaluated there if
its expected improvement is worth the cost. It is looked at on a lower level first if that is
expected to raise the best improvement known by more, per cost, than the improvement itself is worth
per cost: exactly then the look raises the rate (gain + rise) / (cost + cost of the look). Models
are recursive (`dovetail.agents.recursive`). On a problem without fidelities there is nothing to
look at, and all is evaluated at the only level.

References:
    Huang, Allen, Notz and Miller, "Sequential Kriging Optimization Using Multiple-Fidelity
    Evaluations", Struct. Multidisc. Optim. 32, 2006 (improvement at the highest level, by what a
    lower one tells of it and costs); Weitzman, "Optimal Search for the Best Alternative",
    Econometrica 47(3), 1979 (looks while they pay); and those of `dovetail.agents.bayesian`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dovetail.agents.bayesian import BayesianAgent, Spread, load_surrogate
from dovetail.agents.candidates import Candidates
from dovetail.agents.encoding import UnitEncoding
from dovetail.agents.isolation import Isolation
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.variation import fresh_rows
from dovetail.envs.fidelity import FidelityProblem
from dovetail.envs.objectives import by_constraint, constraints_of
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import non_dominated, pareto_ranks
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space

if TYPE_CHECKING:
    from dovetail.agents.multi_surrogate import MultiSurrogate, Outlook
    from dovetail.agents.surrogate import Hyperparameters


@dataclass(frozen=True, slots=True)
class BayesianMFArgs:
    """Settings of Bayesian optimisation over fidelities.

    Attributes:
        initial: designs of the first ask, at the lowest level, spread by a Sobol sequence.
        promoted: the best of each level that the next one begins with.
        batch: designs per later ask at the highest level.
        looks: designs per later ask at a lower level.
        points: most designs of each level that the models are fitted to, the latest.
        iterations: most steps of each model's first fit.
        refits: most steps of its later fits, which begin where the one before ended.
        pool: candidates per round of local search.
        rounds: rounds of local search.
        shortlist: candidates among which a batch is picked.
        samples: Monte Carlo samples of the posterior.
    """

    initial: int = 24
    promoted: int = 6
    batch: int = 2
    looks: int = 8
    points: int = 300
    iterations: int = 50
    refits: int = 10
    pool: int = 512
    rounds: int = 3
    shortlist: int = 32
    samples: int = 32

    def __post_init__(self) -> None:
        check_range("initial", self.initial, 2)
        check_range("promoted", self.promoted, 1)
        check_range("batch", self.batch, 1, self.shortlist)
        check_range("looks", self.looks, 1, self.shortlist)
        check_range("points", self.points, 4)
        check_range("iterations", self.iterations, 1)
        check_range("refits", self.refits, 1)
        check_range("pool", self.pool, 8)
        check_range("rounds", self.rounds, 1)
        check_range("shortlist", self.shortlist, 1, self.pool)
        check_range("samples", self.samples, 2)


class BayesianMFAgent:
    """Looks at designs where that is cheap, and evaluates at the highest level what is worth it."""

    Args = BayesianMFArgs
    NEEDS = BayesianAgent.NEEDS

    def __init__(self, problem: DesignProblem, seed: int, args: BayesianMFArgs) -> None:
        load_surrogate("agent 'bayesian_mf'")
        self._args = args
        self._problem = problem if isinstance(problem, FidelityProblem) else None
        self._costs = self._problem.costs if self._problem else np.ones(1)
        self._top = len(self._costs) - 1
        space = Space(problem.space.knobs[:-1]) if self._problem else problem.space
        self._space = space
        self._constraints = constraints_of(problem)
        self._reference = np.asarray(problem.reference_point, dtype=np.float64)
        self._encoding = UnitEncoding(space)
        self._rng = np.random.default_rng(seed)
        self._isolation = Isolation(seed)
        self._candidates = Candidates(space, self._rng, args.pool, args.rounds, args.shortlist)
        self._spread = Spread(space, seed)
        self._seen = [Seen(space) for _ in self._costs]
        self._hyperparameters: dict[str, Hyperparameters] = {}
        none: IntArray = np.zeros((0, len(space.knobs)), dtype=np.int64)
        self._asked, self._asked_levels = none, np.zeros(0, dtype=np.int64)
        self._designs, self._levels = none, np.zeros(0, dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, len(problem.objectives)))
        self._excess: FloatArray = np.zeros((0, len(self._constraints)))
        self._laws: FloatArray = np.zeros(0)

    def ask(self) -> IntArray:
        """Designs of the lowest level, the best of each for the next, then those worth it."""
        level, asked = 0, self._first()
        if asked is None:
            with self._isolation, warnings.catch_warnings():
                # The linear algebra warns whenever it adds jitter to a covariance.
                warnings.simplefilter("ignore")
                level, asked = self._promoted() or self._propose()
        levels = np.full(len(asked), level)
        self._note(asked, levels)
        return np.concatenate([asked, levels[:, None]], axis=1) if self._problem else asked

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds designs, asked or not, to what the models learn from."""
        levels = np.zeros(len(designs), dtype=np.int64)
        if self._problem:
            evaluation = self._problem.own(designs, evaluation)
            designs, levels = designs[:, :-1], designs[:, -1]
        self._note(designs, levels)
        laws, excess = by_constraint(evaluation, self._constraints)
        self._designs = np.concatenate([self._designs, designs])
        self._levels = np.concatenate([self._levels, levels])
        self._objectives = np.concatenate([self._objectives, evaluation.objectives])
        self._excess = np.concatenate([self._excess, excess])
        self._laws = np.concatenate([self._laws, laws])

    def _note(self, designs: IntArray, levels: IntArray) -> None:
        """Designs asked or told: no level is asked them again, nor one below."""
        self._asked = np.concatenate([self._asked, designs])
        self._asked_levels = np.concatenate([self._asked_levels, levels])
        for level, seen in enumerate(self._seen):
            seen.add(designs[levels >= level])

    def _first(self) -> IntArray | None:
        """Designs to begin with, as long as fewer than two are told."""
        if len(self._designs) >= 2:
            return None
        count = self._args.looks if len(self._asked) else self._args.initial
        return fresh_rows(self._spread, count, self._seen[0])

    def _violation(self) -> FloatArray:
        return self._laws + np.nan_to_num(np.maximum(self._excess, 0.0)).sum(axis=1)

    def _promoted(self) -> tuple[int, IntArray] | None:
        """The best of a level for the next one, if nothing was asked there yet."""
        from dovetail.agents.surrogate import spread_out

        for level in range(1, self._top + 1):
            known = (self._levels == level - 1) & np.isfinite(self._objectives).all(axis=1)
            if (self._asked_levels == level).any() or not known.any():
                continue
            designs, objectives = self._designs[known], self._objectives[known]
            order = np.lexsort((pareto_ranks(objectives), self._violation()[known]))
            front = order[: max(self._args.promoted, self._front(known).sum())]
            return level, designs[front][spread_out(objectives[front], self._args.promoted)]
        return None

    def _front(self, rows: BoolArray) -> BoolArray:
        """(told,) those of some rows that are feasible and that none of the others dominates."""
        counted = rows & (self._violation() <= 0)
        return non_dominated(np.where(counted[:, None], self._objectives, np.nan))

    def _propose(self) -> tuple[int, IntArray]:
        """The level that pays best, and designs for it."""
        surrogate = self._fitted()
        encode = self._encoding.encode
        if not surrogate.objectives:
            pool, _ = self._candidates.best(
                lambda designs: surrogate.log_odds(encode(designs)), self._designs, self._seen[0]
            )
            return 0, pool[: self._args.looks]
        front = self._believed(surrogate)
        draws = self._rng.standard_normal((self._args.samples, len(self._reference)))

        def score(designs: IntArray) -> FloatArray:
            return surrogate.outlook(encode(designs)).values(front, self._reference, draws)[:, -1]

        pool, _ = self._candidates.best(score, self._parents(surrogate), self._seen[-1])
        pool = np.unique(np.concatenate([pool, self._seen[-1].new(self._asked)]), axis=0)
        return self._greedy(surrogate.outlook(encode(pool)), pool, front, draws)

    def _fitted(self) -> MultiSurrogate:
        from dovetail.agents.multi_surrogate import MultiSurrogate

        args = self._args
        recent = [np.flatnonzero(self._levels == k)[-args.points :] for k in range(self._top + 1)]
        rows = np.sort(np.concatenate(recent))
        surrogate = MultiSurrogate(
            self._encoding.encode(self._designs[rows]),
            self._levels[rows],
            self._top + 1,
            self._objectives[rows],
            self._excess[rows],
            self._laws[rows],
            (args.iterations, args.refits),
            self._hyperparameters,
        )
        self._hyperparameters |= surrogate.hyperparameters
        return surrogate

    def _believed(self, surrogate: MultiSurrogate) -> FloatArray:
        """The front at the highest level (k, m), and what designs still evaluated there will be."""
        known = self._objectives[self._front(self._levels == self._top)]
        asked = self._asked[self._asked_levels == self._top]
        told = self._seen_told()
        pending = told.new(asked)
        if not len(pending):
            return known
        return np.concatenate([known, -surrogate.outlook(self._encoding.encode(pending)).mean])

    def _seen_told(self) -> Seen:
        seen = Seen(self._space)
        seen.add(self._designs[self._levels == self._top])
        return seen

    def _parents(self, surrogate: MultiSurrogate) -> IntArray:
        """Designs told whose expectations at the highest level are on the front of all these."""
        outlook = surrogate.outlook(self._encoding.encode(self._designs))
        lawful = self._laws <= 0
        return self._designs[non_dominated(np.where(lawful[:, None], -outlook.mean, np.nan))]

    def _greedy(
        self, outlook: Outlook, pool: IntArray, front: FloatArray, draws: FloatArray
    ) -> tuple[int, IntArray]:
        """A batch for the level that pays best, one by one, each believing those before."""
        done = np.stack([self._done(pool, level) for level in range(self._top + 1)], axis=1)
        rates = outlook.values(front, self._reference, draws) / self._costs
        level = int(np.where(done, -1.0, rates).max(axis=0).argmax())
        order = np.argsort(-np.where(done, -1.0, rates)[:, level], kind="stable")
        rows = order[: self._args.shortlist]
        count = self._args.batch if level == self._top else self._args.looks
        picked: list[int] = []
        for _ in range(min(count, len(rows))):
            rates = outlook.part(rows).values(front, self._reference, draws) / self._costs
            rates[done[rows]] = -1.0
            rates[picked] = -2.0
            best = int(rates[:, level].argmax())
            if picked and rates.max(axis=0).argmax() != level:
                break
            picked.append(best)
            front = np.concatenate([front, -outlook.mean[rows[best]][None]])
        return level, pool[rows[picked]]

    def _done(self, pool: IntArray, level: int) -> BoolArray:
        """(n,) designs that were asked at a level or above."""
        keys = self._seen[level].keys
        return np.isin(keys(pool), keys(self._asked[self._asked_levels >= level]))
