"""The gymnasium environment over any design problem: one step, one design."""

from __future__ import annotations

from typing import Any, ClassVar, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from dovetail.envs.preference import Preferences, Weights
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, IntArray


def observation_space(problem: DesignProblem) -> spaces.Box:
    """Box of the m preference weights."""
    return spaces.Box(0.0, 1.0, (len(problem.objectives),), np.float32)


def action_space(problem: DesignProblem) -> spaces.MultiDiscrete:
    """One index per knob of the design."""
    return spaces.MultiDiscrete(problem.space.cardinalities)


def lawful(evaluation: Evaluation) -> BoolArray:
    """(n,) True where a design breaks no law, so that it has metrics and objectives."""
    known: BoolArray = ~np.isnan(evaluation.objectives)
    return np.logical_and.reduce(known, axis=1)


class DesignEnv(gymnasium.Env[Any, Any]):
    """Design one system per episode; the reward says how good it is under given preferences.

    | part | type | meaning | unit |
    |---|---|---|---|
    | action | MultiDiscrete, one entry per knob | value index of each knob of `problem.space` | - |
    | observation | Box(0, 1, (m,), float32) | weight of each of the m objectives, sum 1 | - |
    | reward, feasible | float in [-4, 4] | minus the weighted sum of the objectives | - |
    | reward, infeasible | float in [-10, -5] | -5 minus the violation (at most 5) | - |
    | `info["metrics"]` | dict of floats | by name; empty where a law is broken | in the name |
    | `info["objectives"]` | (m,) float64 | normalised; absent where a law is broken | decades |
    | `info["violation"]` | float | relative excess over laws and constraints | - |
    | `info["legal"]` | bool | no law is broken: the design can be built | - |
    | `info["feasible"]` | bool | and it meets every constraint | - |
    | `info["reasons"]` | list of str | laws and constraints that it breaks | - |

    Starting state: weights drawn from Dirichlet(1), or fixed by `preference`, or given for one
    episode by `reset(options={"preference": [...]})`. Every episode terminates after one step and
    never truncates. `action_masks()` rules out values that no lawful design has.

    Args:
        problem: what is designed.
        preference: (m,) weights >= 0 of every episode; None draws new ones in each `reset`.
        render_mode: `ansi` (a text of the last design) or None.

    Raises:
        ProblemError: if the preference does not fit the objectives or the mode is unknown.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}  # noqa: RUF012  gymnasium's attribute
    modes: ClassVar[tuple[str | None, ...]] = (None, "ansi")

    def __init__(
        self,
        problem: DesignProblem,
        *,
        preference: ArrayLike | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in self.modes:
            raise ProblemError(f"render_mode '{render_mode}': must be 'ansi' or None")
        self.problem = problem
        self.render_mode = render_mode
        self.observation_space = observation_space(problem)
        self.action_space = action_space(problem)
        self._preferences = Preferences(len(problem.objectives), 1, preference)
        self._weights: Weights | None = None
        self._last: tuple[IntArray, dict[str, Any], float] | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Weights, dict[str, Any]]:
        """Starts an episode; returns its preference weights (m,) and an empty info.

        Raises:
            ProblemError: if `options` holds anything but a well-formed `preference`.
        """
        super().reset(seed=seed)
        self._weights = self._preferences.start(self.np_random, options)
        self._last = None
        return self._weights[0].copy(), {}

    def step(self, action: IntArray) -> tuple[Weights, SupportsFloat, bool, bool, dict[str, Any]]:
        """Evaluates the design (knobs,) and ends the episode.

        Raises:
            ResetNeeded: if no episode was started.
            ProblemError: if an index lies outside its knob's values.
        """
        if self._weights is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        designs = np.asarray(action, dtype=np.int64).reshape(1, -1)
        self.problem.space.check(designs)
        evaluation = self.problem.evaluate(designs)
        reward = float(evaluation.scalar(self._weights.astype(np.float64))[0])
        info = self._info(designs[0], evaluation)
        self._last = (designs[0].copy(), info, reward)
        return self._weights[0].copy(), reward, True, False, info

    def _info(self, design: IntArray, evaluation: Evaluation) -> dict[str, Any]:
        legal, feasible = bool(lawful(evaluation)[0]), bool(evaluation.feasible[0])
        info: dict[str, Any] = {
            "metrics": {k: float(v[0]) for k, v in evaluation.metrics.items()} if legal else {},
            "violation": float(evaluation.violation[0]),
            "legal": legal,
            "feasible": feasible,
            "reasons": [] if feasible else self.problem.reasons(design),
        }
        if legal:
            info["objectives"] = evaluation.objectives[0].copy()
        return info

    def action_masks(self) -> BoolArray:
        """Flat mask over the values of all knobs, (sum of cardinalities,): False is never legal."""
        return np.concatenate(self.problem.masks())

    def render(self) -> str | None:
        """Text of the last design, its metrics and its reward; None without a render mode."""
        if self.render_mode is None:
            return None
        if self._last is None:
            return f"{self.problem.name}: no design yet"
        design, info, reward = self._last
        values = " ".join(f"{k}={v}" for k, v in self.problem.space.decode(design).items())
        costs = " ".join(f"{k}={v:.6g}" for k, v in info["metrics"].items())
        return "\n".join([values, *([costs] if costs else []), *info["reasons"], f"{reward:.6g}"])
