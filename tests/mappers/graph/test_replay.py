"""The replay: what it counts, and every kind of fault planted into a good schedule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.mappers.graph import Plan, Problem, Stay, faults, replay, schedule
from tests.mappers.graph.graphs import problem, problems

CHAIN = problem((4, 0, (1, 3)), (5, 1, (2,)), (5, 2, (3,)), (1, 3, ()), operators=4)


def plan(*rows: tuple[int, int, int, int], budget: int = 14) -> Plan:
    """Rows of (item, start, end, address)."""
    stays = tuple(Stay(*row[:3]) for row in rows)
    return Plan((0, 1, 2, 3), stays, tuple(row[3] for row in rows), budget)


def test_it_counts_one_spill_and_each_retrieval() -> None:
    good = plan((0, 0, 1, 0), (0, 3, 3, 6), (1, 1, 2, 5), (2, 2, 3, 0), (3, 3, 3, 5), budget=10)
    traffic = replay(CHAIN, good)
    assert (traffic.spilled_bytes, traffic.retrieved_bytes, traffic.bytes) == (4, 4, 8)
    assert (traffic.peak_bytes, traffic.extent_bytes) == (10, 10)


def test_a_second_spill_is_free() -> None:
    p = problem((4, 0, (1, 3, 5)), *((1, op, (op + 1,)) for op in range(1, 5)), (1, 5, ()),
                operators=6)  # fmt: skip
    stays = [Stay(0, 0, 1), Stay(0, 3, 3), Stay(0, 5, 5)]
    stays += [Stay(a, a, min(a + 1, 5)) for a in range(1, 6)]
    addresses = (0, 0, 0, *(4 + a for a in range(5)))
    traffic = replay(p, Plan(tuple(range(6)), tuple(stays), addresses, 9))
    assert (traffic.spilled_bytes, traffic.retrieved_bytes) == (4, 8)


ROWS = [(0, 0, 3, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([(0, 0, 3, 0), (1, 1, 2, 4), (2, 2, 3, 10), (3, 3, 3, 4)], "holds 14 B"),
        ([(0, 0, 3, 0), (1, 1, 2, 4), (2, 2, 3, 8), (3, 3, 3, 4)], "overlaps"),
        ([(0, 0, 3, -1), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "overlaps"),
        ([(0, 0, 2, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "'t0' is off chip"),
        ([(0, 0, 3, 0), (1, 1, 1, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "'t1' is off chip"),
        ([(0, 0, 3, 0), (1, 0, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "appears at step 0"),
        ([(0, 0, 1, 0), (0, 2, 3, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "no step off"),
        ([(0, 0, 1, 0), (0, 1, 3, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "no step off"),
        ([(0, 0, 3, 0), (1, 1, 2, 4), (2, 2, 3, 9)], "'t3' is never on chip"),
        ([(0, 0, 4, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "outside the problem"),
        ([(4, 0, 3, 0), (1, 1, 2, 4), (2, 2, 3, 9), (3, 3, 3, 4)], "outside the problem"),
    ],
)
def test_planted_faults_are_found(rows: list[tuple[int, int, int, int]], says: str) -> None:
    assert not faults(CHAIN, plan(*ROWS))
    found = faults(CHAIN, plan(*rows))
    assert any(says in fault for fault in found), found
    with pytest.raises(MappingError, match="illegal schedule of 'test'"):
        replay(CHAIN, plan(*rows))


def test_wrong_orders_are_found() -> None:
    good = plan(*ROWS)
    assert "every operator once" in faults(CHAIN, replace(good, order=(0, 1, 2, 2)))[0]
    assert faults(CHAIN, replace(good, order=(1, 0, 2, 3)))
    assert "addresses" in faults(CHAIN, replace(good, addresses=good.addresses[1:]))[0]


@settings(max_examples=30, deadline=None)
@given(problems(most=5), st.data())
def test_no_mutation_of_a_schedule_is_silently_cheaper(p: Problem, data: st.DataObject) -> None:
    """A legal plan stays legal or is refused; a legal mutant never beats a proven optimum."""
    found = schedule(p, p.required_bytes + 2)
    assume(found.proven)
    stays = list(found.plan.stays)
    k = data.draw(st.integers(0, len(stays) - 1))
    shift = data.draw(st.sampled_from([(1, 0), (0, -1), (-1, 0), (0, 1)]))
    addresses = list(found.plan.addresses)
    if data.draw(st.booleans()):
        addresses[k] += data.draw(st.sampled_from([-1, 1]))
    else:
        stays[k] = Stay(stays[k].item, stays[k].start + shift[0], stays[k].end + shift[1])
    mutant = replace(found.plan, stays=tuple(stays), addresses=tuple(addresses))
    if not faults(p, mutant):
        assert replay(p, mutant).bytes >= found.traffic.bytes


def test_what_was_loaded_is_dropped_for_free_and_retrieved_for_its_bytes() -> None:
    p = problem((3, None, (0, 2)), (4, 0, (1,)), (4, 1, (2,)), (1, 2, ()), operators=3)
    found = schedule(p, 8)
    assert (found.traffic.spilled_bytes, found.traffic.retrieved_bytes) == (0, 3)
    assert found.proven
