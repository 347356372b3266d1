"""Model-guided search of grids: Gaussian processes that are cheap enough for thousands of designs.

Each ask models the objectives from what was told near the front, breeds candidates from the front,
and takes those that should add most hypervolume, each knowing those before it: in the mean of few
draws, the same ones for all candidates and wider than the models' deviations (`draws`, `optimism`),
so that what is ranked is a hopeful improvement rather than the expected one. Batches grow with what
is known, so that a thousand designs take seconds. Once so much is known that models add little, the
search goes on without them, as a local search around the whole front.

References:
    Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions",
    J. Global Optimization 13, 1998; Emmerich et al. 2006 (see `dovetail.agents.surrogates`);
    Paquete, Chiarandini and Stuetzle, "Pareto Local Optimum Sets in the Biobjective Traveling
    Salesman Problem", 2004 (local search around an archive).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from dovetail.agents.allowed import Allowed
from dovetail.agents.improvement import behind
from dovetail.agents.prospects import Prospects
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.agents.surrogates import Surrogates
from dovetail.agents.variation import Variation, fresh_rows
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import ParetoArchive, non_dominated
from dovetail.ir.space import FloatArray, IntArray

REFIT = 1.5
"""Parameters are fitted anew whenever so many times as many designs are known."""

SCREENED = 4
"""Candidates that are bred for each that the models' deviations are worked out for."""


@dataclass(frozen=True, slots=True)
class EgoArgs:
    """Settings of the model-guided search.

    Attributes:
        initial: designs of the first ask, spread by a scrambled Sobol sequence.
        batch: least designs per later ask.
        growth: designs per ask, as a share of those told.
        most: most designs per ask with models.
        modelled: designs told from which on the search goes on without models.
        local: most designs per ask without models.
        points: most designs that each model predicts from.
        fit_points: most designs that the models' parameters are fitted to.
        pool: least candidates per round of breeding.
        rounds: rounds of breeding per ask.
        draws: Monte Carlo draws of the models' predictions.
        optimism: factor of the models' deviations.
    """

    initial: int = 16
    batch: int = 4
    growth: float = 0.06
    most: int = 512
    modelled: int = 3000
    local: int = 4096
    points: int = 512
    fit_points: int = 200
    pool: int = 128
    rounds: int = 4
    draws: int = 8
    optimism: float = 1.5

    def __post_init__(self) -> None:
        check_range("initial", self.initial, 2)
        check_range("batch", self.batch, 1)
        check_range("growth", self.growth, 0)
        check_range("most", self.most, self.batch)
        check_range("modelled", self.modelled, 0)
        check_range("local", self.local, 1)
        check_range("points", self.points, 8)
        check_range("fit_points", self.fit_points, 4)
        check_range("pool", self.pool, 8)
        check_range("rounds", self.rounds, 1)
        check_range("draws", self.draws, 1)
        check_range("optimism", self.optimism, 0, above=True)


class EgoAgent:
    """Asks for what its models expect to add most to the front; nothing twice while it can."""

    Args = EgoArgs

    def __init__(self, problem: DesignProblem, seed: int, args: EgoArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        space = self._space = self._allowed.space
        self._reference = np.asarray(problem.reference_point, dtype=np.float64)
        self._rng = np.random.default_rng(seed)
        self._sobol = qmc.Sobol(len(space.knobs), rng=self._rng)
        self._variation = Variation(space, mutated_knobs=1.5, spread=0.15)
        self._seen = Seen(space)
        self._models = Surrogates(space, self._reference, self._rng, args.points, args.fit_points)
        self._told = self._fitted = 0
        self._archive = ParetoArchive(self._reference, len(space.knobs))
        self._designs: IntArray = np.zeros((0, len(space.knobs)), dtype=np.int64)
        self._objectives: FloatArray = np.zeros((0, len(problem.objectives)))
        self._violation: FloatArray = np.zeros(0)
        self._candidates = self._designs

    def ask(self) -> IntArray:
        """Initial designs, then the batch that should add most, (n, knobs)."""
        if self._told < 2:
            return self._allowed.outer(fresh_rows(self._spread, self._args.initial, self._seen))
        args = self._args
        free = self._told >= args.modelled and len(self._archive) >= 2
        wanted = max(args.batch, int(args.growth * self._told))
        if free:
            count = min(wanted, args.local)
            return self._allowed.outer(fresh_rows(self._around, count, self._seen))
        wanted = min(wanted, args.most)
        fit = self._told >= REFIT * self._fitted
        self._fitted = self._told if fit else self._fitted
        rows = np.argsort(self._badness(self._front()), kind="stable")
        self._models.learn(
            self._designs[rows], self._objectives[rows], self._violation[rows], fit=fit
        )
        chosen = self._propose(wanted)
        if len(chosen) < wanted:
            others = fresh_rows(self._uniform, wanted, self._seen)
            chosen = np.concatenate([chosen, others])[:wanted]
        return self._allowed.outer(chosen)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Adds designs to the front and, while there are models, to what these learn from."""
        told = self._allowed.inner(designs)
        self._seen.add(told)
        self._told += len(told)
        self._archive.add(told, evaluation.objectives, evaluation.feasible)
        if self._told >= self._args.modelled and len(self._archive) >= 2:
            return
        self._designs = np.concatenate([self._designs, told])
        self._objectives = np.concatenate([self._objectives, evaluation.objectives])
        self._violation = np.concatenate([self._violation, evaluation.violation])

    def _spread(self, count: int) -> IntArray:
        # Sobol sequences are balanced in powers of two; the first of one begin it.
        points = self._sobol.random(1 << max(count - 1, 0).bit_length())[:count]
        return (points * self._space.cardinalities).astype(np.int64)

    def _uniform(self, count: int) -> IntArray:
        return self._space.sample(self._rng, count)

    def _around(self, count: int) -> IntArray:
        """Children of the whole front, (count, knobs)."""
        front = self._archive.designs
        mothers, fathers = self._rng.integers(0, len(front), size=(2, count))
        return self._variation.children(self._rng, front[mothers], front[fathers])

    def _front(self) -> IntArray:
        """Rows of the feasible front, equal objectives once."""
        feasible = (self._violation <= 0)[:, None]
        values = np.where(feasible, self._objectives, np.nan)
        return np.flatnonzero(non_dominated(values, keep_equal=False))

    def _badness(self, front: IntArray) -> FloatArray:
        """Distance (n,) from the front; infeasible designs come after all others."""
        bad = np.where(self._violation > 0, 1e6 + self._violation, 0.0)
        known = np.isfinite(self._objectives).all(axis=1)
        bad[known] += behind(self._objectives[known], self._objectives[front])
        return bad

    def _propose(self, wanted: int) -> IntArray:
        """The best `wanted` candidates, or as many as are new."""
        front = self._front()
        normal = self._normal()
        values = self._objectives[front]
        parents = self._designs[front]
        if not len(front):
            parents = self._designs[np.argsort(self._violation, kind="stable")[:16]]
        pool = Prospects(self._models, values, self._corner(values), normal, parents.shape[1])
        pool.add(self._seen.new(self._candidates))
        for turn in range(self._args.rounds):
            pool.add(self._screened(self._bred(parents, wanted, uniform=turn == 0), values))
            pool.cut(max(self._args.pool, 2 * wanted))
            if not len(pool.designs):
                break
            drawn = self._rng.permutation(len(front))[: max(16, self._args.pool // 4)]
            best = pool.designs[: max(16, self._args.pool // 4)]
            parents = np.concatenate([best, self._designs[front[drawn]]])
        self._candidates = pool.designs
        return pool.pick(wanted)

    def _screened(self, designs: IntArray, front: FloatArray) -> IntArray:
        """A share of designs (n, knobs): half by what the models expect, half by chance."""
        count = len(designs) // (2 * SCREENED)
        if not self._models.ready:
            return designs[: 2 * count]
        far = behind(self._models.means(designs), front)
        order = np.argsort(far, kind="stable")
        drawn = self._rng.choice(order[count:], min(count, len(order) - count), replace=False)
        return designs[np.concatenate([order[:count], drawn])]

    def _bred(self, parents: IntArray, wanted: int, *, uniform: bool) -> IntArray:
        """New children of parents, and some uniform designs in the first round."""
        count = SCREENED * max(self._args.pool // 2, wanted)
        mothers, fathers = self._rng.integers(0, len(parents), size=(2, count))
        made = self._variation.children(self._rng, parents[mothers], parents[fathers])
        if uniform:
            made = np.concatenate([made, self._uniform(count // 4)])
        return self._seen.new(made)

    def _normal(self) -> FloatArray:
        """Draws (draws, m) of a standard normal, widened by the optimism."""
        sobol = qmc.Sobol(len(self._reference), rng=self._rng)
        power = max(self._args.draws - 1, 0).bit_length()
        cube = sobol.random_base2(power)[: self._args.draws]
        return self._args.optimism * ndtri(np.clip(cube, 1e-3, 1 - 1e-3))

    def _corner(self, front: FloatArray) -> FloatArray:
        """The reference point; while no point of the front (k, m) lies below it, the front's."""
        if len(front) and not (front < self._reference).all(axis=1).any():
            return np.maximum(front.max(axis=0), self._reference)
        return self._reference
