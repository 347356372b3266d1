"""What designs will be at the highest fidelity, from all that was seen of them at any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.agents.recursive import Recursive
from dovetail.agents.surrogate import (
    Hyperparameters,
    bilog,
    expected_improvement,
    fit,
    hyperparameters,
    improvement_cells,
    law_targets,
    log_probability_below_zero,
    moments,
)
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True)
class Outlook:
    """What is expected of n designs at the highest of L levels.

    Attributes:
        mean: negated objectives (n, m).
        reveals: standard deviation (n, L, m) of their mean after a level is observed.
        odds: probability (n,) of keeping to all laws and constraints.
    """

    mean: FloatArray
    reveals: FloatArray
    odds: FloatArray

    def part(self, rows: IntArray) -> Outlook:
        """Of some designs."""
        return Outlook(self.mean[rows], self.reveals[rows], self.odds[rows])

    def values(self, front: FloatArray, reference: FloatArray, draws: FloatArray) -> FloatArray:
        """What evaluating each design at each level is worth, in hypervolume.

        Args:
            front: (k, m) minimised objectives known or believed.
            reference: (m,) corner of the hypervolume.
            draws: (samples, m) standard normal draws.

        Returns:
            (n, L): at the highest level the expected improvement; at others by how much the
            greatest of these is expected to rise if the design is looked at there.
        """
        cells = improvement_cells(front, reference)
        top = self.reveals.shape[1] - 1
        gain = expected_improvement(self.mean, self.reveals[:, top], cells, draws, self.odds)
        known = float(gain.max())
        looks = [
            expected_improvement(self.mean, self.reveals[:, level], cells, draws, self.odds, known)
            for level in range(top)
        ]
        return np.stack([*looks, gain], axis=1)


class MultiSurrogate:
    """One recursive model per objective and constraint, and a process of laws if any is broken.

    Laws are the same at every level. Without two lawful designs at the lowest there are no others.

    Args:
        points: (n, width) in the unit cube.
        levels: (n,) of their evaluation.
        count: number of levels.
        objectives: (n, m), minimised; rows with NaN inform the model of laws only.
        excess: signed relative excesses (n, c) over the constraints.
        laws: (n,) violation of laws, 0 where lawful.
        steps: most steps of L-BFGS of a first fit, and of a later one.
        start: `hyperparameters` of earlier fits, to begin at.
    """

    def __init__(
        self, points: FloatArray, levels: IntArray, count: int, objectives: FloatArray,
        excess: FloatArray, laws: FloatArray, steps: tuple[int, int],
        start: Mapping[str, Hyperparameters],
    ) -> None:  # fmt: skip
        self.hyperparameters: dict[str, Hyperparameters] = {}
        self._steps, self._start = steps, start
        known = np.isfinite(objectives).all(axis=1)
        self._rows = [known & (levels == level) for level in range(count)]
        self._points = points
        self._laws: Any = None
        if (laws > 0).any():
            self._laws = self._fit("laws", points, law_targets(laws))
        self.objectives: list[Recursive] = []
        self._constraints: list[Recursive] = []
        if self._rows[0].sum() >= 2:
            columns = enumerate(objectives.T)
            self.objectives = [self._recursive(f"objective {j}", -y) for j, y in columns]
            columns = enumerate(bilog(excess).T)
            self._constraints = [self._recursive(f"constraint {j}", y) for j, y in columns]

    def log_odds(self, points: FloatArray) -> FloatArray:
        """Logarithm of the probability (n,) of keeping to laws and constraints at the top."""
        odds = np.zeros(len(points))
        if self._laws is not None:
            odds += log_probability_below_zero(*moments([self._laws], points))
        for model in self._constraints:
            mean, deviation = model.predict(points)
            odds += log_probability_below_zero(mean[:, -1:], deviation[:, -1:])
        return odds

    def outlook(self, points: FloatArray) -> Outlook:
        """What is expected at points (n, width)."""
        means, reveals = [], []
        for model in self.objectives:
            mean, deviation = model.predict(points)
            means.append(mean[:, -1])
            reveals.append(model.told_by(deviation))
        odds = np.exp(self.log_odds(points))
        return Outlook(np.stack(means, axis=1), np.stack(reveals, axis=2), odds)

    def _recursive(self, name: str, targets: FloatArray) -> Recursive:
        return Recursive(
            [self._points[rows] for rows in self._rows],
            [targets[rows] for rows in self._rows],
            lambda level, x, y: self._fit(f"{name} {level}", x, y),
        )

    def _fit(self, name: str, points: FloatArray, targets: FloatArray) -> Any:
        first, later = self._steps
        start = self._start.get(name)
        model = fit(points, targets, first if start is None else later, start)
        self.hyperparameters[name] = hyperparameters(model)
        return model
