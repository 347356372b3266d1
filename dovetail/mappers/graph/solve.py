"""Schedules a graph into a scratchpad: the fewest non-compulsory bytes, with proof or gap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dovetail.errors import MappingError
from dovetail.mappers.graph.bound import windows_bound
from dovetail.mappers.graph.divide import WINDOW, improve
from dovetail.mappers.graph.fixed import FixedMaster
from dovetail.mappers.graph.free import FreeMaster
from dovetail.mappers.graph.order import minimum_peak
from dovetail.mappers.graph.parts import Part, cheaper, in_order, only, place_best
from dovetail.mappers.graph.placement import place
from dovetail.mappers.graph.plan import Plan, stays_of
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.replay import Traffic, replay
from dovetail.mappers.graph.search import search
from dovetail.mappers.graph.segments import Segment, segments

MAX_CELLS = 20_000
"""Operators times the steps of their windows, up to which one program takes a whole segment."""


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


def schedule(
    problem: Problem,
    budget_bytes: int,
    *,
    time_limit_s: float = 60.0,
    order: Sequence[int] | None = None,
    exact: bool = True,
    window: int = WINDOW,
) -> Scheduled:
    """Order, placement and replacement with the fewest non-compulsory bytes.

    Args:
        problem: operators and tensors.
        budget_bytes: size of the scratchpad.
        time_limit_s: wall-clock seconds; when they are over, the best schedule found so far is
            returned with its bound.
        order: an order to keep; by default the order is free.
        exact: whether to prove optimality where time allows; else windows alone decide the order.
        window: operators per window of the divide and conquer.

    Raises:
        MappingError: if an operator alone needs more than the budget, or no schedule was found.
    """
    problem.check_budget(budget_bytes)
    if order is None:
        return _schedule(problem, budget_bytes, _Effort(time_limit_s, False, exact, window))
    effort = _Effort(time_limit_s, True, exact, window)
    kept = _schedule(problem.reorder(order), budget_bytes, effort)
    run = tuple(order[op] for op in kept.plan.order)
    return replace(kept, plan=replace(kept.plan, order=run))


@dataclass(frozen=True, slots=True)
class _Effort:
    """Seconds; whether the default order is kept; whether to prove; operators per window."""

    seconds: float
    fixed: bool
    exact: bool
    window: int


def _schedule(problem: Problem, budget: int, effort: _Effort) -> Scheduled:
    begin = time.monotonic()
    deadline = begin + effort.seconds
    parts = segments(problem, fixed=effort.fixed)
    known: dict[object, Part] = {}
    shapes = [segment.problem.shape for segment in parts]
    pairs = sorted(zip(shapes, parts, strict=True), key=lambda pair: len(pair[1].operators))
    for shape, segment in pairs:  # the largest last: it takes all the time that others leave
        if shape not in known:  # blocks repeat: each is solved once
            left = (deadline - time.monotonic()) / (len(set(shapes)) - len(known))
            known[shape] = _solve(segment.problem, budget, replace(effort, seconds=max(0.5, left)))
    solved = [known[shape] for shape in shapes]
    bound = sum(part.bound for part in solved)
    whole = _join(problem, parts, solved)
    plan = _placed(problem, whole, budget, deadline)
    if plan is None:
        whole = _solve_whole(problem, budget, effort, replace(whole, bound=bound))
        bound = whole.bound
        plan = _placed(problem, whole, budget, deadline)
    if plan is None:
        raise _none_found(problem, budget)
    return Scheduled(plan, replay(problem, plan), bound, time.monotonic() - begin)


def _solve(problem: Problem, budget: int, effort: _Effort) -> Part:
    """The best part of a segment: free of spills if some order allows it, else by programs."""
    deadline = time.monotonic() + effort.seconds
    if effort.fixed or all(low == high for low, high in problem.windows):
        best = place_best(
            problem, budget, FixedMaster(problem, problem.default_order, budget), deadline
        )
        return _found(problem, budget, best)
    peak = minimum_peak(problem, time_limit_s=effort.seconds / 4)
    best, bound = None, _least_cost(problem) if peak.bound_bytes > budget else 0
    orders = tuple(dict.fromkeys((peak.order, problem.default_order)))
    for order in orders:
        some = min(deadline, time.monotonic() + effort.seconds / 4)
        best = cheaper(best, in_order(problem, budget, order, some))
        if best is not None and best.cost <= bound:
            return replace(best, bound=best.cost)
    cells = _cells(problem)
    wide = cells > MAX_CELLS // 10
    if best is not None and (wide or not effort.exact):
        until = time.monotonic() + effort.seconds / 5
        bound = max(bound, windows_bound(problem, budget, best.order, best.cost, until))
    if effort.exact:
        left = deadline - time.monotonic()
        draft = search(problem, budget, time_limit_s=left * (0.1 if wide else 0.4))
        best = cheaper(best, only(problem, budget, draft, deadline))
        bound = max(bound, draft.bound_bytes)
    if (best is None or best.cost > bound) and (wide or not effort.exact):
        best = cheaper(best, improve(problem, budget, orders, best, effort.window, bound, deadline))
    if (best is None or best.cost > bound) and effort.exact and cells <= MAX_CELLS:
        found = _by_program(problem, budget, best, deadline)
        best, bound = cheaper(best, found), max(bound, found.bound)
    best = _found(problem, budget, best)
    return replace(best, bound=min(bound, best.cost))


def _least_cost(problem: Problem) -> int:
    """One spill and one retrieval of the smallest tensor that several operators use."""
    several = (item for item in problem.items if len(item.users) > 1)
    costs = (item.size * (1 if item.backed else 2) for item in several)
    return min(costs, default=0)


def _found(problem: Problem, budget: int, best: Part | None) -> Part:
    if best is None or not best.order:
        raise _none_found(problem, budget)
    return best


def _none_found(problem: Problem, budget: int) -> MappingError:
    return MappingError(
        f"no schedule of '{problem.name}' in {budget} B was found in time: enlarge the scratchpad "
        f"or the time limit"
    )


def _cells(problem: Problem) -> int:
    """Steps at which operators can run, over all operators."""
    return sum(high - low + 1 for low, high in problem.windows)


def _by_program(problem: Problem, budget: int, best: Part | None, deadline: float) -> Part:
    master = FreeMaster(problem, budget)
    if best is not None:
        master.begin_with(best.order, best.dropped)
    return place_best(problem, budget, master, deadline) or Part((), frozenset(), 0, 0)


def _join(problem: Problem, parts: Sequence[Segment], solved: Sequence[Part]) -> Part:
    """The parts of all segments as one, whose placement is open."""
    pairs = list(zip(parts, solved, strict=True))
    order = tuple(segment.operators[op] for segment, part in pairs for op in part.order)
    dropped = frozenset(
        (segment.items[a], use + segment.uses_before(problem, segment.items[a]))
        for segment, part in pairs
        for a, use in part.dropped
    )
    return Part(order, dropped, sum(p.cost for p in solved), sum(p.bound for p in solved))


def _placed(problem: Problem, part: Part, budget: int, deadline: float) -> Plan | None:
    stays = stays_of(problem, part.order, part.dropped)
    outcome = place(problem, stays, budget, deadline=max(deadline, time.monotonic() + 5.0))
    if outcome.addresses is None:
        return None
    return Plan(part.order, stays, outcome.addresses, budget)


def _solve_whole(problem: Problem, budget: int, effort: _Effort, joined: Part) -> Part:
    """Solves without cutting, where the parts have placements but none in common.

    The tensors that cross the cuts have one address on both sides, which is all that the segments
    share. Their bounds still hold.
    """
    deadline = time.monotonic() + effort.seconds / 2
    best = in_order(problem, budget, joined.order, deadline)
    bound = joined.bound
    if effort.fixed or all(low == high for low, high in problem.windows):
        bound = max(bound, best.bound if best else 0)
    elif (best is None or best.cost > bound) and effort.exact and _cells(problem) <= MAX_CELLS:
        deadline = time.monotonic() + effort.seconds / 2
        found = _by_program(problem, budget, best, deadline)
        best, bound = cheaper(best, found), max(bound, found.bound)
    best = _found(problem, budget, best)
    return replace(best, bound=min(bound, best.cost))
