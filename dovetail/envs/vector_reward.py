"""The environments with one reward per objective, for multi-objective agents.

References:
    Felten et al., "A Toolkit for Reliable Benchmarking and Research in Multi-Objective
    Reinforcement Learning", NeurIPS 2023 (MO-Gymnasium: `reward_space` and vector rewards).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.preference import Weights
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.envs.vector_env import DesignVectorEnv
from dovetail.ir.space import FloatArray, IntArray


class VectorRewardEnv(DesignEnv):
    """`DesignEnv` whose reward is a vector (m,) float32: minus each normalised objective.

    Feasible designs get values in [-4, 4], infeasible ones -5 minus their violation (at most 5)
    in every entry. Of a feasible design whose objectives lie within [-4, 4], the sum of the
    rewards under the observed weights is the reward of `DesignEnv`. Like all environments of
    MO-Gymnasium, make it by `mo_gymnasium.make`, which asks for no scalar reward.

    Attributes:
        reward_space: Box(-10, 4, (m,), float32).
        reward_dim: m.
    """

    def __init__(
        self, problem: DesignProblem, *, preference: Any = None, render_mode: str | None = None
    ) -> None:
        super().__init__(problem, preference=preference, render_mode=render_mode)
        self.reward_dim = len(problem.objectives)
        self.reward_space = reward_space(self.reward_dim)

    def step(self, action: IntArray) -> tuple[Weights, Any, bool, bool, dict[str, Any]]:
        """Evaluates the design (knobs,) and ends the episode.

        Raises:
            ResetNeeded: if no episode was started.
            ProblemError: if an index lies outside its knob's values.
        """
        weights, _, terminated, truncated, info = super().step(action)
        return weights, self._rewards(info), terminated, truncated, info

    def _rewards(self, info: dict[str, Any]) -> Any:
        objectives = info.get("objectives", np.full(self.reward_dim, np.nan))
        violation = np.array([info["violation"]])
        return vector_rewards(Evaluation({}, objectives[None], violation))[0].astype(np.float32)


class VectorRewardVectorEnv(DesignVectorEnv):
    """`DesignVectorEnv` with a reward per objective: n `VectorRewardEnv`s in one call.

    Attributes:
        reward_space: of one of them, Box(-10, 4, (m,), float32), as MO-Gymnasium's have it.
        reward_dim: m.
    """

    def __init__(
        self, problem: DesignProblem, num_envs: int = 1, *, preference: Any = None
    ) -> None:
        super().__init__(problem, num_envs, preference=preference)
        self.reward_dim = len(problem.objectives)
        self.reward_space = reward_space(self.reward_dim)

    def _rewards(self, evaluation: Evaluation, weights: Weights) -> NDArray[np.float32]:
        """Rewards (n, m), whatever the weights."""
        return vector_rewards(evaluation).astype(np.float32)


def reward_space(objectives: int) -> spaces.Box:
    """Box of the rewards of one design."""
    return spaces.Box(-10.0, 4.0, (objectives,), np.float32)


def vector_rewards(evaluation: Evaluation) -> FloatArray:
    """Rewards (n, m) of n designs, one per objective: higher is better."""
    count = evaluation.objectives.shape[1]
    return np.stack([evaluation.scalar(one) for one in np.eye(count)], axis=1)
