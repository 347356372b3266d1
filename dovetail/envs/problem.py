"""Design problems: what a search optimises, evaluated for whole batches of designs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Space


@dataclass(frozen=True, slots=True)
class Objective:
    """One minimised figure of merit.

    Attributes:
        name: key of the metric, e.g. `latency_ms`.
        scale: `log`: y = log10(value / reference); `linear`: y = value / reference.
        reference: value that normalises to 0 (log) or 1 (linear), in the metric's unit, > 0.
    """

    name: str
    scale: str
    reference: float

    def __post_init__(self) -> None:
        if self.scale not in ("log", "linear") or not self.reference > 0:
            raise ProblemError(
                f"objective '{self.name}': scale '{self.scale}' must be log or linear, "
                f"reference {self.reference} must be > 0"
            )

    def normalise(self, values: FloatArray) -> FloatArray:
        """Metric values (n,) to minimised objective values (n,)."""
        ratio = values / self.reference
        return np.log10(ratio) if self.scale == "log" else ratio


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a batch of n designs costs.

    Attributes:
        metrics: by name, each (n,); NaN where the design is illegal.
        objectives: normalised and minimised, (n, m); NaN where the design is illegal.
        violation: (n,); 0 where legal and within all constraints, else the sum of the relative
            excesses over every broken law and constraint. A design that breaks only constraints
            (not laws) still has metrics and objectives.
    """

    metrics: dict[str, FloatArray]
    objectives: FloatArray
    violation: FloatArray

    @property
    def feasible(self) -> BoolArray:
        """(n,) True where no law and no constraint is broken."""
        return self.violation <= 0.0

    def scalar(self, weights: FloatArray) -> FloatArray:
        """Reward (n,) under preference weights (m,) or (n, m): higher is better.

        Feasible designs get minus the weighted sum of objectives, clipped to [-4, 4]; infeasible
        ones get -5 minus their violation (at most 5), below every feasible design.
        """
        value = -(self.objectives * weights).sum(axis=1)
        penalty = -5.0 - np.minimum(self.violation, 5.0)
        return np.where(self.feasible, np.clip(value, -4.0, 4.0), penalty)


class DesignProblem(Protocol):
    """A finite design space with batched evaluation."""

    @property
    def name(self) -> str:
        """What studies and reports call it."""

    @property
    def space(self) -> Space:
        """Knobs of a design."""

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """The m minimised objectives, in the order of `Evaluation.objectives`."""

    @property
    def reference_point(self) -> FloatArray:
        """(m,) corner of the hypervolume, in normalised objectives."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs); deterministic, no Python loop over designs."""

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design (knobs,) breaks; empty if none."""

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): True where some lawful design has that value."""

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem.

        A field `x` may say where data lie if `x_sha256` beside it says what they are: a study
        resumes if the digest is the same, wherever the data are then.
        """


def costs_of(problem: DesignProblem, designs: IntArray) -> FloatArray:
    """What evaluating each of designs (n, knobs) counts in a budget (n,): 1 each.

    A problem whose evaluations cost differently has a method `cost` with this result, >= 1 each.
    """
    cost = getattr(problem, "cost", None)
    return np.ones(len(designs)) if cost is None else np.asarray(cost(designs), dtype=np.float64)
