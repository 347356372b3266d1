"""PPO that sets a design knob by knob and never asks for one that a law rules out.

An episode has a step per knob. The policy sees the preference weights and the values set so far;
masks allow the values with which a lawful design remains (`dovetail.envs.lawful`), so that laws
which couple knobs are kept, too. The reward, at the end, is what `dovetail.agents.policy` has.

References:
    Huang and Ontanon, "A Closer Look at Invalid Action Masking in Policy Gradient Algorithms",
    FLAIRS 2022; see `dovetail.agents.policy` for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dovetail.agents.base import require
from dovetail.agents.policy import PolicyAgent, PolicyArgs, Step, model_settings, spaces_only
from dovetail.envs.knob_by_knob import Episodes, observation_space
from dovetail.envs.lawful import Lawful
from dovetail.envs.problem import DesignProblem
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class MaskablePPOArgs(PolicyArgs):
    """Settings of MaskablePPO: those of `PolicyArgs`."""


class MaskablePPOAgent(PolicyAgent):
    """MaskablePPO of sb3-contrib.

    Raises:
        ProblemError: if no design is lawful.
    """

    Args = MaskablePPOArgs
    NEEDS = ("rl", "torch", "stable_baselines3", "sb3_contrib")

    def __init__(self, problem: DesignProblem, seed: int, args: MaskablePPOArgs) -> None:
        require("agent 'maskable_ppo'", *self.NEEDS)
        self._laws = Lawful(problem)
        super().__init__(problem, seed, args)

    def _make_model(self) -> Any:
        from gymnasium.spaces import MultiDiscrete
        from sb3_contrib import MaskablePPO
        from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy

        from dovetail.agents.distribution import padded

        sizes = self._problem.space.cardinalities
        actions = MultiDiscrete([int(sizes.sum())])
        env = spaces_only(observation_space(self._problem), actions, self._args.batch)
        policy = padded(MaskableActorCriticPolicy)
        settings = model_settings(env, self._args, self._device, steps=len(sizes))
        return MaskablePPO(policy, **settings)

    def _rollout(self, weights: FloatArray) -> tuple[IntArray, list[Step]]:
        episodes = Episodes(self._problem, self._laws, weights)
        steps = []
        while not episodes.done:
            step = self._forward(episodes.observe(), action_masks=episodes.masks())
            episodes.set(step.actions[:, 0])
            steps.append(step)
        return episodes.designs, steps
