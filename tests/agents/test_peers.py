"""Optuna's samplers and pymoo's algorithms as agents."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.optuna_sampler import SAMPLERS
from dovetail.agents.pymoo_algorithm import ALGORITHMS
from dovetail.envs.problem import Objective
from dovetail.errors import MissingExtraError, UnknownNameError
from dovetail.ir.space import IntArray
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

PEERS = [
    *(("optuna", {"sampler": name, "batch": 5, "startup": 5, "population": 10})
      for name in SAMPLERS if name != "gp"),
    *(("pymoo", {"algorithm": name, "population": 12}) for name in ALGORITHMS),
]  # fmt: skip


def asked(name: str, settings: dict[str, object], seed: int, budget: int = 40) -> IntArray:
    return run(ToyProblem(), name, seed, budget, settings).designs


@pytest.mark.parametrize(("name", "settings"), PEERS)
def test_every_peer_is_legal_and_reproducible(name: str, settings: dict[str, object]) -> None:
    first = asked(name, settings, 3)
    ToyProblem().space.check(first)
    np.random.seed(1)
    assert np.array_equal(first, asked(name, settings, 3))
    assert not np.array_equal(first, asked(name, settings, 4))


@pytest.mark.parametrize(("name", "settings"), PEERS)
def test_every_peer_takes_one_objective_and_part_of_a_batch(
    name: str, settings: dict[str, object]
) -> None:
    problem = ToyProblem(
        objectives=(Objective("latency_ms", "log", 10.0),), reference_point=np.array([3.0])
    )
    agent = make_agent(name, problem, 0, settings)
    for part in (None, None, 3):
        designs = agent.ask()[:part]
        agent.tell(designs, problem.evaluate(designs))
    problem.space.check(agent.ask())


def test_the_gaussian_process_sampler_runs() -> None:
    settings = {"sampler": "gp", "startup": 4}
    problem = dataclasses.replace(ToyProblem(), objectives=ToyProblem().objectives[:1])
    problem = dataclasses.replace(problem, reference_point=np.array([1.0]))
    first = run(problem, "optuna", 1, 7, settings).designs
    assert np.array_equal(first, run(problem, "optuna", 1, 7, settings).designs)


@pytest.mark.parametrize(
    ("name", "settings", "budget"),
    [
        ("optuna", {"sampler": "tpe"}, 150),
        ("optuna", {"sampler": "nsga2", "population": 20}, 600),
        ("optuna", {"sampler": "nsga3", "population": 20}, 600),
        ("pymoo", {"algorithm": "nsga2", "population": 20}, 600),
        ("pymoo", {"algorithm": "nsga3", "population": 20}, 600),
        ("pymoo", {"algorithm": "sms_emoa", "population": 20}, 600),
        ("pymoo", {"algorithm": "spea2", "population": 20}, 600),
        ("pymoo", {"algorithm": "age_moea", "population": 20}, 600),
    ],
)
def test_peers_learn(name: str, settings: dict[str, object], budget: int) -> None:
    """More of their later designs are feasible, and their front is larger than a random one."""
    problem = ToyProblem()
    trace = run(problem, name, 0, budget, settings)
    feasible = problem.evaluate(trace.designs).feasible
    assert feasible[-100:].mean() > 1.5 * feasible[: settings.get("population", 10)].mean()
    blind = run(problem, "random", 0, budget, {"batch": 50})
    assert trace.archive.hypervolume > blind.archive.hypervolume


def test_unknown_peers_are_refused_with_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean nsga"):
        make_agent("optuna", ToyProblem(), 0, {"sampler": "nsga"})
    with pytest.raises(UnknownNameError, match=r"did you mean .*sms_emoa"):
        make_agent("pymoo", ToyProblem(), 0, {"algorithm": "sms_moea"})


@pytest.mark.parametrize(("sampler", "module"), [("cmaes", "cmaes"), ("gp", "torch")])
def test_what_a_sampler_lacks_is_named(
    sampler: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"sampler={sampler} needs the module '{module}'"):
        make_agent("optuna", ToyProblem(), 0, {"sampler": sampler})
