"""Gaussian processes over grids of knobs, small enough to fit and ask in milliseconds.

Two designs correlate by exp(-sum over knobs of theta d), where d is 1 between different categories,
and the share of its range that separates the values of an ordered knob. A knob with a small theta
acts by itself, one with a large theta together with others, one with theta = 0 not at all: additive
and coupled costs are one family, and the likelihood tells them apart. An objective is modelled as
it is, or as the logarithm of its distance from the least told, whichever is likelier: the second
spends a model's accuracy where the front is.

References:
    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006 (eqs. 2.25, 5.9);
    Hutter, "Automated Configuration of Algorithms", 2009, section 10.2.1 (weighted Hamming
    distance for categories); Snelson, Rasmussen and Ghahramani, "Warped Gaussian Processes",
    NIPS 2003 (the warp's likelihood).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import minimize

from dovetail.ir.space import FloatArray, IntArray, Space

PRIOR_THETA, PRIOR_NOISE, PRIOR_DEVIATION = np.log(0.3), np.log(1e-3), 2.0
"""Normal prior of the logarithms of theta and of the noise's share of the variance."""

JITTER = 1e-9


class Indicators:
    """Designs as indicators whose squared distance is the sum of the knobs' distances.

    Attributes:
        knob: (width,) the knob that each indicator belongs to, of those with several values.
        knobs: how many those are.
    """

    def __init__(self, space: Space) -> None:
        varied = [(i, k) for i, k in enumerate(space.knobs) if len(k.values) > 1]
        self._tables = [(i, _table(len(k.values), k.ordered)) for i, k in varied]
        widths = [table.shape[1] for _, table in self._tables]
        self.knob: IntArray = np.repeat(np.arange(len(widths)), widths)
        self.knobs = len(widths)

    def __call__(self, designs: IntArray) -> FloatArray:
        """Indicators (n, width) of designs (n, knobs)."""
        columns = [table[designs[:, i]] for i, table in self._tables]
        return np.concatenate([np.zeros((len(designs), 0)), *columns], axis=1)


def _table(count: int, ordered: bool) -> FloatArray:
    """Indicators of a knob's values, (count, width): thermometers of numbers, else one each."""
    if ordered:
        steps = np.arange(count)[:, None] > np.arange(count - 1)
        return steps / np.sqrt(count - 1)
    return np.eye(count) / np.sqrt(2)


class GridProcess:
    """A Gaussian process over indicators of designs, with a constant mean.

    Args:
        knob: (width,) knob of each indicator; knobs share a theta.
        knobs: how many.
    """

    def __init__(self, knob: IntArray, knobs: int) -> None:
        self._knob = knob
        self._prior: FloatArray = np.append(np.full(knobs, PRIOR_THETA), PRIOR_NOISE)
        self._parameters = self._prior

    def fit(self, points: FloatArray, targets: FloatArray, steps: int) -> float:
        """Takes the likeliest parameters, from the present ones on, by L-BFGS.

        Args:
            points: (n, width) indicators.
            targets: (n,).
            steps: at most.

        Returns:
            Minus the logarithm of likelihood and prior, without constants.
        """
        bounds = [(-9.0, 4.0)] * (len(self._prior) - 1) + [(-14.0, 1.0)]
        found = minimize(
            self._loss,
            self._parameters,
            args=(points, targets),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": steps},
        )
        self._parameters = found.x
        return float(found.fun)

    def condition(self, points: FloatArray, targets: FloatArray) -> None:
        """Takes points (n, width) and targets (n,) to predict from."""
        self._scale = np.exp(0.5 * self._parameters[:-1])[self._knob]
        self._points = points * self._scale
        lower = self._factor(self._points)
        ones = np.ones(len(targets))
        solved = lapack.dpotrs(lower, np.stack([ones, targets], axis=1), lower=1)[0]
        self._mean = solved[:, 1].sum() / solved[:, 0].sum()
        self._weights = solved[:, 1] - self._mean * solved[:, 0]
        self._variance = max(float((targets - self._mean) @ self._weights) / len(targets), 1e-12)
        self._inverse: FloatArray = lapack.dtrtri(lower, lower=1)[0].T.astype(np.float32)

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations (n,) at points (n, width)."""
        near = _correlation(points * self._scale, self._points)
        # Single precision suffices for deviations, at half the time.
        explained = (near.astype(np.float32) @ self._inverse) ** 2
        left = np.maximum(1.0 - explained.sum(axis=1), 1e-6)
        return self._mean + near @ self._weights, np.sqrt(self._variance * left)

    def mean(self, points: FloatArray) -> FloatArray:
        """Means (n,) at points (n, width)."""
        near = _correlation(points * self._scale, self._points)
        mean: FloatArray = self._mean + near @ self._weights
        return mean

    def _factor(self, points: FloatArray) -> FloatArray:
        """Lower Cholesky factor of the correlations of scaled points, with noise."""
        matrix = _correlation(points, points)
        noise = np.exp(self._parameters[-1]) + JITTER
        # Rounding can make the matrix of many near points indefinite.
        for added in (noise, noise + 1e-6, noise + 1e-3):
            lower, info = lapack.dpotrf(matrix + added * np.eye(len(points)), lower=1, clean=1)
            if info == 0:
                return lower
        raise np.linalg.LinAlgError("correlations are not positive definite")

    def _loss(
        self, parameters: FloatArray, points: FloatArray, targets: FloatArray
    ) -> tuple[float, FloatArray]:
        """Minus the log posterior, mean and variance profiled out, and its gradient."""
        n = len(targets)
        scaled = points * np.exp(0.5 * parameters[:-1])[self._knob]
        noise = np.exp(parameters[-1])
        correlation = _correlation(scaled, scaled)
        lower, info = lapack.dpotrf(correlation + (noise + JITTER) * np.eye(n), lower=1, clean=1)
        if info:
            return 1e10, np.zeros_like(parameters)
        inverse = lapack.dpotri(lower, lower=1)[0]
        inverse = inverse + np.tril(inverse, -1).T
        rows = inverse.sum(axis=1)
        centred = targets - (rows @ targets) / rows.sum()
        weights = inverse @ centred
        variance = max(float(centred @ weights) / n, 1e-12)
        slope = inverse - np.outer(weights, weights) / variance
        pulled = slope * correlation
        each = 2 * (pulled.sum(axis=1) @ scaled**2 - (pulled @ scaled * scaled).sum(axis=0))
        thetas = -0.5 * np.bincount(self._knob, each, len(parameters) - 1)
        off = (parameters - self._prior) / PRIOR_DEVIATION
        loss = 0.5 * n * np.log(variance) + np.log(np.diag(lower)).sum() + 0.5 * off @ off
        gradient = np.append(thetas, 0.5 * noise * np.trace(slope)) + off / PRIOR_DEVIATION
        return float(loss), gradient


def _correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """exp(-|a - b|^2) of scaled points (n, width) and (k, width): (n, k)."""
    exponent = 2.0 * (a @ b.T)
    exponent -= (a * a).sum(axis=1)[:, None]
    exponent -= (b * b).sum(axis=1)
    return np.exp(np.minimum(exponent, 0.0, out=exponent), out=exponent)


@dataclass(frozen=True, slots=True)
class Warp:
    """What is modelled of an objective: itself, or the log of its distance from the least told.

    Values far beyond the reference point, where nothing counts, are as good as one another.

    Attributes:
        least: lowest value told.
        offset: added to the distance, a tenth of the median's.
        most: values above count as this.
        logarithmic: which of the two.
    """

    least: float
    offset: float
    most: float
    logarithmic: bool

    @classmethod
    def of(cls, values: FloatArray, reference: float, logarithmic: bool) -> Warp:
        """Made for told values (n,) and their corner of the hypervolume."""
        least = float(values.min())
        offset = 0.1 * float(np.median(values) - least)
        most = max(reference + 0.25 * max(reference - least, 0.0), float(np.median(values)))
        return cls(least, max(offset, 1e-9), most, logarithmic)

    def __call__(self, values: FloatArray) -> FloatArray:
        """Targets of values, any shape."""
        capped = np.minimum(values, self.most)
        if not self.logarithmic:
            return capped
        return np.log(np.maximum(capped - self.least, 0.0) + self.offset)

    def inverse(self, targets: FloatArray) -> FloatArray:
        """Values of targets, any shape."""
        if not self.logarithmic:
            return targets
        return np.exp(np.minimum(targets, 50.0)) + self.least - self.offset

    def log_slope(self, values: FloatArray) -> float:
        """Sum over values (n,) of the logarithm of the warp's derivative."""
        return -float(self(values).sum()) if self.logarithmic else 0.0
