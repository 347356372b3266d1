"""Steps of the FPGA engines: the closed form against every row, simulated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.mappers.engines.program import END, ROOM, program
from dovetail.sim import tasks
from dovetail.sim.fpga.steps import Stage, Step, spans


def step(rows, *cycles, latency=0, load=0, memory=0):
    names = [*("read", "linear", "requantize", "gelu")[: len(cycles) - 1], "write"]
    stages = tuple(Stage(name, count) for name, count in zip(names, cycles, strict=True))
    return Step("op", rows, stages, latency, memory=memory, load=load)


def simulated(steps):
    at = tasks.run(program(steps)).first_start
    return [at[f"step {i}"] for i in range(len(steps))] + [at[END]]


def estimated(steps):
    found = spans(steps)
    return [span.start for span in found] + [found[-1].end]


def test_one_step_by_hand():
    alone = step(10, 3, 7, 2, latency=5)
    assert (alone.compute, alone.fill, alone.pipeline) == (70, 3 + 2 + 5, 80)
    assert estimated([alone]) == simulated([alone]) == [0, 80]
    # Memory that takes 100 cycles holds the next step back; weights of 50 cycles the first row.
    assert estimated([replace(alone, memory=100), alone]) == [0, 100, 180]
    assert estimated([replace(alone, load=50)]) == [0, 50 + 70 + 2 + 5]


def test_weights_load_beside_the_work_before_them():
    one = step(10, 1, 10, 1, load=90)
    # Each loads while the one before it works: 90, then 100 for each and its first and last words.
    assert estimated([one] * 3) == simulated([one] * 3) == [0, 191, 293, 395]
    slow = step(10, 1, 10, 1, load=300)
    # Two buffers: the third may load only once the first was worked off.
    assert estimated([slow] * 3) == simulated([slow] * 3) == [0, 401, 701, 1001]
    gap = step(5, 1, 100, 1)
    assert estimated([slow, gap, slow]) == simulated([slow, gap, slow])  # loads beside others, too


def steps_of(stages, cycles):
    return st.builds(
        lambda rows, counts, latency, load, memory: step(
            rows, *counts, latency=latency, load=load, memory=memory
        ),
        st.integers(1, 12),
        st.lists(cycles, min_size=3, max_size=stages),
        st.integers(0, 9),
        st.integers(0, 120),
        st.integers(0, 60),
    )


ANY = st.lists(steps_of(5, st.integers(1, 12)), min_size=1, max_size=7)


def compute_bound(each):
    slowest = each.slowest
    return replace(each, stages=(each.stages[0], Stage("linear", slowest), *each.stages[2:]))


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_the_closed_form_is_exact_where_engines_are_slowest(steps):
    bound = [compute_bound(each) for each in steps]
    assert estimated(bound) == simulated(bound)


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_elsewhere_it_is_at_most_two_rows_per_load_too_long(steps):
    found, exact = estimated(steps), simulated(steps)
    slack = sum(ROOM * each.slowest for each in steps if each.load)
    assert exact[-1] <= found[-1] <= exact[-1] + slack
    if not any(each.load for each in steps):
        assert found == exact


@settings(max_examples=60, deadline=None)
@given(ANY)
def test_no_engine_works_longer_than_the_program(steps):
    times = tasks.run(program(steps))
    assert times.busy.get("weights", 0) == sum(each.load for each in steps)
    assert times.busy["linear"] == sum(each.compute for each in steps)
    assert max(times.busy.values()) <= times.cycles == simulated(steps)[-1]


@settings(max_examples=60, deadline=None)
@given(ANY, st.integers(0, 6), st.integers(1, 30))
def test_slower_parts_never_make_it_faster(steps, place, more):
    index = place % len(steps)
    before = spans(steps)[-1].end
    for change in ("load", "memory", "latency"):
        slower = list(steps)
        slower[index] = replace(slower[index], **{change: getattr(slower[index], change) + more})
        assert spans(slower)[-1].end >= before


def test_long_steps_cost_no_time():
    long = step(10**9, 3, 7, 2, latency=5, load=4)
    assert simulated([long, long])[-1] == estimated([long, long])[-1] > 14 * 10**9


def test_a_program_holds_as_many_rows_as_there_is_room():
    events = tasks.run(program([step(6, 1, 10, 1)]), trace=100).events
    reads = [start for name, _, start, _ in events if name == "read"]
    works = [end for name, _, _, end in events if name == "linear"]
    assert all(reads[i + ROOM] >= works[i] for i in range(6 - ROOM))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_rows(rows):
    few = step(rows, 2, 5, 1, latency=3, load=1)
    assert simulated([few, few]) == estimated([few, few])
