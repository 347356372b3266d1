"""The optimum: search, program and schedule against enumeration of everything."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.mappers.graph import Problem, bound, minimum_peak, replay, schedule
from dovetail.mappers.graph.baselines import CHOOSERS, run_baseline
from dovetail.mappers.graph.fixed import FixedMaster
from dovetail.mappers.graph.free import FreeMaster
from dovetail.mappers.graph.order import beam_order, peak_of
from dovetail.mappers.graph.plan import bytes_of, stays_of
from dovetail.mappers.graph.search import search
from tests.mappers.graph.graphs import brute_force, drops, orders, peak, problem, problems
from tests.mappers.graph.literal import literal_optimum

EXAMPLES = settings(max_examples=25, deadline=None)


def budgets(p: Problem, share: float) -> int:
    """A budget between the least that runs every operator and the least that never spills."""
    least, most = p.required_bytes, min(peak(p, order) for order in orders(p))
    return least + round(share * (most - least))


@EXAMPLES
@given(problems(most=6))
def test_the_minimum_peak_is_that_of_all_orders(p: Problem) -> None:
    found = minimum_peak(p)
    assert found.proven
    assert found.peak_bytes == min(peak(p, order) for order in orders(p))
    assert found.peak_bytes == peak(p, found.order) == peak_of(p, found.order)


@EXAMPLES
@given(problems(most=6))
def test_the_beam_gives_a_legal_order(p: Problem) -> None:
    order = p.check_order(beam_order(p, width=2))
    assert peak_of(p, order) >= minimum_peak(p).peak_bytes


@EXAMPLES
@given(problems(), st.sampled_from([0.0, 0.5, 1.0]))
def test_search_and_program_find_the_capacity_optimum(p: Problem, share: float) -> None:
    budget = budgets(p, share)
    best = brute_force(p, budget, contiguous=False)
    draft = search(p, budget, time_limit_s=20)
    assert draft.status == "optimal"
    assert draft.bound_bytes == best == bytes_of(p, draft.dropped)
    program = FreeMaster(p, budget).solve(20)
    assert program.status == "optimal"
    assert program.bound_bytes == best == bytes_of(p, program.dropped)


@EXAMPLES
@given(problems(), st.sampled_from([0.0, 0.5, 1.0]))
def test_the_program_of_an_order_is_optimal_for_it(p: Problem, share: float) -> None:
    budget = budgets(p, share)
    draft = FixedMaster(p, p.default_order, budget).solve(20)
    kept = [d for d in drops(p, p.default_order) if _fits(p, d, budget)]
    assert draft.status == "optimal"
    assert bytes_of(p, draft.dropped) == min(bytes_of(p, d) for d in kept) == draft.bound_bytes


def _fits(p: Problem, dropped: frozenset[tuple[int, int]], budget: int) -> bool:
    stays = stays_of(p, p.default_order, dropped)
    loads = (
        sum(p.items[s.item].size for s in stays if s.start <= t <= s.end)
        for t in range(len(p.operators))
    )
    return max(loads) <= budget


@settings(max_examples=40, deadline=None)
@given(problems(most=4), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_schedule_is_optimal_and_replays(p: Problem, share: float) -> None:
    budget = budgets(p, share)
    best = brute_force(p, budget)
    if math.isinf(best):
        with pytest.raises(MappingError):
            schedule(p, budget)
        return
    found = schedule(p, budget)
    assert found.proven
    assert found.traffic.bytes == best == found.bound_bytes
    assert replay(p, found.plan) == found.traffic
    assert found.traffic.extent_bytes <= budget


@EXAMPLES
@given(problems(most=6), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(sorted(CHOOSERS)))
def test_no_baseline_beats_the_proven_optimum(p: Problem, share: float, chooser: str) -> None:
    budget = budgets(p, share)
    baseline = run_baseline(p, budget, p.default_order, chooser)
    assume(baseline.traffic is not None)
    assert baseline.traffic is not None
    found = schedule(p, budget)
    assert found.proven
    assert found.traffic.bytes <= baseline.traffic.bytes


def halves() -> Problem:
    """Four bytes are alive at most, but no contiguous placement holds them.

    t0 and t1 fill a half each, so that t2 and t3, which follow beside t1, share a half. As t5 ends
    beside t6, t3 and t4 share one, too. But t2, t3 and t4 are alive together.
    """
    rows = [(2, 0, ()), (2, 0, (1,)), (1, 1, (2,)), (1, 1, (3,)), (1, 2, (3,)), (2, 3, (4,)),
            (2, 4, ())]  # fmt: skip
    return problem(*rows, operators=5)


def test_where_no_contiguous_placement_exists_zero_is_refuted() -> None:
    p = halves()
    peak = minimum_peak(p)
    assert (peak.peak_bytes, peak.proven) == (4, True)
    found = schedule(p, 4)
    assert found.proven
    assert found.traffic.bytes == brute_force(p, 4) == literal_optimum(p, 4) == 2
    assert brute_force(p, 4, contiguous=False) == 0
    assert schedule(p, 5).traffic.bytes == 0


def test_a_fixed_order_refutes_it_too() -> None:
    found = schedule(halves(), 4, order=range(5))
    assert found.proven
    assert found.traffic.bytes == 2


def test_a_free_operator_and_a_second_copy_do_not_help() -> None:
    rows = [(i.size, i.producer, i.consumers) for i in halves().items]
    free = schedule(problem(*rows, (1, 5, ()), operators=6), 4)
    assert (free.traffic.bytes, free.proven) == (2, True)
    copy = [(size, op + 5, tuple(c + 5 for c in read)) for size, op, read in rows if op is not None]
    both = schedule(problem(*rows, *copy, operators=10), 4)
    assert (both.traffic.bytes, both.proven) == (4, True)


def test_a_larger_scratchpad_never_costs_more() -> None:
    rows = [(4, 0, (1, 4)), (3, 1, (2, 5)), (2, 2, (3,)), (3, 3, (4,)), (1, 4, (5,)), (2, 5, ())]
    p = problem(*rows, operators=6)
    costs = [schedule(p, b).traffic.bytes for b in range(p.required_bytes, 14)]
    assert costs == sorted(costs, reverse=True)
    assert costs[0] > 0 == costs[-1]


def test_a_scratchpad_that_is_too_small_names_the_operator() -> None:
    p = problem((2000, 0, (1,)), (3000, 1, ()), operators=2)
    with pytest.raises(MappingError, match=r"4999 B cannot run operator 'op1'.*5000 B.*5 KiB"):
        schedule(p, 4999)


def test_without_time_the_best_known_schedule_comes_with_its_gap() -> None:
    rows = [(5, None, (0, 2, 4)), (3, 0, (1,)), (2, 1, (6,)), (3, 2, (3,)), (2, 3, (6,)),
            (3, 4, (5,)), (2, 5, (6,)), (1, 6, ())]  # fmt: skip
    p = problem(*rows, operators=7)
    found = schedule(p, p.required_bytes, time_limit_s=0.0)
    assert found.gap_bytes >= 0
    assert replay(p, found.plan).bytes == found.traffic.bytes


@settings(max_examples=40, deadline=None)
@given(problems(most=6), st.sampled_from([0.0, 0.5]), st.data())
def test_windows_never_bound_more_than_the_optimum(
    p: Problem, share: float, data: st.DataObject
) -> None:
    budget = budgets(p, share)
    order = data.draw(st.sampled_from(sorted(orders(p))))
    cuts = data.draw(st.sets(st.integers(1, len(order) - 1)))
    parts = bound._parts(p, order, [0, *sorted(cuts)])
    assert sum(len(part.operators) for part in parts) == len(order)
    total = bound._sum(parts, budget, {}, float("inf"))
    best = search(p, budget, time_limit_s=20)
    assert total <= best.bound_bytes
    if not cuts:
        assert total == best.bound_bytes


def test_windows_give_a_useful_bound_of_repeated_blocks() -> None:
    # Each block spills its shortcut: t0 .. t1 with a wide tensor in between.
    rows = [(3, None, (0, 2))]
    for block in range(9):
        first, last = 3 * block, 3 * block + 2
        rows += [(4, first, (first + 1,)), (4, first + 1, (last,))]
        rows.append((3, last, (last + 1, last + 3) if block < 8 else ()))
    p = problem(*rows, operators=27)
    found = schedule(p, p.required_bytes)
    starts = bound._narrow(p, p.default_order, 4)
    total = bound.windows_bound(p, p.required_bytes, p.default_order, 10**9, float("inf"))
    assert len(starts) > 4
    assert 0 < total <= found.traffic.bytes
