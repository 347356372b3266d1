"""One preference's search in RHNAS: a policy over accelerators and relaxed networks."""

from __future__ import annotations

import numpy as np

from dovetail.agents.categorical import draw, weighted_counts
from dovetail.agents.preferences import centred_ranks
from dovetail.agents.reinforce import Adam, entropy_gradient
from dovetail.envs.hardware import HardwareProblem
from dovetail.ir.space import BoolArray, FloatArray, IntArray


class Logits:
    """Products of independent categoricals, one per knob.

    Args:
        masks: per knob, which values may be drawn, (values,).
        start: logits (r, knobs, values) of r products; values that do not exist are ignored.
    """

    def __init__(self, masks: tuple[BoolArray, ...], start: FloatArray) -> None:
        self._legal = legal(masks)
        self._adam = Adam(start)

    @property
    def values(self) -> FloatArray:
        """Logits (r, knobs, values)."""
        return self._adam.values

    def odds(self) -> FloatArray:
        """Probabilities (r, knobs, values); 0 beyond a knob's values."""
        logits = np.where(self._legal, self._adam.values, -np.inf)
        raised = np.exp(logits - logits.max(axis=2, keepdims=True))
        odds: FloatArray = raised / raised.sum(axis=2, keepdims=True)
        return odds

    def ascend(self, gradient: FloatArray, rate: float, entropy: float) -> None:
        """A step along derivatives (r, knobs, values) by logits, and of the entropy's weight."""
        self._adam.ascend(gradient + entropy * entropy_gradient(self.odds()), rate)


def legal(masks: tuple[BoolArray, ...]) -> BoolArray:
    """(knobs, values): masks, padded; where a mask allows nothing, all the knob's values."""
    padded = np.zeros((len(masks), max(map(len, masks))), dtype=np.bool_)
    for row, mask in zip(padded, masks, strict=True):
        row[: len(mask)] = mask if mask.any() else True
    return padded


class Track:
    """What is searched under one preference.

    Attributes:
        weights: the preference (m,).
        sizes: values of each knob of the network, (a,).
        network: the network (a,) that the hardware is searched for.
    """

    def __init__(self, problem: HardwareProblem, weights: FloatArray) -> None:
        self.weights = weights
        self.sizes = problem.choices.cardinalities
        masks = problem.masks()
        self._choices, hardware = masks[: len(self.sizes)], masks[len(self.sizes) :]
        self._policy = Logits(hardware, np.zeros((1, *legal(hardware).shape)))
        self._alpha = np.zeros(legal(self._choices).shape)
        self._relaxed = Logits(self._choices, self._alpha[None])
        self._hardware = np.empty(0, dtype=np.int64)
        self.network: IntArray = self.sizes - 1

    def hardware(self, rng: np.random.Generator, count: int) -> IntArray:
        """Accelerators (count, b) drawn from the policy, lawful or not."""
        return draw(rng, self._policy.odds(), count)[0]

    def on_network(self, hardware: IntArray) -> IntArray:
        """Designs (n, a + b): the network on accelerators (n, b)."""
        return np.concatenate([np.tile(self.network, (len(hardware), 1)), hardware], axis=1)

    def learn_hardware(
        self, hardware: IntArray, rewards: FloatArray, rate: float, entropy: float
    ) -> None:
        """A step of policy gradient from lawful draws (n, b) and their rewards (n,)."""
        self._hardware = hardware[int(np.argmax(rewards))]
        width = self._policy.odds().shape[2]
        advantages = centred_ranks(rewards[None])
        gradient = weighted_counts(hardware[None], advantages, width) / len(hardware)
        self._policy.ascend(gradient, rate, entropy)

    def swaps(self) -> IntArray:
        """The network, then it with each knob set to each of its values: designs."""
        base = self.on_network(self._hardware[None])[0]
        rows = [base]
        for knob, size in enumerate(self.sizes):
            for value in range(size):
                row = base.copy()
                row[knob] = value
                rows.append(row)
        return np.array(rows)

    def relax(self, rng: np.random.Generator, count: int) -> None:
        """Starts relaxed networks: the last one found, the others from Gumbel noise."""
        noise = rng.gumbel(size=(count - 1, *self._alpha.shape))
        start = np.concatenate([self._alpha[None], noise])
        self._relaxed = Logits(self._choices, start)

    def odds(self) -> list[FloatArray]:
        """Probabilities (r, values) of each knob of the relaxed networks."""
        odds = self._relaxed.odds()
        return [odds[:, knob, :size] for knob, size in enumerate(self.sizes)]

    def learn_networks(self, slopes: list[FloatArray], rate: float, entropy: float) -> None:
        """A step down the loss whose derivatives by `odds` are `slopes`, (r, values) per knob."""
        odds = self._relaxed.odds()
        padded = np.zeros_like(odds)
        for knob, slope in enumerate(slopes):
            padded[:, knob, : slope.shape[1]] = slope
        # d p_i / d logit_j = p_i (1[i = j] - p_j)
        by_logits = odds * (padded - (odds * padded).sum(axis=2, keepdims=True))
        self._relaxed.ascend(-by_logits, rate, entropy)

    def networks(self) -> IntArray:
        """Designs (r, a + b): the likeliest of each relaxed network on the accelerator found."""
        found = self._relaxed.odds().argmax(axis=2)
        return np.concatenate([found, np.tile(self._hardware, (len(found), 1))], axis=1)

    def choose(self, rewards: FloatArray) -> None:
        """Goes on with the best of `networks` by their rewards (r,)."""
        best = int(np.argmax(rewards))
        self._alpha = self._relaxed.values[best]
        self.network = self._relaxed.odds()[best].argmax(axis=1)
