"""Design problems at several fidelities, of which only the highest counts.

The fidelity is the last knob of a design. An evaluation at a lower one costs less, says something
about the design, and enters no front: it is marked infeasible by a small violation. The cheapest
evaluation costs 1, so that a budget is a number of these.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from dovetail.arch.knobs import DesignSpace
from dovetail.envs.flow_costing import FlowWork
from dovetail.envs.gates import GatesWork
from dovetail.envs.hardware import HardwareProblem
from dovetail.envs.nasbench201 import NasBench201Problem
from dovetail.envs.objectives import Constraint, constraints_of
from dovetail.envs.problem import DesignProblem, Evaluation, Objective
from dovetail.envs.proxy import ProxyProblem
from dovetail.envs.registry import check_fields, make_problem
from dovetail.errors import FidelityError, ProblemError
from dovetail.flow import check_fidelity, family_of
from dovetail.ir.pareto import non_dominated
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space

KNOB = "fidelity"
"""Name of the last knob."""

BELOW = 1e-3
"""Violation per fidelity that an evaluation lies below the highest."""

SIMULATED = ("estimate", "cycle", "rtl")
"""Fidelities of what an accelerator costs."""

LADDER = ("proxy", *SIMULATED)
"""The same with a learned model below them."""

DEFAULTS: dict[str, object] = {"of": None, "levels": None}
"""Fields of a specification: the problem's own specification, and its fidelities in ascending
order as pairs of name and cost."""


@dataclass(frozen=True)
class Level:
    """One fidelity.

    Attributes:
        name: `estimate`, `cycle` or `rtl`, or epochs of training.
        cost: of an evaluation, in evaluations of the cheapest level, >= 1.
        problem: evaluates designs at this fidelity.
    """

    name: str
    cost: float
    problem: DesignProblem


class FidelityProblem:
    """Designs (n, knobs + 1) of a problem, the last index saying at which fidelity.

    Args:
        levels: at least two of the same space and objectives, in ascending fidelity.
        source: fields of a specification that rebuild it.

    Raises:
        ProblemError: if levels differ in space or objectives, or their costs do not ascend from 1.
    """

    def __init__(self, levels: Sequence[Level], source: Mapping[str, object] | None = None) -> None:
        _check(levels)
        self.levels = tuple(levels)
        self.top = levels[-1].problem
        self.costs: FloatArray = np.array([level.cost for level in levels], dtype=np.float64)
        self.name = f"{self.top.name}-{levels[-1].name}"
        names = tuple(level.name for level in levels)
        self.space = Space((*self.top.space.knobs, Knob(KNOB, names)))
        self.objectives: tuple[Objective, ...] = self.top.objectives
        self.constraints: tuple[Constraint, ...] = constraints_of(self.top)
        self.reference_point: FloatArray = self.top.reference_point
        self._source = source

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs + 1), each at its own fidelity.

        Raises:
            ProblemError: if the shape or an index is wrong.
        """
        self.space.check(designs)
        metrics: dict[str, FloatArray] = {}
        objectives = np.full((len(designs), len(self.objectives)), np.nan)
        violation = np.zeros(len(designs))
        for number in np.unique(designs[:, -1]):
            rows = np.flatnonzero(designs[:, -1] == number)
            part = self.levels[int(number)].problem.evaluate(designs[rows, :-1])
            for name, values in part.metrics.items():
                metrics.setdefault(name, np.full(len(designs), np.nan))[rows] = values
            objectives[rows] = part.objectives
            violation[rows] = part.violation + self._below(designs[rows])
        return Evaluation(metrics, objectives, violation)

    def cost(self, designs: IntArray) -> FloatArray:
        """What evaluating each of designs (n, knobs + 1) costs (n,)."""
        return self.costs[designs[:, -1]]

    def own(self, designs: IntArray, evaluation: Evaluation) -> Evaluation:
        """An evaluation without the violation that keeps lower fidelities off fronts."""
        left = evaluation.violation - self._below(designs)
        # Adding and taking away rounds: what is left of nothing is less than this.
        violation = np.where(left < BELOW * 1e-6, 0.0, left)
        return Evaluation(evaluation.metrics, evaluation.objectives, violation)

    def _below(self, designs: IntArray) -> FloatArray:
        levels_above = (len(self.levels) - 1 - designs[:, -1]).astype(np.float64)
        return BELOW * levels_above

    def reasons(self, design: IntArray) -> list[str]:
        """Laws and constraints that one design breaks, and that only the highest level counts."""
        level = self.levels[int(design[-1])]
        reasons = level.problem.reasons(np.asarray(design)[:-1])
        if level is not self.levels[-1]:
            reasons.append(f"fidelity '{level.name}': only '{self.levels[-1].name}' counts")
        return reasons

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): True where some lawful design has that value; all fidelities."""
        return (*self.top.masks(), np.ones(len(self.levels), dtype=np.bool_))

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        levels = [[level.name, level.cost] for level in self.levels]
        source = self._source or {"of": self.top.describe()}
        return {"problem": "fidelity", **source, "levels": levels}


def _check(levels: Sequence[Level]) -> None:
    if len(levels) < 2:
        raise ProblemError("a problem of fidelities needs two at least, the highest last")
    costs = [level.cost for level in levels]
    if costs[0] != 1 or costs != sorted(costs) or not np.isfinite(costs).all():
        raise ProblemError(
            f"costs of fidelities {costs}: the first must be 1, and none less than the one before"
        )
    names = [level.name for level in levels]
    if [*map(_height, names)] != sorted(map(_height, names)) or len({*names}) < len(names):
        raise ProblemError(f"fidelities {', '.join(names)}: name each once, the highest last")
    first = levels[0].problem
    for level in levels[1:]:
        same = level.problem.space == first.space and level.problem.objectives == first.objectives
        if not same:
            raise ProblemError(f"fidelity '{level.name}' has another space or other objectives")


def _height(name: str) -> int:
    """Place of a known fidelity among its like; 0 for others."""
    if name.isdecimal():
        return int(name)
    return LADDER.index(name) if name in LADDER else 0


def at_fidelity(problem: DesignProblem, fidelity: str) -> DesignProblem:
    """The same problem, evaluated at another fidelity; laws, references and constraints stay.

    Args:
        problem: at its own fidelity.
        fidelity: `estimate` (the problem itself), `cycle`, or `rtl` (networks on the gates of RTL
            machines: seconds to minutes a design), of problems with accelerators; epochs of
            training (`12`, `200`) of NAS-Bench-201; `proxy` of a proxy (the problem itself), whose
            other fidelities are those of what it is a proxy of.

    Raises:
        FidelityError: if the problem has no such fidelity.
        ProblemError: if the table does not know a training of so many epochs.
    """
    if isinstance(problem, ProxyProblem):
        return problem if fidelity == "proxy" else at_fidelity(problem.of, fidelity)
    if isinstance(problem, NasBench201Problem) and fidelity.isdecimal():
        return problem.trained(int(fidelity))
    if not isinstance(problem, HardwareProblem) or fidelity not in SIMULATED:
        known = ", ".join(SIMULATED if isinstance(problem, HardwareProblem) else ["none"])
        raise FidelityError(f"problem '{problem.name}' has no fidelity '{fidelity}': has {known}")
    if fidelity == "estimate":
        return problem
    other = copy.copy(problem)
    other.work = _work(problem, fidelity)
    return other


def _work(problem: HardwareProblem, fidelity: str) -> FlowWork | GatesWork:
    base, choices = problem.hardware.base, problem.workload
    if fidelity == "rtl" and getattr(base, "machine", "") != "rtl":
        raise FidelityError(
            f"fidelity 'rtl': '{base.name}' is no RTL machine: search systolic arrays with "
            "--set machine=rtl"
        )
    check_fidelity("cycle", family_of(base))
    space = cast(DesignSpace, problem.hardware)
    simulated = FlowWork(space, problem.network, choices.mapping, choices.mapper, "cycle")
    if fidelity == "cycle":
        return simulated
    return GatesWork(simulated)


@dataclass(frozen=True)
class Resimulation:
    """Designs evaluated again at a higher fidelity.

    Attributes:
        designs: (n, knobs).
        before: their evaluation at the problem's own fidelity.
        after: at the other one.
    """

    designs: IntArray
    before: Evaluation
    after: Evaluation

    def change(self, metric: str) -> FloatArray:
        """Relative change (n,) of a metric; NaN where it is unknown or was 0."""
        old, new = self.before.metrics[metric], self.after.metrics[metric]
        return np.divide(new, old, out=np.full(len(old), np.nan), where=old != 0) - 1.0

    def survivors(self) -> BoolArray:
        """(n,) designs that are feasible and not dominated by another of them, after as before."""
        return _front(self.before) & _front(self.after)


def _front(evaluation: Evaluation) -> BoolArray:
    return non_dominated(np.where(evaluation.feasible[:, None], evaluation.objectives, np.nan))


def resimulate(problem: DesignProblem, designs: IntArray, fidelity: str) -> Resimulation:
    """Evaluates designs, as those on a front, at the problem's own and at another fidelity.

    Args:
        problem: what they are designs of.
        designs: (n, knobs); of a `FidelityProblem` at its highest level.
        fidelity: see `at_fidelity`.

    Raises:
        FidelityError: if the problem has no such fidelity.
        MissingToolError, ToolError: if gates cannot be built or run.
    """
    if isinstance(problem, FidelityProblem):  # its fronts are of the highest level
        known = {level.name: level.problem for level in problem.levels}
        other = known.get(fidelity) or at_fidelity(problem.top, fidelity)
        problem, designs = problem.top, designs[:, :-1]
    else:
        other = at_fidelity(problem, fidelity)
    return Resimulation(designs, problem.evaluate(designs), other.evaluate(designs))


def from_spec(spec: Mapping[str, object]) -> FidelityProblem:
    """Builds the problem of a specification whose fields are those of `DEFAULTS`.

    Raises:
        ProblemError: if a field is unknown or ill-formed.
        FidelityError: if the problem has no such fidelity.
    """
    fields = check_fields(spec, DEFAULTS)
    inner = fields["of"]
    if not isinstance(inner, Mapping):
        raise ProblemError(f"of = {inner!r}: must be the specification of a problem")
    problem = make_problem(inner)
    pairs = _pairs(fields["levels"])
    if isinstance(problem, ProxyProblem) and "proxy" not in dict(pairs):
        raise ProblemError("fidelities of a proxy begin with 'proxy': as proxy,estimate:10")
    levels = [Level(name, cost, at_fidelity(problem, name)) for name, cost in pairs]
    return FidelityProblem(levels, {"of": problem.describe()})


def _pairs(levels: object) -> list[tuple[str, float]]:
    try:
        return [(str(name), float(cost)) for name, cost in levels]  # type: ignore[attr-defined]  # what is no list of pairs raises
    except (TypeError, ValueError):
        raise ProblemError(
            f"levels = {levels!r}: must be pairs of fidelity and cost, as [['estimate', 1], "
            "['cycle', 5]]"
        ) from None
