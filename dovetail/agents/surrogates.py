"""One process per objective over told designs, and what they expect a new design to add to a front.

References:
    Emmerich, Giannakoglou and Naujoks, "Single- and Multiobjective Evolutionary Optimization
    Assisted by Gaussian Random Field Metamodels", IEEE Trans. Evolutionary Computation 10(4), 2006
    (expected hypervolume improvement); Gardner et al., ICML 2014 (times the odds of feasibility).
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from dovetail.agents.kriging import GridProcess, Indicators, Warp
from dovetail.ir.space import FloatArray, IntArray, Space

CHOOSE_WARP = 150
"""Designs from which on an objective's warp stays what it was."""


class Surrogates:
    """Models of the objectives and, once a design was infeasible, of the violation.

    Args:
        space: the designs' space.
        reference: (m,) corner of the hypervolume.
        rng: source of randomness.
        points: designs that each model predicts from at most.
        fit_points: designs that parameters are fitted to, drawn from those.
    """

    def __init__(
        self, space: Space, reference: FloatArray, rng: np.random.Generator, points: int,
        fit_points: int,
    ) -> None:  # fmt: skip
        self._coding, self._reference, self._rng = Indicators(space), reference, rng
        self._points, self._fit_points = points, fit_points
        self._models = [(self._process(), self._process()) for _ in reference]
        self._logarithmic = [False] * len(reference)
        self._violation = self._process()
        self._restricted = False
        self._warps: list[tuple[Warp, float, float]] = []

    def learn(
        self, designs: IntArray, objectives: FloatArray, violation: FloatArray, *, fit: bool
    ) -> None:
        """Takes designs to predict from, as many as each model may have.

        Args:
            designs: (n, knobs), the most interesting first.
            objectives: (n, m); rows with NaN inform the model of the violation only.
            violation: (n,).
            fit: whether the parameters are fitted anew.
        """
        known = np.flatnonzero(np.isfinite(objectives).all(axis=1))
        self._warps = []
        if len(known) >= 2:
            rows = known[self._telling(len(known))]
            points = self._coding(designs[rows])
            for j, values in enumerate(objectives[rows].T):
                self._learn_objective(j, points, values, fit)
        self._restricted = bool((violation > 0).any())
        if self._restricted:
            rows = self._telling(len(designs))
            points = self._coding(designs[rows])
            targets = np.where(violation <= 0, -0.5, 0.5 + np.log1p(violation))[rows]
            if fit:
                some = self._sample(len(points))
                self._violation.fit(points[some], targets[some], self._steps(len(points)))
            self._violation.condition(points, targets)

    def _telling(self, count: int) -> IntArray:
        """Rows that a model predicts from: the first ones, and a quarter drawn from the others."""
        if count <= self._points:
            return np.arange(count)
        near = self._points - self._points // 4
        others = self._rng.choice(count - near, self._points - near, replace=False)
        return np.concatenate([np.arange(near), near + others])

    def odds(self, designs: IntArray) -> FloatArray:
        """Odds (n,) that designs (n, knobs) are feasible."""
        if not self._restricted:
            return np.ones(len(designs))
        mean, deviation = self._violation.predict(self._coding(designs))
        odds: FloatArray = ndtr(-mean / deviation)
        return odds

    def draws(self, designs: IntArray, normal: FloatArray) -> FloatArray:
        """Objectives (n, k, m) of designs (n, knobs) under standard normal draws (k, m)."""
        points = self._coding(designs)
        values = np.empty((len(designs), *normal.shape))
        for j, (warp, middle, scale) in enumerate(self._warps):
            mean, deviation = self._models[j][self._logarithmic[j]].predict(points)
            targets = mean[:, None] + deviation[:, None] * normal[:, j]
            values[..., j] = warp.inverse(middle + scale * targets)
        return values

    def means(self, designs: IntArray) -> FloatArray:
        """Expected objectives (n, m) of designs (n, knobs), at a fifth of the cost of draws."""
        points = self._coding(designs)
        values = np.empty((len(designs), len(self._warps)))
        for j, (warp, middle, scale) in enumerate(self._warps):
            mean = self._models[j][self._logarithmic[j]].mean(points)
            values[:, j] = warp.inverse(middle + scale * mean)
        return values

    @property
    def ready(self) -> bool:
        """True once objectives are modelled."""
        return bool(self._warps)

    def _learn_objective(self, j: int, points: FloatArray, values: FloatArray, fit: bool) -> None:
        if fit:
            rows, few = self._sample(len(points)), len(points) < CHOOSE_WARP
            tried = (False, True) if few else (self._logarithmic[j],)
            losses = [(self._fitted(j, kind, points, values, rows), kind) for kind in tried]
            self._logarithmic[j] = min(losses)[1]
        targets, scaling = self._targets(j, values, self._logarithmic[j])
        self._models[j][self._logarithmic[j]].condition(points, targets)
        self._warps.append(scaling)

    def _fitted(
        self, j: int, logarithmic: bool, points: FloatArray, values: FloatArray, rows: IntArray
    ) -> float:
        """Minus the log posterior of values, with the warp's slope, after a fit to rows."""
        targets, (warp, _, scale) = self._targets(j, values, logarithmic)
        steps = self._steps(len(points))
        loss = self._models[j][logarithmic].fit(points[rows], targets[rows], steps)
        return loss + len(rows) * float(np.log(scale)) - warp.log_slope(values[rows])

    def _targets(
        self, j: int, values: FloatArray, logarithmic: bool
    ) -> tuple[FloatArray, tuple[Warp, float, float]]:
        """Standardised targets (n,) of values (n,), and what brings them back."""
        warp = Warp.of(values, float(self._reference[j]), logarithmic)
        targets = warp(values)
        middle, scale = float(targets.mean()), float(targets.std()) + 1e-12
        return (targets - middle) / scale, (warp, middle, scale)

    def _sample(self, count: int) -> IntArray:
        most = self._fit_points
        return np.arange(count) if count <= most else self._rng.choice(count, most, replace=False)

    def _steps(self, count: int) -> int:
        """Steps of a fit: parameters of many designs move little from fit to fit."""
        return 30 if count < CHOOSE_WARP else 12

    def _process(self) -> GridProcess:
        return GridProcess(self._coding.knob, self._coding.knobs)
