"""One or two chains of layers on two machines, against every schedule that there is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.mappers.chains import Assignment, least_energy

Chain = tuple[IntArray, IntArray]


@st.composite
def chains(draw: st.DrawFn) -> list[Chain]:
    """One or two chains of durations and energies, few enough for every schedule."""
    lengths = draw(st.sampled_from([(3,), (5,), (1, 1), (2, 3), (3, 3), (0, 3), (4, 2)]))
    numbers = st.integers(0, draw(st.sampled_from([2, 9, 1000])))
    table = [draw(st.lists(numbers, min_size=4 * n, max_size=4 * n)) for n in lengths]
    grids = [np.array(t, dtype=np.int64).reshape(2, -1, 2) for t in table]
    return [(grid[0], grid[1]) for grid in grids]


def every_schedule(problem: Sequence[Chain]) -> Iterator[tuple[int, int]]:
    """Makespan and energy of every assignment in every order, each layer as early as it can be."""
    order = [chain for chain, (d, _) in enumerate(problem) for _ in range(len(d))]
    orders = set(itertools.permutations(order))
    sizes = [len(d) for d, _ in problem]
    for machines in itertools.product(range(2), repeat=sum(sizes)):
        placed = [machines[: sizes[0]], machines[sizes[0] :]]
        energy = sum(
            int(e[layer, machine])
            for (_, e), row in zip(problem, placed, strict=False)
            for layer, machine in enumerate(row)
        )
        for each in orders:
            ready, free, layer = [0, 0], [0, 0], [0, 0]
            for chain in each:
                machine = placed[chain][layer[chain]]
                start = max(ready[chain], free[machine])
                end = start + int(problem[chain][0][layer[chain], machine])
                ready[chain] = free[machine] = end
                layer[chain] += 1
            yield max(ready), energy


def laid_out(problem: Sequence[Chain], deadline: int) -> Assignment:
    return least_energy([d for d, _ in problem], [e for _, e in problem], deadline)


def check(problem: Sequence[Chain], found: Assignment) -> None:
    """Chains run in order, machines one layer at a time, and the totals are those of the layers."""
    busy: list[list[tuple[int, int]]] = [[], []]
    energy = 0
    for (durations, energies), machines, starts in zip(
        problem, found.machines, found.starts, strict=True
    ):
        assert len(machines) == len(starts) == len(durations)
        ready = 0
        for layer, (machine, start) in enumerate(zip(machines, starts, strict=True)):
            assert start >= ready
            ready = start + int(durations[layer, machine])
            busy[machine].append((start, ready))
            energy += int(energies[layer, machine])
        assert ready <= found.makespan
    assert energy == found.energy
    for spans in busy:
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@settings(max_examples=60, deadline=None)
@given(chains(), st.floats(0, 1))
def test_no_schedule_within_the_deadline_has_less_energy(
    problem: list[Chain], share: float
) -> None:
    schedules = set(every_schedule(problem))
    fastest = min(time for time, _ in schedules)
    frugal = min(schedules, key=lambda schedule: (schedule[1], schedule[0]))
    deadline = fastest + int(share * (frugal[0] - fastest))
    found = laid_out(problem, deadline)
    check(problem, found)
    assert found.makespan <= deadline
    assert found.energy == min(energy for time, energy in schedules if time <= deadline)


@settings(max_examples=20, deadline=None)
@given(chains())
def test_a_deadline_that_none_meets_gives_the_least_makespan(problem: list[Chain]) -> None:
    schedules = set(every_schedule(problem))
    fastest = min(time for time, _ in schedules)
    found = laid_out(problem, -1)
    check(problem, found)
    assert found.makespan == fastest
    assert found.energy == min(energy for time, energy in schedules if time == fastest)


def test_long_chains_with_equal_layers_keep_the_laws() -> None:
    """As long as networks are; more slack never costs energy."""
    rng = np.random.default_rng(3)
    stages = [1, 5, 1, 5, 1, 5, 1]
    problem = [
        (
            np.repeat(rng.integers(10**3, 10**5, (7, 2)), stages, axis=0),
            np.repeat(rng.integers(10**5, 10**8, (7, 2)), stages, axis=0),
        )
        for _ in range(2)
    ]
    fastest, slow = laid_out(problem, 0).makespan, laid_out(problem, 10**9)
    assert slow.energy == sum(int(e.min(axis=1).sum()) for _, e in problem)
    last = None
    for deadline in np.linspace(fastest, slow.makespan, 7).astype(int):
        found = laid_out(problem, int(deadline))
        check(problem, found)
        assert found.makespan <= deadline
        assert last is None or found.energy <= last
        last = found.energy
    assert last == slow.energy


def test_what_is_not_laid_out_is_refused() -> None:
    one = np.ones((2, 2), dtype=np.int64)
    with pytest.raises(MappingError, match=r"3 chains .* one or two"):
        least_energy([one] * 3, [one] * 3, 9)
    with pytest.raises(MappingError, match="2 machines"):
        least_energy([np.ones((2, 3), dtype=np.int64)], [one], 9)
    with pytest.raises(MappingError, match="below 0"):
        least_energy([-one], [one], 9)
