"""The schedule against COSMA's program as printed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.mappers.graph import Problem, minimum_peak, schedule
from tests.mappers.graph.graphs import problem, problems
from tests.mappers.graph.literal import literal_optimum


@settings(max_examples=12, deadline=None)
@given(problems(most=4), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_schedule_moves_what_the_printed_program_moves(p: Problem, share: float) -> None:
    least, most = p.required_bytes, minimum_peak(p).peak_bytes
    budget = least + round(share * (most - least))
    assert schedule(p, budget).traffic.bytes == literal_optimum(p, budget)


def test_operators_with_several_results() -> None:
    rows = [(3, 0, (1, 3)), (2, 0, (2,)), (2, 1, (3,)), (3, 2, (3,)), (1, 3, ()), (2, None, (1, 2))]
    p = problem(*rows, operators=4)
    for budget in range(p.required_bytes, 13):
        assert schedule(p, budget).traffic.bytes == literal_optimum(p, budget)
