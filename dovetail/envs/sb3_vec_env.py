"""The batched environment for Stable-Baselines3 and MaskablePPO."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dovetail.envs.design_env import DesignEnv, lawful
from dovetail.envs.preference import Preferences
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import MissingExtraError, ProblemError
from dovetail.ir.space import BoolArray, IntArray

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:  # pragma: no cover  every test environment has it
    raise MissingExtraError("DesignVecEnv", "rl", "stable_baselines3") from error


class DesignVecEnv(VecEnv):
    """n `DesignEnv`s as one Stable-Baselines3 VecEnv, evaluated in one call.

    Spaces, rewards and preferences are those of `DesignEnv`; as everywhere in Stable-Baselines3,
    `step` returns the observation of the next episodes, and what ended stands in
    `infos[i]["terminal_observation"]`. `evaluation` and `designs` hold the last batch as arrays.

    Args:
        problem: what is designed.
        num_envs: designs per step, n.
        preference: (m,) or (n, m) weights >= 0 of every episode; None draws new ones.
        reuse_infos: True returns the same list of dicts in each step, whose only key is updated
            in place (Stable-Baselines3 reads it before the next step); False builds new ones that
            also hold `metrics`, `violation`, `legal` and `feasible`, at some Python per design.

    Raises:
        ProblemError: if `num_envs` < 1 or the preference does not fit the objectives.
    """

    def __init__(
        self,
        problem: DesignProblem,
        num_envs: int = 1024,
        *,
        preference: ArrayLike | None = None,
        reuse_infos: bool = True,
    ) -> None:
        if num_envs < 1:
            raise ProblemError(f"num_envs {num_envs}: must be >= 1")
        self.problem = problem
        self.designs: IntArray | None = None
        self.evaluation: Evaluation | None = None
        self._template = DesignEnv(problem)
        objectives = len(problem.objectives)
        self._preferences = Preferences(objectives, num_envs, preference)
        self._rng = np.random.default_rng()
        self._weights = np.zeros((num_envs, objectives), dtype=np.float32)
        self._terminal = self._weights.copy()
        self._infos = [{"terminal_observation": row} for row in self._terminal]
        self._reuse_infos = reuse_infos
        super().__init__(num_envs, self._template.observation_space, self._template.action_space)

    def reset(self) -> NDArray[np.float32]:
        """Starts n episodes; returns their weights (n, m)."""
        if self._seeds[0] is not None:
            self._rng = np.random.default_rng(self._seeds)
        self._weights = self._preferences.start(self._rng)
        for row, options in enumerate(self._options):
            if options:
                single = Preferences(self._preferences.objectives, 1, None)
                self._weights[row] = single.start(self._rng, options)[0]
        self._reset_seeds()
        self._reset_options()
        return self._weights.copy()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Takes designs (n, knobs).

        Raises:
            ProblemError: if the shape or an index is illegal.
        """
        designs = np.array(actions, dtype=np.int64)
        self.problem.space.check(designs)
        if len(designs) != self.num_envs:
            raise ProblemError(f"{len(designs)} designs: this environment takes {self.num_envs}")
        self.designs = designs

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], BoolArray, list[dict[str, Any]]]:
        """Evaluates the designs; returns next weights (n, m), rewards (n,), dones, infos."""
        if self.designs is None:
            raise ProblemError("step_wait without designs: call step_async first")
        evaluation = self.problem.evaluate(self.designs)
        rewards = evaluation.scalar(self._weights.astype(np.float64)).astype(np.float32)
        self.evaluation = evaluation
        self._terminal[:] = self._weights
        infos = self._infos if self._reuse_infos else self._fresh_infos(evaluation)
        self._weights = self._preferences.start(self._rng)
        return self._weights.copy(), rewards, np.ones(self.num_envs, dtype=np.bool_), infos

    def _fresh_infos(self, evaluation: Evaluation) -> list[dict[str, Any]]:
        legal, feasible = lawful(evaluation).tolist(), evaluation.feasible.tolist()
        violation, terminal = evaluation.violation.tolist(), self._terminal.copy()
        columns = {name: values.tolist() for name, values in evaluation.metrics.items()}
        return [
            {
                "terminal_observation": terminal[i],
                "metrics": {k: v[i] for k, v in columns.items()} if legal[i] else {},
                "violation": violation[i],
                "legal": legal[i],
                "feasible": feasible[i],
            }
            for i in range(self.num_envs)
        ]

    def close(self) -> None:
        """Does nothing: there is nothing to release."""

    def get_attr(self, attr_name: str, indices: int | Iterable[int] | None = None) -> list[Any]:
        """Attribute of the sub-environments, which are all alike.

        Raises:
            AttributeError: if `DesignEnv` has no such attribute.
        """
        return [getattr(self._template, attr_name)] * self._count(indices)

    def set_attr(
        self, attr_name: str, value: Any, indices: int | Iterable[int] | None = None
    ) -> None:
        """Refuses: sub-environments share one problem.

        Raises:
            ProblemError: always.
        """
        raise ProblemError(f"attribute '{attr_name}': pass it to the constructor instead")

    def env_method(
        self,
        method_name: str,
        *method_args: Any,
        indices: int | Iterable[int] | None = None,
        **method_kwargs: Any,
    ) -> list[Any]:
        """Result of a stateless method, e.g. `action_masks`, once for all sub-environments.

        Raises:
            ProblemError: if the method is `reset` or `step`.
        """
        if method_name in ("reset", "step"):
            raise ProblemError(f"env_method('{method_name}'): call the batch's own {method_name}()")
        result = getattr(self._template, method_name)(*method_args, **method_kwargs)
        return [result] * self._count(indices)

    def env_is_wrapped(
        self, wrapper_class: type[Any], indices: int | Iterable[int] | None = None
    ) -> list[bool]:
        """False for every sub-environment."""
        return [False] * self._count(indices)

    def _count(self, indices: int | Iterable[int] | None) -> int:
        return len(list(self._get_indices(indices)))
