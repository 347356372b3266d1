"""The cross-entropy method: a distribution per preference, drawn towards its best designs.

Each preference has an independent categorical distribution per knob. Every batch is shared out
over the preferences, and every design counts under all of them.

References:
    Rubinstein, "The Cross-Entropy Method for Combinatorial and Continuous Optimization",
    Methodology and Computing in Applied Probability 1, 1999; de Boer et al., "A Tutorial on the
    Cross-Entropy Method", Annals of Operations Research 134, 2005 (smoothed updates: eq. 37).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed
from dovetail.agents.categorical import draw, frequencies, uniform
from dovetail.agents.preferences import preference_set, rewards_under
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class CEMArgs:
    """Settings of the cross-entropy method.

    Attributes:
        batch: designs per ask, shared out over the preferences.
        elite: designs that each preference learns from: the best of the batch and of the elite
            before.
        smoothing: share of the elite's frequencies in the new distribution.
        explore: share of the uniform distribution in every draw.
    """

    batch: int = 140
    elite: int = 20
    smoothing: float = 0.3
    explore: float = 0.05

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1)
        check_range("elite", self.elite, 1)
        check_range("smoothing", self.smoothing, 0, 1, above=True)
        check_range("explore", self.explore, 0, 1)


class CEMAgent:
    """Draws from the distributions and moves each towards the designs that it likes best."""

    Args = CEMArgs

    def __init__(self, problem: DesignProblem, seed: int, args: CEMArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        self._preferences = preference_set(len(problem.objectives))
        self._rng = np.random.default_rng(seed)
        count = len(self._preferences)
        self._seen = Seen(self._allowed.space)
        self._uniform = uniform(self._allowed.space)
        self._odds: FloatArray = np.repeat(self._uniform[None], count, axis=0)
        self._elite: IntArray = np.zeros((0, len(problem.space.knobs)), dtype=np.int64)
        self._rewards: FloatArray = np.zeros((0, count))

    def ask(self) -> IntArray:
        """Designs drawn from the distributions in turn, (batch, knobs)."""
        args = self._args
        odds = (1 - args.explore) * self._odds + args.explore * self._uniform
        each = -(-args.batch // len(odds))
        drawn = draw(self._rng, odds, each)
        # In turn, so that a batch that is cut short still serves all preferences.
        designs = drawn.transpose(1, 0, 2).reshape(-1, drawn.shape[2])[: args.batch]
        return self._allowed.outer(designs)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Moves each distribution towards the frequencies of its elite."""
        args = self._args
        pool = np.concatenate([self._elite, self._allowed.inner(designs)])
        rewards = np.concatenate([self._rewards, rewards_under(evaluation, self._preferences)])
        # A design drawn twice takes one place: else copies of one would be the whole elite.
        _, rows = np.unique(self._seen.keys(pool), return_index=True)
        best = rows[np.argsort(-rewards[rows], axis=0, kind="stable")[: args.elite]]
        seen = frequencies(pool[best.T], self._uniform.shape[1])
        self._odds = (1 - args.smoothing) * self._odds + args.smoothing * seen
        kept = np.unique(best)
        self._elite, self._rewards = pool[kept], rewards[kept]
