"""One or two chains of layers on two machines: the least energy within a deadline, exactly.

Model: the layers of a network run one after the other; networks run concurrently; a machine runs
one layer at a time, without interruption; a layer takes a duration and an energy of its own on each
machine; what the machines share is divided beforehand. Asked is which layer runs where and when, so
that the last ends by the deadline and the energy is least.

Why it is exact: say that a layer has orientation o if it is of chain 0 on machine o, or of chain 1
on machine 1 - o. Two layers of different orientation share a chain or a machine, so they never
overlap. A schedule therefore falls into phases, one after the other, each of one orientation; in a
phase the chains do not wait for each other, so that it takes as long as the longer of its two runs
of layers. Conversely every sequence of phases is a schedule. So schedules are monotone paths from
(0, 0) to (n0, n1) over the layers that are done, and a step costs the larger of two sums. (For one
chain, steps are its layers.) The least makespan is a shortest path, as for two jobs on
multi-purpose machines (P. Brucker and R. Schlie, "Job-shop scheduling with multi-purpose
machines", Computing 45, 1990). The least energy within a deadline is a constrained shortest path:
labels (time, energy), those dominated or above a Lagrangian bound left out (G. Handler and I. Zang,
"A dual algorithm for the constrained shortest path problem", Networks 10, 1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.kernel import compiled, folder_of

_FOLDER = folder_of([Path(__file__)])

BOUNDS = 12
"""Lagrangian bounds that are kept at most."""

BEAM = 2
"""Labels of a state that the first pass goes on from: it finds most of what there is to find."""

TIME, ENERGY, PARENT, BEFORE, PHASE, WIDTH = 0, 1, 2, 3, 4, 7
"""Columns of a label: what it sums to, the label that it extends, the one before it in the same
state, and the phase that led to it."""


def _kernel(function: Any) -> Any:
    return compiled(function, _FOLDER)


@dataclass(frozen=True)
class Assignment:
    """Machine and time of every layer.

    Attributes:
        makespan: when the last layer ends, in the unit of durations.
        energy: of all layers.
        machines: 0 or 1 for each layer, by chain.
        starts: when each layer starts, by chain.
    """

    makespan: int
    energy: int
    machines: tuple[tuple[int, ...], ...]
    starts: tuple[tuple[int, ...], ...]


class Sums(NamedTuple):
    """Costs of the layers of chains 0 and 1 before each layer, and of all.

    Attributes:
        d0: durations on each machine, (n0 + 1, 2).
        d1: alike, (n1 + 1, 2).
        e0: energies, (n0 + 1, 2).
        e1: energies, (n1 + 1, 2).
    """

    d0: IntArray
    d1: IntArray
    e0: IntArray
    e1: IntArray


def least_energy(
    durations: Sequence[IntArray], energies: Sequence[IntArray], deadline: int
) -> Assignment:
    """Lays one or two chains onto two machines.

    Args:
        durations: (layers, 2) of each chain, whole numbers >= 0.
        energies: alike.
        deadline: for the makespan. If none meets it, the least makespan takes its place.

    Raises:
        MappingError: if there are more chains or machines, or a number is negative.
    """
    if not 1 <= len(durations) <= 2 or len(durations) != len(energies):
        raise MappingError(f"{len(durations)} chains of layers: one or two are laid out exactly")
    for table in (*durations, *energies):
        if table.ndim != 2 or table.shape[1] != 2 or (table < 0).any():
            raise MappingError("costs of layers must be (layers, 2 machines), none below 0")
    none = np.zeros((0, 2), dtype=np.int64)
    both = [*durations, none][:2], [*energies, none][:2]
    makespan, energy, phases = solve(Sums(*map(prefix, both[0] + both[1])), deadline)
    return _assignment(durations, phases, int(makespan), int(energy))


def prefix(table: IntArray) -> IntArray:
    """Sums (layers + 1, 2) of all layers before each, and of all."""
    sums: IntArray = np.concatenate([np.zeros((1, 2), dtype=np.int64), np.cumsum(table, axis=0)])
    return sums


def _assignment(
    durations: Sequence[IntArray], phases: IntArray, makespan: int, energy: int
) -> Assignment:
    machines: list[list[int]] = [[], []]
    starts: list[list[int]] = [[], []]
    clock, done = 0, [0, 0]
    for *ends, orientation in phases.tolist():
        longest = clock
        for chain, table in enumerate(durations):
            machine, time = orientation ^ chain, clock
            for layer in range(done[chain], ends[chain]):
                machines[chain].append(machine)
                starts[chain].append(time)
                time += int(table[layer, machine])
            longest = max(longest, time)
        clock, done = longest, ends
    count = len(durations)
    return Assignment(
        makespan, energy, tuple(map(tuple, machines[:count])), tuple(map(tuple, starts[:count]))
    )


@_kernel
def _shortest(sums: Sums, per_time: float, per_energy: float) -> tuple[FloatArray, IntArray]:
    """Least weighted sum of time and energy from every state to the end, and the step to take.

    Args:
        sums: of the chains.
        per_time: weight >= 0 of time.
        per_energy: weight >= 0 of energy.

    Returns:
        By layers done and orientation of the next phase, (n0 + 1, n1 + 1, 2), and the layers that
        are done at its end, (n0 + 1, n1 + 1, 2, 2).
    """
    d0, d1, e0, e1 = sums.d0, sums.d1, sums.e0, sums.e1
    n0, n1 = len(d0) - 1, len(d1) - 1
    value = np.full((n0 + 1, n1 + 1, 2), np.inf)
    step = np.zeros((n0 + 1, n1 + 1, 2, 2), dtype=np.int64)
    value[n0, n1] = 0.0
    for i in range(n0, -1, -1):
        for j in range(n1, -1, -1):
            for o in range(2):
                for k in range(i, n0 + 1):
                    run, spent = d0[k, o] - d0[i, o], e0[k, o] - e0[i, o]
                    for m in range(j + (k == i), n1 + 1):
                        time = max(run, d1[m, 1 - o] - d1[j, 1 - o])
                        energy = spent + e1[m, 1 - o] - e1[j, 1 - o]
                        found = per_time * time + per_energy * energy + value[k, m, 1 - o]
                        if found < value[i, j, o]:
                            value[i, j, o] = found
                            step[i, j, o, 0], step[i, j, o, 1] = k, m
    return value, step


@_kernel
def _walk(sums: Sums, value: FloatArray, step: IntArray) -> tuple[int, int, IntArray]:
    """Makespan and energy of following the steps, and the phases (k, 3)."""
    d0, d1, e0, e1 = sums.d0, sums.d1, sums.e0, sums.e1
    n0, n1 = len(d0) - 1, len(d1) - 1
    phases = np.zeros((n0 + n1, 3), dtype=np.int64)
    count, i, j, time, energy = 0, 0, 0, 0, 0
    o = 0 if value[0, 0, 0] <= value[0, 0, 1] else 1
    while i < n0 or j < n1:
        k, m = step[i, j, o, 0], step[i, j, o, 1]
        time += max(d0[k, o] - d0[i, o], d1[m, 1 - o] - d1[j, 1 - o])
        energy += e0[k, o] - e0[i, o] + e1[m, 1 - o] - e1[j, 1 - o]
        phases[count, 0], phases[count, 1], phases[count, 2] = k, m, o
        count += 1
        i, j, o = k, m, 1 - o
    return time, energy, phases[:count]


@_kernel
def solve(sums: Sums, deadline: int) -> tuple[int, int, IntArray]:
    """Least energy by the deadline, or at the least makespan if none meets it.

    Args:
        sums: of the chains.
        deadline: for the makespan.

    Returns:
        Makespan, energy, and phases (k, 3): layers done of each chain at its end, orientation.
    """
    fastest, step = _shortest(sums, 1.0, 0.0)
    fast = _walk(sums, fastest, step)
    limit = max(deadline, fast[0])
    # Energies are whole numbers: so little weight on time decides only between equals.
    most = sums.d0[-1].max() + sums.d1[-1].max()
    bounds = np.zeros((len(sums.d0), len(sums.d1), 2, BOUNDS))
    weights = np.zeros(BOUNDS)
    weights[0] = 0.5 / (most + 1)
    bounds[..., 0], step = _shortest(sums, weights[0], 1.0)
    frugal = _walk(sums, bounds[..., 0], step)
    if frugal[0] <= limit:
        return frugal
    count = 1
    best = fast
    low_time, low_energy = frugal[0], frugal[1]
    high_time, high_energy = fast[0], fast[1]
    while count < BOUNDS and high_energy > low_energy:
        weight = (high_energy - low_energy) / (low_time - high_time)
        bounds[..., count], step = _shortest(sums, weight, 1.0)
        weights[count] = weight
        count += 1
        found = _walk(sums, bounds[..., count - 1], step)
        if found[1] + weight * found[0] > low_energy + weight * low_time - 0.5:
            break
        if found[0] <= limit:
            high_time, high_energy = found[0], found[1]
            if found[1] < best[1]:
                best = found
        else:
            low_time, low_energy = found[0], found[1]
    # The last bounds are the tightest: they are looked at first.
    close = np.ascontiguousarray(bounds[..., :count][..., ::-1])
    for beam in (BEAM, 2**62):
        best = _labelled(sums, limit, fastest, close, weights[:count][::-1], best, beam)
    return best


@_kernel
def _labelled(
    sums: Sums, limit: int, fastest: FloatArray,
    bounds: FloatArray, weights: FloatArray, best: tuple[int, int, IntArray], beam: int,
) -> tuple[int, int, IntArray]:  # fmt: skip
    """Closes the gap between the best path so far and the bounds.

    Args:
        sums: of the chains.
        limit: that some path meets.
        fastest: least time to the end from each state, (n0 + 1, n1 + 1, 2).
        bounds: least energy plus weight times time from each state, (n0 + 1, n1 + 1, 2, k).
        weights: (k,).
        best: a path that meets the limit.
        beam: labels of a state that are extended at most.
    """
    d0, d1, e0, e1 = sums.d0, sums.d1, sums.e0, sums.e1
    n0, n1 = len(d0) - 1, len(d1) - 1
    labels = np.full((64, WIDTH), -1, dtype=np.int64)
    labels[0, TIME], labels[0, ENERGY] = 0, 0
    last = np.full((n0 + 1, n1 + 1, 2), -1, dtype=np.int64)
    last[0, 0] = 0
    count, least, final = 1, best[1], -1
    for i, j, o in np.ndindex(n0 + 1, n1 + 1, 2):
        at = bounds[i, j, o]
        for label in _promising(labels, last[i, j, o], at, weights, limit, least, beam):
            so_far, spent = labels[label, TIME], labels[label, ENERGY]
            for k in range(i, n0 + 1):
                for m in range(j + (k == i), n1 + 1):
                    run = max(d0[k, o] - d0[i, o], d1[m, 1 - o] - d1[j, 1 - o])
                    left = limit - so_far - run
                    if fastest[k, m, 1 - o] > left:
                        continue
                    energy = spent + e0[k, o] - e0[i, o] + e1[m, 1 - o] - e1[j, 1 - o]
                    if _above(bounds[k, m, 1 - o], weights, left, least - 0.5 - energy):
                        continue
                    if count == len(labels):
                        labels = np.concatenate((labels, np.full_like(labels, -1)))
                    labels[count, TIME], labels[count, ENERGY] = so_far + run, energy
                    labels[count, PARENT], labels[count, BEFORE] = label, last[k, m, 1 - o]
                    labels[count, PHASE], labels[count, PHASE + 1] = k, m
                    labels[count, PHASE + 2] = o
                    last[k, m, 1 - o] = count
                    if k == n0 and m == n1:
                        least, final = energy, count
                    count += 1
    return best if final < 0 else _traced(labels, final, n0 + n1)


@_kernel
def _bound(bounds: FloatArray, weights: FloatArray, left: int) -> float:
    """Least energy to the end if so much time is left, by the best of the bounds (k,)."""
    bound = 0.0
    for place in range(len(weights)):
        bound = max(bound, bounds[place] - weights[place] * left)
    return bound


@_kernel
def _above(bounds: FloatArray, weights: FloatArray, left: int, most: float) -> bool:
    """Whether some bound (k,) exceeds `most`."""
    for place in range(len(weights)):  # noqa: SIM110  numba compiles no generator
        if bounds[place] - weights[place] * left > most:
            return True
    return False


@_kernel
def _traced(labels: IntArray, final: int, most: int) -> tuple[int, int, IntArray]:
    """Makespan, energy and phases of a label."""
    phases = np.zeros((most, 3), dtype=np.int64)
    place, label = most, final
    while label > 0:
        place -= 1
        phases[place] = labels[label, PHASE:]
        label = labels[label, PARENT]
    return labels[final, TIME], labels[final, ENERGY], phases[place:]


@_kernel
def _promising(
    labels: IntArray, last: int, bounds: FloatArray, weights: FloatArray, limit: int, least: int,
    beam: int,
) -> IntArray:  # fmt: skip
    """Labels of a state that no other of it dominates and that may lead below `least`.

    Args:
        labels: all of them.
        last: the state's last; -1 if it has none.
        bounds: from the state, (k,).
        weights: (k,).
        limit: for the makespan.
        least: energy of the best path so far.
        beam: so many at most, those of the lowest bound.
    """
    count, label = 0, last
    while label >= 0:
        count += 1
        label = labels[label, BEFORE]
    found = np.zeros(count, dtype=np.int64)
    label = last
    for place in range(count - 1, -1, -1):
        found[place] = label
        label = labels[label, BEFORE]
    found = found[np.argsort(labels[found, ENERGY], kind="mergesort")]
    found = found[np.argsort(labels[found, TIME], kind="mergesort")]
    hopes = np.zeros(count)
    kept, lowest = 0, -1
    for each in found:
        energy = labels[each, ENERGY]
        if lowest < 0 or energy < lowest:
            lowest = energy
            hope = energy + _bound(bounds, weights, limit - labels[each, TIME])
            if hope <= least - 0.5:
                found[kept], hopes[kept] = each, hope
                kept += 1
    if kept <= beam:
        return found[:kept]
    return found[np.argsort(hopes[:kept], kind="mergesort")[:beam]]
