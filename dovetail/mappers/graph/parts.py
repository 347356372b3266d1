"""Solutions of one part of a graph: drafts that placement accepts, and lower bounds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dovetail.mappers.graph.fixed import Draft, FixedMaster
from dovetail.mappers.graph.placement import Placement, place
from dovetail.mappers.graph.plan import Gap, Stay, bytes_of, stays_of
from dovetail.mappers.graph.problem import Problem

MAX_CUTS = 200
"""Rounds of placement and cut per program."""


class Master(Protocol):
    """A program over orders and replacements to which placement adds cuts."""

    def solve(self, time_limit_s: float | None) -> Draft:
        """The best draft under the cuts so far."""

    def forbid(self, conflict: Sequence[Stay]) -> bool:
        """Cuts off drafts that keep all these stays; False if no draft is left."""


@dataclass(frozen=True)
class Part:
    """Solution of one segment: a draft that has a placement, and a lower bound."""

    order: tuple[int, ...]
    dropped: frozenset[Gap]
    cost: int
    bound: int


def place_best(problem: Problem, budget: int, master: Master, deadline: float) -> Part | None:
    """Solves, places, cuts off what cannot be placed, and solves again.

    Returns:
        The draft that has a placement and a bound on all drafts; a part without an order if only
        the bound is known; None if nothing is.
    """
    bound, proven = 0, True
    best: Part | None = None
    for _ in range(MAX_CUTS):
        draft = master.solve(max(0.05, deadline - time.monotonic()))
        if proven:
            bound = max(bound, draft.bound_bytes)
        if not draft.order or draft.status in ("infeasible", "unknown"):
            break
        outcome = place_draft(problem, draft, budget, deadline)
        if outcome.addresses is not None:
            cost = bytes_of(problem, draft.dropped)
            best = Part(draft.order, draft.dropped, cost, min(bound, cost))
            break
        proven = proven and outcome.proven
        if time.monotonic() > deadline:
            break
        if not master.forbid(outcome.conflict):
            if outcome.proven:
                break
            master.forbid(stays_of(problem, draft.order, draft.dropped))
    return best or (Part((), frozenset(), 0, bound) if bound else None)


def place_draft(problem: Problem, draft: Draft, budget: int, deadline: float) -> Placement:
    """Addresses of a draft; takes a second even after the deadline, to end with a schedule."""
    stays = stays_of(problem, draft.order, draft.dropped)
    return place(problem, stays, budget, deadline=max(deadline, time.monotonic() + 1.0))


def cheaper(first: Part | None, second: Part | None) -> Part | None:
    """The cheaper of two parts that have a draft."""
    known = [part for part in (first, second) if part is not None and part.order]
    return min(known, key=lambda part: part.cost, default=None)


def in_order(problem: Problem, budget: int, order: Sequence[int], deadline: float) -> Part | None:
    """The best part that keeps an order; its bound is of this order alone."""
    return place_best(problem, budget, FixedMaster(problem, order, budget), deadline)


def only(problem: Problem, budget: int, draft: Draft, deadline: float) -> Part | None:
    """The part of a draft, if it has a placement."""
    if not draft.order or place_draft(problem, draft, budget, deadline).addresses is None:
        return None
    return Part(draft.order, draft.dropped, bytes_of(problem, draft.dropped), draft.bound_bytes)
