"""Ant colony optimisation: ants walk from knob to knob along pheromone between their values.

Each preference has a colony. An ant at one value of a knob chooses a value of the next by the
pheromone between the two, so that colonies learn which neighbouring choices go together. The best
ants so far lay pheromone, which stays within [floor, 1].

References:
    Dorigo, Maniezzo and Colorni, "Ant System", IEEE Trans. Systems, Man and Cybernetics B 26(1),
    1996; Bullnheimer, Hartl and Strauss, "A New Rank Based Version of the Ant System", 1999 (ants
    lay pheromone by rank); Stuetzle and Hoos, "MAX-MIN Ant System", FGCS 16, 2000 (bounds); Blum
    and Dorigo, "The Hyper-Cube Framework for Ant Colony Optimization", IEEE Trans. SMC B 34(2),
    2004 (pheromone within [0, 1], eq. 5).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed, legal_values
from dovetail.agents.preferences import preference_set, rewards_under
from dovetail.agents.seen import Seen
from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class AntColonyArgs:
    """Settings of ant colony optimisation.

    Attributes:
        ants: designs per ask, shared out over the colonies.
        elite: best designs so far that lay a colony's pheromone, by rank.
        evaporation: share of the pheromone that a batch replaces.
        floor: least pheromone of a path.
        exponent: power of the pheromone in an ant's choice.
    """

    ants: int = 140
    elite: int = 12
    evaporation: float = 0.15
    floor: float = 0.02
    exponent: float = 1.0

    def __post_init__(self) -> None:
        check_range("ants", self.ants, 1)
        check_range("elite", self.elite, 1)
        check_range("evaporation", self.evaporation, 0, 1, above=True)
        check_range("floor", self.floor, 0, 1, above=True)
        check_range("exponent", self.exponent, 0)


class AntColonyAgent:
    """Lets ants of each colony choose value after value, and the best of them mark their way."""

    Args = AntColonyArgs

    def __init__(self, problem: DesignProblem, seed: int, args: AntColonyArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        space = self._allowed.space
        self._preferences = preference_set(len(problem.objectives))
        self._rng = np.random.default_rng(seed)
        self._seen = Seen(space)
        self._legal = legal_values(space)
        colonies, (knobs, values) = len(self._preferences), self._legal.shape
        # [colony, knob, value of the knob before, value]; before the first knob stands value 0.
        self._pheromone: FloatArray = np.full((colonies, knobs, values, values), 0.5)
        self._elite: IntArray = np.zeros((0, knobs), dtype=np.int64)
        self._rewards: FloatArray = np.zeros((0, colonies))

    def ask(self) -> IntArray:
        """Walks of ants of the colonies in turn, (ants, knobs)."""
        colony = np.arange(self._args.ants) % len(self._preferences)
        weights = np.where(self._legal[:, None], self._pheromone**self._args.exponent, 0.0)
        cumulative = np.cumsum(weights, axis=3)
        designs = np.zeros((len(colony), len(self._legal)), dtype=np.int64)
        here = np.zeros(len(colony), dtype=np.int64)
        for knob in range(len(self._legal)):
            reach = cumulative[colony, knob, here]
            point = self._rng.random(len(colony)) * reach[:, -1]
            here = (point[:, None] >= reach[:, :-1]).sum(axis=1)
            # Rounding may carry a point to the total itself: then the last legal value.
            here = np.minimum(here, self._allowed.space.cardinalities[knob] - 1)
            designs[:, knob] = here
        return self._allowed.outer(designs)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Evaporates pheromone and lets the best ants so far lay new."""
        args = self._args
        pool = np.concatenate([self._elite, self._allowed.inner(designs)])
        rewards = np.concatenate([self._rewards, rewards_under(evaluation, self._preferences)])
        _, rows = np.unique(self._seen.keys(pool), return_index=True)
        best = rows[np.argsort(-rewards[rows], axis=0, kind="stable")[: args.elite]]
        laid = self._trails(pool[best.T])
        mixed = (1 - args.evaporation) * self._pheromone + args.evaporation * laid
        self._pheromone = np.maximum(mixed, args.floor)
        kept = np.unique(best)
        self._elite, self._rewards = pool[kept], rewards[kept]

    def _trails(self, elite: IntArray) -> FloatArray:
        """Pheromone that designs (colonies, k, knobs), best first, lay; 1 where all agree."""
        colonies, count, knobs = elite.shape
        share = np.arange(count, 0, -1) / (count * (count + 1) / 2)
        before = np.concatenate([np.zeros_like(elite[:, :, :1]), elite[:, :, :-1]], axis=2)
        laid = np.zeros_like(self._pheromone)
        place = np.arange(colonies)[:, None, None], np.arange(knobs), before, elite
        np.add.at(laid, place, np.broadcast_to(share[:, None], elite.shape))
        return laid
