"""Objectives and constraints of a design problem, as users write them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.envs.derived import completed, derived_metrics, offered
from dovetail.envs.problem import DesignProblem, Evaluation, Objective
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.space import FloatArray

MINIMISED: dict[str, tuple[str, float, float]] = {
    "latency_ms": ("log", 1.0, 1.0),
    "energy_mj": ("log", 1.0, 1.0),
    "edp_mj_ms": ("log", 1.0, 1.0),
    "area_mm2": ("log", 1.0, 1.0),
    "error": ("linear", 0.1, 3.0),
    "interval_ms": ("log", 1.0, 1.0),
    "device_share": ("log", 1.0, 1.0),
    "socket_ms": ("log", 1.0, 1.0),
    "perturbation": ("log", 1.0, 0.0),
    "size_mb": ("log", 1.0, 0.0),
    "gbops": ("log", 1.0, 0.0),
}
"""Scale, default reference and hypervolume corner of each metric that can be an objective.

Costs count in decades against the problem's own base design, cornered at ten times its cost;
`error`, the fraction of held-out samples classified wrong, in tenths, cornered at 0.3; size and bit
operations of mixed precision against 32 bits, which is their corner.
"""

CONSTRAINED = (*MINIMISED, "utilization")
"""Metrics that a constraint can bound; utilization is the share of MAC slots in use, 0 to 1."""

ROUNDING = 1e-9
"""Share of a violation that is what its terms leave when they are taken away again."""

_CONSTRAINT = re.compile(r"\s*(\w+)\s*(<=|>=)\s*(\S+)\s*")


@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on one metric.

    Attributes:
        metric: name of the metric.
        sense: `<=` or `>=`.
        limit: bound in the metric's unit, > 0.
    """

    metric: str
    sense: str
    limit: float

    def __str__(self) -> str:
        return f"{self.metric}{self.sense}{self.limit!r}"

    def signed_excess(self, values: FloatArray) -> FloatArray:
        """Relative excess (n,) of values (n,): below 0 within the limit; NaN for NaN."""
        over = values - self.limit if self.sense == "<=" else self.limit - values
        return over / self.limit

    def excess(self, values: FloatArray) -> FloatArray:
        """Relative excess (n,) of values (n,) beyond the limit; 0 within it, and for NaN."""
        return np.nan_to_num(np.maximum(self.signed_excess(values), 0.0), nan=0.0)


def parse_objectives(
    names: Iterable[str],
    *,
    available: Sequence[str] = tuple(MINIMISED),
    references: Mapping[str, float] | None = None,
) -> tuple[Objective, ...]:
    """Objectives by name, e.g. `["latency_ms", "energy_mj", "area_mm2", "error"]`.

    Args:
        names: metrics to minimise, each once.
        available: metrics that the problem has.
        references: values, by name, that normalise to 0 (log) or 1 (linear), in the metric's
            unit; those not given are the defaults of `MINIMISED`.

    Raises:
        ProblemError: if there is none, one appears twice, or a metric is not to be minimised.
        UnknownNameError: if the problem has no such metric.
    """
    listed = _strings("objectives", names)
    if not listed:
        raise ProblemError(f"no objectives: name at least one of {', '.join(available)}")
    known = [*(n for n in available if n in MINIMISED), *offered(available)]
    objectives = []
    for name in listed:
        if name == "utilization":
            raise ProblemError("objective 'utilization': objectives are minimised; constrain it")
        if name not in known:
            raise UnknownNameError("objective", name, known)
        if listed.count(name) > 1:
            raise ProblemError(f"objective '{name}' appears twice: name it once")
        objectives.append(_objective(name, references or {}))
    return tuple(objectives)


def _objective(name: str, references: Mapping[str, float]) -> Objective:
    if name in MINIMISED:
        scale, default, _ = MINIMISED[name]
        return Objective(name, scale, references.get(name, default))
    metric = derived_metrics()[name]
    if not set(metric.of) <= references.keys():
        return Objective(name, metric.scale, metric.reference)
    base = {part: np.array([references[part]]) for part in metric.of}
    return Objective(name, metric.scale, float(f"{metric.values(base)[0]:.6g}"))


def parse_constraints(
    texts: Iterable[str], *, available: Sequence[str] = CONSTRAINED
) -> tuple[Constraint, ...]:
    """Constraints such as `area_mm2<=20` or `utilization>=0.5`.

    Raises:
        ProblemError: if a text is no constraint or its limit is not a finite number > 0.
        UnknownNameError: if the problem has no such metric.
    """
    known = (*available, *offered(available))
    return tuple(_constraint(text, known) for text in _strings("constraints", texts))


def _constraint(text: str, available: Sequence[str]) -> Constraint:
    match = _CONSTRAINT.fullmatch(text)
    if match is None:
        raise ProblemError(f"constraint '{text}': write METRIC<=NUMBER or METRIC>=NUMBER")
    metric, sense, number = match.groups()
    if metric not in available:
        raise UnknownNameError("metric", metric, available)
    try:
        limit = float(number)
    except ValueError:
        raise ProblemError(f"constraint '{text}': '{number}' is not a number") from None
    if not (math.isfinite(limit) and limit > 0):
        raise ProblemError(f"constraint '{text}': the limit must be finite and > 0")
    return Constraint(metric, sense, limit)


def _strings(what: str, texts: object) -> list[str]:
    listed = None if isinstance(texts, str) or not isinstance(texts, Iterable) else list(texts)
    if listed is None or not all(isinstance(text, str) for text in listed):
        raise ProblemError(f"{what} = {texts!r}: must be a list of texts")
    return listed


def reference_point(objectives: Sequence[Objective]) -> FloatArray:
    """Corner (m,) of the hypervolume in normalised objectives."""
    return np.array([_corner(objective.name) for objective in objectives])


def _corner(name: str) -> float:
    return MINIMISED[name][2] if name in MINIMISED else derived_metrics()[name].corner


def assess(
    metrics: dict[str, FloatArray],
    law_violation: FloatArray,
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> Evaluation:
    """Evaluation of n designs.

    Args:
        metrics: by name, each (n,), NaN where a law is broken; derived ones are added.
        law_violation: (n,) relative excess over laws, 0 where lawful.
        objectives: what is minimised.
        constraints: what is bounded.
    """
    asked = [*(o.name for o in objectives), *(c.metric for c in constraints)]
    metrics = completed(metrics, asked)
    columns = [objective.normalise(metrics[objective.name]) for objective in objectives]
    violation = law_violation + sum(c.excess(metrics[c.metric]) for c in constraints)
    return Evaluation(metrics, np.stack(columns, axis=1), violation)


def constraints_of(problem: DesignProblem) -> tuple[Constraint, ...]:
    """Bounds on metrics that a problem has; none if it only sums up what designs break."""
    found: tuple[Constraint, ...] = getattr(problem, "constraints", ())
    return found


def by_constraint(
    evaluation: Evaluation, constraints: Sequence[Constraint]
) -> tuple[FloatArray, FloatArray]:
    """Takes a sum of violations apart.

    Args:
        evaluation: of n designs.
        constraints: the c bounds that its violation counts.

    Returns:
        Violation of laws alone (n,), 0 where lawful; and the signed relative excess (n, c) over
        each constraint, at most 0 within it, NaN where the design has no metrics.
    """
    if not constraints:
        return evaluation.violation, np.zeros((len(evaluation.violation), 0))
    values = [evaluation.metrics[c.metric] for c in constraints]
    left = evaluation.violation - sum(c.excess(v) for c, v in zip(constraints, values, strict=True))
    laws = np.where(left < ROUNDING * evaluation.violation, 0.0, left)
    columns = [c.signed_excess(v) for c, v in zip(constraints, values, strict=True)]
    return laws, np.stack(columns, axis=1)


def broken(
    metrics: Mapping[str, FloatArray], constraints: Sequence[Constraint], row: int = 0
) -> list[str]:
    """Texts of the constraints that design `row` breaks."""
    reasons = []
    for constraint in constraints:
        values = metrics[constraint.metric][row : row + 1]
        if constraint.excess(values)[0] > 0:
            reasons.append(f"{constraint.metric} = {values[0]:.6g} breaks {constraint}")
    return reasons
