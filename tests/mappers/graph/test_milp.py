"""The programs' solvers."""

from __future__ import annotations

import math
from random import Random

import pytest

from dovetail.errors import UnknownNameError
from dovetail.mappers.graph import milp, schedule
from dovetail.mappers.graph.milp import Model
from tests.mappers.graph.graphs import problem


def knapsack(seed: int) -> tuple[Model, float]:
    """Cover a demand at least cost, and the cost by enumeration."""
    rng = Random(seed)
    rows = [(rng.randint(1, 20), rng.randint(1, 9)) for _ in range(9)]
    model = Model()
    terms = {model.variable(cost): float(gain) for cost, gain in rows}
    model.add(terms, low=20)
    sets = ([r for k, r in enumerate(rows) if mask >> k & 1] for mask in range(1 << len(rows)))
    best = min((sum(c for c, _ in s) for s in sets if sum(g for _, g in s) >= 20), default=math.inf)
    return model, best


@pytest.mark.parametrize("solver", milp.SOLVERS)
@pytest.mark.parametrize("seed", range(4))
def test_both_solvers_find_the_optimum(solver: str, seed: int) -> None:
    model, best = knapsack(seed)
    answer = model.solve(solver=solver, time_limit_s=30)
    assert answer.status == "optimal"
    assert answer.objective == pytest.approx(best)
    assert answer.bound == pytest.approx(best)


@pytest.mark.parametrize("solver", milp.SOLVERS)
def test_both_solvers_refute(solver: str) -> None:
    model = Model()
    a, b = model.variable(1), model.variable(1)
    model.add({a: 1, b: 1}, low=1, high=1)
    model.add({a: 1, b: -1}, low=0, high=0)
    answer = model.solve(solver=solver)
    assert answer.status == "infeasible"
    assert not answer.found
    assert answer.bound == math.inf


def test_without_highs_cbc_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milp, "_has_highs", lambda: False)
    rows = [(4, 0, (1, 4)), (3, 1, (2, 5)), (2, 2, (3,)), (3, 3, (4,)), (1, 4, (5,)), (2, 5, ())]
    assert schedule(problem(*rows, operators=6), 9).proven


def test_no_time_gives_no_answer_and_unknown_solvers_are_named() -> None:
    model, _ = knapsack(0)
    assert model.solve(time_limit_s=0).status == "unknown"
    with pytest.raises(UnknownNameError, match="did you mean highs"):
        model.solve(solver="high")
