"""ConfuciuX's search: REINFORCE with an LSTM that chooses knob after knob, then a genetic search.

An episode is one design. At every step the network sees the preference weights, the knob to be
set and the value of the knob before, and gives odds for the knob's values. The reward comes at
the end and is discounted backwards. After `horizon` designs a genetic algorithm takes over, whose
niches hold the best that was found until then, as ConfuciuX fine-tunes in its second stage.
ConfuciuX gives a reward per layer of a network; a design problem has one per design.

References:
    Kao, Jeong and Krishna, "ConfuciuX: Autonomous Hardware Resource Assignment for DNN
    Accelerators using Reinforcement Learning", MICRO 2020 (sections III-C to III-E); Williams,
    Machine Learning 8, 1992 (REINFORCE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.agents.allowed import Allowed, legal_values
from dovetail.agents.base import Arrays, require
from dovetail.agents.genetic import GeneticAgent, GeneticArgs
from dovetail.agents.isolation import Isolation
from dovetail.agents.policy import MOST_DESIGNS, MOST_UNITS
from dovetail.agents.preferences import mixed_preferences
from dovetail.agents.settings import check_range
from dovetail.devices import check_device, place, torch_device
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class ReinforceLSTMArgs:
    """Settings of REINFORCE with an LSTM; ConfuciuX's where it gives them.

    Attributes:
        batch: episodes per ask; the policy learns once per batch.
        group: episodes that share a preference, whose rewards are standardised; divides `batch`.
        fixed_share: share of groups under the fixed preferences; the others are drawn anew.
        hidden: units of the LSTM.
        learning_rate: Adam's step.
        discount: of the reward per step back from the last knob.
        entropy: weight of the policy's entropy.
        horizon: designs after which the genetic search takes over; 0 never.
        population: children per ask of the genetic search.
        device: where torch computes: cpu, cuda, cuda:N, or auto for cuda where there is one.
    """

    batch: int = 128
    group: int = 16
    fixed_share: float = 0.5
    hidden: int = 128
    learning_rate: float = 1e-3
    discount: float = 0.9
    entropy: float = 0.02
    horizon: int = 5_000
    population: int = 100
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 2, MOST_DESIGNS)
        check_range("group", self.group, 2, self.batch)
        check_range("fixed_share", self.fixed_share, 0, 1)
        check_range("hidden", self.hidden, 1, MOST_UNITS)
        check_device(self.device)
        check_range("learning_rate", self.learning_rate, 0, above=True)
        check_range("discount", self.discount, 0, 1, above=True)
        check_range("entropy", self.entropy, 0)
        check_range("horizon", self.horizon, 0)
        check_range("population", self.population, 1)
        if self.batch % self.group:
            raise ProblemError(f"setting group = {self.group}: must divide batch = {self.batch}")


class ReinforceLSTMAgent:
    """Chooses knob after knob by an LSTM trained on whole designs, then breeds the best of them."""

    Args = ReinforceLSTMArgs
    NEEDS = ("rl", "torch")

    def __init__(self, problem: DesignProblem, seed: int, args: ReinforceLSTMArgs) -> None:
        require("agent 'reinforce_lstm'", *self.NEEDS)
        self._args = args
        self._allowed = Allowed(problem)
        self._objectives = len(problem.objectives)
        self._rng = np.random.default_rng(seed)
        self._isolation = Isolation(seed)
        self._tuner = GeneticAgent(problem, seed, GeneticArgs(population=args.population))
        self._weights: FloatArray = np.zeros((0, self._objectives))
        self._asked: int | None = None
        self._told = 0
        self._device = torch_device(args.device)
        with self._isolation:
            legal = legal_values(self._allowed.space)
            self._policy = _policy(legal, self._objectives, args.hidden).to(self._device)
            self._adam = self._optimiser()

    def _optimiser(self) -> Any:
        import torch

        return torch.optim.Adam(self._policy.parameters(), lr=self._args.learning_rate)

    def ask(self) -> IntArray:
        """Samples of the policy (batch, knobs), later children of the best (population, knobs)."""
        args = self._args
        self._asked = None
        if args.horizon and self._told >= args.horizon:
            return self._tuner.ask()
        groups = args.batch // args.group
        drawn = mixed_preferences(self._rng, groups, self._objectives, args.fixed_share)
        self._weights = np.repeat(drawn, args.group, axis=0)
        self._asked = args.batch
        return self.propose(self._weights)

    def propose(self, preferences: FloatArray) -> IntArray:
        """Samples the LSTM for each preference (n, m): (n, knobs)."""
        import torch

        with self._isolation, torch.no_grad():
            designs = self._policy(place(preferences, self._device, torch.float32))[0]
        return self._allowed.outer(designs.cpu().numpy().astype(np.int64))

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Learns from the batch asked last, unless it is incomplete; the tuner sees everything.

        Raises:
            ProblemError: if there are more designs than the policy asked for last.
        """
        if self._asked is not None and len(designs) > self._asked:
            raise ProblemError("a policy learns only from the designs that it asked last, in order")
        self._told += len(designs)
        self._tuner.tell(designs, evaluation)
        if len(designs) == self._asked:
            self._learn(self._allowed.inner(designs), self._advantages(evaluation))
        self._asked = None

    def _advantages(self, evaluation: Evaluation) -> FloatArray:
        """Rewards (batch,) standardised within each group."""
        rewards = evaluation.scalar(self._weights).reshape(-1, self._args.group)
        centred = rewards - rewards.mean(axis=1, keepdims=True)
        deviation = rewards.std(axis=1, keepdims=True)
        standard: FloatArray = centred / np.where(deviation > 0, deviation, 1.0)
        return standard.ravel()

    def _learn(self, designs: IntArray, advantages: FloatArray) -> None:
        import torch

        knobs = designs.shape[1]
        discounts = self._args.discount ** np.arange(knobs - 1, -1, -1)
        with self._isolation:
            returns = place(advantages[:, None] * discounts, self._device, torch.float32)
            weights = place(self._weights, self._device, torch.float32)
            _, logs, entropy = self._policy(weights, place(designs, self._device))
            loss = -(logs * returns).mean() - self._args.entropy * entropy.mean()
            self._adam.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._policy.parameters(), 1.0)
            self._adam.step()

    def state(self) -> Arrays:
        """Weights and Adam's moments of the LSTM; the genetic search is no part of the policy."""
        from dovetail.agents.torch_state import state

        return state(self._policy, self._adam)

    def restore(self, arrays: Arrays) -> None:
        """Takes the `state` of another agent of the same form; `horizon` counts from here."""
        from dovetail.agents.torch_state import restore

        restore(self._policy, self._adam, arrays)


def _policy(legal: Any, objectives: int, hidden: int) -> Any:
    """The network; torch is loaded when an agent is made."""
    import torch
    from torch import Tensor, nn

    def _draw(odds: Tensor) -> Tensor:
        """A value each, (n, values) -> (n,); chance comes from the CPU whatever the device."""
        return place(torch.multinomial(odds.cpu(), 1)[:, 0], odds.device)

    class Policy(nn.Module):
        """Odds of one knob after the other.

        Args:
            legal: (knobs, values) which values a knob has.
            objectives: m.
            hidden: units of the LSTM.
        """

        def __init__(self) -> None:
            super().__init__()
            knobs, values = legal.shape
            shut = torch.as_tensor(np.where(legal, 0.0, -torch.inf), dtype=torch.float32)
            self.register_buffer("_shut", shut, persistent=False)
            self._knobs = nn.Embedding(knobs, hidden)
            # One row per value of each knob, and one for "no knob before".
            self._values = nn.Embedding(knobs * values + 1, hidden)
            self._preference = nn.Linear(objectives, hidden)
            self._cell = nn.LSTMCell(hidden, hidden)
            self._heads = nn.Parameter(torch.zeros(knobs, hidden, values))

        def forward(self, weights: Tensor, given: Tensor | None = None) -> tuple[Tensor, ...]:
            """Samples designs, or scores given ones, or samples what is left of begun ones.

            Args:
                weights: (n, m) preferences.
                given: (n, k) values of the first k knobs; None for 0.

            Returns:
                Designs (n, knobs); log probabilities and entropies of each step (n, knobs).
            """
            knobs, values = self._shut.shape
            wanted = self._preference(weights)
            state = None
            before = torch.full((len(weights),), knobs * values, device=weights.device)
            steps: list[tuple[Tensor, Tensor, Tensor]] = []
            for knob in range(knobs):
                seen = wanted + self._values(before) + self._knobs.weight[knob]
                state = self._cell(seen, state)
                logs = torch.log_softmax(state[0] @ self._heads[knob] + self._shut[knob], dim=1)
                odds = logs.exp()
                drawn = given is None or knob >= given.shape[1]
                chosen = _draw(odds) if drawn else given[:, knob]  # type: ignore[index]  # not None
                entropy = -(odds * logs.clamp(min=-30.0)).sum(dim=1)
                steps.append((chosen, logs.gather(1, chosen[:, None])[:, 0], entropy))
                before = knob * values + chosen
            designs, scores, entropies = (torch.stack(part, 1) for part in zip(*steps, strict=True))
            return designs, scores, entropies

    return Policy()
