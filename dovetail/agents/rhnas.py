"""RHNAS: reinforcement learning sets the hardware, a gradient the network; only valid pairs count.

A fully differentiable co-search relaxes the accelerator's parameters too and rounds what it finds:
often to a design that breaks a law. Here accelerators are drawn from a policy conditioned on their
laws, and only the network is relaxed, to a categorical per knob. Each round, for every preference:

1. K steps of policy gradient on the hardware, under the network found last;
2. a look-up table LUT[knob][value] on the hardware so found: the costs of that network with one
   choice changed, asked like all designs, so that the table counts as evaluations;
3. M steps along the gradient of w_error E[error] + w_cost log10 E[cost] and the excess over
   constraints, E[cost] from the table, E[error] from a predictor of what was told: accuracy is
   measured, so no gradient passes through data;
4. the likeliest networks are asked on that hardware; the best of them goes on.

Step 3 runs from several starts, the last network found and Gumbel noise, as the loss has many
local optima.

References:
    Akhauri et al., "RHNAS: Realizable Hardware and Neural Architecture Search", 2021 (the division
    of labour; hardware space, algorithm and losses are ours); Wu et al., "FBNet", CVPR 2019
    (equation 4: expected cost from a look-up table); Jang et al., "Categorical Reparameterization
    with Gumbel-Softmax", ICLR 2017 (equation 1).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from dovetail.agents.preferences import preference_set
from dovetail.agents.rhnas_memory import Memory
from dovetail.agents.rhnas_relaxed import Relaxed, Table
from dovetail.agents.rhnas_track import Track
from dovetail.agents.settings import check_range
from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import IntArray

ATTEMPTS = 200
"""Batches drawn in search of lawful accelerators."""

Steps = Generator[IntArray, None, None]
"""Yields designs to evaluate; goes on when they are in memory."""


@dataclass(frozen=True, slots=True)
class RHNASArgs:
    """Settings of RHNAS.

    Attributes:
        batch: accelerators per step of the policy.
        restarts: relaxed networks per round, each from its own start.
        hardware_steps: steps of the policy per round, K.
        architecture_steps: steps of the relaxed network per round, M.
        hardware_rate: Adam's step for the policy, in logits.
        architecture_rate: Adam's step for the relaxed network, in logits.
        hardware_entropy: weight of the policy's entropy.
        architecture_entropy: weight of the relaxed network's entropy.
        penalty: weight of the relative excess over constraints, in objectives.
    """

    batch: int = 32
    restarts: int = 32
    hardware_steps: int = 2
    architecture_steps: int = 100
    hardware_rate: float = 0.3
    architecture_rate: float = 0.1
    hardware_entropy: float = 0.05
    architecture_entropy: float = 0.01
    penalty: float = 10.0

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 2)
        check_range("restarts", self.restarts, 1)
        check_range("hardware_steps", self.hardware_steps, 1)
        check_range("architecture_steps", self.architecture_steps, 1)
        check_range("hardware_rate", self.hardware_rate, 0, above=True)
        check_range("architecture_rate", self.architecture_rate, 0, above=True)
        check_range("hardware_entropy", self.hardware_entropy, 0)
        check_range("architecture_entropy", self.architecture_entropy, 0)
        check_range("penalty", self.penalty, 0)


class RHNASAgent:
    """Alternates between both halves; asks no unlawful accelerator, no design twice if it can.

    Raises:
        ProblemError: if the problem has no network to relax, or no lawful accelerator is found.
    """

    Args = RHNASArgs

    def __init__(self, problem: DesignProblem, seed: int, args: RHNASArgs) -> None:
        self._problem = relaxable(problem)
        self._args = args
        self._rng = np.random.default_rng(seed)
        self._memory = Memory(self._problem)
        self._relaxed = Relaxed(self._problem, args.penalty)
        preferences = preference_set(len(problem.objectives))
        self._tracks = [Track(self._problem, weights) for weights in preferences]
        self._search = self._rounds()
        self._asked = next(self._search)

    def ask(self) -> IntArray:
        """The next step's designs that are not known yet, (n, knobs)."""
        return self._asked

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Remembers the designs and goes on; what was not told is asked again where needed."""
        self._memory.add(designs, evaluation)
        self._asked = next(self._search)

    def pairs(self) -> IntArray:
        """Best design told for each preference, (p, knobs): within all laws and constraints.

        Preferences for which none is known are left out.
        """
        best = [self._memory.best(track.weights) for track in self._tracks]
        found = [design for design in best if design is not None]
        return np.array(found, dtype=np.int64).reshape(-1, len(self._problem.space.knobs))

    def _rounds(self) -> Steps:
        yield self._uniform()
        while True:
            before = len(self._memory)
            for track in self._tracks:
                yield from self._round(track)
            if len(self._memory) == before:
                yield self._uniform()

    def _round(self, track: Track) -> Steps:
        args = self._args
        self._relaxed.learn(self._memory)
        for _ in range(args.hardware_steps):
            hardware = self._lawful(track)
            designs = track.on_network(hardware)
            yield from self._known(designs)
            rewards = self._memory.rewards(designs, track.weights)
            track.learn_hardware(hardware, rewards, args.hardware_rate, args.hardware_entropy)
        swaps = track.swaps()
        yield from self._known(swaps)
        table = Table.of(self._memory.metrics(swaps), track.sizes)
        track.relax(self._rng, args.restarts)
        for _ in range(args.architecture_steps):
            slopes = self._relaxed.gradient(track.odds(), table, track.weights)
            track.learn_networks(slopes, args.architecture_rate, args.architecture_entropy)
        yield from self._known(networks := track.networks())
        track.choose(self._memory.rewards(networks, track.weights))

    def _known(self, designs: IntArray) -> Steps:
        """Asks for what memory lacks of designs (n, knobs), until it has all."""
        while len(fresh := self._memory.unknown(designs)):
            yield fresh

    def _uniform(self) -> IntArray:
        """Networks and lawful accelerators drawn uniformly, new if any is: (n <= batch, knobs)."""
        start = Track(self._problem, self._tracks[0].weights)
        hardware = self._lawful(start)
        choices = self._problem.choices.sample(self._rng, len(hardware))
        drawn = np.concatenate([choices, hardware], axis=1)
        fresh = self._memory.unknown(drawn)
        return fresh if len(fresh) else drawn

    def _lawful(self, track: Track) -> IntArray:
        """Draws of the policy that keep the laws, (batch, b): the policy conditioned on them.

        The score of the conditioned policy differs from that of the factors by a constant, and
        advantages of mean 0 cancel constants: the gradient needs no correction.
        """
        found = np.empty((0, len(self._problem.hardware.space.knobs)), dtype=np.int64)
        for _ in range(ATTEMPTS):
            drawn = track.hardware(self._rng, self._args.batch)
            kept = drawn[self._problem.hardware.violations(drawn) <= 0]
            found = np.concatenate([found, kept])[: self._args.batch]
            if len(found) == self._args.batch:
                return found
        if not len(found):
            raise ProblemError(
                f"agent 'rhnas': none of {ATTEMPTS * self._args.batch} accelerators drawn keeps "
                f"the laws of '{self._problem.hardware.base.family}': give more lenient values"
            )
        return np.resize(found, (self._args.batch, found.shape[1]))


def relaxable(problem: DesignProblem) -> HardwareProblem:
    """The problem, if it has a network to relax and an accelerator with laws.

    Raises:
        ProblemError: if it has not.
    """
    if not isinstance(problem, HardwareProblem) or "error" not in problem.metrics:
        raise ProblemError(
            f"agent 'rhnas' relaxes a network beside an accelerator: problem '{problem.name}' has "
            "no choices of a network; search nasbench201 or codesign"
        )
    return problem
