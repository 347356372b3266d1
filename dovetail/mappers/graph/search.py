"""Uniform-cost search over orders and residencies: proves small parts faster than the program.

A state is what has run, what is on chip and what has a copy off chip. Tensors leave only when
space is needed, and then a least set of them: leaving later never costs more.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dovetail.mappers.graph.fixed import Draft
from dovetail.mappers.graph.order import mask_of
from dovetail.mappers.graph.plan import Gap
from dovetail.mappers.graph.problem import Problem, bits

MAX_STATES = 300_000
"""States that a search keeps before it gives up."""

WINDOW_STATES = 6_000
"""The same for one window of a large graph."""


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
        self.loaded = mask_of(a for a, i in enumerate(problem.items) if i.backed)
        self.serial = 0

    def run(self, deadline: float, max_states: int) -> Draft:
        first = tuple(op for op, row in enumerate(self.ancestors) if not row)
        everything = range(len(self.problem.operators))
        end, cost, done = self.reach(Point(0, 0, 0, first, -1, (), None), everything, deadline,
                                     max_states)  # fmt: skip
        if end is None:
            return Draft((), frozenset(), "infeasible" if done else "unknown", cost)
        return self._draft(end, cost)

    def reach(
        self, start: Point, operators: Sequence[int], deadline: float, max_states: int
    ) -> tuple[Point | None, int, bool]:
        """The cheapest way from a state to one where these operators have run too.

        Tensors that it leaves off chip count the retrieval they will need.

        Returns:
            The end, its cost, and whether the search went to its end; without an end, the cost is
            a bound of it.
        """
        goal = start.done | mask_of(operators)
        queue = [(0, 0, 0, start)]
        seen: set[tuple[int, int, int]] = set()
        cost = 0
        while queue:
            if len(seen) + len(queue) > max_states or time.monotonic() > deadline:
                return None, cost, False
            cost, left, _, point = heapq.heappop(queue)
            if point.done == goal:
                return point, cost, True
            key = (point.done, point.on_chip, point.copied)
            if key in seen:
                continue
            seen.add(key)
            for more, after in self._moves(point, goal):
                if (after.done, after.on_chip, after.copied) in seen:
                    continue
                ahead = self._pending(after) if after.done == goal else 0
                self.serial += 1
                heapq.heappush(queue, (cost + more + ahead, left - 1, self.serial, after))
        return None, cost, True

    def _pending(self, point: Point) -> int:
        """Retrievals that are certain later: of what is needed and off chip."""
        return self._bytes(point.copied & ~point.on_chip)

    def _moves(self, point: Point, goal: int) -> Iterator[tuple[int, Point]]:
        for op in point.ready:
            if not goal >> op & 1:
                continue
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
        copied = point.copied | gone | (self.needs[op] & self.loaded)
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


def search_windows(
    problem: Problem,
    budget: int,
    order: Sequence[int],
    *,
    window: int,
    shift: int,
    deadline: float,
    max_states: int = WINDOW_STATES,
) -> tuple[int, ...]:
    """Reorders windows of an order one after the other, each exactly with what is on chip.

    A window that has too many states keeps its order.

    Args:
        problem: operators and tensors.
        budget: bytes on chip.
        order: legal order.
        window: operators per window.
        shift: operators of the first window, 0 for a whole one.
        deadline: `time.monotonic()` from which windows keep their order.
        max_states: bound of the states per window.
    """
    space = _Search(problem, budget)
    first = tuple(op for op, row in enumerate(space.ancestors) if not row)
    point = Point(0, 0, 0, first, -1, (), None)
    starts = [*([0] if shift else []), *range(shift, len(order), window), len(order)]
    result: list[int] = []
    for low, high in pairwise(starts):
        some = list(order[low:high])
        end, _, _ = space.reach(point, some, deadline, max_states)
        steps = [some] if end is not None else [[op] for op in some]
        for step in steps:
            if end is None:
                end, _, _ = space.reach(point, step, float("inf"), MAX_STATES)
                assert end is not None  # one operator always runs: the budget holds it
            result += _run_between(point, end)
            point, end = end, None
    return tuple(result)


def _run_between(start: Point, end: Point) -> list[int]:
    run = []
    here: Point | None = end
    while here is not None and here is not start:
        run.append(here.op)
        here = here.parent
    return run[::-1]


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
