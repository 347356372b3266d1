"""Random variation of designs: crossover, mutation, and batches without repetition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dovetail.agents.seen import Seen
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space

ATTEMPTS = 8
"""Batches drawn in search of new designs before repetitions are let through."""

LARGE = 2048
"""Designs from which on only the knobs that mutate are drawn for: twice as fast, other numbers."""


class Variation:
    """Crossover and mutation over a space's knobs.

    Attributes:
        space: the designs' space.
        mutated_knobs: expected number of mutated knobs per child.
        spread: mean step of an ordered knob, as a share of its number of values.
        crossover: probability that a child mixes both parents.
    """

    def __init__(
        self, space: Space, mutated_knobs: float, spread: float, crossover: float = 0.9
    ) -> None:
        self.space = space
        self.mutated_knobs = mutated_knobs
        self.spread = spread
        self.crossover = crossover
        self._cardinalities = space.cardinalities
        self._ordered: BoolArray = np.array([knob.ordered for knob in space.knobs], dtype=np.bool_)
        self._free = max(1, int((self._cardinalities > 1).sum()))

    def children(self, rng: np.random.Generator, mothers: IntArray, fathers: IntArray) -> IntArray:
        """Mixes parents knob by knob, then mutates.

        Args:
            rng: source of randomness.
            mothers: (n, knobs).
            fathers: (n, knobs).

        Returns:
            (n, knobs) children.
        """
        mixed = rng.random((len(mothers), 1)) < self.crossover
        if len(mothers) >= LARGE:
            coins = rng.bytes(mothers.size)
            even = (np.frombuffer(coins, dtype=np.uint8) & 1).reshape(mothers.shape) == 0
            return self.mutate(rng, np.where(mixed & even, fathers, mothers))
        from_father = mixed & (rng.random(mothers.shape) < 0.5)
        return self.mutate(rng, np.where(from_father, fathers, mothers))

    def mutate(self, rng: np.random.Generator, designs: IntArray) -> IntArray:
        """Moves ordered knobs by a geometric step and redraws categories, (n, knobs)."""
        share = min(1.0, self.mutated_knobs / self._free)
        if len(designs) >= LARGE:
            return self._mutate_chosen(rng, designs, share)
        chosen = rng.random(designs.shape) < share
        stepped = self._step(rng, designs)
        other = rng.integers(0, np.maximum(self._cardinalities - 1, 1), size=designs.shape)
        redrawn = np.where(other >= designs, other + 1, other)
        moved = np.where(self._ordered, stepped, redrawn)
        return np.where(chosen & (self._cardinalities > 1), moved, designs)

    def _mutate_chosen(
        self, rng: np.random.Generator, designs: IntArray, share: float
    ) -> IntArray:  # fmt: skip
        """The same, with draws for the chosen knobs only."""
        chosen = rng.random(designs.shape, dtype=np.float32) < share
        rows, knobs = np.nonzero(chosen & (self._cardinalities > 1))
        at, last = designs[rows, knobs], self._cardinalities[knobs] - 1
        mean: FloatArray = np.maximum(self.spread * (last + 1), 1.0)
        size = rng.geometric(1.0 / mean)
        up = (rng.random(len(at), dtype=np.float32) < 0.5) & (at < last) | (at == 0)
        stepped = np.where(up, np.minimum(at + size, last), np.maximum(at - size, 0))
        other = rng.integers(0, last)
        moved = designs.copy()
        moved[rows, knobs] = np.where(
            self._ordered[knobs], stepped, np.where(other >= at, other + 1, other)
        )
        return moved

    def _step(self, rng: np.random.Generator, designs: IntArray) -> IntArray:
        """Steps of 1 or more either way, cut at the ends of the range; never stays."""
        mean: FloatArray = np.maximum(self.spread * self._cardinalities, 1.0)
        size = rng.geometric(1.0 / mean, size=designs.shape)
        above = self._cardinalities - 1 - designs
        up = (rng.random(designs.shape) < 0.5) & (above > 0) | (designs == 0)
        return np.where(up, designs + np.minimum(size, above), designs - np.minimum(size, designs))


def fresh_rows(
    make: Callable[[int], IntArray], count: int, seen: Seen, attempts: int = ATTEMPTS
) -> IntArray:
    """Draws rows that are new, and different from each other, as far as that succeeds.

    Args:
        make: draws n rows, (n, knobs).
        count: rows wanted.
        seen: rows not wanted.
        attempts: draws of `count` rows before repetitions fill the batch.

    Returns:
        (count, knobs), new rows first.
    """
    rows = make(count)
    fresh = seen.new(rows)
    for _ in range(attempts - 1):
        if len(fresh) >= count:
            break
        rows = make(count)
        fresh = seen.new(rows, fresh)
    return np.concatenate([fresh[:count], rows[: max(0, count - len(fresh))]])
