"""Uniform random search: the baseline that every other agent must beat.

References:
    Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", JMLR 13, 2012.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import IntArray


@dataclass(frozen=True, slots=True)
class RandomArgs:
    """Settings of random search.

    Attributes:
        batch: designs per ask.
    """

    batch: int = 256

    def __post_init__(self) -> None:
        check_range("batch", self.batch, 1)


class RandomAgent:
    """Draws every knob uniformly and independently, and learns nothing."""

    Args = RandomArgs

    def __init__(self, problem: DesignProblem, seed: int, args: RandomArgs) -> None:
        self._space = problem.space
        self._batch = args.batch
        self._rng = np.random.default_rng(seed)

    def ask(self) -> IntArray:
        """Draws `batch` designs, (batch, knobs)."""
        return self._space.sample(self._rng, self._batch)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Ignores the evaluation."""
