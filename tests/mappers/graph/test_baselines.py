"""The baselines: whom they evict, and where the arena places."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError, UnknownNameError
from dovetail.mappers.graph import Problem, minimum_peak, replay
from dovetail.mappers.graph.arena import arena
from dovetail.mappers.graph.baselines import CHOOSERS, belady, least_bytes, run_baseline
from dovetail.mappers.graph.packing import Block
from tests.mappers.graph.graphs import problem, problems

KB = 1000
SIZES = {0: 150 * KB, 1: 60 * KB, 2: 60 * KB}
NEXT = {0: 90, 1: 10, 2: 11}


def test_belady_evicts_the_far_tensor_and_greedy_the_fewest_bytes() -> None:
    assert belady(SIZES, NEXT, 100 * KB) == [0]
    assert sorted(least_bytes(SIZES, NEXT, 100 * KB)) == [1, 2]
    moved = [2 * sum(SIZES[a] for a in f(SIZES, NEXT, 100 * KB)) for f in (belady, least_bytes)]
    assert moved == [300 * KB, 240 * KB]


def test_greedy_prefers_later_uses_among_equal_bytes() -> None:
    assert least_bytes({0: 5, 1: 5, 2: 5}, {0: 3, 1: 9, 2: 4}, 4) == [1]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=7), st.data())
def test_greedy_moves_the_least_bytes_that_cover(sizes: list[int], data: st.DataObject) -> None:
    deficit = data.draw(st.integers(1, sum(sizes)))
    table = dict(enumerate(sizes))
    chosen = least_bytes(table, dict.fromkeys(table, 1), deficit)
    sums = {0}
    for size in sizes:
        sums |= {total + size for total in sums}
    assert sum(table[a] for a in chosen) == min(total for total in sums if total >= deficit)


def test_the_arena_places_whole_lifetimes_first_then_large_ones_into_the_best_gap() -> None:
    blocks = [Block(0, 1, 4), Block(0, 3, 1), Block(2, 3, 3), Block(1, 2, 2), Block(3, 3, 2)]
    # 1 lives throughout: 0. Then sizes 4, 3: both above it, as they share no step. Then the twos.
    assert arena(blocks, 4) == [1, 0, 1, 5, 4]


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.integers(1, 9)), min_size=1,
             max_size=8)
)  # fmt: skip
def test_the_arena_never_overlaps(rows: list[tuple[int, int, int]]) -> None:
    blocks = [Block(start, start + more, size) for start, more, size in rows]
    addresses = arena(blocks, 11)
    for i, a in enumerate(blocks):
        for j, b in enumerate(blocks[:i]):
            shared = a.start <= b.end and b.start <= a.end
            apart = addresses[i] >= addresses[j] + b.size or addresses[j] >= addresses[i] + a.size
            assert apart or not shared


@settings(max_examples=40, deadline=None)
@given(problems(most=6), st.sampled_from(sorted(CHOOSERS)), st.booleans())
def test_a_baseline_that_places_is_legal(p: Problem, chooser: str, repair: bool) -> None:
    baseline = run_baseline(p, p.required_bytes, p.default_order, chooser, repair=repair)
    if baseline.traffic is None:
        assert baseline.arena_bytes > p.required_bytes
    else:
        assert replay(p, baseline.plan) == baseline.traffic


def test_with_room_for_all_nothing_moves() -> None:
    p = problem((4, 0, (2,)), (3, 1, (2,)), (2, 2, ()), operators=3)
    baseline = run_baseline(p, minimum_peak(p).peak_bytes, (0, 1, 2), "belady")
    assert baseline.traffic is not None
    assert baseline.traffic.bytes == 0


def test_what_does_not_fit_and_what_is_unknown_is_named() -> None:
    p = problem((4, 0, ()), operators=1)
    with pytest.raises(MappingError, match="cannot run operator 'op0'"):
        run_baseline(p, 3, (0,), "belady")
    with pytest.raises(UnknownNameError, match="did you mean belady"):
        run_baseline(p, 9, (0,), "beladi")
    with pytest.raises(MappingError, match="every operator once"):
        run_baseline(p, 9, (0, 0), "belady")
