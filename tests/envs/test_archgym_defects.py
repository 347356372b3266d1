"""No environment has the four defects that `archgym_defects` describes, and the checks find each.

Every check runs on all problems that can be made without training, then on an environment that has
the defect.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.agents.preferences import preference_set
from dovetail.envs import make_problem
from dovetail.envs.design_env import DesignEnv
from dovetail.envs.problem import Objective
from dovetail.ir.space import IntArray
from tests.agents.driver import run
from tests.agents.toy import ToyProblem
from tests.envs.archgym_defects import (
    InvertedReward,
    LostUnits,
    RoundedActions,
    latency_ratios,
    misled,
    unreached,
)

ROOT = Path(__file__).parents[2]

CLOCKS = [1, 30, 1000]
"""So far apart that latencies lie around both a microsecond's and a millisecond's border."""

KNOBS = {"rows": [8, 16, 32, 64], "cols": [8, 64], "clock_mhz": CLOCKS, "vector_lanes": [4, 32]}

SPECS: dict[str, dict[str, object]] = {
    "accelerator": {"problem": "accelerator", "network": "autoencoder", "knobs": KNOBS},
    "nasbench201": {"problem": "nasbench201", "knobs": KNOBS},
    "fpga_folding": {"problem": "fpga_folding"},
}

AGENTS = ("annealing", "ant_colony", "cem", "genetic", "nsga2", "random", "reinforce")


@pytest.fixture(scope="module")
def problems() -> dict[str, Any]:
    return {name: make_problem(spec) for name, spec in SPECS.items()}


def sample(problem: Any, count: int, seed: int = 0) -> IntArray:
    """Lawful designs."""
    drawn = problem.space.sample(np.random.default_rng(seed), 50 * count)
    lawful = np.isfinite(problem.evaluate(drawn).objectives).all(axis=1)
    assert lawful.sum() >= count
    return drawn[lawful][:count]


@pytest.mark.parametrize("name", ["accelerator", "nasbench201"])
def test_random_actions_reach_every_value_and_values_reach_the_design(
    name: str, problems: dict[str, Any]
) -> None:
    problem = problems[name]
    assert unreached(DesignEnv(problem), 400) == {}
    for design in problem.space.sample(np.random.default_rng(0), 40):
        accelerator = problem.accelerator(design)
        for knob, value in problem.space.decode(design).items():
            if knob.removeprefix("accelerator.") in KNOBS:
                assert getattr(accelerator, knob.removeprefix("accelerator.")) == value


def test_rounded_actions_are_found_out(problems: dict[str, Any]) -> None:
    missed = unreached(RoundedActions(problems["accelerator"]), 400)
    assert missed["rows"] == [16]
    toy = RoundedActions(ToyProblem())
    assert {"rows", "cols", "input_kib", "width"} <= unreached(toy, 600).keys()


@pytest.mark.parametrize("name", AGENTS)
def test_agents_reach_every_value(name: str) -> None:
    asked = np.concatenate([run(ToyProblem(), name, seed, 600).designs for seed in range(4)])
    for column, mask in enumerate(ToyProblem().masks()):
        assert set(np.flatnonzero(mask)) <= set(asked[:, column]), column


@pytest.mark.parametrize("name", ["accelerator", "nasbench201"])
def test_latencies_are_in_milliseconds_whatever_their_size(
    name: str, problems: dict[str, Any]
) -> None:
    problem = problems[name]
    designs = sample(problem, 12)
    latency = problem.evaluate(designs).metrics["latency_ms"]
    assert latency.max() > 1.0 > latency.min()
    assert np.allclose(latency_ratios(problem, designs), 1.0, rtol=1e-12)


def test_lost_units_are_found_out(problems: dict[str, Any]) -> None:
    problem = problems["accelerator"]
    ratios = latency_ratios(LostUnits(problem), sample(problem, 12))
    assert not np.allclose(ratios, 1.0)
    assert np.allclose(ratios.max(), 1000.0)


@pytest.mark.parametrize("name", SPECS)
def test_a_better_design_never_has_the_lower_reward(name: str, problems: dict[str, Any]) -> None:
    problem = problems[name]
    designs = sample(problem, 60)
    preferences = preference_set(len(problem.objectives))
    assert misled(DesignEnv(problem), designs, preferences) == 0.0


def test_an_inverted_reward_is_found_out(problems: dict[str, Any]) -> None:
    problem = problems["accelerator"]
    preferences = preference_set(len(problem.objectives))
    assert misled(InvertedReward(problem), sample(problem, 60), preferences) > 0.5


@pytest.mark.parametrize("name", [name for name in AGENTS if name != "random"])
def test_agents_search_towards_the_objective(name: str) -> None:
    problem = ToyProblem(
        objectives=(Objective("latency_ms", "log", 10.0),), reference_point=np.array([3.0])
    )
    told = problem.evaluate(run(problem, name, 0, 3000).designs)
    latency = np.where(told.feasible, told.metrics["latency_ms"], np.nan)
    assert np.nanmedian(latency[-300:]) < 0.5 * np.nanmedian(latency[:300])


@pytest.mark.parametrize("name", SPECS)
def test_evaluation_writes_no_file_and_a_shared_one_is_found_out(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.envs.archgym_defects", json.dumps(SPECS[name])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    own, shared = json.loads(done.stdout)
    assert own == []
    assert shared == ["policy.json"]


@pytest.mark.parametrize("name", SPECS)
def test_evaluations_at_once_do_not_disturb_each_other(name: str, problems: dict[str, Any]) -> None:
    problem = problems[name]
    batches = [problem.space.sample(np.random.default_rng(seed), 40) for seed in range(8)]
    alone = [problem.evaluate(batch) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(problem.evaluate, batches))
    for one, other in zip(alone, together, strict=True):
        assert one.objectives.tobytes() == other.objectives.tobytes()
        assert one.violation.tobytes() == other.violation.tobytes()
