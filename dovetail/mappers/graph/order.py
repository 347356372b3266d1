"""Orders of minimum peak memory: exact over the graph's downsets, or a beam when they are many."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.segments import segments

BEAM = 48
"""States per step of the heuristic."""


@dataclass(frozen=True)
class PeakOrder:
    """An order and its peak.

    Attributes:
        order: operators.
        peak_bytes: what it needs at most, all tensors kept until their last use.
        bound_bytes: no order needs less; equal to the peak if that is proven minimal.
    """

    order: tuple[int, ...]
    peak_bytes: int
    bound_bytes: int

    @property
    def proven(self) -> bool:
        """Whether no order has a smaller peak."""
        return self.peak_bytes == self.bound_bytes


class Memory:
    """Bytes alive as a set of operators has run; a state is the bit set of what has run.

    Backward, operators run from the last to the first: what is alive between two sets does not
    depend on the direction, so that the peak of an order is that of its reverse.
    """

    def __init__(self, problem: Problem, *, backward: bool = False) -> None:
        self.count = len(problem.operators)
        self.full = (1 << self.count) - 1
        self.sizes = [item.size for item in problem.items]
        self.users = [mask_of(item.users) for item in problem.items]
        self.needs = problem.uses
        after = problem.after if not backward else tuple(tuple(row) for row in problem.before)
        before = problem.before if not backward else problem.after
        self.ancestors = [mask_of(row) for row in before]
        self.after = after

    def run(self, done: int, alive: int, op: int) -> tuple[int, int]:
        """Bytes alive while and after `op` runs in a state with `alive` bytes."""
        now = done | 1 << op
        peak, rest = alive, 0
        for a in self.needs[op]:
            if not self.users[a] & done:
                peak += self.sizes[a]
            if not self.users[a] & ~now:
                rest += self.sizes[a]
        return peak, peak - rest

    def start(self) -> State:
        """Nothing has run."""
        return State(0, 0, tuple(op for op, row in enumerate(self.ancestors) if not row), (), None)

    def is_ready(self, done: int, op: int) -> bool:
        """Whether `op` has not run and what it reads is there."""
        return not done >> op & 1 and not self.ancestors[op] & ~done


@dataclass(frozen=True, slots=True)
class State:
    """Operators that have run, bytes alive, operators that can run next, and how it came."""

    done: int
    alive: int
    ready: tuple[int, ...]
    last: tuple[int, ...]
    parent: State | None

    def order(self) -> tuple[int, ...]:
        """Operators in the order in which they ran."""
        parts = []
        state: State | None = self
        while state is not None:
            parts.append(state.last)
            state = state.parent
        return tuple(op for part in reversed(parts) for op in part)


def minimum_peak(problem: Problem, *, time_limit_s: float = 20.0) -> PeakOrder:
    """An order of minimum peak memory, or the best one found with a bound.

    Args:
        problem: operators and tensors.
        time_limit_s: wall-clock seconds of the exact search; a beam is tried when they are over.

    References:
        COSMA (arXiv 2311.18246), equations 13-15.
    """
    deadline = time.monotonic() + time_limit_s
    parts = segments(problem)
    shapes = [part.problem.shape for part in parts]
    known: dict[object, PeakOrder] = {}
    pairs = sorted(zip(shapes, parts, strict=True), key=lambda pair: len(pair[1].operators))
    for shape, part in pairs:
        if shape not in known:
            left = (deadline - time.monotonic()) / (len(set(shapes)) - len(known))
            known[shape] = _segment_peak(part.problem, left)
    found = [known[shape] for shape in shapes]
    order = tuple(part.operators[op] for part, peak in zip(parts, found, strict=True)
                  for op in peak.order)  # fmt: skip
    peak, bound = max(p.peak_bytes for p in found), max(p.bound_bytes for p in found)
    return PeakOrder(order, peak, min(peak, bound))


def _segment_peak(problem: Problem, seconds: float) -> PeakOrder:
    """Forward, then backward: one direction is often much narrower than the other."""
    bound = 0
    for backward, share in ((False, 0.1), (True, 0.3), (False, 0.6)):
        found = _exact_peak(problem, seconds * share, backward=backward)
        if found.order:
            return found
        bound = max(bound, found.bound_bytes)
    orders = (problem.default_order, beam_order(problem))
    best = min(orders, key=lambda order: peak_of(problem, order))
    return PeakOrder(best, peak_of(problem, best), bound)


def _exact_peak(problem: Problem, seconds: float, *, backward: bool) -> PeakOrder:
    """Visits downsets by increasing peak: the first complete one is optimal.

    Moves that cannot hurt are taken at once, see `settle`. Without an order if time is over.
    """
    memory = Memory(problem, backward=backward)
    deadline = time.monotonic() + seconds
    threshold = problem.required_bytes
    queue = [(threshold, 0, 0, memory.start())]
    seen: set[int] = set()
    serial = 0
    while queue and time.monotonic() < deadline:
        needed, _, _, state = heapq.heappop(queue)
        threshold = max(threshold, needed)
        state = settle(memory, state, threshold)
        if state.done == memory.full:
            order = state.order()
            return PeakOrder(order[::-1] if backward else order, threshold, threshold)
        if state.done in seen:
            continue
        seen.add(state.done)
        for op in state.ready:
            peak, alive = memory.run(state.done, state.alive, op)
            if state.done | 1 << op not in seen:
                serial += 1
                entry = (max(threshold, peak), -state.done.bit_count() - 1, serial)
                heapq.heappush(queue, (*entry, step(memory, state, (op,), alive)))
    return PeakOrder((), 0, threshold)


def settle(memory: Memory, state: State, budget: int) -> State:
    """Runs what can never hurt under a budget.

    A run of operators that stays within the budget and ends with no more bytes than it began
    with is safe: memory is submodular over downsets, so whatever any schedule runs later needs
    no more after the run than without it.

    References:
        The argument is that of Liu's pebbling of trees (1987).
    """
    while True:
        for run, alive in (_descent(memory, state, op, budget) for op in state.ready):
            if run:
                state = step(memory, state, run, alive)
                break
        else:
            return state


def _descent(memory: Memory, state: State, op: int, budget: int) -> tuple[tuple[int, ...], int]:
    """The run from `op` along operators that it alone makes ready, until bytes are not more."""
    done, alive, run = state.done, state.alive, [op]
    while True:
        peak, alive = memory.run(done, alive, run[-1])
        if peak > budget:
            return (), 0
        done |= 1 << run[-1]
        if alive <= state.alive:
            return tuple(run), alive
        opened = [n for n in memory.after[run[-1]] if memory.is_ready(done, n)]
        if len(opened) != 1:
            return (), 0
        run.append(opened[0])


def step(memory: Memory, state: State, run: tuple[int, ...], alive: int) -> State:
    """The state after a run of operators."""
    done, ready = state.done, list(state.ready)
    for op in run:
        done |= 1 << op
        ready.remove(op)
        ready += [n for n in memory.after[op] if memory.is_ready(done, n)]
    return State(done, alive, tuple(ready), run, state)


def beam_order(problem: Problem, width: int = BEAM) -> tuple[int, ...]:
    """A good order: the `width` states of smallest (peak, bytes alive) go on at each step."""
    memory = Memory(problem)
    beam = [(0, memory.start())]
    for _ in range(memory.count):
        best: dict[int, tuple[int, int, State, int]] = {}
        for peak, state in beam:
            for op in state.ready:
                top, alive = memory.run(state.done, state.alive, op)
                done = state.done | 1 << op
                if done not in best or (max(peak, top), alive) < best[done][:2]:
                    best[done] = (max(peak, top), alive, state, op)
        kept = heapq.nsmallest(width, best.values(), key=lambda row: (row[0], row[1]))
        beam = [(peak, step(memory, s, (op,), alive)) for peak, alive, s, op in kept]
    return beam[0][1].order()


def peak_of(problem: Problem, order: tuple[int, ...]) -> int:
    """Bytes that an order needs at most, all tensors kept until their last use."""
    return max(profile(problem, order))


def profile(problem: Problem, order: tuple[int, ...]) -> Iterator[int]:
    """Bytes alive at each step of an order."""
    memory = Memory(problem)
    done = alive = 0
    for op in order:
        peak, alive = memory.run(done, alive, op)
        done |= 1 << op
        yield peak


def mask_of(positions: Iterable[int]) -> int:
    """Bit set of positions."""
    mask = 0
    for position in positions:
        mask |= 1 << position
    return mask
