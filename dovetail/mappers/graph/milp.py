"""A mixed-integer program as plain rows, solved by HiGHS, or by CBC through pulp."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dovetail.errors import ToolError, UnknownNameError

TOLERANCE = 1e-9
"""Integrality and feasibility: small tensors beside a large capacity need it this tight."""

SOLVERS = ("highs", "cbc")


@dataclass(frozen=True)
class Answer:
    """What a solver found.

    Attributes:
        status: `optimal`, `infeasible`, `feasible` (the time was up) or `unknown` (no solution
            when the time was up).
        values: one per variable; empty without a solution.
        objective: of the solution; infinity without one.
        bound: no solution has a smaller objective.
    """

    status: str
    values: tuple[float, ...] = ()
    objective: float = math.inf
    bound: float = 0.0

    @property
    def found(self) -> bool:
        """Whether there is a solution."""
        return bool(self.values)

    def is_one(self, variable: int) -> bool:
        """Whether a binary variable is 1."""
        return self.values[variable] > 0.5


@dataclass
class Model:
    """Minimise cost . x subject to lower <= A x <= upper; all costs must be >= 0."""

    cost: list[float] = field(default_factory=list)
    limit: list[tuple[float, float]] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    rows: list[tuple[float, float, dict[int, float]]] = field(default_factory=list)

    def variable(
        self, cost: float = 0.0, low: float = 0.0, high: float = 1.0, *, integer: bool = True
    ) -> int:
        """Adds a variable and returns its number."""
        self.cost.append(cost)
        self.limit.append((low, high))
        self.integer.append(integer)
        return len(self.cost) - 1

    def add(
        self, terms: Mapping[int, float], *, low: float = -math.inf, high: float = math.inf
    ) -> None:
        """Adds low <= sum of coefficient * variable <= high."""
        self.rows.append((low, high, {k: v for k, v in terms.items() if v}))

    def solve(
        self,
        *,
        time_limit_s: float | None = None,
        start: Sequence[float] | None = None,
        solver: str | None = None,
    ) -> Answer:
        """Solves it.

        Args:
            time_limit_s: wall-clock seconds; None is without limit.
            start: a feasible solution to begin with (HiGHS only).
            solver: `highs` or `cbc`; by default HiGHS, or CBC where highspy is not installed.

        Raises:
            UnknownNameError: if there is no such solver.
            ToolError: if the solver fails.
        """
        if solver is None:
            solver = "highs" if _has_highs() else "cbc"
        if solver not in SOLVERS:
            raise UnknownNameError("solver", solver, SOLVERS)
        if time_limit_s is not None and time_limit_s <= 0:
            return Answer("unknown")
        if not self.cost:
            return self._empty()
        return _highs(self, time_limit_s, start) if solver == "highs" else _cbc(self, time_limit_s)

    def _empty(self) -> Answer:
        """Without variables every row is a constant 0."""
        legal = all(low <= 0 <= high for low, high, _ in self.rows)
        return Answer("feasible" if legal else "infeasible", (), math.inf, 0.0)


def _has_highs() -> bool:
    try:
        import highspy  # noqa: F401
    except ImportError:
        return False
    return True


def _highs(model: Model, time_limit_s: float | None, start: Sequence[float] | None) -> Answer:
    import highspy

    inf = highspy.kHighsInf
    solver = highspy.Highs()
    solver.silent()
    options: dict[str, object] = {
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.5,  # costs are whole numbers: a bound above best - 1 is a proof
        "mip_feasibility_tolerance": TOLERANCE,
        "primal_feasibility_tolerance": TOLERANCE,
        "threads": 1,
        "random_seed": 0,
    }
    if time_limit_s is not None:
        options["time_limit"] = float(time_limit_s)
    for name, value in options.items():
        solver.setOptionValue(name, value)
    lows = np.array([low for low, _ in model.limit])
    highs = np.array([high for _, high in model.limit])
    count = len(model.cost)
    solver.addVars(count, lows, highs)
    columns = np.arange(count, dtype=np.int32)
    solver.changeColsCost(count, columns, np.array(model.cost, dtype=np.float64))
    kinds = np.where(model.integer, 1, 0).astype(np.uint8)
    solver.changeColsIntegrality(count, columns, kinds)
    starts = np.cumsum([0, *(len(row[2]) for row in model.rows)])[:-1].astype(np.int32)
    index = np.array([k for row in model.rows for k in row[2]], dtype=np.int32)
    value = np.array([v for row in model.rows for v in row[2].values()], dtype=np.float64)
    low = np.array([max(row[0], -inf) for row in model.rows], dtype=np.float64)
    high = np.array([min(row[1], inf) for row in model.rows], dtype=np.float64)
    solver.addRows(len(model.rows), low, high, len(index), starts, index, value)
    if start is not None:
        solution = highspy.HighsSolution()
        solution.col_value = list(start)
        solver.setSolution(solution)
    solver.run()
    return _read_highs(solver, model)


def _read_highs(solver: object, model: Model) -> Answer:
    import highspy

    status = solver.getModelStatus()  # type: ignore[attr-defined]  # highspy is untyped
    info = solver.getInfo()  # type: ignore[attr-defined]
    states = highspy.HighsModelStatus
    if status == states.kInfeasible:
        return Answer("infeasible", bound=math.inf)
    if status in (states.kOptimal, states.kTimeLimit, states.kInterrupt):
        found = info.primal_solution_status == 2
        values = tuple(solver.getSolution().col_value) if found else ()  # type: ignore[attr-defined]
        objective = info.objective_function_value if found else math.inf
        done = status == states.kOptimal
        bound = objective if done else max(0.0, info.mip_dual_bound)
        if not any(model.integer) and not done:
            bound = 0.0
        return Answer(
            "optimal" if done else "feasible" if found else "unknown", values, objective, bound
        )
    raise ToolError(f"HiGHS ends with {status}: try the solver cbc, or a larger time limit")


def _cbc(model: Model, time_limit_s: float | None) -> Answer:
    import pulp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of names that pulp 4 renames
        problem = pulp.LpProblem("schedule", pulp.LpMinimize)
        variables = [
            pulp.LpVariable(f"x{i}", low, high, pulp.LpInteger if whole else pulp.LpContinuous)
            for i, ((low, high), whole) in enumerate(zip(model.limit, model.integer, strict=True))
        ]
        problem += pulp.lpDot(model.cost, variables)
        for low, high, terms in model.rows:
            expression = pulp.lpSum(c * variables[k] for k, c in terms.items())
            if low > -math.inf:
                problem += expression >= low
            if high < math.inf:
                problem += expression <= high
        command = pulp.PULP_CBC_CMD(msg=False, timeLimit=time_limit_s, gapRel=0.0, threads=1)
        try:
            status = problem.solve(command)
        except pulp.PulpSolverError as error:
            raise ToolError(f"CBC fails: {error}; install highspy") from None
        if status == pulp.LpStatusInfeasible:
            return Answer("infeasible", bound=math.inf)
        values = tuple(v.value() or 0.0 for v in variables)
        if status != pulp.LpStatusOptimal or not _feasible(model, values):
            return Answer("unknown")
        objective = math.fsum(c * v for c, v in zip(model.cost, values, strict=True))
        done = problem.sol_status == pulp.LpSolutionOptimal
        return Answer(
            "optimal" if done else "feasible", values, objective, objective if done else 0.0
        )


def _feasible(model: Model, values: Sequence[float]) -> bool:
    return all(
        low - 1e-6 <= math.fsum(c * values[k] for k, c in terms.items()) <= high + 1e-6
        for low, high, terms in model.rows
    )
