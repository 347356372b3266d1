"""A batched factorised policy gradient: one categorical per knob, learning from whole batches.

The logits of a knob's values are linear in the preference weights, so that one small table holds
a policy for every preference. Designs in a group share a preference; a design's advantage is its
centred rank within the group. The gradient is exact and costs a count of weighted values, not a
pass through a network: hundreds of thousands of designs per second.

References:
    Williams, "Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement
    Learning", Machine Learning 8, 1992 (section 4); Kingma and Ba, "Adam", ICLR 2015
    (algorithm 1); Hansen and Ostermeier, Evolutionary Computation 9(2), 2001 (ranks in place of
    values).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.allowed import Allowed, legal_values
from dovetail.agents.base import Arrays
from dovetail.agents.categorical import draw, weighted_counts
from dovetail.agents.preferences import centred_ranks, mixed_preferences
from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ReinforceArgs:
    """Settings of the factorised policy gradient.

    Attributes:
        batch: designs per ask; the policy learns once per batch. For long searches 8192 and more.
        group: designs that share a preference; divides `batch`.
        fixed_share: share of groups under the fixed preferences; the others are drawn anew.
        learning_rate: Adam's step at the start, in logits; it falls linearly to a tenth over
            `horizon`.
        entropy_start: weight of the policy's entropy at the start.
        entropy_end: its weight from `horizon` designs on; linear between.
        horizon: designs over which the schedules run.
    """

    batch: int = 256
    group: int = 16
    fixed_share: float = 0.5
    learning_rate: float = 0.1
    entropy_start: float = 0.2
    entropy_end: float = 0.05
    horizon: int = 20_000

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 2)
        check_range("group", self.group, 2, self.batch)
        check_range("fixed_share", self.fixed_share, 0, 1)
        check_range("learning_rate", self.learning_rate, 0, above=True)
        check_range("entropy_start", self.entropy_start, 0)
        check_range("entropy_end", self.entropy_end, 0)
        check_range("horizon", self.horizon, 1)
        if self.batch % self.group:
            raise ProblemError(f"setting group = {self.group}: must divide batch = {self.batch}")


class ReinforceAgent:
    """Samples its policy under freshly drawn preferences and follows the gradient of the ranks."""

    Args = ReinforceArgs

    def __init__(self, problem: DesignProblem, seed: int, args: ReinforceArgs) -> None:
        self._args = args
        self._allowed = Allowed(problem)
        self._legal = legal_values(self._allowed.space)
        self._objectives = len(problem.objectives)
        self._rng = np.random.default_rng(seed)
        self._adam = Adam(np.zeros((self._objectives, *self._legal.shape)))
        self._weights: FloatArray = np.zeros((0, self._objectives))
        self._odds: FloatArray = np.zeros((0, *self._legal.shape))
        self._asked = 0
        self._told = 0

    def ask(self) -> IntArray:
        """Samples of the policy, (batch, knobs)."""
        args = self._args
        groups = args.batch // args.group
        self._weights = mixed_preferences(self._rng, groups, self._objectives, args.fixed_share)
        self._odds = self._policy(self._weights)
        designs = draw(self._rng, self._odds, args.group).reshape(args.batch, -1)
        self._asked = args.batch
        return self._allowed.outer(designs)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Learns from the batch asked last; an incomplete batch is not learnt from.

        Raises:
            ProblemError: if there are more designs than were asked last.
        """
        if len(designs) > self._asked:
            raise ProblemError("a policy learns only from the designs that it asked last, in order")
        self._told += len(designs)
        if len(designs) == self._asked:
            self._learn(self._allowed.inner(designs), evaluation)
        self._asked = 0

    def propose(self, preferences: FloatArray) -> IntArray:
        """Samples a design for each preference (n, m): (n, knobs)."""
        return self._allowed.outer(draw(self._rng, self._policy(preferences), 1)[:, 0])

    def state(self) -> Arrays:
        """The table of logits with Adam's moments, and how many designs were told."""
        return {"told": np.array(self._told), **self._adam.state()}

    def restore(self, arrays: Arrays) -> None:
        """Takes the `state` of another agent of the same form; its schedules go on."""
        self._told = int(arrays["told"])
        self._adam.restore(arrays)

    def _policy(self, weights: FloatArray) -> FloatArray:
        """Probabilities (groups, knobs, values) under preferences (groups, m)."""
        logits = np.tensordot(weights, self._adam.values, axes=1)
        logits = np.where(self._legal, logits, -np.inf)
        odds = np.exp(logits - logits.max(axis=2, keepdims=True))
        policy: FloatArray = odds / odds.sum(axis=2, keepdims=True)
        return policy

    def _learn(self, designs: IntArray, evaluation: Evaluation) -> None:
        args, group = self._args, self._args.group
        left = max(0.0, 1.0 - self._told / args.horizon)
        rewards = evaluation.scalar(np.repeat(self._weights, group, axis=0))
        advantages = centred_ranks(rewards.reshape(-1, group))
        chosen = designs.reshape(-1, group, designs.shape[1])
        # Ranks have mean 0, so that the expectation of the score drops out.
        gradient = weighted_counts(chosen, advantages, self._legal.shape[1]) / group
        weight = args.entropy_end + (args.entropy_start - args.entropy_end) * left
        gradient += weight * entropy_gradient(self._odds)
        # d logits / d table is the preference: groups add up, each by its weights.
        table = np.tensordot(self._weights.T, gradient, axes=1) / len(self._weights)
        self._adam.ascend(table, args.learning_rate * (0.1 + 0.9 * left))


def entropy_gradient(odds: FloatArray) -> FloatArray:
    """Gradient of each categorical's entropy by its logits: -p (log p + H), (..., values)."""
    logs = np.log(np.where(odds > 0, odds, 1.0))
    entropy = -(odds * logs).sum(axis=-1, keepdims=True)
    gradient: FloatArray = -odds * (logs + entropy)
    return gradient


class Adam:
    """Kingma and Ba's algorithm 1, uphill, with their defaults.

    Attributes:
        values: what is learnt.
    """

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        self._mean = np.zeros_like(values)
        self._square = np.zeros_like(values)
        self._step = 0

    def state(self) -> Arrays:
        """Values, both moments, and the number of steps."""
        parts: Arrays = {"weight": self.values, "mean": self._mean, "square": self._square}
        return {**parts, "steps": np.array(self._step)}

    def restore(self, arrays: Arrays) -> None:
        """Takes the `state` of another one with values of the same shape."""
        self.values, self._step = arrays["weight"].astype(np.float64), int(arrays["steps"])
        self._mean = arrays["mean"].astype(np.float64)
        self._square = arrays["square"].astype(np.float64)

    def ascend(self, gradient: FloatArray, rate: float) -> None:
        """One step along a gradient of the values' shape."""
        self._step += 1
        self._mean = 0.9 * self._mean + 0.1 * gradient
        self._square = 0.999 * self._square + 0.001 * gradient**2
        mean = self._mean / (1 - 0.9**self._step)
        square = self._square / (1 - 0.999**self._step)
        self.values = self.values + rate * mean / (np.sqrt(square) + 1e-8)
