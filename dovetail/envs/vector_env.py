"""The batched gymnasium environment: thousands of designs per call, no Python per design."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from dovetail.envs.design_env import action_space, lawful, observation_space
from dovetail.envs.preference import Preferences, Weights
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, IntArray


class DesignVectorEnv(gymnasium.vector.VectorEnv[Weights, IntArray, NDArray[Any]]):
    """n independent `DesignEnv`s, evaluated in one call.

    Episodes last one step, so the batch autoresets in the same step (`AutoresetMode.SAME_STEP`):
    what `step` observes are the weights of the *next* episodes. What ended stands, as gymnasium
    has it, in `info["final_obs"]` (object array of (m,) weights) and `info["final_info"]`, a dict
    of arrays with a mask `_key` beside every `key`:

    | key | array | meaning |
    |---|---|---|
    | `metrics` | dict of (n,) float64 | by name, unit in the name; NaN where a law is broken |
    | `objectives` | (n, m) float64 | normalised and minimised; NaN where a law is broken |
    | `violation` | (n,) float64 | relative excess over laws and constraints |
    | `legal`, `feasible` | (n,) bool | breaks no law; nor a constraint |

    `problem.reasons(design)` says why one design is infeasible. One generator, seeded by
    `reset(seed=...)`, draws all preferences.

    Args:
        problem: what is designed.
        num_envs: designs per step, n.
        preference: (m,) or (n, m) weights >= 0 of every episode; None draws new ones.

    Raises:
        ProblemError: if `num_envs` < 1 or the preference does not fit the objectives.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  gymnasium's attribute
        "render_modes": [],
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self, problem: DesignProblem, num_envs: int = 1, *, preference: ArrayLike | None = None
    ) -> None:
        if num_envs < 1:
            raise ProblemError(f"num_envs {num_envs}: must be >= 1")
        self.problem = problem
        self.num_envs = num_envs
        self.single_observation_space = observation_space(problem)
        self.single_action_space = action_space(problem)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._preferences = Preferences(len(problem.objectives), num_envs, preference)
        self._weights: Weights | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Weights, dict[str, Any]]:
        """Starts n episodes; returns their weights (n, m) and an empty info.

        Raises:
            ProblemError: if `options` holds anything but a well-formed `preference`.
        """
        super().reset(seed=seed)
        self._weights = self._preferences.start(self.np_random, options)
        return self._weights.copy(), {}

    def step(
        self, actions: IntArray
    ) -> tuple[Weights, NDArray[Any], BoolArray, BoolArray, dict[str, Any]]:
        """Evaluates designs (n, knobs), ends all episodes and starts the next ones.

        Returns:
            Weights (n, m) of the next episodes, rewards (n,), terminations (n,) all True,
            truncations (n,) all False, and the info described above.

        Raises:
            ResetNeeded: if no episodes were started.
            ProblemError: if an index lies outside its knob's values.
        """
        if self._weights is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        designs = np.asarray(actions, dtype=np.int64)
        self.problem.space.check(designs)
        if len(designs) != self.num_envs:
            raise ProblemError(f"{len(designs)} designs: this environment takes {self.num_envs}")
        evaluation = self.problem.evaluate(designs)
        rewards = self._rewards(evaluation, self._weights)
        everyone = np.ones(self.num_envs, dtype=np.bool_)
        info = {
            "final_obs": _rows(self._weights),
            "_final_obs": everyone.copy(),
            "final_info": final_info(evaluation),
            "_final_info": everyone.copy(),
        }
        self._weights = self._preferences.start(self.np_random)
        return self._weights.copy(), rewards, everyone, ~everyone, info

    def _rewards(self, evaluation: Evaluation, weights: Weights) -> NDArray[Any]:
        """What designs are worth under the weights (n, m) of their episodes."""
        return evaluation.scalar(weights.astype(np.float64))

    def action_masks(self) -> BoolArray:
        """Masks (n, sum of cardinalities): False is a value that no lawful design has."""
        flat = np.concatenate(self.problem.masks())
        return np.repeat(flat[None], self.num_envs, axis=0)


def final_info(evaluation: Evaluation) -> dict[str, Any]:
    """Arrays over the n designs, each with its mask under the key with a leading underscore."""
    legal = lawful(evaluation)
    everyone = np.ones(len(legal), dtype=np.bool_)
    metrics: dict[str, Any] = {}
    for name, values in evaluation.metrics.items():
        metrics[name], metrics[f"_{name}"] = values, legal.copy()
    info: dict[str, Any] = {"metrics": metrics, "_metrics": everyone.copy()}
    info |= {"objectives": evaluation.objectives, "_objectives": legal.copy()}
    for name, array in (
        ("violation", evaluation.violation),
        ("legal", legal),
        ("feasible", evaluation.feasible),
    ):
        info[name], info[f"_{name}"] = array, everyone.copy()
    return info


def _rows(weights: Weights) -> NDArray[np.object_]:
    """Rows (n, m) as an object array (n,), the form that gymnasium's wrappers expect."""
    return np.fromiter(weights, dtype=object, count=len(weights))
