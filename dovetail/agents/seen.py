"""Which designs a search has met, for batches at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dovetail.ir.space import BoolArray, IntArray, Space


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
        self._numbers: set[int] = set()

    def __len__(self) -> int:
        return len(self._numbers)

    def keys(self, designs: IntArray) -> NDArray[np.uint64]:
        """Numbers (n,) of designs (n, knobs)."""
        keys: NDArray[np.uint64] = designs.astype(np.uint64) @ self._weights
        return keys

    def add(self, designs: IntArray) -> None:
        """Adds designs (n, knobs)."""
        self._numbers.update(self.keys(designs).tolist())

    def new(self, designs: IntArray) -> IntArray:
        """The designs (k, knobs) of (n, knobs) that are not in the set, each once, in order."""
        keys, first = np.unique(self.keys(designs), return_index=True)
        met: BoolArray = np.fromiter(
            map(self._numbers.__contains__, keys.tolist()), np.bool_, len(keys)
        )
        return designs[np.sort(first[~met])]
