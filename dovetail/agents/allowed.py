"""The part of a design space that masks allow, as a space of its own.

An agent that searches it needs no masks: it cannot name a value that no lawful design has.
"""

from __future__ import annotations

import numpy as np

from dovetail.envs.problem import DesignProblem
from dovetail.ir.space import BoolArray, IntArray, Knob, Space


class Allowed:
    """Values of each knob that some lawful design has; all of them where a mask allows none.

    Attributes:
        space: knobs with these values only.
    """

    def __init__(self, problem: DesignProblem) -> None:
        masks = [mask if mask.any() else ~mask for mask in problem.masks()]
        knobs = problem.space.knobs
        self.space = Space(
            tuple(
                Knob(k.name, tuple(np.array(k.values, dtype=object)[mask]), k.ordered)
                for k, mask in zip(knobs, masks, strict=True)
            )
        )
        width = int(problem.space.cardinalities.max())
        self._outer = np.zeros((len(knobs), width), dtype=np.int64)
        self._inner = np.zeros((len(knobs), width), dtype=np.int64)
        for row, mask in enumerate(masks):
            values = np.flatnonzero(mask)
            self._outer[row, : len(values)] = values
            self._inner[row, values] = np.arange(len(values))
        self._knob = np.arange(len(knobs))
        self._everything = all(mask.all() for mask in masks)

    def outer(self, designs: IntArray) -> IntArray:
        """The problem's indices (n, knobs) of designs of `space`."""
        return designs if self._everything else self._outer[self._knob, designs]

    def inner(self, designs: IntArray) -> IntArray:
        """Indices in `space` (n, knobs) of designs of the problem; 0 for values not allowed."""
        return designs if self._everything else self._inner[self._knob, designs]


def legal_values(space: Space) -> BoolArray:
    """(knobs, values): True where a knob, padded to the largest, has a value."""
    sizes = space.cardinalities
    return np.arange(sizes.max()) < sizes[:, None]
