"""Candidates for a model to rank: new designs, bred from the best of those ranked before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dovetail.agents.seen import Seen
from dovetail.agents.variation import Variation, fresh_rows
from dovetail.ir.space import FloatArray, IntArray, Space


class Candidates:
    """Local search on a design space for designs of high score.

    Args:
        space: the designs' space.
        rng: source of randomness.
        size: candidates per round, and kept.
        rounds: rounds of breeding.
        parents: of the best candidates, that breed in later rounds.
    """

    def __init__(
        self, space: Space, rng: np.random.Generator, size: int, rounds: int, parents: int
    ) -> None:
        self._space, self._rng = space, rng
        self._size, self._rounds, self._parents = size, rounds, max(2, parents)
        self._variation = Variation(space, mutated_knobs=1.5, spread=0.15)

    def best(
        self, score: Callable[[IntArray], FloatArray], parents: IntArray, seen: Seen
    ) -> tuple[IntArray, FloatArray]:
        """Designs (n, knobs), n <= size, and their scores (n,), the best first.

        Args:
            score: scores (n,) of designs (n, knobs), higher is better.
            parents: of the first round (p, knobs), p >= 1; half of its candidates are uniform.
            seen: designs not wanted.
        """
        kept: IntArray = np.zeros((0, len(self._space.knobs)), dtype=np.int64)
        scores: FloatArray = np.zeros(0)
        for turn in range(self._rounds):
            fresh = self._bred(parents, self._size // 2 if turn == 0 else 0, seen)
            union = np.concatenate([kept, fresh])
            scores = np.concatenate([scores, score(fresh)])
            union, first = np.unique(union, axis=0, return_index=True)
            scores = scores[first]
            best = np.argsort(-scores, kind="stable")[: self._size]
            kept, scores = union[best], scores[best]
            parents = kept[: self._parents]
        return kept, scores

    def _bred(self, parents: IntArray, uniform: int, seen: Seen) -> IntArray:
        def make(n: int) -> IntArray:
            mothers, fathers = self._rng.integers(0, len(parents), size=(2, n))
            bred = self._variation.children(self._rng, parents[mothers], parents[fathers])
            return np.concatenate([self._space.sample(self._rng, uniform), bred])[:n]

        return fresh_rows(make, self._size, seen)
