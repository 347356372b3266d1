"""The search on predictors, and the predictors: structure, violations, samples, better fronts."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.predictor import PredictorAgent, PredictorArgs
from dovetail.agents.predictors import PredictedProblem, Predictors, knobs_of
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.problem import Evaluation
from dovetail.errors import ProblemError
from dovetail.ir.space import IntArray
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

KNOBS = {"rows": (8, 32, 128), "cols": (8, 32), "dataflow": ("ws", "os"), "input_sram_kib": (4, 64)}


@pytest.fixture(scope="module")
def problem() -> NasBench201Problem:
    return from_spec({"objectives": ["error", "latency_ms", "area_mm2"], "knobs": KNOBS})


def learnt(problem: NasBench201Problem | ToyProblem, count: int) -> Predictors:
    designs = problem.space.sample(np.random.default_rng(0), count)
    evaluation = problem.evaluate(designs)
    predictors = Predictors(problem, problem.space)
    predictors.learn(designs, evaluation.objectives, evaluation.violation)
    return predictors


def test_an_objective_is_predicted_from_the_knobs_that_it_depends_on(
    problem: NasBench201Problem,
) -> None:
    assert knobs_of(problem, "error").tolist() == list(range(6))
    assert knobs_of(problem, "area_mm2").tolist() == list(range(6, 10))
    assert knobs_of(problem, "latency_ms").tolist() == list(range(10))
    assert knobs_of(ToyProblem(), "error").tolist() == list(range(12))
    predictors = learnt(problem, 150)
    designs = problem.space.sample(np.random.default_rng(1), 50)
    moved = designs.copy()
    moved[:, 6:] = (moved[:, 6:] + 1) % problem.space.cardinalities[6:]
    first, second = predictors.predict(designs)[0], predictors.predict(moved)[0]
    assert np.array_equal(first[:, 0], second[:, 0])
    assert not np.allclose(first[:, 1], second[:, 1])
    # All accelerators are among the samples: their areas are known.
    lawful = problem.evaluate(designs)
    rows = lawful.feasible
    assert first[rows, 2] == pytest.approx(lawful.objectives[rows, 2], abs=0.02)


def test_predictions_rank_designs_that_were_not_learnt_from() -> None:
    problem = ToyProblem()
    predictors = learnt(problem, 300)
    designs = problem.space.sample(np.random.default_rng(1), 500)
    evaluation = problem.evaluate(designs)
    means, deviations = predictors.predict(designs)
    rows = np.isfinite(evaluation.objectives).all(axis=1)
    truth = evaluation.objectives[rows]
    for j in range(3):
        ranks = [np.argsort(np.argsort(values)) for values in (means[rows, j], truth[:, j])]
        assert np.corrcoef(*ranks)[0, 1] > 0.85
    inside = np.abs(means[rows] - truth) < 2 * deviations[rows]
    assert inside.mean() > 0.85
    predicted = predictors.evaluation(designs).feasible
    assert (predicted == evaluation.feasible).mean() > 0.75
    hopeful = predictors.evaluation(designs, 1.0).objectives
    assert hopeful == pytest.approx(means - deviations)


def test_a_predicted_problem_is_a_problem() -> None:
    problem = ToyProblem()
    predicted = PredictedProblem(problem, problem.space, learnt(problem, 100))
    trace = run(predicted, "nsga2", 0, 200)
    assert len(trace.archive) > 3
    assert predicted.name == "predicted-toy"
    assert predicted.describe()["predicted"] == problem.describe()
    broken = trace.designs[predicted.evaluate(trace.designs).violation > 0]
    assert "predicted to break" in predicted.reasons(broken[0])[0]
    assert predicted.reasons(trace.archive.designs[0]) == []


def test_it_needs_fewer_evaluations_than_nsga2(problem: NasBench201Problem) -> None:
    volumes = {
        name: np.median([run(problem, name, seed, budget).archive.hypervolume for seed in range(3)])
        for name, budget in (("predictor", 200), ("nsga2", 400))
    }
    assert volumes["predictor"] > volumes["nsga2"]


def test_samples_are_bounded_and_the_best_are_among_them() -> None:
    problem = ToyProblem()
    agent = make_agent("predictor", problem, 0, {"initial": 60, "batch": 10, "samples": 60})
    assert isinstance(agent, PredictorAgent)
    for _ in range(3):
        designs = agent.ask()
        agent.tell(designs, problem.evaluate(designs))
    rows = agent._informative()
    assert len(np.unique(rows)) == len(rows) == 60
    ranks = agent._ranks(agent._objectives, agent._violation)
    assert set(np.flatnonzero(ranks == 0)) <= set(rows)


def test_what_cannot_be_learnt_from_is_refused_in_one_line(problem: NasBench201Problem) -> None:
    predictors = Predictors(problem, problem.space)
    designs = problem.space.sample(np.random.default_rng(0), 3)
    with pytest.raises(ProblemError, match="none was"):
        predictors.learn(designs, np.full((3, 3), np.nan), np.ones(3))
    for name, value in (("initial", 1), ("batch", 0), ("samples", 2), ("optimism", -1)):
        with pytest.raises(ProblemError, match=f"setting {name} = "):
            PredictorArgs(**{name: value})


def test_it_finds_feasible_designs_that_chance_does_not() -> None:
    toy = ToyProblem()

    class Narrow(ToyProblem):
        def evaluate(self, designs: IntArray) -> Evaluation:
            found = super().evaluate(designs)
            # Most of the designs are off; nearer to the first values, less so.
            beyond = designs.sum(axis=1) / toy.space.cardinalities.sum() - 0.11
            return Evaluation(
                found.metrics, found.objectives, found.violation + np.maximum(beyond, 0.0)
            )

    def feasible(name: str) -> int:
        return int(Narrow().evaluate(run(Narrow(), name, 0, 400).designs).feasible.sum())

    assert feasible("random") == 0 < feasible("predictor")
