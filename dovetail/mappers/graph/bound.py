"""A lower bound of wide graphs: the sum over windows of operators, each solved on its own.

Take any legal schedule and strike all operators but those of one window: what is left is a
schedule of the window, for steps only come closer and tensors only leave. So the optimum of the
window bounds what the whole moves between the window's own uses. Windows add up if each tensor pays
in one of them: in the others it is there at its uses, as a tensor of its own each time.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence

from dovetail.mappers.graph.plan import use_steps
from dovetail.mappers.graph.problem import Item, Problem
from dovetail.mappers.graph.search import search

WINDOWS = (12, 16, 24, 32)
"""Operators per window, in the order of trial."""

WINDOW_STATES = 20_000


def windows_bound(
    problem: Problem, budget: int, order: Sequence[int], target: int, deadline: float
) -> int:
    """The best bound over windows of several sizes and shifts.

    Args:
        problem: operators and tensors.
        budget: bytes on chip.
        order: legal order that windows are cut from; any gives a bound, a good one a tight bound.
        target: bytes at which the bound proves a schedule optimal.
        deadline: `time.monotonic()` at which it ends.
    """
    best = 0
    known: dict[object, int] = {}
    for size in WINDOWS:
        for starts in (_narrow(problem, order, size), *_even(len(order), size)):
            if best >= target or time.monotonic() > deadline:
                return best
            best = max(best, _sum(_parts(problem, order, starts), budget, known, deadline))
    return best


def _even(count: int, size: int) -> list[list[int]]:
    """First steps of windows of one size, at four shifts."""
    return [[0, *range(shift, count, size)][not shift :] for shift in range(0, size, size // 4)]


def _narrow(problem: Problem, order: Sequence[int], size: int) -> list[int]:
    """First steps of windows of about one size, cut where the fewest tensors cross."""
    crossing = [0] * (len(order) + 1)
    for steps in use_steps(problem, order):
        for t in range(steps[0] + 1, steps[-1] + 1):
            crossing[t] += 1
    starts = [0]
    while starts[-1] + 2 * size < len(order):
        near = range(starts[-1] + size // 2, starts[-1] + 2 * size)
        starts.append(min(near, key=lambda t: (crossing[t], t)))
    return starts


def _sum(parts: Sequence[Problem], budget: int, known: dict[object, int], deadline: float) -> int:
    """Sum of the windows' bounds; equal windows are solved once."""
    total = 0
    for part in parts:
        if part.shape not in known:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            draft = search(part, budget, time_limit_s=left, max_states=WINDOW_STATES)
            known[part.shape] = draft.bound_bytes
        total += known[part.shape]
    return total


def _parts(problem: Problem, order: Sequence[int], starts: Sequence[int]) -> list[Problem]:
    """The windows as problems of their own."""
    window = {op: bisect_right(starts, t) for t, op in enumerate(order)}
    place = {op: t for t, op in enumerate(order)}
    members: dict[int, list[int]] = {}
    for op in order:
        members.setdefault(window[op], []).append(op)
    items: dict[int, list[Item]] = {w: [] for w in members}
    for item in problem.items:
        uses = Counter(window[op] for op in item.users)
        payer = max(uses, key=lambda w: (uses[w], -w))
        for w in uses:
            local = {op: place[op] - place[members[w][0]] for op in item.users if window[op] == w}
            items[w] += _local(item, local, whole=w == payer)
    names = problem.operators
    return [
        Problem(problem.name, tuple(names[op] for op in members[w]), tuple(items[w]))
        for w in members
    ]


def _local(item: Item, place: dict[int, int], *, whole: bool) -> list[Item]:
    """An item within a window: whole, or one item per use."""
    made = place.get(item.producer) if item.producer is not None else None
    read = sorted(t for op, t in place.items() if op != item.producer)
    if whole:
        return [Item(item.name, item.size, made, tuple(read), item.backed)]
    single = [Item(f"{item.name}@{t}", item.size, None, (t,)) for t in read]
    return single + ([] if made is None else [Item(item.name, item.size, made, ())])
