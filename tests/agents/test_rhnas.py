"""RHNAS: only lawful accelerators, exact gradients, resumption, refusals; near the optimum."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from dovetail.agents.base import make_agent, resolve_settings
from dovetail.agents.rhnas import RHNASAgent, RHNASArgs
from dovetail.agents.rhnas_memory import Memory
from dovetail.agents.rhnas_relaxed import Relaxed, Table
from dovetail.agents.rhnas_track import Track
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.nasbench201_front import exact_front
from dovetail.errors import ProblemError
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.agents.toy import ToyProblem

KNOBS = {
    "rows": (8, 32, 128),
    "cols": (8, 32, 128),
    "dataflow": ("ws", "os"),
    "input_sram_kib": (4, 64),
    "weight_sram_kib": (4, 64),
}
SMALL = {"batch": 8, "restarts": 4, "hardware_steps": 1, "architecture_steps": 20}


@pytest.fixture(scope="module")
def problem() -> NasBench201Problem:
    """The synthetic twin on arrays of which a third break a law."""
    constraints = ["error<=0.15", "area_mm2<=1.5"]
    return from_spec(
        {"objectives": ["latency_ms"], "constraints": constraints, "knobs": KNOBS, "seed": 1}
    )


def search(problem: NasBench201Problem, agent: object, budget: int) -> tuple[np.ndarray, float]:
    """Designs asked, and the least latency among the feasible ones."""
    asked, best, spent = [], np.inf, 0
    while spent < budget:
        designs = agent.ask()[: budget - spent]
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        latency = evaluation.metrics["latency_ms"][evaluation.feasible]
        asked, spent = [*asked, designs], spent + len(designs)
        best = min(best, latency.min(initial=np.inf))
    return np.concatenate(asked), best


def test_no_unlawful_accelerator_is_asked_and_no_design_twice(problem: NasBench201Problem) -> None:
    agent = make_agent("rhnas", problem, 0, SMALL)
    assert isinstance(agent, RHNASAgent)
    designs, best = search(problem, agent, 300)
    everything = np.array(list(itertools.product(*(range(len(v)) for v in KNOBS.values()))))
    assert 0.2 < (problem.hardware.violations(everything) > 0).mean() < 0.8
    assert (problem.hardware.violations(problem.split(designs)[1]) <= 0).all()
    assert len(np.unique(designs, axis=0)) == len(designs)
    pairs = agent.pairs()
    evaluation = problem.evaluate(pairs)
    assert evaluation.feasible.all()
    assert evaluation.metrics["latency_ms"].tolist() == [best]
    assert all(problem.reasons(pair) == [] for pair in pairs)


def test_it_beats_random_search_and_comes_near_the_optimum(problem: NasBench201Problem) -> None:
    rhnas, drawn = (
        np.median(
            [search(problem, make_agent(name, problem, seed, args), 400)[1] for seed in range(3)]
        )
        for name, args in (("rhnas", {"architecture_steps": 40}), ("random", {}))
    )
    least = problem.objectives[0].reference * 10 ** exact_front(problem).least[0]
    assert least <= rhnas <= 1.1 * least
    assert rhnas < drawn


def test_several_objectives_have_a_track_each(problem: NasBench201Problem) -> None:
    several = from_spec({"objectives": ["error", "latency_ms", "area_mm2"], "knobs": KNOBS})
    agent = make_agent("rhnas", several, 0, SMALL)
    assert isinstance(agent, RHNASAgent)
    search(several, agent, 500)
    found = several.evaluate(agent.pairs()).objectives
    assert len(found) == 7
    # The pair kept for an objective is better in it than the one kept for the next.
    assert all(found[i, i] <= found[(i + 1) % 3, i] for i in range(3))
    assert len(np.unique(found, axis=0)) >= 4


def test_the_table_is_exact_about_one_change(problem: NasBench201Problem) -> None:
    track = Track(problem, np.ones(1))
    hardware = np.array([[1, 1, 0, 1, 1]])
    track.learn_hardware(hardware, np.zeros(1), 0.1, 0.0)
    swaps = track.swaps()
    assert swaps.shape == (31, 11)
    metrics = problem.evaluate(swaps).metrics
    table = Table.of(metrics, track.sizes)
    for knob, value in ((0, 0), (3, 4), (5, 2)):
        odds = [np.eye(5)[[choice]] for choice in track.network]
        odds[knob] = np.eye(5)[[value]]
        changed = swaps[0].copy()
        changed[knob] = value
        expected = problem.evaluate(changed[None]).metrics["latency_ms"]
        assert table.expected("latency_ms", odds)[0] == pytest.approx(expected)


def test_what_does_not_fit_is_dear() -> None:
    table = Table.of({"latency_ms": np.array([2.0, 2.0, np.nan])}, np.array([2]))
    assert table.expected("latency_ms", [np.array([[0.0, 1.0]])])[0] == pytest.approx([20.0])


def test_the_gradient_of_the_loss_is_that_of_differences() -> None:
    problem = from_spec(
        {
            "objectives": ["error", "latency_ms"],
            "constraints": ["energy_mj<=0.3", "utilization>=0.9"],
            "knobs": KNOBS,
        }
    )
    rng = np.random.default_rng(0)
    designs = problem.space.sample(rng, 200)
    memory = Memory(problem)
    memory.add(designs, problem.evaluate(designs))
    relaxed = Relaxed(problem, penalty=2.0)
    relaxed.learn(memory)
    track = Track(problem, np.array([0.7, 0.3]))
    track.learn_hardware(np.array([[1, 1, 0, 1, 1]]), np.zeros(1), 0.1, 0.0)
    table = Table.of(problem.evaluate(track.swaps()).metrics, track.sizes)
    odds = [rng.dirichlet(np.ones(5), size=1) for _ in range(6)]

    def loss(odds: list[np.ndarray]) -> float:
        y = [o.normalise(relaxed._expected(o.name, odds, table)[0]) for o in problem.objectives]
        excess = [
            c.excess(relaxed._expected(c.metric, odds, table)[0]) for c in problem.constraints
        ]
        assert all(x > 0 for x in excess)
        return float((track.weights @ np.array(y) + 2.0 * np.sum(excess, axis=0))[0])

    slopes = relaxed.gradient(odds, table, track.weights)
    for knob in (0, 4):
        for value in range(5):
            moved = [p.copy() for p in odds]
            moved[knob][0, value] += 1e-6
            numeric = (loss(moved) - loss(odds)) / 1e-6
            assert slopes[knob][0, value] == pytest.approx(numeric, rel=1e-3, abs=1e-4)


def test_half_a_study_resumes_to_the_whole(problem: NasBench201Problem, tmp_path: Path) -> None:
    spec = StudySpec.of(problem, "rhnas", resolve_settings("rhnas", SMALL), 3, 150)
    for file, budgets in (("whole", [150]), ("halves", [61, 150])):
        for spent in budgets:
            with open_study(tmp_path / file, spec.with_budget(spent), resume=True) as store:
                run_study(problem, store, budget=spent)
    found = []
    for file in ("whole", "halves"):
        with StudyStore.open(tmp_path / file) as store:
            found.append(store.records().designs)
    assert np.array_equal(*found)


def test_an_exhausted_space_and_a_batch_told_in_part_are_fine() -> None:
    knobs = {"rows": (32,), "dataflow": ("ws", "os")}
    problem = from_spec({"objectives": ["latency_ms"], "constraints": ["error<=0.2"],
                         "knobs": knobs})  # fmt: skip
    agent = make_agent("rhnas", problem, 0, SMALL)
    designs = agent.ask()[:1]
    agent.tell(designs, problem.evaluate(designs))
    search(problem, agent, 200)


def test_others_are_refused_in_one_line(problem: NasBench201Problem) -> None:
    with pytest.raises(ProblemError, match=r"problem 'toy' has no choices of a network"):
        make_agent("rhnas", ToyProblem(), 0)
    impossible = from_spec({"knobs": {"rows": (128,), "cols": (128,), "output_sram_kib": (2,)}})
    with pytest.raises(
        ProblemError, match=r"none of 6400 accelerators .* keeps the laws of .systolic.: give"
    ):
        make_agent("rhnas", impossible, 0)
    for name, value in (("batch", 1), ("restarts", 0), ("hardware_rate", 0), ("penalty", -1)):
        with pytest.raises(ProblemError, match=f"setting {name} = "):
            RHNASArgs(**{name: value})
