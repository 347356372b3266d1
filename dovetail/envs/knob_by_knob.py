"""Designs set knob by knob, so that masks can follow laws that couple knobs."""

from __future__ import annotations

from typing import Any, ClassVar, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike, NDArray

from dovetail.envs.design_env import lawful
from dovetail.envs.lawful import Lawful
from dovetail.envs.preference import Preferences
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.envs.registry import make_problem
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray

SPOILED = -10.0
"""Reward of an episode in which a knob was given another knob's value: the least of all."""

Seen = NDArray[np.float32]


def observation_space(problem: DesignProblem) -> spaces.Box:
    """Box of the m preference weights and one entry per value of each knob."""
    values = int(problem.space.cardinalities.sum())
    return spaces.Box(0.0, 1.0, (len(problem.objectives) + values,), np.float32)


def action_space(problem: DesignProblem) -> spaces.Discrete:
    """One action per value of each knob, knob after knob."""
    return spaces.Discrete(int(problem.space.cardinalities.sum()))


class Episodes:
    """n designs that are set together, one knob per step.

    Args:
        problem: what is designed.
        laws: its masks.
        weights: (n, m) preferences.

    Attributes:
        designs: (n, knobs) values set so far, 0 for the others.
        knob: the next to be set; their number when all are.
        spoiled: (n,) True where a knob was given another knob's value.
    """

    def __init__(self, problem: DesignProblem, laws: Lawful, weights: ArrayLike) -> None:
        preferences = np.asarray(weights, dtype=np.float32)
        count, self._objectives = preferences.shape
        self._laws = laws
        self._sizes = problem.space.cardinalities
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._seen = np.zeros((count, self._objectives + int(self._sizes.sum())), np.float32)
        self._seen[:, : self._objectives] = preferences
        self.designs: IntArray = np.zeros((count, len(self._sizes)), dtype=np.int64)
        self.knob = 0
        self.spoiled: BoolArray = np.zeros(count, dtype=np.bool_)

    @property
    def done(self) -> bool:
        """Whether all knobs are set."""
        return self.knob == len(self._sizes)

    def observe(self) -> Seen:
        """Weights, then 1 for every value set (one-hot per knob), (n, m + values of all knobs)."""
        return self._seen.copy()

    def masks(self) -> BoolArray:
        """(n, values of all knobs): allowed values of the next knob; all when none is left."""
        if self.done:
            return np.ones((len(self.designs), int(self._sizes.sum())), dtype=np.bool_)
        found = np.zeros((len(self.designs), int(self._sizes.sum())), dtype=np.bool_)
        start = self._starts[self.knob]
        part = slice(start, start + self._sizes[self.knob])
        found[:, part] = self._laws.masks(self.designs[:, : self.knob])
        return found

    def set(self, actions: IntArray) -> None:
        """Sets the next knob to values given as actions (n,); another knob's value spoils."""
        start, size = self._starts[self.knob], self._sizes[self.knob]
        values = np.asarray(actions, dtype=np.int64) - start
        self.spoiled |= (values < 0) | (values >= size)
        values = np.clip(values, 0, size - 1)
        self.designs[:, self.knob] = values
        self._seen[np.arange(len(values)), self._objectives + start + values] = 1.0
        self.knob += 1

    def rewards(self, evaluation: Evaluation) -> FloatArray:
        """Rewards (n,) of the finished designs under their preferences."""
        weights = self._seen[:, : self._objectives].astype(np.float64)
        return np.where(self.spoiled, SPOILED, evaluation.scalar(weights))


class KnobByKnobEnv(gymnasium.Env[Any, Any]):
    """Design one system per episode, one knob per step.

    | part | type | meaning |
    |---|---|---|
    | action | Discrete(sum of values) | a value of the next knob: index over all knobs' values |
    | observation | Box(0, 1, (m + sum of values,), float32) | weights; 1 for each value set |
    | reward | float | 0 until all knobs are set, then as in `DesignEnv` |
    | `info` | dict | empty, at the end as in `DesignEnv` |

    `action_masks()` allows exactly the values of the next knob with which a lawful design remains
    (`Lawful`; its `exact` says if that is so for this problem). A value of another knob spoils the
    episode: it goes on, and ends with reward -10.

    Args:
        problem: what is designed.
        preference: (m,) weights >= 0 of every episode; None draws new ones in each `reset`.
        render_mode: None; the final design stands in `info`.

    Raises:
        ProblemError: if the preference does not fit, or no design is lawful.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012  gymnasium's attribute
    modes: ClassVar[tuple[None]] = (None,)

    def __init__(
        self,
        problem: DesignProblem,
        *,
        preference: ArrayLike | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in self.modes:
            raise ProblemError(f"render_mode '{render_mode}': must be None")
        self.problem = problem
        self.render_mode = render_mode
        self.laws = Lawful(problem)
        self.observation_space = observation_space(problem)
        self.action_space = action_space(problem)
        self._preferences = Preferences(len(problem.objectives), 1, preference)
        self._episode: Episodes | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Starts an episode; returns its first observation and an empty info.

        Raises:
            ProblemError: if `options` holds anything but a well-formed `preference`.
        """
        super().reset(seed=seed)
        weights = self._preferences.start(self.np_random, options)
        self._episode = Episodes(self.problem, self.laws, weights)
        return self._episode.observe()[0], {}

    def step(self, action: Any) -> tuple[Seen, SupportsFloat, bool, bool, dict[str, Any]]:
        """Sets the next knob.

        Raises:
            ResetNeeded: if no episode was started, or it is over.
            ProblemError: if there is no such action.
        """
        episode = self._episode
        if episode is None or episode.done:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if not self.action_space.contains(action):
            raise ProblemError(f"action {action!r}: must be one of {self.action_space}")
        episode.set(np.array([int(action)]))
        if not episode.done:
            return episode.observe()[0], 0.0, False, False, {}
        evaluation = self.problem.evaluate(episode.designs)
        info = self._info(episode, evaluation)
        return episode.observe()[0], float(episode.rewards(evaluation)[0]), True, False, info

    def _info(self, episode: Episodes, evaluation: Evaluation) -> dict[str, Any]:
        spoiled = bool(episode.spoiled[0])
        legal = bool(lawful(evaluation)[0]) and not spoiled
        feasible = bool(evaluation.feasible[0]) and not spoiled
        reasons = [] if feasible else self.problem.reasons(episode.designs[0])
        return {
            "design": episode.designs[0].copy(),
            "metrics": {k: float(v[0]) for k, v in evaluation.metrics.items()} if legal else {},
            "violation": float(evaluation.violation[0]),
            "legal": legal,
            "feasible": feasible,
            "reasons": ["a knob was given another knob's value"] if spoiled else reasons,
            **({"objectives": evaluation.objectives[0].copy()} if legal else {}),
        }

    def action_masks(self) -> BoolArray:
        """(sum of values,): True for the values of the next knob that leave a lawful design."""
        if self._episode is None:
            raise gymnasium.error.ResetNeeded("call reset() before action_masks()")
        return self._episode.masks()[0]


def knob_by_knob_env(
    *,
    preference: ArrayLike | None = None,
    render_mode: str | None = None,
    **fields: object,
) -> KnobByKnobEnv:
    """`dovetail/KnobByKnob-v0`: any problem, set knob by knob.

    Args:
        preference: see `KnobByKnobEnv`.
        render_mode: see `KnobByKnobEnv`.
        fields: `problem`, by default `codesign`, and its own, see `make_problem`.
    """
    problem = make_problem({"problem": "codesign", **fields})
    return KnobByKnobEnv(problem, preference=preference, render_mode=render_mode)
