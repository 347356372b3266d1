"""Hyperparameter draws: every one makes settings that its agent takes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dovetail.agents import base
from dovetail.agents.ranges import RANGES, Choice, Range, draw_settings, ranges_of
from dovetail.errors import ProblemError


@pytest.mark.parametrize("agent", RANGES)
def test_every_draw_is_lawful_and_moves_every_setting_that_has_a_range(agent: str) -> None:
    draws = [base.resolve_settings(agent, draw_settings(agent, {}, k)) for k in range(1, 60)]
    for name in RANGES[agent]:
        assert len({draw[name] for draw in draws}) > 1, name


@pytest.mark.parametrize("agent", RANGES)
def test_defaults_lie_within_their_ranges(agent: str) -> None:
    defaults = base.resolve_settings(agent)
    for name, range_ in ranges_of(agent).items():
        value = defaults[name]
        if isinstance(range_, Choice):
            assert value in range_.values, name
        else:
            assert range_.low <= value <= range_.high, name  # type: ignore[operator]


def test_draws_depend_on_agent_and_number_alone() -> None:
    assert draw_settings("nsga2", {}, 0) == {}
    assert draw_settings("nsga2", {}, 3) == draw_settings("nsga2", {}, 3)
    assert draw_settings("nsga2", {}, 3) != draw_settings("nsga2", {}, 4)
    fixed = draw_settings("nsga2", {"population": 50}, 3)
    assert fixed == draw_settings("nsga2", {}, 3) | {"population": 50}


def test_logarithmic_ranges_have_their_median_at_the_geometric_mean() -> None:
    rng = np.random.default_rng(0)
    values = [Range(1, 10_000, log=True).draw(rng) for _ in range(2000)]
    assert 70 < np.median(values) < 140
    wholes = [Range(1, 3, whole=True).draw(rng) for _ in range(100)]
    assert set(wholes) == {1, 2, 3}


def test_an_agent_says_its_own_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    made = base.factory("random")
    assert ranges_of("random") == {}
    monkeypatch.setattr(made, "RANGES", {"batch": Choice((1, 2))}, raising=False)
    assert draw_settings("random", {}, 1)["batch"] in (1, 2)


@pytest.mark.parametrize(("low", "high", "log"), [(2, 2, False), (0, 1, True)])
def test_ranges_that_make_no_sense(low: float, high: float, log: bool) -> None:
    with pytest.raises(ProblemError, match="low must be"):
        Range(low, high, log=log)


def test_args_of_the_ranges_exist() -> None:
    for agent, ranges in RANGES.items():
        fields = {field.name for field in dataclasses.fields(base.factory(agent).Args)}
        assert set(ranges) <= fields
