"""Plans of comparisons, as users write them."""

from __future__ import annotations

import pytest

from dovetail.errors import ProblemError, UnknownNameError
from dovetail.studies.comparison.plan import Limits, Plan, parse_contenders, undrawn

LIMITS = Limits(100, 1.0, 1000, 10.0)


def plan(*texts: str, draws: int = 2, seeds: int = 3, first: int = 5) -> Plan:
    return Plan(parse_contenders(texts), draws, seeds, first, LIMITS)


def test_all_draws_and_seeds_of_all_agents_run_once() -> None:
    runs = plan("nsga2", "cem:batch=64").runs()
    assert len(runs) == 12
    assert len({run.name for run in runs}) == 12
    assert {run.seed for run in runs} == {5, 6, 7}
    cem = [run.settings for run in runs if run.agent == "cem"]
    assert {settings["batch"] for settings in cem} == {64}
    assert len({settings["elite"] for settings in cem}) == 2
    defaults = [run.settings for run in runs if run.agent == "nsga2" and run.draw == 0]
    assert {settings["population"] for settings in defaults} == {100}


def test_more_draws_and_seeds_keep_the_runs_there_were() -> None:
    few = {run.name: run for run in plan("nsga2", "genetic").runs()}
    many = {run.name: run for run in plan("nsga2", "genetic", "random", draws=3, seeds=4).runs()}
    assert few.items() <= many.items()


def test_an_agent_with_nothing_to_draw_has_one_draw() -> None:
    runs = plan("random", "pymoo:population=20").runs()
    assert {run.draw for run in runs} == {0}
    assert len(runs) == 6
    assert all(undrawn(contender) for contender in plan("random").contenders)


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        (("nsga2", "nsga2"), "stands twice"),
        (("cem:batch=1", "cem-batch=1"), "unknown agent"),
        ((), "no agents"),
        (("nsga2:population",), "write NAME or NAME:KEY=VALUE"),
        (("nsga2:population=1:population=2",), "write NAME or NAME:KEY=VALUE"),
        (("nsga2:size=1",), "has no setting 'size'"),
        (("nsga2:population=x",), "must be of type int"),
        (("nsga",), "did you mean nsga2"),
    ],
)
def test_agents_that_cannot_be_meant(texts: tuple[str, ...], complaint: str) -> None:
    with pytest.raises((ProblemError, UnknownNameError), match=complaint):
        plan(*texts)


def test_a_run_ends_when_both_are_met_or_at_a_cap() -> None:
    assert not LIMITS.ended(100, 0.5)
    assert not LIMITS.ended(99, 9.0)
    assert LIMITS.ended(100, 1.0)
    assert LIMITS.ended(1000, 0.0)
    assert LIMITS.ended(1, 10.0)
    for wrong in ((0, 1.0, 10, 10.0), (10, 0.0, 10, 1.0), (10, 1.0, 9, 1.0), (10, 1.0, 10, 0.5)):
        with pytest.raises(ProblemError):
            Limits(*wrong)
