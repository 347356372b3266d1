"""NSGA-II: Deb's rules, crowding, no repetitions, and better fronts than random search."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.nsga2 import constrained_ranks, crowding_distances, front_ranks
from dovetail.agents.seen import Seen
from dovetail.agents.variation import LARGE, Variation, fresh_rows
from dovetail.ir.space import Knob, Space
from tests.agents.driver import run
from tests.agents.toy import ToyProblem


def test_feasible_designs_rank_before_infeasible_ones() -> None:
    y = np.array([[5.0, 5.0], [np.nan, np.nan], [1.0, 2.0], [0.0, 0.0], [2.0, 1.0]])
    violation = np.array([0.0, 2.0, 0.0, 0.5, 0.0])
    assert constrained_ranks(y, violation).tolist() == [1, 3, 0, 2, 0]
    assert constrained_ranks(y, np.array([3.0, 1.0, 2.0, 1.0, 9.0])).tolist() == [2, 0, 1, 0, 3]


def test_crowding_is_infinite_at_the_ends_and_adds_gaps_between() -> None:
    y = np.array([[0.0, 10.0], [4.0, 2.0], [10.0, 0.0], [1.0, 6.0], [7.0, 7.0]])
    rank = np.array([0, 0, 0, 0, 1])
    got = crowding_distances(y, rank, np.array([True, True, True, True, False]))
    # Design 1 between 3 and 2: (10 - 1) / 10 + (6 - 0) / 10; design 3 between 0 and 1.
    assert np.allclose(got, [np.inf, 1.5, np.inf, 0.4 + 0.8, 0.0])


def test_crowding_ignores_an_objective_without_extent() -> None:
    y = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])
    got = crowding_distances(y, np.zeros(3, np.int64), np.ones(3, bool))
    assert np.allclose(got, [np.inf, 1.0, np.inf])


@pytest.mark.parametrize("count", [LARGE - 1, 2 * LARGE])
def test_variation_stays_in_range_and_reaches_every_value(count: int) -> None:
    space = ToyProblem().space
    rng = np.random.default_rng(0)
    start = np.zeros((count, len(space.knobs)), dtype=np.int64)
    everything = Variation(space, mutated_knobs=1e9, spread=0.3)
    once = everything.mutate(rng, start)
    space.check(once)
    assert (once != start).all()
    space.check(everything.mutate(rng, start + space.cardinalities - 1))
    for column, count in enumerate(space.cardinalities):
        # A category moves to any other; an ordered knob gets anywhere in one step or more.
        assert len(np.unique(once[:, column])) == count - 1
    crossed = Variation(space, 1e-9, 0.1, 1.0).children(rng, start, start + 1)
    assert 0.4 < crossed.mean() < 0.6
    assert set(np.unique(crossed)) == {0, 1}


@pytest.mark.parametrize("count", [LARGE - 1, 4 * LARGE])
def test_as_many_knobs_mutate_as_expected_and_categories_never_stay(count: int) -> None:
    space = ToyProblem().space
    rng = np.random.default_rng(1)
    start = space.sample(rng, count)
    moved = Variation(space, mutated_knobs=1.5, spread=0.15).mutate(rng, start) != start
    assert moved.sum(axis=1).mean() == pytest.approx(1.5, abs=0.1)
    steps = Variation(space, mutated_knobs=1e9, spread=0.15)
    sizes = np.abs(steps.mutate(rng, start * 0)[:, 0])
    assert sizes.mean() == pytest.approx(1.5, abs=0.1)


def test_fresh_rows_repeat_only_when_nothing_is_left() -> None:
    rng = np.random.default_rng(0)
    seen = Seen(Space((Knob("a", (0, 1)), Knob("b", (0, 1)), Knob("c", (0, 1)))))
    seen.add(np.zeros((1, 3), np.int64))
    rows = fresh_rows(lambda n: rng.integers(0, 2, (n, 3)), 12, seen)
    assert rows.shape == (12, 3)
    assert len(np.unique(rows[:7], axis=0)) == 7
    assert rows[:7].any(axis=1).all()


@pytest.mark.parametrize("sizes", [(3, 4, 2, 1), (2**16, 2**16, 2**16, 2**16), (99991,) * 5])
def test_seen_knows_designs_apart(sizes: tuple[int, ...]) -> None:
    space = Space(tuple(Knob(str(i), tuple(range(n))) for i, n in enumerate(sizes)))
    designs = space.sample(np.random.default_rng(0), 2000)
    designs[0], designs[1] = 0, space.cardinalities - 1
    distinct = np.unique(designs, axis=0)
    seen = Seen(space)
    seen.add(designs[:1000])
    assert len(seen) == len(np.unique(designs[:1000], axis=0))
    new = seen.new(designs)
    assert len(new) + len(seen) == len(distinct)
    first = {row.tobytes() for row in designs[:1000]}
    fresh = list(dict.fromkeys(row.tobytes() for row in designs if row.tobytes() not in first))
    assert [row.tobytes() for row in new] == fresh


def test_ranks_beyond_those_wanted_are_one() -> None:
    y = np.random.default_rng(0).random((300, 3))
    full, cut = front_ranks(y), front_ranks(y, 100)
    last = cut.max()
    assert (cut == np.minimum(full, last)).all()
    assert (cut < last).sum() >= 100 > (full < last - 1).sum()


def test_no_design_is_asked_twice() -> None:
    trace = run(ToyProblem(), "nsga2", seed=0, budget=3000)
    assert len(np.unique(trace.designs, axis=0)) == len(trace.designs)


def test_beats_random_search_in_hypervolume() -> None:
    volumes = {
        name: np.median([run(ToyProblem(), name, s, 4000).archive.hypervolume for s in range(3)])
        for name in ("nsga2", "random")
    }
    assert volumes["nsga2"] > 1.05 * volumes["random"]


def test_survives_a_problem_without_feasible_designs() -> None:
    problem = ToyProblem(area_limit=1e-3)
    agent = make_agent("nsga2", problem, 0, {"population": 20})
    worst = []
    for _ in range(6):
        designs = agent.ask()
        evaluation = problem.evaluate(designs)
        worst.append(evaluation.violation.mean())
        agent.tell(designs, evaluation)
    assert worst[-1] < worst[0]
