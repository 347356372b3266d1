"""PPO that never asks for a value which no lawful design has.

The masks are `DesignProblem.masks()`, one per knob; laws that couple knobs are left to the reward.

References:
    Huang and Ontanon, "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms",
    FLAIRS 2022; see `dovetail.agents.policy` for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.agents.base import require
from dovetail.agents.policy import PolicyAgent, PolicyArgs, Step, model_settings, spaces_only
from dovetail.envs.design_env import action_space, observation_space
from dovetail.envs.problem import DesignProblem
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class MaskablePPOArgs(PolicyArgs):
    """Settings of MaskablePPO: those of `PolicyArgs`."""


class MaskablePPOAgent(PolicyAgent):
    """MaskablePPO of sb3-contrib.

    Raises:
        ProblemError: if the problem masks every value of a knob.
    """

    Args = MaskablePPOArgs
    NEEDS = ("rl", "torch", "stable_baselines3", "sb3_contrib")

    def __init__(self, problem: DesignProblem, seed: int, args: MaskablePPOArgs) -> None:
        require("agent 'maskable_ppo'", *self.NEEDS)
        masks = problem.masks()
        for knob, mask in zip(problem.space.knobs, masks, strict=True):
            if not mask.any():
                raise ProblemError(f"no value of knob '{knob.name}' is lawful: widen the problem")
        self._masks = np.concatenate(masks)[None]
        super().__init__(problem, seed, args)

    def _make_model(self) -> Any:
        from sb3_contrib import MaskablePPO
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        from dovetail.agents.distribution import padded

        spaces = observation_space(self._problem), action_space(self._problem)
        env = spaces_only(*spaces, self._args.batch)
        policy = padded(MaskableActorCriticPolicy)
        return MaskablePPO(policy, **model_settings(env, self._args, self._device))

    def _rollout(self, weights: FloatArray) -> tuple[IntArray, list[Step]]:
        step = self._forward(weights, action_masks=np.repeat(self._masks, len(weights), axis=0))
        return step.actions, [step]
