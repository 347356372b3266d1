"""Stable-baselines3 driven by ask and tell: what PPO and its masked variant share.

A design is one step of a one-step episode. The observation is the preference weights under which
the design will be rewarded, so one policy learns the whole front. Several designs share each
preference; what the policy learns from is a design's rank among those, by scalar reward. So an
objective that varies by 5 % teaches as much as one that varies by decades, and an illegal design
does not drown the differences between legal ones.

References:
    Schulman et al., "Proximal Policy Optimization Algorithms", arXiv:1707.06347, 2017 (eq. 7, 9);
    Yang, Sun and Narasimhan, "A Generalized Algorithm for Multi-Objective RL and Policy
    Adaptation", NeurIPS 2019 (policies conditioned on preferences); Shao et al., "DeepSeekMath",
    arXiv:2402.03300, 2024 (section 4: rewards relative to a group of samples); Hansen and
    Ostermeier, Evolutionary Computation 9(2), 2001 (ranks in place of values).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.agents.base import Arrays
from dovetail.agents.isolation import Isolation
from dovetail.agents.preferences import centred_ranks, mixed_preferences
from dovetail.agents.settings import check_range
from dovetail.devices import check_device, place, torch_device
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray

MOST_DESIGNS = 2**16
"""Designs of one batch."""

MOST_UNITS = 1024
"""Hidden units; an LSTM of so many has 8 million weights."""


@dataclass(frozen=True, slots=True)
class PolicyArgs:
    """Settings of proximal policy optimisation.

    Attributes:
        batch: designs per ask; the policy learns once per batch.
        minibatches: gradient steps per epoch, each on an equal share of the batch; divides `batch`.
        epochs: passes over a batch when learning from it.
        learning_rate: Adam's step at the start; it falls linearly to a tenth over `horizon`.
        clip: bound on the change of a design's probability ratio per batch.
        entropy_start: weight of the policy's entropy at the start.
        entropy_end: its weight from `horizon` designs on; linear between.
        horizon: designs over which the schedules run.
        hidden: units in each of the policy's two hidden layers.
        group: designs that share a preference; divides `batch`.
        fixed_share: share of groups under the fixed preferences; the others are drawn anew.
        device: where torch computes: cpu, cuda, cuda:N, or auto for cuda where there is one.
    """

    batch: int = 256
    minibatches: int = 1
    epochs: int = 10
    learning_rate: float = 2e-3
    clip: float = 0.2
    entropy_start: float = 0.1
    entropy_end: float = 0.02
    horizon: int = 20_000
    hidden: int = 64
    group: int = 16
    fixed_share: float = 0.5
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 2, MOST_DESIGNS)
        check_range("minibatches", self.minibatches, 1, self.batch // 2)
        check_range("epochs", self.epochs, 1)
        check_range("learning_rate", self.learning_rate, 0, above=True)
        check_range("clip", self.clip, 0, 1, above=True)
        check_range("entropy_start", self.entropy_start, 0)
        check_range("entropy_end", self.entropy_end, 0)
        check_range("horizon", self.horizon, 1)
        check_range("hidden", self.hidden, 1, MOST_UNITS)
        check_device(self.device)
        check_range("fixed_share", self.fixed_share, 0, 1)
        check_range("group", self.group, 2, self.batch)
        for name in ("group", "minibatches"):
            if self.batch % getattr(self, name):
                part = getattr(self, name)
                raise ProblemError(f"setting {name} = {part}: must divide batch = {self.batch}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a batch of n episodes, as stable-baselines3's rollout buffer takes it.

    Attributes:
        observation: (n, ...) what the policy saw.
        actions: (n, ...) what it chose.
        value: (n, 1) what it expected.
        log_prob: (n,) of the actions.
        settings: further arguments of the buffer.
    """

    observation: NDArray[np.floating[Any]]
    actions: IntArray
    value: Any
    log_prob: Any
    settings: dict[str, Any]


class PolicyAgent(ABC):
    """Asks samples of a stable-baselines3 policy and trains it on what it is told."""

    def __init__(self, problem: DesignProblem, seed: int, args: PolicyArgs) -> None:
        self._problem = problem
        self._args = args
        self._objectives = len(problem.objectives)
        self._rng = np.random.default_rng(seed)
        self._isolation = Isolation(seed)
        self._device = torch_device(args.device)
        self._told = 0
        self._asked: IntArray | None = None
        self._weights: FloatArray = np.zeros((0, self._objectives))
        self._steps: list[Step] = []
        with self._isolation:
            self._model = silence(self._make_model())

    @abstractmethod
    def _make_model(self) -> Any:
        """Builds the stable-baselines3 model."""

    @abstractmethod
    def _rollout(self, weights: FloatArray) -> tuple[IntArray, list[Step]]:
        """Designs (n, knobs) sampled under preferences (n, m), and the steps that led to them."""

    def _forward(self, observation: NDArray[np.floating[Any]], **settings: Any) -> Step:
        """Samples the policy's actions."""
        import torch

        seen = place(observation, self._device, torch.float32)
        actions, value, log_prob = self._model.policy(seen, **settings)
        return Step(observation, actions.cpu().numpy(), value, log_prob, settings)

    def ask(self) -> IntArray:
        """Samples the policy under freshly drawn preferences, (batch, knobs)."""
        args = self._args
        groups = args.batch // args.group
        drawn = mixed_preferences(self._rng, groups, self._objectives, args.fixed_share)
        self._weights = np.repeat(drawn, args.group, axis=0)
        self._asked, self._steps = self._sample(self._weights)
        return self._asked.copy()

    def propose(self, preferences: FloatArray) -> IntArray:
        """Samples a design for each preference (n, m): (n, knobs)."""
        return self._sample(preferences)[0]

    def _sample(self, weights: FloatArray) -> tuple[IntArray, list[Step]]:
        import torch

        with self._isolation, torch.no_grad():
            self._model.policy.set_training_mode(False)
            designs, steps = self._rollout(weights)
        return designs.astype(np.int64), steps

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Learns from the batch asked last; an incomplete batch is not learnt from.

        Raises:
            ProblemError: if the designs are not those asked last.
        """
        asked = self._asked
        if asked is None or not np.array_equal(designs, asked[: len(designs)]):
            raise ProblemError("a policy learns only from the designs that it asked last, in order")
        self._told += len(designs)
        self._asked = None
        if len(designs) == len(asked):
            self._learn(self._rewards(evaluation))

    def _rewards(self, evaluation: Evaluation) -> FloatArray:
        """Centred ranks of the scalar rewards within each group, (batch,)."""
        rewards = evaluation.scalar(self._weights)
        return centred_ranks(rewards.reshape(-1, self._args.group)).ravel()

    def _learn(self, rewards: FloatArray) -> None:
        import torch

        model, ones = self._model, np.ones(len(rewards))
        model.rollout_buffer.reset()
        for number, step in enumerate(self._steps):
            last = number == len(self._steps) - 1
            model.rollout_buffer.add(
                step.observation, step.actions, rewards * last, ones * (number == 0), step.value,
                step.log_prob, **step.settings,
            )  # fmt: skip
        model.rollout_buffer.compute_returns_and_advantage(torch.zeros(len(rewards)), ones)
        left = max(0.0, 1.0 - self._told / self._args.horizon)
        # Stable-baselines3 sets this from the budget given to learn(), which we never call.
        model._current_progress_remaining = left
        start, end = self._args.entropy_start, self._args.entropy_end
        model.ent_coef = end + (start - end) * left
        with self._isolation:
            model.train()

    def state(self) -> Arrays:
        """Weights, Adam's moments, and how many designs were told."""
        from dovetail.agents.torch_state import state

        policy = self._model.policy
        return {"told": np.array(self._told), **state(policy, policy.optimizer)}

    def restore(self, arrays: Arrays) -> None:
        """Takes the `state` of another agent of the same form; its schedules go on."""
        from dovetail.agents.torch_state import restore

        self._told = int(arrays["told"])
        restore(self._model.policy, self._model.policy.optimizer, arrays)


def model_settings(env: Any, args: PolicyArgs, device: Any, steps: int = 1) -> dict[str, Any]:
    """Arguments that PPO and MaskablePPO have in common: all but the policy class.

    Args:
        env: tells spaces and number of episodes.
        args: settings.
        device: of torch.
        steps: of an episode.
    """
    rate = args.learning_rate
    return {
        "env": env,
        "learning_rate": lambda left: rate * (0.1 + 0.9 * left),
        "n_steps": steps,
        "batch_size": args.batch * steps // args.minibatches,
        "n_epochs": args.epochs,
        "gamma": 1.0,
        "gae_lambda": 1.0,
        "clip_range": args.clip,
        # Ranks within a group have mean 0: the value function has nothing to learn.
        "policy_kwargs": {"net_arch": {"pi": [args.hidden, args.hidden], "vf": []}},
        "device": device,
    }


def silence(model: Any) -> Any:
    """Gives a model a logger that writes nothing; returns the model."""
    from stable_baselines3.common.logger import Logger

    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def spaces_only(observations: Any, actions: Any, count: int) -> Any:
    """A vector environment that tells its spaces and cannot step: ask and tell do the stepping.

    Args:
        observations: a gymnasium space.
        actions: a gymnasium space.
        count: environments.
    """
    from stable_baselines3.common.vec_env import VecEnv

    class SpacesOnly(VecEnv):
        """`count` environments."""

        def reset(self) -> Any:
            raise NotImplementedError

        def step_async(self, actions: Any) -> None:
            raise NotImplementedError

        def step_wait(self) -> Any:
            raise NotImplementedError

        def close(self) -> None:
            pass

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * self.num_envs

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise NotImplementedError

        def env_method(self, method_name: str, *args: Any, **settings: Any) -> list[Any]:
            raise NotImplementedError

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * self.num_envs

    return SpacesOnly(count, observations, actions)
