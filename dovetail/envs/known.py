"""What designs were found to cost, by their number: none is costed twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dovetail.ir.space import FloatArray, IntArray, Space
from dovetail.sim.kernel import kernel

FEWEST, MOST = 2**12, 2**19
"""Rows of the table: at first, and at most; half of them are used."""


class KnownDesigns:
    """A table of figures by design, which forgets everything when it is full.

    Args:
        space: of the designs, fewer than 2^63.
        figures: how many numbers are kept of each.
    """

    def __init__(self, space: Space, figures: int) -> None:
        self._sizes = tuple(space.cardinalities)
        self._keys = np.zeros(FEWEST, dtype=np.int64)
        self._values = np.zeros((FEWEST, figures))
        self._used = 0

    def figures(self, designs: IntArray, cost: Callable[[IntArray], FloatArray]) -> FloatArray:
        """Figures (n, figures) of designs (n, knobs).

        Args:
            designs: what is asked for.
            cost: figures (new, figures) of those designs (new, knobs) that were not asked for
                before, each once, in their order.
        """
        self._make_room(len(designs))
        keys = np.ravel_multi_index(tuple(designs.T), self._sizes) + 1
        rows, new = np.empty_like(keys), np.empty_like(keys)
        count = _find(self._keys, keys, rows, new)
        self._used += count
        if count:
            first = new[:count]
            try:
                self._values[rows[first]] = cost(designs[first])
            except BaseException:
                self._forget()  # rows without values
                raise
        found: FloatArray = self._values[rows]
        return found

    def _forget(self) -> None:
        self._used, self._keys = 0, np.zeros_like(self._keys)

    def _make_room(self, designs: int) -> None:
        size = len(self._keys)
        if 2 * (self._used + designs) > MOST:
            self._forget()
        while 2 * (self._used + designs) > size:
            size *= 2
        if size > len(self._keys):
            held = np.flatnonzero(self._keys)
            keys, values = self._keys[held], self._values[held]
            self._keys = np.zeros(size, dtype=np.int64)
            self._values = np.zeros((size, values.shape[1]))
            rows = np.empty_like(keys)
            _find(self._keys, keys, rows, np.empty_like(keys))
            self._values[rows] = values


@kernel
def _find(table: IntArray, keys: IntArray, rows: IntArray, new: IntArray) -> int:
    """Places keys (n,) > 0 in a table of a power of two, 0 where empty; returns how many are new.

    Args:
        table: written.
        keys: what is looked for.
        rows: (n,), written: where each is.
        new: (n,), written: which of them were not there.
    """
    count = 0
    for i in range(keys.shape[0]):
        row = ((keys[i] * -7046029254386353131) >> 24) & (table.shape[0] - 1)
        while table[row] != 0 and table[row] != keys[i]:
            row = (row + 1) & (table.shape[0] - 1)
        if table[row] == 0:
            table[row] = keys[i]
            new[count] = i
            count += 1
        rows[i] = row
    return count
