from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.envs.objectives import (
    assess,
    broken,
    by_constraint,
    constraints_of,
    parse_constraints,
    parse_objectives,
    reference_point,
)
from dovetail.errors import DovetailError, ProblemError, UnknownNameError


def test_objectives_come_in_the_order_asked_for():
    objectives = parse_objectives(["error", "latency_ms"], references={"latency_ms": 5.0})
    assert [o.name for o in objectives] == ["error", "latency_ms"]
    assert [o.scale for o in objectives] == ["linear", "log"]
    np.testing.assert_allclose(objectives[1].normalise(np.array([5.0, 50.0])), [0, 1])
    assert reference_point(objectives).tolist() == [3.0, 1.0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "no objectives"),
        ("error", "must be a list of texts"),
        ([1], "must be a list of texts"),
        (7, "must be a list of texts"),
        (["error", "error"], "twice"),
        (["utilization"], "constrain it"),
        (["latency"], "did you mean latency_ms"),
    ],
)
def test_ill_formed_objectives_are_refused_in_one_line(names, message):
    with pytest.raises(DovetailError, match=message) as error:
        parse_objectives(names)
    assert "\n" not in str(error.value)


def test_objectives_are_limited_to_what_a_problem_has():
    with pytest.raises(UnknownNameError):
        parse_objectives(["error"], available=("latency_ms",))


@pytest.mark.parametrize(
    "text",
    ["area_mm2", "area_mm2<20", "area_mm2<=", "<=3", "area_mm2<=x", "area_mm2<=0", "area_mm2<=-1",
     "area_mm2<=nan", "area_mm2<=inf", "area_mm2<=2<=3", "area mm2<=3", "area<=3", "area_mm2==3"],
)  # fmt: skip
def test_ill_formed_constraints_are_refused_in_one_line(text):
    with pytest.raises((ProblemError, UnknownNameError)) as error:
        parse_constraints([text])
    assert "\n" not in str(error.value)


@given(
    st.sampled_from(["latency_ms", "error", "utilization"]),
    st.sampled_from(["<=", ">="]),
    st.floats(1e-9, 1e9),
)
def test_constraints_survive_their_text(metric, sense, limit):
    (constraint,) = parse_constraints([f" {metric} {sense} {limit!r}"])
    assert (constraint.metric, constraint.sense, constraint.limit) == (metric, sense, limit)
    assert parse_constraints([str(constraint)]) == (constraint,)


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_excess_is_relative_and_zero_within(limit, value):
    upper, lower = parse_constraints([f"area_mm2<={limit!r}", f"area_mm2>={limit!r}"])
    over, under = (c.excess(np.array([value]))[0] for c in (upper, lower))
    assert over == pytest.approx(max(0.0, (value - limit) / limit))
    assert under == pytest.approx(max(0.0, (limit - value) / limit))


def test_violation_sums_laws_and_constraints():
    metrics = {
        "latency_ms": np.array([1.0, 30.0, np.nan]),
        "area_mm2": np.array([5.0, 20.0, np.nan]),
    }
    constraints = parse_constraints(["area_mm2<=10", "latency_ms<=20"])
    result = assess(metrics, np.array([0, 0, 0.25]), parse_objectives(["latency_ms"]), constraints)
    np.testing.assert_allclose(result.violation, [0, 1.5, 0.25])
    assert result.feasible.tolist() == [True, False, False]
    assert np.isnan(result.objectives[2]).all()
    assert broken(metrics, constraints, 0) == []
    assert len(broken(metrics, constraints, 1)) == 2
    assert broken(metrics, constraints, 2) == []


def test_a_sum_of_violations_is_taken_apart():
    constraints = parse_constraints(["area_mm2<=2", "utilization>=0.5"])
    metrics = {
        "area_mm2": np.array([1.0, 3.0, 2.2, np.nan]),
        "utilization": np.array([0.75, 0.1, 0.7, np.nan]),
    }
    laws = np.array([0.0, 0.0, 0.25, 1.0])
    objectives = parse_objectives(["area_mm2"])
    evaluation = assess(metrics, laws, objectives, constraints)
    left, excess = by_constraint(evaluation, constraints)
    np.testing.assert_allclose(left, laws, atol=1e-12)
    assert (left[:2] == 0).all()
    np.testing.assert_allclose(excess[:3], [[-0.5, -0.5], [0.5, 0.8], [0.1, -0.4]])
    assert np.isnan(excess[3]).all()
    alone, none = by_constraint(evaluation, ())
    assert alone is evaluation.violation
    assert none.shape == (4, 0)


def test_problems_without_bounds_have_no_constraints():
    assert constraints_of(object()) == ()
