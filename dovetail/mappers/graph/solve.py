"""Schedules a graph into a scratchpad: the fewest non-compulsory bytes, with proof or gap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from dovetail.errors import MappingError
from dovetail.mappers.graph.fixed import Draft, FixedMaster
from dovetail.mappers.graph.free import FreeMaster
from dovetail.mappers.graph.order import minimum_peak
from dovetail.mappers.graph.placement import Placement, place
from dovetail.mappers.graph.plan import Gap, Plan, Stay, bytes_of, stays_of
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.replay import Traffic, replay
from dovetail.mappers.graph.search import search
from dovetail.mappers.graph.segments import Segment, segments

MAX_CUTS = 200
"""Rounds of placement and cut per program."""


@dataclass(frozen=True)
class Scheduled:
    """The best schedule found.

    Attributes:
        plan: order, stays and addresses.
        traffic: as the replay counts it.
        bound_bytes: no schedule moves fewer non-compulsory bytes.
        seconds: wall-clock time.
        method: `exact` or `windows`.
    """

    plan: Plan
    traffic: Traffic
    bound_bytes: int
    seconds: float
    method: str = "exact"

    @property
    def gap_bytes(self) -> int:
        """Bytes that may still be saved; 0 is a proof of optimality."""
        return max(0, self.traffic.bytes - self.bound_bytes)

    @property
    def proven(self) -> bool:
        """Whether no schedule is better."""
        return self.gap_bytes == 0


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


def schedule(
    problem: Problem,
    budget_bytes: int,
    *,
    time_limit_s: float = 60.0,
    order: Sequence[int] | None = None,
) -> Scheduled:
    """Order, placement and replacement with the fewest non-compulsory bytes.

    Args:
        problem: operators and tensors.
        budget_bytes: size of the scratchpad.
        time_limit_s: wall-clock seconds; when they are over, the best schedule found so far is
            returned with its bound.
        order: an order to keep; by default the order is free.

    Raises:
        MappingError: if an operator alone needs more than the budget, or no schedule was found.
    """
    problem.check_budget(budget_bytes)
    if order is None:
        return _schedule(problem, budget_bytes, time_limit_s, fixed=False)
    kept = _schedule(problem.reorder(order), budget_bytes, time_limit_s, fixed=True)
    run = tuple(order[op] for op in kept.plan.order)
    return replace(kept, plan=replace(kept.plan, order=run))


def _schedule(problem: Problem, budget: int, time_limit_s: float, *, fixed: bool) -> Scheduled:
    begin = time.monotonic()
    deadline = begin + time_limit_s
    parts = segments(problem, fixed=fixed)
    known: dict[object, Part] = {}
    shapes = [segment.problem.shape for segment in parts]
    for shape, segment in zip(shapes, parts, strict=True):
        if shape not in known:  # blocks repeat: each is solved once
            left = (deadline - time.monotonic()) / (len(set(shapes)) - len(known))
            known[shape] = _solve(segment.problem, budget, fixed, max(0.5, left))
    solved = [known[shape] for shape in shapes]
    plan = _join(problem, parts, solved, budget, deadline)
    bound = sum(part.bound for part in solved)
    return Scheduled(plan, replay(problem, plan), bound, time.monotonic() - begin)


def _solve(problem: Problem, budget: int, fixed: bool, seconds: float) -> Part:
    """The best draft of a segment: free of spills if some order allows it, else by programs."""
    deadline = time.monotonic() + seconds
    default = problem.default_order
    if fixed or all(low == high for low, high in problem.windows):
        return _refine(problem, budget, FixedMaster(problem, default, budget), deadline)
    best: Part | None = None
    for order in _orders(problem, seconds / 4):
        some = min(deadline, time.monotonic() + seconds / 4)
        best = _better(best, _try(problem, budget, FixedMaster(problem, order, budget), some))
        if best is not None and best.cost == 0:
            return replace(best, bound=0)
    draft = search(problem, budget, time_limit_s=(deadline - time.monotonic()) / 2)
    found, bound = _only(problem, budget, draft, deadline), draft.bound_bytes
    best = _better(best, found)
    if best is None or best.cost > bound:
        found = _by_program(problem, budget, best, deadline)
        best, bound = _better(best, found), max(bound, found.bound)
    if best is None:
        raise MappingError(
            f"no schedule of '{problem.name}' in {budget} B was found in time: enlarge the "
            f"scratchpad or the time limit"
        )
    return replace(best, bound=min(bound, best.cost))


def _orders(problem: Problem, seconds: float) -> tuple[tuple[int, ...], ...]:
    """Orders to try first: that of minimum peak and the default."""
    peak = minimum_peak(problem, time_limit_s=seconds)
    return tuple(dict.fromkeys((peak.order, problem.default_order)))


def _only(problem: Problem, budget: int, draft: Draft, deadline: float) -> Part | None:
    """The part of a draft, if it has a placement."""
    if not draft.order or _place(problem, draft, budget, deadline).addresses is None:
        return None
    return Part(draft.order, draft.dropped, bytes_of(problem, draft.dropped), draft.bound_bytes)


def _by_program(problem: Problem, budget: int, best: Part | None, deadline: float) -> Part:
    master = FreeMaster(problem, budget)
    if best is not None:
        master.begin_with(best.order, best.dropped)
    return _try(problem, budget, master, deadline) or Part((), frozenset(), 0, 0)


def _better(first: Part | None, second: Part | None) -> Part | None:
    """The cheaper of two parts that have a draft."""
    known = [part for part in (first, second) if part is not None and part.order]
    return min(known, key=lambda part: part.cost, default=None)


def _refine(problem: Problem, budget: int, master: Master, deadline: float) -> Part:
    found = _try(problem, budget, master, deadline)
    if found is None or not found.order:
        raise MappingError(
            f"no schedule of '{problem.name}' in {budget} B was found for this order: enlarge the "
            f"scratchpad or the time limit"
        )
    return found


def _try(problem: Problem, budget: int, master: Master, deadline: float) -> Part | None:
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
        outcome = _place(problem, draft, budget, deadline)
        if outcome.addresses is not None:
            cost = bytes_of(problem, draft.dropped)
            best = Part(draft.order, draft.dropped, cost, min(bound, cost))
            break
        proven = proven and outcome.proven
        if not master.forbid(outcome.conflict) or time.monotonic() > deadline:
            break
    return best or (Part((), frozenset(), 0, bound) if bound else None)


def _place(problem: Problem, draft: Draft, budget: int, deadline: float) -> Placement:
    stays = stays_of(problem, draft.order, draft.dropped)
    return place(problem, stays, budget, deadline=max(deadline, time.monotonic() + 1.0))


def _join(
    problem: Problem, parts: Sequence[Segment], solved: Sequence[Part], budget: int, deadline: float
) -> Plan:
    """Places all segments together."""
    order = tuple(
        s.operators[op] for s, part in zip(parts, solved, strict=True) for op in part.order
    )
    dropped = frozenset(
        (segment.items[a], use + segment.uses_before(problem, segment.items[a]))
        for segment, part in zip(parts, solved, strict=True)
        for a, use in part.dropped
    )
    stays = stays_of(problem, order, dropped)
    outcome = place(problem, stays, budget, deadline=max(deadline, time.monotonic() + 5.0))
    if outcome.addresses is None:
        raise MappingError(
            f"the parts of '{problem.name}' have no common placement in {budget} B: enlarge the "
            f"scratchpad"
        )
    return Plan(order, stays, outcome.addresses, budget)
