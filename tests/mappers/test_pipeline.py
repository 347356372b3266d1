"""Pipeline schedules: GPipe's closed forms follow from simulation."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.mappers.pipeline import Stage, bubble, peak_activations, pipeline
from dovetail.sim.tasks import run

COUNTS = st.integers(1, 10)


@given(COUNTS, st.integers(1, 300), st.integers(1, 50), st.integers(0, 100), st.booleans())
def test_bubble_of_balanced_stages(
    count: int, micro: int, forward: int, backward: int, again: bool
) -> None:
    found = run(pipeline([Stage(forward, backward)] * count, micro, rematerialize=again))
    exact = 1 - Fraction(sum(found.busy.values()), found.cycles * count)
    assert exact == Fraction(count - 1, micro + count - 1)
    work = forward + backward + (forward if again and backward else 0)
    assert found.cycles == (micro + count - 1) * work
    assert bubble(found.cycles, found.busy.values()) == pytest.approx(float(exact))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=8),
       st.integers(1, 100))  # fmt: skip
def test_uneven_stages_fill_and_then_wait_for_the_slowest(
    times: list[tuple[int, int]], micro: int
) -> None:
    found = run(pipeline([Stage(f, 0) for f, _ in times], micro))
    forwards = [f for f, _ in times]
    assert found.cycles == sum(forwards) + (micro - 1) * max(forwards)
    stages = [Stage(f, b) for f, b in times]
    late, early = (run(pipeline(stages, micro, early=early)).cycles for early in (False, True))
    assert early <= late
    assert run(pipeline(stages, micro, rematerialize=False)).cycles <= early


def test_deeper_fifos_are_never_slower_and_reach_the_unbounded() -> None:
    stages = [Stage(f) for f in (9, 2, 11, 5)]
    cycles = [run(pipeline(stages, 50, depth=depth)).cycles for depth in (1, 2, 3, 60)]
    assert cycles == sorted(cycles, reverse=True)
    assert cycles[0] > cycles[-1] == run(pipeline(stages, 50)).cycles


@pytest.mark.parametrize(("count", "micro"), [(2, 1), (4, 8), (8, 32)])
def test_memory_is_what_enters_and_one_micro_batch(count: int, micro: int) -> None:
    batch, layers = 128, 48
    events = run(pipeline([Stage(1, 2)] * count, micro), trace=10**6).events
    again = peak_activations(events, layers / count, batch / micro, kept=False)
    assert again == batch + layers / count * batch / micro
    kept = peak_activations(events, layers / count, batch / micro, kept=True)
    assert kept == layers / count * batch


def test_no_stage_and_no_micro_batch() -> None:
    with pytest.raises(MappingError, match="no stages"):
        pipeline([], 4)
    with pytest.raises(MappingError, match="0 micro-batches"):
        pipeline([Stage(1)], 0)
