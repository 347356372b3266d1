"""The knob-by-knob environment in batches, for MaskablePPO of sb3-contrib."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dovetail.envs.knob_by_knob import Episodes, KnobByKnobEnv, Seen
from dovetail.envs.problem import DesignProblem
from dovetail.envs.sb3_vec_env import DesignVecEnv
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray


class KnobByKnobVecEnv(DesignVecEnv):
    """n `KnobByKnobEnv`s as one Stable-Baselines3 VecEnv, in step with each other.

    Masks, observations and evaluations are made for all episodes in one call each. `designs` and
    `evaluation` hold those that ended last.

    Args:
        problem: what is designed.
        num_envs: episodes, n.
        preference: (m,) or (n, m) weights >= 0 of every episode; None draws new ones.

    Raises:
        ProblemError: if `num_envs` < 1, the preference does not fit, or no design is lawful.
    """

    _episodes: Episodes
    _actions: NDArray[Any]

    def __init__(
        self, problem: DesignProblem, num_envs: int = 256, *, preference: ArrayLike | None = None
    ) -> None:
        super().__init__(problem, num_envs, preference=preference)
        self._single = KnobByKnobEnv(problem)
        self._template = self._single  # type: ignore[assignment]  # only its attributes are read
        self.observation_space = self._single.observation_space
        self.action_space = self._single.action_space

    def reset(self) -> Seen:
        """Starts n episodes; returns their observations (n, m + values of all knobs)."""
        self._start(super().reset())
        return self._episodes.observe()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes a value of the next knob for each episode, (n,).

        Raises:
            ProblemError: if their number is wrong or there is no such action.
        """
        values = np.asarray(actions)
        if values.shape != (self.num_envs,) or ((values < 0) | (values >= self._count_all())).any():
            raise ProblemError(f"actions of shape {values.shape}: must be {self.num_envs} indices")
        self._actions = values

    def step_wait(self) -> tuple[Seen, NDArray[np.float32], BoolArray, list[dict[str, Any]]]:
        """Sets the next knob of all; where it was the last, evaluates and starts anew."""
        episodes = self._episodes
        episodes.set(self._actions)
        done = np.full(self.num_envs, episodes.done)
        if not episodes.done:
            nothing: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            return episodes.observe(), np.zeros(self.num_envs, np.float32), done, nothing
        self.designs = episodes.designs
        self.evaluation = self.problem.evaluate(episodes.designs)
        rewards = episodes.rewards(self.evaluation).astype(np.float32)
        infos = [{"terminal_observation": row} for row in episodes.observe()]
        self._start(self._preferences.start(self._rng))
        return self._episodes.observe(), rewards, done, infos

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """`action_masks` of each episode.

        Raises:
            ProblemError: if it is another method.
        """
        if method_name != "action_masks":
            raise ProblemError(f"env_method('{method_name}'): only action_masks is there")
        masks = self._episodes.masks()
        return [masks[i] for i in self._get_indices(indices)]

    def _start(self, weights: NDArray[np.float32]) -> None:
        self._episodes = Episodes(self.problem, self._single.laws, weights)

    def _count_all(self) -> int:
        return int(self.problem.space.cardinalities.sum())
