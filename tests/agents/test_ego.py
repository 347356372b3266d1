"""The model-guided search: what points add to a front, grid processes, warps, and better fronts."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.agents.improvement import behind, dominated, improvements
from dovetail.agents.kriging import GridProcess, Indicators, Warp
from dovetail.agents.surrogates import Surrogates
from dovetail.ir.pareto import hypervolume
from dovetail.ir.space import Knob, Space
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

SPACE = Space((Knob("a", (1, 2, 4, 8, 16)), Knob("b", ("x", "y", "z"), ordered=False),
               Knob("c", (1,)), Knob("d", tuple(range(7)))))  # fmt: skip


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("points", [0, 1, 25])
def test_an_improvement_is_a_difference_of_hypervolumes(objectives: int, points: int) -> None:
    rng = np.random.default_rng(points)
    front = rng.random((points, objectives))
    values = np.concatenate([1.2 * rng.random((40, objectives)) - 0.1, front])
    corner = np.full(objectives, 0.9)
    whole = hypervolume(front, corner)
    expected = [hypervolume(np.vstack([front, value]), corner) - whole for value in values]
    assert np.allclose(improvements(values, front, corner), expected, atol=1e-12)
    assert dominated(front, front).all()


def test_behind_is_what_must_come_off_all_objectives() -> None:
    front = np.array([[0.0, 2.0], [2.0, 0.0]])
    values = np.array([[2.0, 2.0], [1.0, 1.0], [0.0, 3.0], [-1.0, 3.0]])
    assert behind(values, front).tolist() == [0.0 + 0.0, -0.5, 0.0, -0.5]
    assert behind(values, front[:0]).tolist() == [0.0] * 4


def test_indicators_are_as_far_apart_as_knobs() -> None:
    coding = Indicators(SPACE)
    a, b = coding(np.array([[0, 0, 0, 6], [3, 2, 0, 0]]))
    each = np.bincount(coding.knob, (a - b) ** 2)
    assert np.allclose(each, [3 / 4, 1.0, 1.0])


def test_the_gradient_of_the_likelihood_is_its_slope() -> None:
    rng = np.random.default_rng(0)
    coding = Indicators(SPACE)
    process = GridProcess(coding.knob, coding.knobs)
    points, targets = coding(SPACE.sample(rng, 30)), rng.normal(size=30)
    at = rng.normal(-1.0, 0.5, coding.knobs + 1)
    gradient = process._loss(at, points, targets)[1]
    for j in range(len(at)):
        step = 1e-5 * (np.arange(len(at)) == j)
        above, below = (process._loss(at + s * step, points, targets)[0] for s in (1, -1))
        assert gradient[j] == pytest.approx((above - below) / 2e-5, rel=1e-4, abs=1e-6)


def test_a_process_interpolates_and_learns_which_knobs_matter() -> None:
    rng = np.random.default_rng(1)
    designs = np.unique(SPACE.sample(rng, 60), axis=0)
    rng.shuffle(designs)
    truth = np.log(1.0 + designs[:, 0]) + 0.5 * (designs[:, 1] == 2)
    coding = Indicators(SPACE)
    process = GridProcess(coding.knob, coding.knobs)
    seen, left = coding(designs[:25]), coding(designs[25:])
    process.fit(seen, truth[:25], 50)
    process.condition(seen, truth[:25])
    assert np.allclose(process.predict(seen)[0], truth[:25], atol=0.02)
    mean, deviation = process.predict(left)
    assert np.abs(mean - truth[25:]).max() < 0.1
    assert np.allclose(mean, process.mean(left))
    assert deviation.max() < 0.3 * truth.std()
    theta = np.exp(process._parameters[:-1])
    assert theta[2] < 0.1 * theta[:2].min()


def test_warps_invert_and_forget_what_is_far_beyond_the_corner() -> None:
    values = np.array([0.2, 0.3, 0.5, 1.0, 40.0])
    for logarithmic in (False, True):
        warp = Warp.of(values, 2.0, logarithmic)
        assert np.allclose(warp.inverse(warp(values[:4])), values[:4])
        assert warp(values)[4] == warp(np.array([3.0]))[0]
        slope = np.log((warp(values[:4] + 1e-6) - warp(values[:4])) / 1e-6).sum()
        assert warp.log_slope(values[:4]) == pytest.approx(slope, abs=1e-3)


def test_models_tell_feasible_designs_and_choose_the_likelier_warp() -> None:
    rng = np.random.default_rng(2)
    designs = np.unique(SPACE.sample(rng, 200), axis=0)
    rng.shuffle(designs)
    violation = np.maximum(designs[:, 3] - 3.0, 0.0)
    steep = np.exp(2.0 * designs[:, 0] + designs[:, 1]) + 1e-3
    objectives = np.stack([steep, -steep.max() - np.log(steep)], axis=1)
    models = Surrogates(SPACE, np.array([1e9, 0.0]), rng, points=200, fit_points=200)
    models.learn(designs[:60], objectives[:60], violation[:60], fit=True)
    assert models._logarithmic == [True, False]
    odds = models.odds(designs[60:])
    assert odds[violation[60:] > 0].max() < 0.2
    assert odds[violation[60:] == 0].min() > 0.8
    draws = models.draws(designs[60:], np.zeros((1, 2)))
    assert np.allclose(draws[:, 0], models.means(designs[60:]))


def test_few_designs_find_more_than_other_agents_find_with_many() -> None:
    volumes = {
        (name, budget): np.median(
            [run(ToyProblem(), name, seed, budget).archive.hypervolume for seed in range(3)]
        )
        for name, budget in (("ego", 150), ("nsga2", 150), ("nsga2", 600))
    }
    assert volumes["ego", 150] > 1.05 * volumes["nsga2", 150]
    assert volumes["ego", 150] > volumes["nsga2", 600]


def test_no_design_is_asked_twice_with_models_or_without() -> None:
    designs = run(ToyProblem(), "ego", 0, 600, {"modelled": 200, "growth": 0.2}).designs
    assert len(np.unique(designs, axis=0)) == len(designs)


def test_survives_a_problem_without_feasible_designs_and_nears_them() -> None:
    problem = ToyProblem(area_limit=0.2)
    trace = run(problem, "ego", 0, 120)
    violation = problem.evaluate(trace.designs).violation
    assert (violation > 0).all()
    assert np.median(violation[-40:]) < np.median(violation[:16])
