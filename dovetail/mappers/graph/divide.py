"""Divide and conquer: windows of a large graph, each solved exactly with what others leave it.

An order of small peak is cut into windows of consecutive operators. A window may reorder its
operators; it starts from the tensors that are on and off chip where the window before ends, and
counts the retrieval that every tensor it leaves off chip will cost. The orders of the windows
make the order of the whole, whose replacements one program then chooses together, placed and
replayed as one schedule. Shifted windows repeat this while it helps.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import count

import numpy as np

from dovetail.mappers.graph.parts import Part, cheaper, in_order
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.search import search_windows

WINDOW = 16
"""Operators per window."""

MOVES = 12
"""Operators that move at random before the windows of the best order are solved anew."""

MAX_STALE = 2
"""Passes in a row without a better schedule after which an order is left."""


def improve(
    problem: Problem,
    budget: int,
    orders: Sequence[tuple[int, ...]],
    best: Part | None,
    window: int,
    target: int,
    deadline: float,
) -> Part | None:
    """Reorders within windows, from several orders in turn.

    Args:
        problem: operators and tensors.
        budget: bytes on chip.
        orders: where to start.
        best: what is known already.
        window: operators solved together.
        target: bytes at which it is done.
        deadline: `time.monotonic()` at which it ends.

    Returns:
        The best part found; its bound means nothing.

    References:
        COSMA (arXiv 2311.18246), section IV: a heuristic that divides graphs found by NAS.
    """
    sizes = (window, window + window // 2, max(2, window // 2), 2 * window)
    rng = np.random.default_rng(0)
    for turn in count():
        size = sizes[turn % len(sizes)]
        starts = orders if turn < len(sizes) else ()
        again = () if best is None else (shaken(problem, best.order, rng),)
        for order in dict.fromkeys((*starts, *again)):
            left = deadline - time.monotonic()
            if left <= 0 or (best is not None and best.cost <= target):
                return best
            best = _passes(problem, budget, order, best, size, time.monotonic() + left / 2)
        if not starts and not again:
            return best
    return best


def shaken(
    problem: Problem, order: Sequence[int], rng: np.random.Generator, moves: int = MOVES
) -> tuple[int, ...]:
    """The order with some operators moved at random between what they read and their readers."""
    run = list(order)
    for _ in range(moves):
        op = run.pop(int(rng.integers(len(run))))
        place = {other: t for t, other in enumerate(run)}
        low = max((place[p] + 1 for p in problem.before[op]), default=0)
        high = min((place[n] for n in problem.after[op]), default=len(run))
        run.insert(int(rng.integers(low, high + 1)), op)
    return tuple(run)


def _passes(
    problem: Problem,
    budget: int,
    order: Sequence[int],
    best: Part | None,
    window: int,
    deadline: float,
) -> Part | None:
    """Passes over shifted windows until several in a row bring nothing."""
    stale = turn = 0
    while stale < MAX_STALE and time.monotonic() < deadline:
        shift = turn * window // 2 % window
        order = search_windows(
            problem, budget, order, window=window, shift=shift, deadline=deadline
        )
        before = best
        best = cheaper(best, in_order(problem, budget, order, deadline))
        stale = 0 if best is not before else stale + 1
        turn += 1
    return best
