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

from dovetail.mappers.graph.parts import Part, cheaper, in_order
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.search import search_windows

WINDOW = 16
"""Operators per window."""

MAX_STALE = 5
"""Passes in a row without a better schedule after which an order is left."""


def improve(
    problem: Problem,
    budget: int,
    orders: Sequence[Sequence[int]],
    best: Part | None,
    window: int,
    deadline: float,
) -> Part | None:
    """Reorders within windows, from several orders in turn.

    Args:
        problem: operators and tensors.
        budget: bytes on chip.
        orders: where to start.
        best: what is known already.
        window: operators solved together.
        deadline: `time.monotonic()` at which it ends.

    Returns:
        The best part found; its bound means nothing.

    References:
        COSMA (arXiv 2311.18246), section IV: a heuristic that divides graphs found by NAS.
    """
    for number, order in enumerate(orders):
        left = deadline - time.monotonic()
        until = time.monotonic() + left / (len(orders) - number)
        best = _passes(problem, budget, order, best, window, until)
        if best is not None and best.cost == 0:
            break
    return best


def _passes(
    problem: Problem,
    budget: int,
    order: Sequence[int],
    best: Part | None,
    window: int,
    deadline: float,
) -> Part | None:
    """Passes until several in a row, each with windows of another size, bring nothing."""
    sizes = (window, window + window // 2, max(2, window // 2))
    stale = turn = 0
    while stale < MAX_STALE and time.monotonic() < deadline:
        size = sizes[stale % len(sizes)]
        order = search_windows(
            problem, budget, order, window=size, shift=turn * size // 2 % size, deadline=deadline
        )
        before = best
        best = cheaper(best, in_order(problem, budget, order, deadline))
        stale = 0 if best is not before else stale + 1
        turn += 1
    return best
