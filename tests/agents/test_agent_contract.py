"""One checker over all agents, and what the registry and settings promise."""

from __future__ import annotations

import dataclasses
import inspect
import random
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dovetail.agents import base
from dovetail.agents.base import factory, make_agent, names, resolve_settings
from dovetail.envs.problem import Objective
from dovetail.errors import MissingExtraError, ProblemError, UnknownNameError
from dovetail.ir.space import IntArray, Knob, Space
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore
from tests.agents.driver import run
from tests.agents.toy import ToyProblem

SMALL: dict[str, dict[str, object]] = {
    "annealing": {"chains": 16, "horizon": 64},
    "ant_colony": {"ants": 16, "elite": 4},
    "cem": {"batch": 16, "elite": 4},
    "ego": {"initial": 12, "pool": 16, "rounds": 2, "modelled": 30, "local": 16},
    "genetic": {"population": 16, "niche": 4},
    "optuna": {"batch": 4, "startup": 4},
    "predictor": {"initial": 16, "batch": 8, "population": 8, "generations": 3},
    "pymoo": {"population": 16},
    "random": {"batch": 16},
    "reinforce": {"batch": 16, "group": 8},
    "reinforce_lstm": {"batch": 16, "group": 8, "hidden": 16, "horizon": 24, "population": 16},
    "nsga2": {"population": 16},
    "ppo": {"batch": 16, "group": 8},
    "maskable_ppo": {"batch": 16, "group": 8},
    "bayesian": {"initial": 12, "batch": 2, "iterations": 8, "pool": 32, "samples": 4},
    "bayesian_mf": {"initial": 12, "batch": 2, "iterations": 8, "pool": 32, "samples": 4},
}
BUILT_IN = sorted(SMALL)
PARTICULAR = {"nasaic", "nemo", "rhnas"}
"""Agents of one kind of problem, with tests of their own; they refuse the toy."""


def disturb() -> None:
    """What other code may do to the global random states between two calls."""
    random.seed(1)
    np.random.seed(2)
    np.random.random(3)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(3)


UNMASKED = {"random", "nsga2", "ppo", "bayesian", "bayesian_mf", "optuna", "pymoo"}
MASKED = sorted(set(BUILT_IN) - UNMASKED)
"""Agents that ask no value that masks exclude."""


def asks(name: str, seed: int, rounds: int, between: Callable[[], None]) -> IntArray:
    problem = ToyProblem()
    agent = make_agent(name, problem, seed, SMALL[name])
    batches = []
    for _ in range(rounds):
        designs = agent.ask()
        between()
        agent.tell(designs, problem.evaluate(designs))
        between()
        batches.append(designs)
    return np.concatenate(batches)


def test_the_checker_covers_every_agent_of_the_package() -> None:
    assert sorted(base.REGISTRY.keys() - PARTICULAR) == BUILT_IN
    assert set(BUILT_IN) <= set(names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_asks_are_legal_and_a_function_of_seed_and_tells(name: str) -> None:
    first = asks(name, seed=7, rounds=3, between=disturb)
    assert first.dtype == np.int64
    ToyProblem().space.check(first)
    again = asks(name, seed=7, rounds=3, between=lambda: None)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, asks(name, seed=8, rounds=3, between=disturb))


@pytest.mark.parametrize("name", MASKED)
def test_masked_values_are_never_asked(name: str) -> None:
    masks = ToyProblem().masks()
    assert not all(mask.all() for mask in masks)
    for column, mask in zip(asks(name, 0, 4, lambda: None).T, masks, strict=True):
        assert mask[column].all()


@pytest.mark.parametrize("name", BUILT_IN)
def test_half_a_study_resumes_to_the_whole(name: str, tmp_path: Path) -> None:
    """The second half of a study is what a fresh agent asks after it was told the first."""
    problem = ToyProblem()
    budget = 16 if name.startswith("bayesian") else 40
    spec = StudySpec.of(problem, name, resolve_settings(name, SMALL[name]), 3, budget)
    for file, budgets in (("whole", [budget]), ("halves", [13, budget])):
        for spent in budgets:
            with open_study(tmp_path / file, spec.with_budget(spent), resume=True) as store:
                run_study(problem, store, budget=spent)
    found = []
    for file in ("whole", "halves"):
        with StudyStore.open(tmp_path / file) as store:
            found.append(store.records().designs)
    assert len(found[0]) == budget
    assert np.array_equal(*found)


@pytest.mark.parametrize("name", BUILT_IN)
def test_one_objective_is_enough(name: str) -> None:
    problem = ToyProblem(
        objectives=(Objective("latency_ms", "log", 10.0),), reference_point=np.array([3.0])
    )
    trace = run(problem, name, 0, 48, SMALL[name])
    problem.space.check(trace.designs)
    evaluation = problem.evaluate(trace.designs)
    assert trace.archive.objectives.tolist() == [[evaluation.objectives[evaluation.feasible].min()]]


@pytest.mark.parametrize("name", BUILT_IN)
def test_global_randomness_is_left_alone(name: str) -> None:
    def draws() -> tuple[float, float]:
        return random.random(), float(np.random.random())

    random.seed(5)
    np.random.seed(5)
    expected = draws()
    random.seed(5)
    np.random.seed(5)
    asks(name, seed=0, rounds=2, between=lambda: None)
    assert draws() == expected


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_last_batch_may_be_told_in_part(name: str) -> None:
    problem = ToyProblem()
    agent = make_agent(name, problem, 0, SMALL[name])
    designs = agent.ask()[:1]
    agent.tell(designs, problem.evaluate(designs))
    problem.space.check(agent.ask())


@pytest.mark.parametrize("name", BUILT_IN)
def test_knobs_with_one_value_and_exhausted_spaces_are_fine(name: str) -> None:
    knobs = list(ToyProblem().space.knobs)
    assert knobs[2].name == "dataflow"
    knobs = [Knob(k.name, k.values[: 1 + (i < 2)], k.ordered) for i, k in enumerate(knobs)]
    problem = dataclasses.replace(ToyProblem(), space=Space(tuple(knobs)))
    agent = make_agent(name, _Unmasked(problem), 0, SMALL[name])
    for _ in range(4):
        designs = agent.ask()
        problem.space.check(designs)
        agent.tell(designs, problem.evaluate(designs))


@pytest.mark.parametrize("name", BUILT_IN)
def test_settings_are_frozen_documented_and_checked(name: str) -> None:
    args = factory(name).Args
    defaults = args()
    documented = "".join(inspect.getdoc(kind) or "" for kind in args.__mro__)
    for field in dataclasses.fields(args):
        assert f"\n    {field.name}: " in documented, field.name
    assert resolve_settings(name) == dataclasses.asdict(defaults)
    with pytest.raises(ProblemError, match=r"has no setting 'bathc'.*known: "):
        make_agent(name, ToyProblem(), 0, {"bathc": 3})
    first = dataclasses.fields(args)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(defaults, first, 3)
    assert resolve_settings(name, {first: "64"})[first] == 64
    for wrong in (-1, "many", 1.5, None, True, 10**30):
        with pytest.raises(ProblemError, match="must be"):
            make_agent(name, ToyProblem(), 0, {first: wrong})


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("ppo", "stable_baselines3", "rl"), ("maskable_ppo", "sb3_contrib", "rl"),
     ("bayesian", "botorch", "bo"), ("ppo", "torch", "rl"), ("optuna", "optuna", "optuna"),
     ("reinforce_lstm", "torch", "rl")],
)  # fmt: skip
def test_a_missing_extra_is_named(
    name: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"'{module}'.*dovetail\[{extra}\]"):
        make_agent(name, ToyProblem(), 0)


def test_unknown_agents_are_refused_with_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean nsga2"):
        make_agent("nsga", ToyProblem(), 0)


def test_other_packages_add_agents_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint, EntryPoints

    point = EntryPoint("dice", "dovetail.agents.random_search:RandomAgent", base.GROUP)

    def found(**wanted: str) -> EntryPoints:
        return EntryPoints([point]).select(**wanted)

    monkeypatch.setattr(base, "entry_points", found)
    assert "dice" in names()
    designs = make_agent("dice", ToyProblem(), 0, {"batch": 5}).ask()
    assert designs.shape == (5, 12)


class _Unmasked:
    """A problem whose masks fit a changed space: everything is allowed."""

    def __init__(self, problem: ToyProblem) -> None:
        self._problem = problem

    def __getattr__(self, name: str) -> object:
        return getattr(self._problem, name)

    def masks(self) -> tuple[np.ndarray, ...]:
        return tuple(np.ones(len(k.values), dtype=np.bool_) for k in self._problem.space.knobs)
