from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.sim.sharing import Task, share

BANDWIDTH = 10.0


@st.composite
def task_lists(draw: st.DrawFn) -> list[Task]:
    """Random graphs of tasks none of which alone wants more than the bandwidth."""
    tasks = []
    for index in range(draw(st.integers(1, 12))):
        duration = draw(st.just(0.0) | st.floats(0.01, 100))
        moved = draw(st.floats(0, 1)) * duration * BANDWIDTH
        needs = draw(st.lists(st.integers(0, index - 1), unique=True)) if index else []
        tasks.append(Task(draw(st.integers(0, 2)), duration, moved, tuple(needs)))
    return tasks


@given(task_lists())
def test_laws_of_sharing(tasks):
    times = share(tasks, BANDWIDTH)
    total = max(end for _, end in times)
    assert total >= sum(task.bytes for task in tasks) / BANDWIDTH * (1 - 1e-9)
    for task, (start, end) in zip(tasks, times, strict=True):
        assert end - start >= task.duration * (1 - 1e-9) - 1e-9
        assert all(times[need][1] <= start for need in task.needs)
    for core in range(3):
        own = sorted(t for t, task in zip(times, tasks, strict=True) if task.core == core)
        assert all(a[1] <= b[0] + 1e-9 for a, b in itertools.pairwise(own))
    assert total <= sum(task.duration for task in tasks) * (1 + 1e-9) + 1e-9


@given(task_lists())
def test_more_bandwidth_for_all_changes_nothing_alone(tasks):
    alone = share(tasks, 1e12)
    for task, (start, end) in zip(tasks, alone, strict=True):
        assert end - start == pytest.approx(task.duration, abs=1e-6)


def test_two_tasks_that_want_it_all_take_twice_as_long():
    tasks = [Task(0, 5.0, 50.0), Task(1, 5.0, 50.0)]
    assert share(tasks, BANDWIDTH) == [(0.0, 10.0), (0.0, 10.0)]


def test_a_computing_task_slows_down_with_its_neighbour_only():
    # 10 + 5 wanted of 10: both run at 2/3; then the second runs on alone.
    times = share([Task(0, 4.0, 40.0), Task(1, 8.0, 40.0)], BANDWIDTH)
    assert times[0] == (0.0, pytest.approx(6.0))
    assert times[1] == (0.0, pytest.approx(10.0))


def test_a_core_runs_its_tasks_in_order():
    tasks = [Task(0, 2.0, 0.0), Task(1, 1.0, 0.0), Task(0, 1.0, 0.0, (1,)), Task(1, 1.0, 0.0, (2,))]
    assert share(tasks, BANDWIDTH) == [(0, 2), (0, 1), (2, 3), (3, 4)]


def test_nothing_takes_no_time():
    assert share([], BANDWIDTH) == []
