"""Designs as points of a unit cube, for models that need real inputs."""

from __future__ import annotations

import numpy as np

from dovetail.ir.space import FloatArray, IntArray, Space


class UnitEncoding:
    """Ordered knobs become one coordinate, categories one per value; constant knobs vanish.

    Attributes:
        width: number of coordinates.
    """

    def __init__(self, space: Space) -> None:
        self._ordered = [i for i, k in enumerate(space.knobs) if k.ordered and len(k.values) > 1]
        self._spans = space.cardinalities[self._ordered] - 1
        self._categories = [
            (i, len(k.values))
            for i, k in enumerate(space.knobs)
            if not k.ordered and len(k.values) > 1
        ]
        self.width = len(self._ordered) + sum(count for _, count in self._categories)

    def encode(self, designs: IntArray) -> FloatArray:
        """Coordinates in [0, 1] of designs (n, knobs): (n, width)."""
        parts = [designs[:, self._ordered] / self._spans]
        parts += [np.eye(count)[designs[:, i]] for i, count in self._categories]
        return np.concatenate(parts, axis=1)
