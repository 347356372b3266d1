"""Uniform-cost search over orders and residencies: proves small parts faster than the program.

A state is what has run, what is on chip and what has a copy off chip. Tensors leave only when
space is needed, and then a least set of them: leaving later never costs more.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dovetail.mappers.graph.fixed import Draft
from dovetail.mappers.graph.order import mask_of
from dovetail.mappers.graph.plan import Gap
from dovetail.mappers.graph.problem import Problem, bits

MAX_STATES = 300_000


@dataclass(frozen=True, slots=True)
class Point:
    """A state, its last operator and what that one had to retrieve."""

    done: int
    on_chip: int
    copied: int
    ready: tuple[int, ...]
    op: int
    retrieved: tuple[int, ...]
    parent: Point | None


def search(
    problem: Problem, budget: int, *, time_limit_s: float, max_states: int = MAX_STATES
) -> Draft:
    """The cheapest order and replacement, without addresses.

    Args:
        problem: operators and tensors.
        budget: bytes on chip.
        time_limit_s: wall-clock seconds.
        max_states: bound of the states that it keeps.

    Returns:
        A draft; its status is `optimal` or `unknown`, its bound holds in both cases.
    """
    return _Search(problem, budget).run(time.monotonic() + time_limit_s, max_states)


class _Search:
    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.sizes = [item.size for item in problem.items]
        self.users = [mask_of(item.users) for item in problem.items]
        self.needs = [mask_of(row) for row in problem.uses]
        self.ancestors = [mask_of(row) for row in problem.before]
        self.serial = 0

    def run(self, deadline: float, max_states: int) -> Draft:
        first = tuple(op for op, row in enumerate(self.ancestors) if not row)
        queue = [(0, 0, 0, Point(0, 0, 0, first, -1, (), None))]
        seen: set[tuple[int, int, int]] = set()
        cost = 0
        while queue and len(seen) + len(queue) < max_states and time.monotonic() < deadline:
            cost, left, _, point = heapq.heappop(queue)
            if -left == len(self.problem.operators):
                return self._draft(point, cost)
            key = (point.done, point.on_chip, point.copied)
            if key in seen:
                continue
            seen.add(key)
            for more, after in self._moves(point):
                if (after.done, after.on_chip, after.copied) not in seen:
                    self.serial += 1
                    heapq.heappush(queue, (cost + more, left - 1, self.serial, after))
        return Draft((), frozenset(), "unknown" if queue else "infeasible", cost)

    def _moves(self, point: Point) -> Iterator[tuple[int, Point]]:
        for op in point.ready:
            needs = self.needs[op]
            missing = needs & ~point.on_chip
            back = [a for a in bits(missing) if self.users[a] & point.done]
            paid = sum(self.sizes[a] for a in back)
            idle = list(bits(point.on_chip & ~needs))
            deficit = self._bytes(point.on_chip | needs) - self.budget
            for out in _least_sets([self.sizes[a] for a in idle], deficit):
                gone = mask_of([idle[k] for k in out])
                spilled = sum(self.sizes[a] for a in bits(gone & ~point.copied))
                yield paid + spilled, self._after(point, op, gone, tuple(back))

    def _after(self, point: Point, op: int, gone: int, back: tuple[int, ...]) -> Point:
        done = point.done | 1 << op
        on_chip = (point.on_chip | self.needs[op]) & ~gone
        copied = point.copied | gone
        for a in bits(self.needs[op]):
            if not self.users[a] & ~done:
                on_chip &= ~(1 << a)
                copied &= ~(1 << a)
        opened = (n for n in self.problem.after[op] if not self.ancestors[n] & ~done)
        ready = (*(n for n in point.ready if n != op), *opened)
        return Point(done, on_chip, copied, ready, op, back, point)

    def _bytes(self, mask: int) -> int:
        return sum(self.sizes[a] for a in bits(mask))

    def _draft(self, point: Point, cost: int) -> Draft:
        order, dropped = [], set[Gap]()
        here: Point | None = point
        while here is not None and here.parent is not None:
            order.append(here.op)
            for a in here.retrieved:
                used = (self.users[a] & here.parent.done).bit_count()
                dropped.add((a, used - 1))
            here = here.parent
        return Draft(tuple(reversed(order)), frozenset(dropped), "optimal", cost)


def _least_sets(sizes: Sequence[int], deficit: int) -> Iterator[tuple[int, ...]]:
    """Sets of positions whose sizes sum to the deficit and that need each member."""
    if deficit <= 0:
        yield ()
        return
    ranked = sorted(range(len(sizes)), key=lambda k: -sizes[k])

    def extend(start: int, chosen: tuple[int, ...], missing: int) -> Iterator[tuple[int, ...]]:
        for place in range(start, len(ranked)):
            k = ranked[place]
            if sizes[k] >= missing:
                yield (*chosen, k)
            else:
                yield from extend(place + 1, (*chosen, k), missing - sizes[k])

    # Descending sizes: the last member closes the deficit, so that without any it stays open.
    yield from extend(0, (), deficit)
