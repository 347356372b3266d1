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
from dovetail.agents.policy import PolicyAgent, PolicyArgs, model_settings, silence
from dovetail.envs.problem import DesignProblem
from dovetail.errors import ProblemError


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
        self._problem = problem
        self._masks = np.repeat(np.concatenate(masks)[None], args.batch, axis=0)
        super().__init__(problem, seed, args)

    def _make_model(self) -> Any:
        from sb3_contrib import MaskablePPO
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        from dovetail.agents.distribution import padded

        policy = padded(MaskableActorCriticPolicy)
        return silence(MaskablePPO(policy, **model_settings(self._problem, self._args)))

    def _forward_settings(self) -> dict[str, Any]:
        return {"action_masks": self._masks}

    def _buffer_settings(self) -> dict[str, Any]:
        return {"action_masks": self._masks}
