"""Bayesian optimisation: encoding, improvement by Monte Carlo against geometry, sample economy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.encoding import UnitEncoding
from dovetail.ir.pareto import hypervolume
from dovetail.ir.space import Knob, Space
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

pytest.importorskip("botorch")

QUICK: dict[str, object] = {
    "batch": 9, "iterations": 25, "pool": 96, "rounds": 2, "shortlist": 12, "samples": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def surrogate() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dovetail.agents import surrogate

        return surrogate


def test_encoding_keeps_order_and_separates_categories() -> None:
    space = Space(
        (Knob("a", (1, 2, 4)), Knob("b", ("x", "y"), ordered=False), Knob("c", (7,), ordered=True))
    )
    encoding = UnitEncoding(space)
    got = encoding.encode(np.array([[0, 0, 0], [1, 1, 0], [2, 0, 0]]))
    assert encoding.width == 3
    assert got.tolist() == [[0.0, 1.0, 0.0], [0.5, 0.0, 1.0], [1.0, 1.0, 0.0]]


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_improvement_without_doubt_is_the_gain_in_hypervolume(m: int, surrogate: Any) -> None:
    rng = np.random.default_rng(0)
    front = rng.random((6, m))
    new = rng.random((20, m))
    reference = np.full(m, 1.1)
    cells = surrogate.improvement_cells(front, reference)
    draws = rng.standard_normal((3, m))
    got = surrogate.expected_improvement(-new, np.zeros_like(new), cells, draws)
    before = hypervolume(front, reference)
    gain = [hypervolume(np.vstack([front, y]), reference) - before for y in new]
    assert np.allclose(got, gain)
    doubtful = surrogate.expected_improvement(-new, np.full_like(new, 0.2), cells, draws)
    assert (doubtful[got == 0] >= 0).all()
    assert not np.allclose(doubtful, got)


def test_spread_out_takes_extremes_first(surrogate: Any) -> None:
    x = np.linspace(0, 1, 11)
    front = np.stack([x, 1 - x], axis=1)
    assert np.flatnonzero(surrogate.spread_out(front, 3)).tolist() == [0, 5, 10]
    assert surrogate.spread_out(front, 99).all()
    assert surrogate.spread_out(front, 1).sum() == 1


def test_targets_of_laws_separate_at_zero(surrogate: Any) -> None:
    targets = surrogate.law_targets(np.array([0.0, 1e-9, 1.0, 100.0]))
    assert targets[0] < 0 < targets[1] < targets[2] < targets[3]


def test_sixty_evaluations_beat_sixty_at_random() -> None:
    problem = ToyProblem()
    model = run(problem, "bayesian", 0, 60, QUICK)
    chance = [run(problem, "random", seed, 60).archive.hypervolume for seed in range(9)]
    assert model.archive.hypervolume > max(chance)
    assert len(np.unique(model.designs, axis=0)) == 60


def test_without_a_feasible_design_it_seeks_one() -> None:
    problem = ToyProblem(area_limit=1.2)
    agent = make_agent("bayesian", problem, 0, {**QUICK, "initial": 16})
    violations = []
    for _ in range(4):
        designs = agent.ask()
        evaluation = problem.evaluate(designs)
        violations.append(np.median(evaluation.violation))
        agent.tell(designs, evaluation)
    assert violations[-1] < 0.2 * violations[0]


def test_models_are_fitted_to_the_front_and_the_latest() -> None:
    problem = ToyProblem()
    agent: Any = make_agent("bayesian", problem, 0, {**QUICK, "points": 40})
    designs = problem.space.sample(np.random.default_rng(0), 300)
    agent.tell(designs, problem.evaluate(designs))
    rows, front = agent._informative(), agent._front()
    assert len(rows) == 40
    assert set(np.flatnonzero(front)) <= set(rows)
    rest = np.flatnonzero(~front)[-(40 - front.sum()) :]
    assert set(rest) <= set(rows)
