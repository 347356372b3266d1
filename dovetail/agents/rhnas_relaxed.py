"""The loss of relaxed networks in RHNAS, and its gradient by the odds of their choices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.product_gp import ProductGP
from dovetail.agents.rhnas_memory import Memory
from dovetail.envs.hardware import HardwareProblem
from dovetail.ir.space import FloatArray, IntArray

SAMPLES = 600
"""Networks that the predictor of errors learns from at most: the best half, and of the others."""

LEAST = 1e-4
"""Errors below count as this: their logarithm is predicted."""

GROWN = 1.2
"""The predictor's hyperparameters are chosen anew when there are that many times more networks."""

FLOOR = 1e-2
"""Expected costs below this share of the likeliest network's count as this share."""

UNFIT = 10.0
"""Cost of what does not fit the accelerator, as a multiple of the largest in the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Costs of a network by choice on one accelerator: LUT[knob][value], by metric.

    Attributes:
        base: cost of the likeliest network.
        changes: per knob, what each of its values (values,) adds to that.
    """

    base: dict[str, float]
    changes: dict[str, list[FloatArray]]

    @classmethod
    def of(cls, metrics: dict[str, FloatArray], sizes: IntArray) -> Table:
        """From metrics (1 + sum of sizes,): of a network, then with each knob at each value."""
        base, changes = {}, {}
        for name, values in metrics.items():
            finite = values[np.isfinite(values)]
            worst = UNFIT * float(np.abs(finite).max()) if len(finite) else 1.0
            filled = np.where(np.isfinite(values), values, worst)
            base[name] = float(filled[0])
            changes[name] = np.split(filled[1:] - filled[0], np.cumsum(sizes)[:-1])
        return cls(base, changes)

    def expected(self, name: str, odds: list[FloatArray]) -> tuple[FloatArray, list[FloatArray]]:
        """Expectations (r,) of a metric under odds (r, values) per knob; derivatives (values,)."""
        base, changes = self.base[name], self.changes[name]
        total = base + sum(p @ c for p, c in zip(odds, changes, strict=True))
        return np.maximum(total, FLOOR * base), changes


class Relaxed:
    """Objectives and constraints of relaxed networks.

    Args:
        problem: what is searched.
        penalty: weight of the relative excess over a constraint.
    """

    def __init__(self, problem: HardwareProblem, penalty: float) -> None:
        self._problem = problem
        self._penalty = penalty
        self._errors = ProductGP(problem.choices)
        self._fitted = self._tuned = 0

    def learn(self, memory: Memory) -> None:
        """Fits the predictor of errors to all networks told."""
        error = memory.metric("error")
        known = np.isfinite(error)
        choices, _ = self._problem.split(memory.designs()[known])
        choices, first = np.unique(choices, axis=0, return_index=True)
        if len(choices) == self._fitted:
            return
        targets = np.log(np.maximum(error[known][first], LEAST))
        order = np.argsort(targets, kind="stable")
        if len(order) > SAMPLES:
            rest = np.linspace(SAMPLES // 2, len(order) - 1, SAMPLES // 2).astype(int)
            order = np.concatenate([order[: SAMPLES // 2], order[rest]])
        # In an order that has nothing to do with the error, as tuning takes every so manieth.
        order = np.sort(order)
        tune = len(choices) >= GROWN * self._tuned
        self._errors.fit(choices[order], targets[order], tune=tune)
        self._fitted = len(choices)
        self._tuned = self._fitted if tune else self._tuned

    def gradient(
        self, odds: list[FloatArray], table: Table, weights: FloatArray
    ) -> list[FloatArray]:
        """Derivatives of the loss by odds (r, values) per knob, under a preference (m,)."""
        slopes = [np.zeros(p.shape) for p in odds]
        for objective, weight in zip(self._problem.objectives, weights, strict=True):
            value, by_odds = self._expected(objective.name, odds, table)
            logarithmic = objective.scale == "log"
            slope = 1 / (value * np.log(10) if logarithmic else objective.reference)
            _add(slopes, np.asarray(weight * slope, dtype=np.float64), by_odds)
        for constraint in self._problem.constraints:
            value, by_odds = self._expected(constraint.metric, odds, table)
            sign = 1.0 if constraint.sense == "<=" else -1.0
            broken = constraint.excess(value) > 0
            factor = np.where(broken, sign * self._penalty / constraint.limit, 0.0)
            _add(slopes, factor, by_odds)
        return slopes

    def _expected(
        self, name: str, odds: list[FloatArray], table: Table
    ) -> tuple[FloatArray, list[FloatArray]]:
        if name != "error":
            return table.expected(name, odds)
        log, by_odds = self._errors.expected(odds)
        value = np.exp(log)
        return value, [value[:, None] * slope for slope in by_odds]


def _add(total: list[FloatArray], factor: FloatArray, terms: list[FloatArray]) -> None:
    """Adds factors () or (r,) times terms (values,) or (r, values) to totals (r, values)."""
    for place, term in enumerate(terms):
        total[place] = total[place] + factor[..., None] * term
