"""A Gaussian process over index designs whose kernel is a product over knobs.

k(x, x') = prod_k (1 + rho_k S_k(x_k, x'_k)) / (1 + rho_k), where S_k is 1 on equal values and, of
categories, 0 on others; of ordered knobs it falls with the squared distance of the indices. Small
rho_k: the knob hardly matters. Multiplied out, the kernel holds every interaction of knobs, so the
posterior mean is linear in the one-hot code of each knob, and its expectation under independent
categoricals is exact: what a relaxed architecture needs.

References:
    Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006 (equations 2.25, 2.26,
    5.8, 5.9); Duvenaud et al., "Additive Gaussian Processes", NIPS 2011 (products over dimensions
    as sums of all interactions).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray, Space

TUNED_ON = 200
"""Samples that hyperparameters are chosen on at most."""

STEPS = 25
"""Iterations of L-BFGS at most."""

PRIOR_SPREAD = 2.0
"""Standard deviation of the logarithms of hyperparameters around their start."""


@dataclass(frozen=True, slots=True)
class _Fit:
    """A posterior: codes (n, width) of the samples, Cholesky factor, weights (n,), scales."""

    designs: IntArray
    factor: FloatArray
    weights: FloatArray
    mean: float
    scale: float
    amplitude: float


class ProductGP:
    """Predicts one figure of designs, with its uncertainty.

    Args:
        space: the designs' space.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._sizes = space.cardinalities
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)[:-1]])
        self._gaps = [_gaps(k.ordered, len(k.values)) for k in space.knobs]
        # log rho of each knob, log length, log noise
        self._start = np.concatenate([np.zeros(len(self._sizes)), [np.log(0.5), np.log(1e-2)]])
        self._hyper = self._start.copy()
        self._fit: _Fit | None = None

    def fit(self, designs: IntArray, values: FloatArray, *, tune: bool = True) -> None:
        """Learns from samples.

        Args:
            designs: (n, knobs), n >= 1.
            values: (n,), finite.
            tune: whether to choose hyperparameters anew; else the last ones stay.

        Raises:
            ProblemError: if there is no sample.
        """
        if not len(designs):
            raise ProblemError("a predictor learns from at least one sample, was given none")
        mean, scale = float(values.mean()), float(values.std()) or 1.0
        targets = (values - mean) / scale
        if tune and targets.any():
            some = np.linspace(0, len(designs) - 1, min(len(designs), TUNED_ON)).astype(int)
            self._tune(designs[some], targets[some])
        kernel = self._kernel(designs, designs)
        kernel[np.diag_indices(len(kernel))] += np.exp(self._hyper[-1])
        factor = cho_factor(kernel, lower=True)
        weights = cho_solve(factor, targets)
        amplitude = float(targets @ weights) / len(targets)
        self._fit = _Fit(designs, factor[0], weights, mean, scale, amplitude)

    def predict(self, designs: IntArray) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (n,) of designs (n, knobs).

        Raises:
            ProblemError: if nothing was learnt yet.
        """
        fit = self._fitted()
        kernel = self._kernel(fit.designs, designs)
        seen = solve_triangular(fit.factor, kernel, lower=True)
        variance = fit.amplitude * np.maximum(1.0 - (seen**2).sum(axis=0), 0.0)
        mean: FloatArray = fit.mean + fit.scale * (fit.weights @ kernel)
        return mean, fit.scale * np.sqrt(variance)

    def mean(self, designs: IntArray) -> FloatArray:
        """Mean (n,) of designs (n, knobs); cheaper than `predict`.

        Raises:
            ProblemError: if nothing was learnt yet.
        """
        fit = self._fitted()
        mean: FloatArray = fit.mean + fit.scale * (self._kernel(designs, fit.designs) @ fit.weights)
        return mean

    def expected(self, odds: list[FloatArray]) -> tuple[FloatArray, list[FloatArray]]:
        """Expectation of the mean where every knob is drawn by itself, and its gradient.

        Args:
            odds: per knob, probabilities (r, values) of r products of categoricals.

        Returns:
            Expectations (r,), and their derivatives by the probabilities, (r, values) per knob.

        Raises:
            ProblemError: if nothing was learnt yet.
        """
        fit = self._fitted()
        columns = [table[:, fit.designs[:, k]] for k, table in enumerate(self._tables(self._hyper))]
        shares = np.stack([p @ column for p, column in zip(odds, columns, strict=True)])
        others = _products_of_others(shares) * (fit.scale * fit.weights)
        values = fit.mean + (others[0] * shares[0]).sum(axis=1)
        return values, [other @ column.T for column, other in zip(columns, others, strict=True)]

    def _fitted(self) -> _Fit:
        if self._fit is None:
            raise ProblemError("a predictor was asked before it had learnt from samples")
        return self._fit

    def _tables(self, hyper: FloatArray) -> list[FloatArray]:
        """Each knob's factor of the kernel, (values, values)."""
        return [
            (1 + np.exp(rho) * np.exp(-gaps / np.exp(2 * hyper[-2]))) / (1 + np.exp(rho))
            for rho, gaps in zip(hyper, self._gaps, strict=False)
        ]

    def _kernel(self, left: IntArray, right: IntArray) -> FloatArray:
        """Kernel (n, m) of designs (n, knobs) and (m, knobs)."""
        return self._product(self._code(left), self._code(right))

    def _product(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Kernel (n, m) of codes: a sum of logarithms, so that matrix products do all knobs."""
        logs = np.zeros((left.shape[1],) * 2)
        for start, table in zip(self._starts, self._tables(self._hyper), strict=True):
            part = slice(start, start + len(table))
            logs[part, part] = np.log(table)
        kernel: FloatArray = np.exp(left @ (logs @ right.T))
        return kernel

    def _code(self, designs: IntArray) -> FloatArray:
        """One-hot codes (n, sum of values)."""
        code = np.zeros((len(designs), int(self._sizes.sum())))
        code[np.arange(len(designs))[:, None], designs + self._starts] = 1.0
        return code

    def _tune(self, designs: IntArray, targets: FloatArray) -> None:
        """Maximises the marginal likelihood over rho, length and noise, amplitude profiled out."""
        low = np.concatenate([np.full(len(self._sizes), np.log(1e-3)), np.log([0.1, 1e-5])])
        high = np.concatenate([np.full(len(self._sizes), np.log(1e3)), np.log([3.0, 1.0])])
        found = minimize(
            self._loss, self._hyper, args=(self._code(designs), targets), jac=True,
            method="L-BFGS-B", bounds=np.stack([low, high], axis=1), options={"maxiter": STEPS},
        )  # fmt: skip
        self._hyper = np.asarray(found.x, dtype=np.float64)

    def _loss(
        self, hyper: FloatArray, code: FloatArray, targets: FloatArray
    ) -> tuple[float, FloatArray]:
        """Negative log likelihood and prior, and its gradient (Rasmussen, equations 5.8, 5.9)."""
        self._hyper = hyper
        kernel, noise, n = self._product(code, code), float(np.exp(hyper[-1])), len(targets)
        factor = cho_factor(kernel + noise * np.eye(n), lower=True)
        inverse = cho_solve(factor, np.eye(n))
        weights = inverse @ targets
        amplitude = float(targets @ weights) / n
        away = (hyper - self._start) / PRIOR_SPREAD
        loss = 0.5 * n * np.log(amplitude) + float(np.log(np.diag(factor[0])).sum())
        slope = 0.5 * (inverse - np.outer(weights, weights) / amplitude)
        # Sums over pairs of samples by their pair of values.
        gradient = self._slopes(hyper, code.T @ (slope * kernel) @ code)
        gradient[-1] = noise * np.trace(slope)
        return loss + 0.5 * float(away @ away), gradient + away / PRIOR_SPREAD

    def _slopes(self, hyper: FloatArray, pairs: FloatArray) -> FloatArray:
        """Derivatives by log rho and log length of a loss.

        Args:
            hyper: hyperparameters.
            pairs: its derivatives by the kernel's logarithms of pairs of values, (width, width).
        """
        gradient = np.zeros(len(hyper))
        square = np.exp(2 * hyper[-2])
        for knob, (gaps, start) in enumerate(zip(self._gaps, self._starts, strict=True)):
            part = pairs[start : start + len(gaps), start : start + len(gaps)]
            raised = np.exp(hyper[knob] - gaps / square)
            share = raised / (1 + raised)
            rho = np.exp(hyper[knob])
            gradient[knob] = (part * (share - rho / (1 + rho))).sum()
            scaled = np.where(np.isfinite(gaps), gaps, 0.0) * 2 / square
            gradient[-2] += (part * share * scaled).sum()
        return gradient


def _products_of_others(shares: FloatArray) -> FloatArray:
    """Products over all other rows of (k, r, n), without dividing: a share may be tiny."""
    products = np.ones_like(shares)
    for last in range(1, len(shares)):
        products[last] = products[last - 1] * shares[last - 1]
    after = np.ones(shares.shape[1:])
    for first in range(len(shares) - 2, -1, -1):
        after = after * shares[first + 1]
        products[first] *= after
    return products


def _gaps(ordered: bool, count: int) -> FloatArray:
    """Half the squared distances (count, count) of values within 0 to 1; infinite of categories."""
    index = np.arange(count)
    if ordered:
        distance: FloatArray = 0.5 * ((index[:, None] - index) / max(1, count - 1)) ** 2
        return distance
    return np.where(index[:, None] == index, 0.0, np.inf)
