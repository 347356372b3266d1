"""Which core of a system runs which operator, and in which order."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dovetail.mappers.found import value_of
from dovetail.sim.sharing import Task, share

MOST_ASSIGNMENTS = 4096
"""Up to so many assignments are all tried."""


@dataclass(frozen=True)
class Choice:
    """What one operator costs on each core.

    Attributes:
        durations: time alone, by core.
        bytes: to and from the shared memory, by core.
        energies: in pJ, by core.
        needs: indices of operators whose results it reads.
    """

    durations: tuple[float, ...]
    bytes: tuple[float, ...]
    energies: tuple[float, ...]
    needs: tuple[int, ...]


@dataclass(frozen=True)
class Assignment:
    """A core and a time for every operator.

    Attributes:
        cores: index of the core, by operator.
        times: start and end, by operator.
        value: of the objective: makespan, pJ, or their product.
        proven: whether every assignment was tried (in one order of the operators).
    """

    cores: tuple[int, ...]
    times: tuple[tuple[float, float], ...]
    value: float
    proven: bool


def assign(choices: Sequence[Choice], bandwidth: float, objective: str) -> Assignment:
    """Lays operators onto cores.

    Few operators: every assignment is simulated. Many: list scheduling in the manner of HEFT
    (H. Topcuoglu et al., IEEE TPDS 2002), the cores one by one, and each operator's best core
    are simulated; the best counts.

    Args:
        choices: operators in topological order.
        bandwidth: of the shared memory, bytes per unit of time.
        objective: `latency`, `energy` or `edp`.
    """
    cores = len(choices[0].durations) if choices else 1
    order = _order(choices)
    few = cores ** len(choices) <= MOST_ASSIGNMENTS
    every = itertools.product(range(cores), repeat=len(choices))
    candidates = every if few else _candidates(choices, order, cores, objective)
    runs = (_run(choices, order, tuple(c), bandwidth, objective) for c in candidates)
    best = min(runs, key=lambda run: (run.value, run.times[-1][1] if run.times else 0.0))
    return Assignment(best.cores, best.times, best.value, few)


def _candidates(
    choices: Sequence[Choice], order: Sequence[int], cores: int, objective: str
) -> Iterator[Sequence[int]]:
    yield _greedy(choices, order, cores)
    yield from ((core,) * len(choices) for core in range(cores))
    yield [
        min(range(cores), key=lambda c: value_of(o.durations[c], o.energies[c], objective))
        for o in choices
    ]


def _order(choices: Sequence[Choice]) -> list[int]:
    """Operators by the longest path from them to the end, at their mean durations."""
    below = [0.0] * len(choices)
    ranks = [0.0] * len(choices)
    for index in range(len(choices) - 1, -1, -1):
        durations = choices[index].durations
        ranks[index] = below[index] + sum(durations) / len(durations)
        for need in choices[index].needs:
            below[need] = max(below[need], ranks[index])
    return sorted(range(len(choices)), key=lambda index: (-ranks[index], index))


def _greedy(choices: Sequence[Choice], order: Sequence[int], cores: int) -> list[int]:
    """Every operator, in order, goes where it ends first; bandwidth is left out of account."""
    free = [0.0] * cores
    ends = [0.0] * len(choices)
    chosen = [0] * len(choices)
    for index in order:
        ready = max((ends[need] for need in choices[index].needs), default=0.0)
        finish = [max(free[c], ready) + choices[index].durations[c] for c in range(cores)]
        core = min(range(cores), key=lambda c: finish[c])
        chosen[index] = core
        free[core] = ends[index] = finish[core]
    return chosen


def _run(
    choices: Sequence[Choice], order: Sequence[int], cores: tuple[int, ...], bandwidth: float,
    objective: str,
) -> Assignment:  # fmt: skip
    """Simulates one assignment."""
    place = {index: position for position, index in enumerate(order)}
    tasks = [
        Task(
            cores[index],
            choices[index].durations[cores[index]],
            choices[index].bytes[cores[index]],
            tuple(place[need] for need in choices[index].needs),
        )
        for index in order
    ]
    ordered = share(tasks, bandwidth)
    times = tuple(ordered[place[index]] for index in range(len(choices)))
    makespan = max((end for _, end in times), default=0.0)
    energy = sum(choice.energies[core] for choice, core in zip(choices, cores, strict=True))
    return Assignment(cores, times, value_of(makespan, energy, objective), False)
