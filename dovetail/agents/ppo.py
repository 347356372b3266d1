"""Proximal policy optimisation over whole designs, conditioned on preference weights.

Knobs are sampled independently given the preferences; see `dovetail.agents.policy`.

References:
    Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347, 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dovetail.agents.base import require
from dovetail.agents.policy import PolicyAgent, PolicyArgs, Step, model_settings, spaces_only
from dovetail.envs.design_env import action_space, observation_space
from dovetail.envs.problem import DesignProblem
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class PPOArgs(PolicyArgs):
    """Settings of PPO: those of `PolicyArgs`."""


class PPOAgent(PolicyAgent):
    """PPO of stable-baselines3."""

    Args = PPOArgs
    NEEDS = ("rl", "torch", "stable_baselines3")

    def __init__(self, problem: DesignProblem, seed: int, args: PPOArgs) -> None:
        require("agent 'ppo'", *self.NEEDS)
        super().__init__(problem, seed, args)

    def _make_model(self) -> Any:
        from stable_baselines3 import PPO
        from stable_baselines3.common.policies import ActorCriticPolicy

        from dovetail.agents.distribution import padded

        spaces = observation_space(self._problem), action_space(self._problem)
        env = spaces_only(*spaces, self._args.batch)
        return PPO(padded(ActorCriticPolicy), **model_settings(env, self._args, self._device))

    def _rollout(self, weights: FloatArray) -> tuple[IntArray, list[Step]]:
        step = self._forward(weights)
        return step.actions, [step]
