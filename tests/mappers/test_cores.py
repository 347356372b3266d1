from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.mappers.cores import Choice, _run, assign
from dovetail.mappers.found import OBJECTIVES

BANDWIDTH = 4.0


@st.composite
def graphs(draw: st.DrawFn, most: int = 6) -> list[Choice]:
    choices = []
    for index in range(draw(st.integers(1, most))):
        durations = (draw(st.floats(0.1, 10)), draw(st.floats(0.1, 10)))
        moved = tuple(draw(st.floats(0, 1)) * d * BANDWIDTH for d in durations)
        energies = (draw(st.floats(0, 10)), draw(st.floats(0, 10)))
        needs = draw(st.lists(st.integers(0, index - 1), unique=True)) if index else []
        choices.append(Choice(durations, moved, energies, tuple(sorted(needs))))
    return choices


@settings(max_examples=50)
@given(graphs(), st.sampled_from(OBJECTIVES))
def test_few_operators_are_assigned_best(choices, objective):
    found = assign(choices, BANDWIDTH, objective)
    assert found.proven
    order = sorted(range(len(choices)), key=lambda i: i)
    for cores in itertools.product((0, 1), repeat=len(choices)):
        if objective == "energy":
            other = _run(choices, order, cores, BANDWIDTH, objective)
            assert found.value <= other.value + 1e-9
    single = [_run(choices, order, (c,) * len(choices), BANDWIDTH, "latency") for c in (0, 1)]
    if objective == "latency":
        assert found.value <= min(run.value for run in single) + 1e-9


@settings(max_examples=30)
@given(graphs(most=30), st.sampled_from(OBJECTIVES))
def test_many_operators_are_never_worse_than_on_one_core(choices, objective):
    found = assign(choices, BANDWIDTH, objective)
    makespan = max(end for _, end in found.times)
    moved = sum(c.bytes[core] for c, core in zip(choices, found.cores, strict=True))
    assert makespan >= moved / BANDWIDTH * (1 - 1e-9)
    for core in (0, 1):
        energy = sum(choice.energies[core] for choice in choices)
        time = sum(choice.durations[core] for choice in choices)
        value = {"latency": time, "energy": energy, "edp": time * energy}[objective]
        assert found.value <= value * (1 + 1e-9) + 1e-9


def test_independent_operators_run_side_by_side():
    choices = [Choice((4.0, 4.0), (0.0, 0.0), (1.0, 1.0), ()) for _ in range(20)]
    found = assign(choices, BANDWIDTH, "latency")
    assert not found.proven
    assert found.value == pytest.approx(40.0)


def test_operators_go_where_they_are_fast():
    fast, slow = (1.0, 9.0), (9.0, 1.0)
    choices = [
        Choice(d, (0.0, 0.0), (1.0, 1.0), (i - 1,) if i else ())
        for i, d in enumerate([fast, slow] * 10)
    ]
    found = assign(choices, BANDWIDTH, "latency")
    assert found.cores == (0, 1) * 10
    assert found.value == pytest.approx(20.0)
