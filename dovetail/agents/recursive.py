"""One quantity at several fidelities, each a scaled copy of the one below plus a difference.

References:
    Kennedy and O'Hagan, "Predicting the Output from a Complex Computer Code When Fast
    Approximations Are Available", Biometrika 87(1), 2000, eq. 1; Le Gratiet and Garnier,
    "Recursive Co-kriging Model for Design of Computer Experiments with Multiple Levels of
    Fidelity", Int. J. Uncertainty Quantification 4(5), 2014 (level after level).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dovetail.agents.surrogate import moments
from dovetail.ir.space import FloatArray

SAME = 1e-9
"""Differences of levels, as a share of their values' range, that count as none."""


class Recursive:
    """f_0 is a Gaussian process; f_t = offset_t + slope_t f_(t-1) + d_t with a process d_t.

    Offset and slope are those of a regression on what the levels below expect, d_t is fitted to its
    residuals. A level with fewer than two points repeats the one below.

    Args:
        points: of each level t (n_t, width), in the unit cube; at least two of the lowest.
        targets: of each level (n_t,).
        fitted: fits the process of a level to points and targets.
    """

    def __init__(
        self,
        points: Sequence[FloatArray],
        targets: Sequence[FloatArray],
        fitted: Callable[[int, FloatArray, FloatArray], Any],
    ) -> None:
        self._models: list[Any] = [fitted(0, points[0], targets[0])]
        self._lines: list[tuple[float, float]] = [(0.0, 1.0)]
        for level in range(1, len(points)):
            x, y = points[level], targets[level]
            if len(x) < 2:
                self._lines.append((0.0, 1.0))
                self._models.append(None)
                continue
            below = self.predict(x)[0][:, -1]
            offset, slope = line(below, y)
            self._lines.append((offset, slope))
            left = y - offset - slope * below
            same = np.abs(left).max() <= SAME * max(np.ptp(y), 1.0)
            self._models.append(None if same else fitted(level, x, left))

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations (n, levels) at points (n, width)."""
        mean, variance = np.zeros(len(points)), np.zeros(len(points))
        means, variances = [], []
        for model, (offset, slope) in zip(self._models, self._lines, strict=True):
            mean, variance = offset + slope * mean, slope**2 * variance
            if model is not None:
                here, deviation = moments([model], points)
                mean, variance = mean + here[:, 0], variance + deviation[:, 0] ** 2
            means.append(mean)
            variances.append(variance)
        return np.stack(means, axis=1), np.sqrt(np.stack(variances, axis=1))

    def told_by(self, deviations: FloatArray) -> FloatArray:
        """What each level knows of the highest one.

        Args:
            deviations: (n, levels), from `predict`.

        Returns:
            Standard deviation (n, levels) of the highest level's mean after the level below it
            is observed: all of its doubt for itself, 0 where a level leaves none.
        """
        slopes = np.array([slope for _, slope in self._lines[1:]] + [1.0])
        return deviations * np.abs(np.cumprod(slopes[::-1])[::-1])


def line(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Offset and slope of a regression of y (n,) on x (n,), drawn to slope 1 as if by one point."""
    centred = x - x.mean()
    spread = float(centred @ centred)
    if spread <= 0:
        return float(y.mean() - x.mean()), 1.0
    prior = spread / len(x)
    slope = (float(centred @ y) + prior) / (spread + prior)
    return float(y.mean() - slope * x.mean()), slope
