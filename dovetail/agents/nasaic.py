"""NASAIC: one LSTM chooses several networks and the sub-accelerators of the chip that runs them.

An episode is one joint step, which draws networks and hardware, and `hardware_steps` further ones,
which draw new hardware for the same networks. Those are rewarded by how near the hardware comes to
the specifications; the joint step, once the episode is over, by accuracy, too. If no hardware of an
episode meets the specifications, its accuracy is not looked at: where accuracy means a training,
that training is saved (`pruned` counts them).

Reward: accuracy - penalty x P. Here accuracy is by how much the objectives are better than the
corner of the hypervolume, in the mean and at least 0; P is the sum of relative excesses over the
constraints (`Evaluation.violation`, at most `MOST`), that is NASAIC's P where a bound is twice
its specification. Several episodes run side by side and the policy learns from them at once.

Two things are not the paper's, for 500 episodes are few. Advantages, those of joint and of hardware
steps each, are divided by the moving deviation of their rewards. And joint steps also raise the
probability of the best designs so far that meet the specifications (`kept` of different networks,
weighted by `replay`; 0 turns it off), which is priority queue training.

References:
    Yang et al., "Co-Exploration of Neural Architectures and Heterogeneous ASIC Accelerator Designs
    Targeting Multiple Tasks", DAC 2020 (controller, switches, early pruning, reward); Williams,
    Machine Learning 8, 1992 (REINFORCE); Abolafia et al., "Neural Program Synthesis with Priority
    Queue Training", arXiv:1801.03526, 2018 (learning from the best so far).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.agents.allowed import Allowed, legal_values
from dovetail.agents.base import require
from dovetail.agents.isolation import Isolation
from dovetail.agents.policy import MOST_DESIGNS, MOST_UNITS
from dovetail.agents.reinforce_lstm import _policy
from dovetail.agents.settings import check_range
from dovetail.devices import check_device, place, torch_device
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space

MOST = 5.0
"""Violation beyond which designs are equally bad."""


@dataclass(frozen=True, slots=True)
class NASAICArgs:
    """Settings of NASAIC; the paper's 500 episodes are 5,500 designs.

    Attributes:
        episodes: side by side; the policy learns from all of them at once.
        hardware_steps: per episode, after the joint one.
        penalty: weight of the violation against a unit of the objectives.
        hidden: units of the LSTM.
        learning_rate: Adam's step.
        baseline: how much of the moving average of rewards is kept per step.
        entropy: weight of the policy's entropy.
        kept: best designs that joint steps learn again.
        replay: weight of their probability.
        device: where torch computes: cpu, cuda, cuda:N, or auto for cuda where there is one.
    """

    episodes: int = 10
    hardware_steps: int = 10
    penalty: float = 2.0
    hidden: int = 64
    learning_rate: float = 0.01
    baseline: float = 0.9
    entropy: float = 0.05
    kept: int = 10
    replay: float = 1.0
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_range("episodes", self.episodes, 1, MOST_DESIGNS)
        check_range("hardware_steps", self.hardware_steps, 0, MOST_DESIGNS)
        check_range("penalty", self.penalty, 0)
        check_range("hidden", self.hidden, 1, MOST_UNITS)
        check_range("learning_rate", self.learning_rate, 0, above=True)
        check_range("baseline", self.baseline, 0, 1)
        check_range("entropy", self.entropy, 0)
        check_range("kept", self.kept, 1, MOST_DESIGNS)
        check_range("replay", self.replay, 0)
        check_device(self.device)


class NASAICAgent:
    """Searches networks and hardware in episodes.

    Attributes:
        evaluated: episodes whose accuracy was looked at.
        pruned: episodes of which no hardware met the specifications.
    """

    Args = NASAICArgs
    NEEDS = ("rl", "torch")

    def __init__(self, problem: DesignProblem, seed: int, args: NASAICArgs) -> None:
        require("agent 'nasaic'", *self.NEEDS)
        import torch

        self._networks = network_knobs(problem.space, problem.name)
        self._args = args
        self._allowed = Allowed(problem)
        self._corner = problem.reference_point
        self._isolation = Isolation(seed)
        self._device = torch_device(args.device)
        self._rewards: dict[bool, tuple[float, float]] = {}
        self._best: dict[bytes, tuple[float, IntArray]] = {}
        self._joint: tuple[IntArray, Evaluation] | None = None
        self._lawful: list[tuple[int, IntArray]] = []
        self._met: BoolArray = np.zeros(args.episodes, dtype=np.bool_)
        self._step = self.evaluated = self.pruned = 0
        with self._isolation:
            legal = legal_values(self._allowed.space)
            self._policy = _policy(legal, 1, args.hidden).to(self._device)
            self._adam = torch.optim.Adam(self._policy.parameters(), lr=args.learning_rate)

    def ask(self) -> IntArray:
        """Networks and hardware, or new hardware for the same networks, (episodes, knobs)."""
        import torch

        begun = None
        if self._joint is not None:
            begun = place(self._joint[0][:, : self._networks], self._device)
        with self._isolation, torch.no_grad():
            designs = self._policy(self._ones(self._args.episodes), begun)[0]
        return self._allowed.outer(designs.cpu().numpy().astype(np.int64))

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Learns from the step asked last; an incomplete one ends the search.

        Raises:
            ProblemError: if there are more designs than were asked.
        """
        if len(designs) > self._args.episodes:
            raise ProblemError("nasaic learns only from the designs that it asked last, in order")
        if len(designs) < self._args.episodes:
            return
        told = self._allowed.inner(designs)
        if self._joint is None:
            self._joint, self._met = (told, evaluation), evaluation.feasible
        else:
            self._learn(told, -self._args.penalty * _excess(evaluation), joint=False)
            self._met = self._met | evaluation.feasible
        self._lawful += [(int(i), told[i]) for i in np.flatnonzero(evaluation.feasible)]
        self._step += 1
        if self._step > self._args.hardware_steps:
            self._finish(*self._joint)

    def _finish(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Learns from the joint step of finished episodes and begins new ones."""
        self.evaluated += int(self._met.sum())
        self.pruned += int((~self._met).sum())
        accuracy = (self._corner - evaluation.objectives).mean(axis=1)
        looked_at = self._met & ~np.isnan(accuracy)
        accuracy = np.where(looked_at, np.maximum(accuracy, 0.0), 0.0)
        rewards = accuracy - self._args.penalty * _excess(evaluation)
        self._keep(accuracy)
        self._learn(designs, rewards, joint=True)
        self._joint, self._step = None, 0

    def _keep(self, accuracy: FloatArray) -> None:
        """Enters the designs of finished episodes that meet the specifications."""
        for episode, design in self._lawful:
            networks = design[: self._networks].tobytes()
            self._best.setdefault(networks, (float(accuracy[episode]), design))
        ranked = sorted(self._best.items(), key=lambda item: -item[1][0])
        self._best = dict(ranked[: self._args.kept])
        self._lawful = []

    def _advantages(self, rewards: FloatArray, *, joint: bool) -> FloatArray:
        """Rewards (n,) in moving deviations from the moving average of their kind of step."""
        mean, variance = self._rewards.get(joint, (float(rewards.mean()), float(rewards.var())))
        centred: FloatArray = rewards - mean
        new = 1 - self._args.baseline
        later = variance + new * (float((centred**2).mean()) - variance)
        self._rewards[joint] = (mean + new * float(centred.mean()), later)
        return centred / (np.sqrt(variance) if variance > 0 else 1.0)

    def _learn(self, designs: IntArray, rewards: FloatArray, *, joint: bool) -> None:
        """One step of REINFORCE; knobs of networks count in joint steps only."""
        import torch

        first = 0 if joint else self._networks
        advantages = self._advantages(rewards, joint=joint)[:, None]
        with self._isolation:
            logs, entropy = self._scored(designs)
            gain = logs * place(advantages, self._device, torch.float32)
            loss = -(gain + self._args.entropy * entropy)[:, first:].sum(dim=1).mean()
            if joint and self._best:
                best, _ = self._scored(np.array([design for _, design in self._best.values()]))
                loss = loss - self._args.replay * best.sum(dim=1).mean()
            self._adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._policy.parameters(), 1.0)
            self._adam.step()

    def _scored(self, designs: IntArray) -> Any:
        """Log probabilities and entropies of the knobs of designs, (n, knobs) each."""
        return self._policy(self._ones(len(designs)), place(designs, self._device))[1:]

    def _ones(self, count: int) -> Any:
        """The one preference that the policy knows, (count, 1)."""
        import torch

        return place(np.ones((count, 1)), self._device, torch.float32)


def network_knobs(space: Space, name: str) -> int:
    """How many of a problem's knobs, the first ones, choose networks.

    Raises:
        ProblemError: if it does not have knobs of networks, then of accelerators.
    """
    parts = [knob.partition(".")[0].rstrip("0123456789") for knob in space.names]
    count = parts.count("network")
    if not 0 < count < len(parts) or set(parts[:count]) != {"network"}:
        raise ProblemError(
            f"agent 'nasaic' needs knobs of networks, then of accelerators, which problem "
            f"'{name}' lacks: use multitask, nasbench201 or codesign"
        )
    return count


def _excess(evaluation: Evaluation) -> FloatArray:
    """P (n,), the penalty of NASAIC's reward."""
    return np.minimum(evaluation.violation, MOST)
