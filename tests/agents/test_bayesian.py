"""Bayesian optimisation: encoding, improvement by Monte Carlo against geometry, sample economy."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.encoding import UnitEncoding
from dovetail.envs.objectives import Constraint, assess, parse_constraints
from dovetail.envs.problem import Evaluation
from dovetail.ir.pareto import hypervolume
from dovetail.ir.space import IntArray, Knob, Space
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


def test_each_constraint_has_its_own_model(surrogate: Any) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((40, 3))
    # The first is tight on x, the second on y; a thousandfold in scale apart.
    excess = np.stack([points[:, 0] - 0.5, 1000 * (points[:, 1] - 0.5)], axis=1)
    made = surrogate.Surrogate(points, points[:, 2:], excess, np.zeros(40), 50, 10, {})
    assert len(made.constraints) == 2
    corners = np.array([[0.1, 0.1, 0.5], [0.1, 0.9, 0.5], [0.9, 0.1, 0.5], [0.9, 0.9, 0.5]])
    odds = np.exp(made.log_odds(corners))
    assert odds[0] > 0.95
    assert (odds[1:] < 0.05).all()
    for model, column in zip(made.constraints, surrogate.bilog(excess).T, strict=True):
        mean, _ = surrogate.moments([model], points)
        assert np.abs(mean[:, 0] - column).max() < 0.05 * np.ptp(column)


def test_scale_and_sign_of_excess_are_kept(surrogate: Any) -> None:
    got = surrogate.bilog(np.array([-1e3, -1.0, 0.0, 1e-3, 1e3]))
    assert (np.diff(got) > 0).all()
    assert got[2] == 0
    assert got[0] == -got[4]


def test_a_later_fit_begins_where_the_earlier_ended(surrogate: Any) -> None:
    rng = np.random.default_rng(1)
    points = rng.random((30, 2))
    targets = np.sin(5 * points[:, 0]) + 0.1 * points[:, 1]
    cold = surrogate.fit(points, targets, 60)
    start = surrogate.hyperparameters(cold)
    warm = surrogate.fit(points, targets, 1, start)
    fresh = surrogate.fit(points, targets, 1)

    def length(model: Any) -> Any:
        return model.covar_module.lengthscale.detach().numpy()

    assert np.abs(np.log(length(warm) / length(cold))).max() < 0.2
    assert np.abs(np.log(length(fresh) / length(cold))).max() > 0.5


@dataclass(frozen=True)
class Bounded(ToyProblem):
    """The toy with its area as a constraint by name, and one on energy."""

    constraints: tuple[Constraint, ...] = parse_constraints(["area_mm2<=2", "energy_mj<=20"])

    def evaluate(self, designs: IntArray) -> Evaluation:
        plain = super().evaluate(designs)
        assert self.area_limit == np.inf
        return assess(plain.metrics, plain.violation, self.objectives, self.constraints)


def test_constraints_are_learnt_from_what_designs_break() -> None:
    problem = Bounded(area_limit=np.inf)
    model = run(problem, "bayesian", 0, 60, QUICK)
    shares = [problem.evaluate(part).feasible.mean() for part in (model.designs[:24],
              model.designs[24:])]  # fmt: skip
    assert shares[0] < 0.3
    assert shares[1] > 2 * shares[0]
    chance = [run(problem, "random", seed, 60).archive.hypervolume for seed in range(5)]
    assert model.archive.hypervolume > max(chance)


def test_designs_still_evaluated_are_pending() -> None:
    """Two workers whose answers arrive out of order: nothing is asked twice, nor clustered."""
    problem = ToyProblem()

    def driven(seed: int) -> list[IntArray]:
        agent = make_agent("bayesian", problem, seed, {**QUICK, "batch": 2, "initial": 12})
        asked = [agent.ask()]
        agent.tell(asked[0][6:], problem.evaluate(asked[0][6:]))
        asked += [agent.ask(), agent.ask(), agent.ask()]
        for late in (asked[3], asked[0][:6], asked[1], asked[2]):
            agent.tell(late, problem.evaluate(late))
            asked.append(agent.ask())
        return asked

    first, again = driven(3), driven(3)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len(np.unique(np.concatenate(first), axis=0)) == sum(map(len, first))


def test_an_answer_ends_the_wait_and_pending_designs_change_what_is_asked() -> None:
    problem = ToyProblem()
    few: dict[str, object] = {**QUICK, "batch": 2, "iterations": 8, "pool": 48}
    agents: list[Any] = [make_agent("bayesian", problem, 0, few) for _ in range(2)]
    designs = problem.space.sample(np.random.default_rng(0), 30)
    for agent in agents:
        agent.tell(designs, problem.evaluate(designs))
    batch = agents[0].ask()
    assert np.array_equal(agents[1].ask(), batch)
    assert len(agents[0]._pending) == len(batch)
    agents[0].tell(batch[::-1], problem.evaluate(batch[::-1]))
    assert len(agents[0]._pending) == 0
    waiting = agents[1].ask()
    assert len(agents[1]._pending) == 2 * len(batch)
    assert not {*map(tuple, waiting)} & {*map(tuple, batch)}


def test_pending_designs_are_believed(surrogate: Any) -> None:
    """Where a design is still evaluated, a copy of it is worth less."""
    problem = ToyProblem()
    agent: Any = make_agent("bayesian", problem, 0, QUICK)
    designs = problem.space.sample(np.random.default_rng(0), 40)
    agent.tell(designs, problem.evaluate(designs))
    best = agent.ask()[:1]
    made, front = agent._fitted(), agent._front()
    worth = []
    for pending in (agent._pending[:0], best):
        agent._pending, agent._rng = pending, np.random.default_rng(2)
        worth.append(float(agent._score(made, front)(best)[0]))
    assert worth[1] < worth[0]
