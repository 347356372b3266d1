"""Learned predictors of what designs cost: one per objective, over the knobs that it depends on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.product_gp import ProductGP
from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.problem import DesignProblem, Evaluation, Objective
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space

GROWN = 1.2
"""Hyperparameters are chosen anew when there are that many times more samples."""

FEASIBLE = 0.5
"""A predicted violation below this share of the mean one of infeasible designs counts as none."""

OF_NETWORK = ("error",)
"""Metrics that depend on the network alone."""

OF_HARDWARE = ("area_mm2",)
"""Metrics that depend on the accelerator alone."""


class Predictors:
    """Objectives and violation of designs, predicted with their uncertainty.

    Args:
        problem: whose objectives they are.
        space: its designs' space, or the part of it that masks allow.
    """

    def __init__(self, problem: DesignProblem, space: Space) -> None:
        self._knobs = [knobs_of(problem, objective.name) for objective in problem.objectives]
        self._models = [ProductGP(_part(space, knobs)) for knobs in self._knobs]
        self._breaks = ProductGP(space)
        self._threshold: float | None = None
        self._tuned = 0

    def learn(self, designs: IntArray, objectives: FloatArray, violation: FloatArray) -> None:
        """Learns from designs (n, knobs), objectives (n, m) or NaN, and violations (n,).

        Raises:
            ProblemError: if no design has objectives.
        """
        known = np.isfinite(objectives).all(axis=1)
        if not known.any():
            raise ProblemError("predictors learn from designs that were evaluated, and none was")
        tune = len(designs) >= GROWN * self._tuned
        self._tuned = len(designs) if tune else self._tuned
        for model, knobs, values in zip(
            self._models, self._knobs, objectives[known].T, strict=True
        ):
            part, first = np.unique(designs[known][:, knobs], axis=0, return_index=True)
            model.fit(part, values[first], tune=tune)
        broken = np.log1p(violation)
        self._threshold = None
        if (violation > 0).any():
            self._breaks.fit(designs, broken, tune=tune)
            self._threshold = FEASIBLE * float(broken[violation > 0].mean())

    def predict(self, designs: IntArray) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations (n, m) of the objectives of designs (n, knobs)."""
        pairs = [
            model.predict(designs[:, knobs])
            for model, knobs in zip(self._models, self._knobs, strict=True)
        ]
        means, deviations = zip(*pairs, strict=True)
        return np.stack(means, axis=1), np.stack(deviations, axis=1)

    def evaluation(self, designs: IntArray, optimism: float = 0.0) -> Evaluation:
        """What designs (n, knobs) are predicted to be, lowered by `optimism` deviations."""
        if optimism:
            means, deviations = self.predict(designs)
            objectives = means - optimism * deviations
        else:
            columns = zip(self._models, self._knobs, strict=True)
            objectives = np.stack([m.mean(designs[:, knobs]) for m, knobs in columns], axis=1)
        violation = np.zeros(len(designs))
        if self._threshold is not None:
            predicted = self._breaks.mean(designs)
            violation = np.maximum(predicted - self._threshold, 0.0)
        return Evaluation({}, objectives, violation)


@dataclass(frozen=True)
class PredictedProblem:
    """A problem as its predictors see it, for agents to search.

    Attributes:
        problem: what is predicted.
        space: its designs' space, or the part of it that masks allow.
        predictors: trained on it.
        optimism: deviations that predictions are lowered by.
    """

    problem: DesignProblem
    space: Space
    predictors: Predictors
    optimism: float = 0.0

    @property
    def name(self) -> str:
        """That of the problem, marked."""
        return f"predicted-{self.problem.name}"

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """Those of the problem."""
        return self.problem.objectives

    @property
    def reference_point(self) -> FloatArray:
        """That of the problem."""
        return self.problem.reference_point

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Predicts designs (n, knobs)."""
        self.space.check(designs)
        return self.predictors.evaluation(designs, self.optimism)

    def reasons(self, design: IntArray) -> list[str]:
        """That a violation is predicted, if it is."""
        broken = self.evaluate(np.asarray(design)[None]).violation[0] > 0
        return ["a law or constraint is predicted to break"] if broken else []

    def masks(self) -> tuple[BoolArray, ...]:
        """Everything: the space is what is allowed."""
        return tuple(np.ones(n, dtype=np.bool_) for n in self.space.cardinalities)

    def describe(self) -> dict[str, object]:
        """The problem that is predicted; predictors are not part of it."""
        return {"predicted": self.problem.describe(), "optimism": self.optimism}


def knobs_of(problem: DesignProblem, metric: str) -> IntArray:
    """Columns of designs that a metric can depend on: all, where nothing more is known."""
    everything = np.arange(len(problem.space.knobs))
    if not isinstance(problem, HardwareProblem) or not problem.choices.knobs:
        return everything
    network = len(problem.choices.knobs)
    if metric in OF_NETWORK:
        return everything[:network]
    return everything[network:] if metric in OF_HARDWARE else everything


def _part(space: Space, knobs: IntArray) -> Space:
    return Space(tuple(space.knobs[knob] for knob in knobs))
