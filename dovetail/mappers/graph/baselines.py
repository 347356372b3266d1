"""Schedulers that decide one thing after the other, to compare with: order, victims, addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dovetail.errors import UnknownNameError
from dovetail.mappers.graph.arena import arena
from dovetail.mappers.graph.packing import Block
from dovetail.mappers.graph.plan import Gap, Plan, stays_of, use_steps
from dovetail.mappers.graph.problem import Problem
from dovetail.mappers.graph.replay import Traffic, replay

Chooser = Callable[[Mapping[int, int], Mapping[int, int], int], list[int]]
"""(bytes by item, step of the next use by item, deficit in bytes) -> items to evict."""


@dataclass(frozen=True)
class Baseline:
    """Outcome of a baseline.

    Attributes:
        plan: with addresses, which may exceed the budget.
        arena_bytes: what its placement needs.
        traffic: as replayed; None if the placement exceeds the budget.
    """

    plan: Plan
    arena_bytes: int
    traffic: Traffic | None


def belady(sizes: Mapping[int, int], next_use: Mapping[int, int], deficit: int) -> list[int]:
    """Evicts what is used last first, until the deficit is covered."""
    chosen = []
    for a in sorted(sizes, key=lambda a: (-next_use[a], -sizes[a], a)):
        if deficit <= 0:
            break
        chosen.append(a)
        deficit -= sizes[a]
    return chosen


def least_bytes(sizes: Mapping[int, int], next_use: Mapping[int, int], deficit: int) -> list[int]:
    """Evicts the set of fewest bytes that covers the deficit: optimal at each step alone.

    An exact subset sum; among sets of equal bytes, the one whose uses are later.
    """
    reach: dict[int, tuple[int, tuple[int, ...]]] = {0: (0, ())}
    for a in sorted(sizes):
        for total, (score, chosen) in list(reach.items()):
            if total >= deficit:
                continue
            some = (score + next_use[a], (*chosen, a))
            if total + sizes[a] not in reach or reach[total + sizes[a]][0] < some[0]:
                reach[total + sizes[a]] = some
    return list(reach[min(total for total in reach if total >= deficit)][1])


MAX_REPAIRS = 100
"""Arenas that are tried before a repaired baseline has failed too."""

CHOOSERS: dict[str, Chooser] = {"belady": belady, "greedy": least_bytes}


def run_baseline(
    problem: Problem,
    budget_bytes: int,
    order: Sequence[int],
    chooser: str,
    *,
    repair: bool = False,
) -> Baseline:
    """Evicts as space runs out, then places by the arena allocator.

    Args:
        problem: operators and tensors.
        budget_bytes: scratchpad.
        order: operators.
        chooser: `belady` or `greedy`.
        repair: whether, while the arena exceeds the budget, the policy evicts that much more at
            the steps where it does; else such a placement has failed.

    Raises:
        MappingError: if an operator alone needs more than the budget.
        UnknownNameError: if there is no such chooser.
    """
    if chooser not in CHOOSERS:
        raise UnknownNameError("baseline", chooser, CHOOSERS)
    problem.check_budget(budget_bytes)
    kept = problem.check_order(order)
    limits = [budget_bytes] * len(kept)
    for _ in range(MAX_REPAIRS if repair else 1):
        plan, tops = _attempt(problem, budget_bytes, kept, limits, CHOOSERS[chooser])
        over = [t for t, top in enumerate(tops) if top > budget_bytes]
        if not over:
            return Baseline(plan, max(tops), replay(problem, plan))
        for t in over:
            limits[t] -= tops[t] - budget_bytes
    return Baseline(plan, max(tops), None)


def _attempt(
    problem: Problem, budget: int, order: tuple[int, ...], limits: Sequence[int], choose: Chooser
) -> tuple[Plan, list[int]]:
    """The plan under limits of bytes per step, and the highest address in use at each step."""
    stays = stays_of(problem, order, _evictions(problem, limits, order, choose))
    blocks = [Block(s.start, s.end, problem.items[s.item].size) for s in stays]
    addresses = arena(blocks, len(order))
    tops = [0] * len(order)
    for block, address in zip(blocks, addresses, strict=True):
        for t in range(block.start, block.end + 1):
            tops[t] = max(tops[t], address + block.size)
    return Plan(order, stays, tuple(addresses), budget), tops


def _evictions(
    problem: Problem, limits: Sequence[int], order: Sequence[int], choose: Chooser
) -> frozenset[Gap]:
    """Gaps in which the policy has items off chip."""
    steps = use_steps(problem, order)
    resident: dict[int, int] = {}
    used = [0] * len(problem.items)
    dropped: set[Gap] = set()
    for t, op in enumerate(order):
        for a in problem.uses[op]:
            if a not in resident and used[a]:
                dropped.add((a, used[a] - 1))
            resident[a] = problem.items[a].size
        idle = {a: s for a, s in resident.items() if a not in problem.uses[op]}
        deficit = min(sum(resident.values()) - limits[t], sum(idle.values()))
        if deficit > 0:
            for a in choose(idle, {a: steps[a][used[a]] for a in idle}, deficit):
                del resident[a]
        for a in problem.uses[op]:
            used[a] += 1
            if steps[a][-1] == t:
                del resident[a]
    return frozenset(dropped)
