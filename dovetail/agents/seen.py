"""Which designs a search has met, for batches at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.space import BoolArray, IntArray, Space

Keys = NDArray[np.uint64]
"""Whole numbers that stand for designs."""


class Seen:
    """A set of designs, each kept as one whole number.

    Spaces of up to 2^64 designs are numbered; in larger ones a design is its dot product with
    random odd numbers modulo 2^64, so that two designs share a number with odds of about 2^-63.

    Args:
        space: the designs' space.
    """

    def __init__(self, space: Space) -> None:
        sizes = space.cardinalities
        if space.size <= 2**64:
            strides = [1]
            for size in sizes[:0:-1]:
                strides.append(strides[-1] * int(size))
            # A stride of 2^64 belongs to a knob with one value, whose index is 0.
            self._weights = np.array([s % 2**64 for s in strides[::-1]], dtype=np.uint64)
        else:
            rng = np.random.default_rng(0)
            self._weights = rng.integers(2**64, size=len(sizes), dtype=np.uint64) | np.uint64(1)
        # Sorted runs, each more than twice as long as the next: few to look through, and a number
        # is moved only as often as the whole doubles.
        self._runs: list[Keys] = []

    def __len__(self) -> int:
        return sum(map(len, self._runs))

    def keys(self, designs: IntArray) -> Keys:
        """Numbers (n,) of designs (n, knobs)."""
        keys: Keys = designs.astype(np.uint64) @ self._weights
        return keys

    def add(self, designs: IntArray) -> None:
        """Adds designs (n, knobs)."""
        keys = np.unique(self.keys(designs))
        self._runs.append(keys[~self._has(keys)])
        while len(self._runs) > 1 and len(self._runs[-2]) <= 2 * len(self._runs[-1]):
            last, before = self._runs.pop(), self._runs.pop()
            # Timsort merges two sorted runs in linear time.
            self._runs.append(np.sort(np.concatenate([before, last]), kind="stable"))

    def new(self, designs: IntArray, known: IntArray | None = None) -> IntArray:
        """Designs not met before, each once.

        Args:
            designs: (n, knobs).
            known: (k, knobs) what an earlier call gave, which the result begins with.

        Returns:
            (k + new, knobs), in order of first appearance.
        """
        keys, first = np.unique(self.keys(designs), return_index=True)
        met = self._has(keys)
        if known is not None:
            met |= _within(np.sort(self.keys(known)), keys)
        fresh = designs[np.sort(first[~met])]
        return fresh if known is None else np.concatenate([known, fresh])

    def _has(self, keys: Keys) -> BoolArray:
        """(n,) which of sorted keys (n,) are in the set."""
        met = np.zeros(len(keys), dtype=np.bool_)
        for run in self._runs:
            met |= _within(run, keys)
        return met


def _within(run: Keys, keys: Keys) -> BoolArray:
    """(n,) which of keys (n,) are in a sorted run."""
    if not len(run):
        return np.zeros(len(keys), dtype=np.bool_)
    found: BoolArray = run[np.minimum(np.searchsorted(run, keys), len(run) - 1)] == keys
    return found
