"""Simulated annealing: independent chains, each under a preference of its own, in one batch.

References:
    Kirkpatrick, Gelatt and Vecchi, "Optimization by Simulated Annealing", Science 220, 1983;
    Metropolis et al., J. Chemical Physics 21, 1953 (acceptance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed
from dovetail.agents.preferences import preference_set
from dovetail.agents.settings import check_range
from dovetail.agents.variation import Variation
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class AnnealingArgs:
    """Settings of simulated annealing.

    Attributes:
        chains: independent chains, and designs per ask.
        hot: temperature at the start, in units of scalar reward (a decade of cost or an error of
            0.1, times its weight).
        cold: temperature from `horizon` designs on; geometric between.
        horizon: designs over which the temperature falls.
        mutated_knobs: expected number of knobs that one step changes.
        spread: mean step of an ordered knob, as a share of its number of values.
    """

    chains: int = 28
    hot: float = 0.3
    cold: float = 0.003
    horizon: int = 4000
    mutated_knobs: float = 1.5
    spread: float = 0.1

    def __post_init__(self) -> None:
        check_range("chains", self.chains, 1)
        check_range("hot", self.hot, 0, above=True)
        check_range("cold", self.cold, 0, self.hot, above=True)
        check_range("horizon", self.horizon, 1)
        check_range("mutated_knobs", self.mutated_knobs, 0, above=True)
        check_range("spread", self.spread, 0, 1)


class AnnealingAgent:
    """Moves each chain to a neighbour that is better, or worse by a chance that cools."""

    Args = AnnealingArgs

    def __init__(self, problem: DesignProblem, seed: int, args: AnnealingArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        preferences = preference_set(len(problem.objectives))
        self._weights = preferences[np.arange(args.chains) % len(preferences)]
        self._rng = np.random.default_rng(seed)
        self._variation = Variation(self._allowed.space, args.mutated_knobs, args.spread)
        self._designs = self._allowed.space.sample(self._rng, args.chains)
        self._rewards: FloatArray = np.full(args.chains, -np.inf)
        self._told = 0

    @property
    def temperature(self) -> float:
        """Temperature of the next step."""
        args, passed = self._args, min(1.0, self._told / self._args.horizon)
        return float(args.hot * (args.cold / args.hot) ** passed)

    def ask(self) -> IntArray:
        """A neighbour of each chain's design, or where the chains start, (chains, knobs)."""
        fresh = np.isneginf(self._rewards)[:, None]
        moved = self._variation.mutate(self._rng, self._designs)
        return self._allowed.outer(np.where(fresh, self._designs, moved))

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Accepts or rejects each chain's step by Metropolis' rule."""
        told = len(designs)
        rewards = evaluation.scalar(self._weights[:told])
        odds = np.exp(np.minimum((rewards - self._rewards[:told]) / self.temperature, 0.0))
        accepted = self._rng.random(told) < odds
        self._designs[:told][accepted] = self._allowed.inner(designs)[accepted]
        self._rewards[:told][accepted] = rewards[accepted]
        self._told += told
