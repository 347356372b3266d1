"""Bayesian optimisation over fidelities: its models against known lines, its choices, its economy.

`Coarse` is the toy problem seen through a coarse lens: scaled and shifted objectives, and a ripple.
"""

from __future__ import annotations

import dataclasses
import shutil
import warnings
from typing import Any

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.envs.fidelity import FidelityProblem, Level, at_fidelity
from dovetail.envs.problem import Evaluation
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray
from tests.agents.toy import ToyProblem
from tests.envs.test_fidelity import small_problem

pytest.importorskip("botorch")

QUICK: dict[str, object] = {
    "initial": 24, "promoted": 4, "looks": 8, "iterations": 20, "refits": 5, "pool": 64,
    "rounds": 2, "shortlist": 12, "samples": 8,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def quietly_loaded() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from dovetail.agents import multi_surrogate  # noqa: F401


@dataclasses.dataclass(frozen=True)
class Coarse(ToyProblem):
    """Cheap and biased: latency seen by a steady factor, error by a line and a ripple."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        exact = super().evaluate(designs)
        ripple = 0.02 * np.sin(designs.sum(axis=1))
        objectives = exact.objectives * [1.0, 1.0, 0.5] + [0.1, 0.0, 0.3]
        objectives[:, 2] += ripple
        return dataclasses.replace(exact, objectives=objectives)


def problem(cost: float = 10.0) -> FidelityProblem:
    return FidelityProblem([Level("coarse", 1, Coarse()), Level("fine", cost, ToyProblem())])


def searched(
    made: Any, name: str, budget: float, settings: dict[str, object]
) -> tuple[ParetoArchive, IntArray, FloatArray]:
    """Front, designs and costs of a search that spends a sum of costs."""
    agent = make_agent(name, made, 0, settings)
    archive = ParetoArchive(made.reference_point, len(made.space.knobs))
    batches, spent = [], 0.0
    while True:
        designs = agent.ask()
        costs = made.cost(designs) if hasattr(made, "cost") else np.full(len(designs), 10.0)
        designs = designs[spent + np.cumsum(costs) <= budget]
        spent += costs[: len(designs)].sum()
        evaluation = made.evaluate(designs)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        agent.tell(designs, evaluation)
        batches.append(designs)
        if len(designs) < len(costs):
            break
    found = np.concatenate(batches)
    return archive, found, made.cost(found) if hasattr(made, "cost") else np.full(len(found), 10.0)


@pytest.fixture(scope="module")
def run() -> tuple[ParetoArchive, IntArray, FloatArray]:
    return searched(problem(), "bayesian_mf", 250, QUICK)


def test_looks_pay(run: tuple[ParetoArchive, IntArray, FloatArray]) -> None:
    archive, designs, _ = run
    assert (designs[:, -1] == 0).sum() > 30
    assert 4 <= (designs[:, -1] == 1).sum() < 23
    chance = [searched(ToyProblem(), "random", 250, {"batch": 25})[0].hypervolume]
    plain = {k: v for k, v in QUICK.items() if k not in ("promoted", "looks")}
    alone = searched(ToyProblem(), "bayesian", 250, {**plain, "initial": 12, "batch": 2})[0]
    assert archive.hypervolume > 1.1 * max(*chance, alone.hypervolume)


def test_no_design_is_asked_at_a_level_or_below_twice(
    run: tuple[ParetoArchive, IntArray, FloatArray],
) -> None:
    _, designs, costs = run
    assert len(np.unique(designs, axis=0)) == len(designs)
    assert costs.sum() <= 250
    for inner in np.unique(designs[:, :-1], axis=0):
        levels = designs[(designs[:, :-1] == inner).all(axis=1), -1]
        assert (np.diff(levels) > 0).all()


def test_it_begins_low_and_promotes_the_best() -> None:
    made = problem()
    agent = make_agent("bayesian_mf", made, 0, QUICK)
    first = agent.ask()
    assert len(first) == 24
    assert (first[:, -1] == 0).all()
    evaluation = made.evaluate(first)
    agent.tell(first, evaluation)
    second = agent.ask()
    assert len(second) == 4
    assert (second[:, -1] == 1).all()
    own = made.own(first, evaluation)
    chosen = [np.flatnonzero((first[:, :-1] == row).all(axis=1))[0] for row in second[:, :-1]]
    assert own.violation[chosen].max() <= np.sort(own.violation)[3]


def test_same_answers_same_questions() -> None:
    few: dict[str, object] = {**QUICK, "initial": 12, "looks": 3, "iterations": 5}
    found = [searched(problem(), "bayesian_mf", 70, few)[1] for _ in range(2)]
    assert np.array_equal(*found)


def test_dear_looks_are_not_taken() -> None:
    """At the price of the top, a look cannot pay."""
    _, designs, _ = searched(problem(cost=1.0), "bayesian_mf", 24, {**QUICK, "initial": 12})
    assert (designs[16:, -1] == 1).all()


def test_a_line_is_a_regression_drawn_to_one() -> None:
    from dovetail.agents.recursive import line

    x = np.random.default_rng(0).random(2000)
    offset, slope = line(x, 3 + 0.5 * x)
    assert slope == pytest.approx(0.5, abs=1e-3)
    assert offset == pytest.approx(3, abs=1e-3)
    assert line(np.zeros(3), np.arange(3.0)) == (1.0, 1.0)
    assert line(np.array([0.0, 1.0]), np.array([0.0, 4.0]))[1] == pytest.approx((2 + 0.25) / 0.75)


def test_recursive_models_carry_the_low_level_up() -> None:
    from dovetail.agents.recursive import Recursive
    from dovetail.agents.surrogate import fit

    rng = np.random.default_rng(0)
    low, high, new = rng.random((60, 2)), rng.random((8, 2)), rng.random((200, 2))

    def f(x: FloatArray) -> FloatArray:
        return np.sin(6 * x[:, 0]) + x[:, 1] ** 2

    model = Recursive(
        [low, high], [f(low), 2 - 3 * f(high) + 0.1 * high[:, 1]],
        lambda level, x, y: fit(x, y, 60),
    )  # fmt: skip
    mean, deviation = model.predict(new)
    truth = 2 - 3 * f(new) + 0.1 * new[:, 1]
    assert np.abs(mean[:, 0] - f(new)).max() < 0.1
    assert np.sqrt(((mean[:, 1] - truth) ** 2).mean()) < 0.05 * truth.std()
    reveals = model.told_by(deviation)
    assert np.array_equal(reveals[:, 1], deviation[:, 1])
    assert (reveals[:, 0] <= deviation[:, 1] + 1e-12).all()
    slope = reveals[:, 0] / deviation[:, 0]
    assert np.allclose(slope, slope[0])
    assert slope[0] == pytest.approx(3, rel=0.2)


def test_equal_levels_leave_no_doubt_between_them() -> None:
    from dovetail.agents.recursive import Recursive
    from dovetail.agents.surrogate import fit

    x = np.random.default_rng(0).random((20, 2))
    y = x.sum(axis=1)
    fits = []

    def fitted(level: int, points: FloatArray, targets: FloatArray) -> Any:
        fits.append(level)
        return fit(points, targets, 30)

    model = Recursive([x, x[:1]], [y, y[:1]], fitted)
    mean, deviation = model.predict(x)
    assert fits == [0]
    assert np.array_equal(mean[:, 0], mean[:, 1])
    assert np.array_equal(deviation[:, 0], deviation[:, 1])


def test_a_look_is_worth_what_it_may_add_to_the_best_known() -> None:
    from dovetail.agents.multi_surrogate import Outlook

    mean = np.array([[-0.5], [-0.6], [-0.6]])
    reveals = np.array([[[0.0], [0.0]], [[0.3], [0.3]], [[0.0], [0.3]]])
    outlook = Outlook(mean, reveals, np.array([1.0, 1.0, 0.5]))
    draws = np.random.default_rng(0).standard_normal((4000, 1))
    values = outlook.values(np.array([[0.8]]), np.array([1.0]), draws)
    assert values[0, 1] == pytest.approx(0.3)
    assert values[2, 1] == pytest.approx(0.5 * values[1, 1])
    # Without anything to learn a look adds nothing; else E[max(gain, best known)] - best known.
    best = values[:, 1].max()
    gain = np.maximum(0.2 + 0.3 * draws[:, 0], 0)
    assert values[0, 0] == pytest.approx(0, abs=1e-9)
    assert values[1, 0] == pytest.approx(np.maximum(gain - best, 0).mean())


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_from_the_estimate_over_cycles_to_the_gates() -> None:
    small = small_problem({"rows": (4, 8), "cols": (4, 8), "dataflow": ("ws", "os")})
    names = (("estimate", 1.0), ("cycle", 2.0), ("rtl", 20.0))
    made = FidelityProblem([Level(n, cost, at_fidelity(small, n)) for n, cost in names])
    few = {**QUICK, "initial": 6, "promoted": 2, "looks": 2, "iterations": 5}
    archive, designs, costs = searched(made, "bayesian_mf", 55, few)
    assert {*designs[:, -1]} == {0, 1, 2}
    assert (designs[:, -1] == 2).sum() == 2
    assert costs.sum() <= 55
    assert (archive.designs[:, -1] == 2).all()
    assert archive.hypervolume > 0
