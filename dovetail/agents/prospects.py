"""Candidates of a model-guided search, ranked by what they are expected to add to the front."""

from __future__ import annotations

import numpy as np

from dovetail.agents.improvement import behind, improvements
from dovetail.agents.surrogates import Surrogates
from dovetail.ir.space import FloatArray, IntArray

GREEDY = 64
"""Designs of a batch that are picked one by one; the others by what each adds alone."""


class Prospects:
    """Candidates, and what each draw of the models expects them to add to the front.

    Args:
        models: of the objectives.
        front: (k, m) objectives of the front.
        reference: (m,) corner of the hypervolume.
        normal: (draws, m) draws.
        knobs: of a design.
    """

    def __init__(
        self, models: Surrogates, front: FloatArray, reference: FloatArray, normal: FloatArray,
        knobs: int,
    ) -> None:  # fmt: skip
        self._models, self._front = models, front
        self._reference, self._normal = reference, normal
        self.designs: IntArray = np.zeros((0, knobs), dtype=np.int64)
        self._values: FloatArray = np.zeros((0, *normal.shape))
        self._added: FloatArray = np.zeros((0, len(normal)))
        self._odds: FloatArray = np.zeros(0)
        self._behind: FloatArray = np.zeros(0)

    def add(self, designs: IntArray) -> None:
        """Adds designs (n, knobs); those already here count once."""
        if len(self.designs):
            both = np.concatenate([self.designs, designs])
            first = np.unique(both, axis=0, return_index=True)[1]
            designs = both[np.sort(first[first >= len(self.designs)])]
        if not len(designs):
            return
        odds = self._models.odds(designs)
        shape = (len(designs), *self._normal.shape)
        ready = self._models.ready
        values = self._models.draws(designs, self._normal) if ready else np.zeros(shape)
        added = self._improved(values, odds)
        self.designs = np.concatenate([self.designs, designs])
        self._values = np.concatenate([self._values, values])
        self._added = np.concatenate([self._added, added])
        self._odds = np.concatenate([self._odds, odds])
        self._behind = np.concatenate([self._behind, behind(values.mean(axis=1), self._front)])

    def cut(self, most: int) -> None:
        """Keeps the best, best first."""
        order = np.lexsort((self._behind, -self._odds, -self._worth()))[:most]
        self.designs, self._values = self.designs[order], self._values[order]
        self._added, self._odds = self._added[order], self._odds[order]
        self._behind = self._behind[order]

    def pick(self, wanted: int) -> IntArray:
        """Picks designs, best first: the first one by one, each knowing those before it."""
        fronts = [self._front] * len(self._normal)
        worth, fresh = self._worth(), np.zeros(len(self.designs), dtype=np.int64)
        picked: list[int] = []
        for step in range(min(wanted, GREEDY, len(self.designs))):
            best = self._best(worth, fresh, fronts, step)
            if worth[best] <= 0:
                break
            picked.append(best)
            worth[best] = -1.0
            fronts = [
                np.concatenate([front, self._values[best, k][None]])
                for k, front in enumerate(fronts)
            ]
        rest = np.setdiff1d(np.arange(len(self.designs)), picked)
        return self.designs[np.concatenate([picked, rest]).astype(np.int64)][:wanted]

    def _best(
        self, worth: FloatArray, fresh: IntArray, fronts: list[FloatArray], step: int
    ) -> int:  # fmt: skip
        """The best candidate; what others add only shrinks, so few are worked out again."""
        while True:
            best = int(np.argmax(worth))
            if fresh[best] == step or worth[best] <= 0:
                return best
            added = [
                improvements(self._values[best, k][None], front, self._reference)[0]
                for k, front in enumerate(fronts)
                if self._added[best, k] > 0
            ]
            worth[best] = self._odds[best] * sum(added) / len(fronts)
            fresh[best] = step

    def _improved(self, values: FloatArray, odds: FloatArray) -> FloatArray:
        flat = values.reshape(-1, values.shape[2])
        if not self._models.ready:
            return np.repeat(odds[:, None], values.shape[1], axis=1)
        return improvements(flat, self._front, self._reference).reshape(values.shape[:2])

    def _worth(self) -> FloatArray:
        return self._odds * self._added.mean(axis=1)
