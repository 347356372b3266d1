"""Cuts a problem where one tensor alone is alive: the parts share no decision but its address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.mappers.graph.problem import Problem


@dataclass(frozen=True)
class Segment:
    """Consecutive operators of a problem as a problem of their own.

    Attributes:
        problem: its operators in the order given; what comes in is an input.
        operators: which operator of the whole each of its operators is.
        items: which item of the whole each of its items is.
    """

    problem: Problem
    operators: tuple[int, ...]
    items: tuple[int, ...]

    def uses_before(self, whole: Problem, item: int) -> int:
        """Uses of an item of the whole in earlier segments: its gap numbers shift by them."""
        return sum(1 for op in whole.items[item].users if op < self.operators[0])


def segments(problem: Problem, *, fixed: bool = False) -> list[Segment]:
    """Cuts at every step after which, in any legal order, one tensor alone is needed later.

    That tensor is on chip at the cut: the operator before created it and the one after reads it.

    Args:
        problem: what to cut.
        fixed: whether the default order is kept; else cuts hold for all orders.
    """
    last = len(problem.operators) - 1
    pinned = [fixed or low == high for low, high in problem.windows]
    crossing = _crossing(problem)
    parts, start = [], 0
    for t in range(last + 1):
        if t == last or (pinned[t] and _is_cut(problem, crossing[t], t, fixed)):
            operators = tuple(range(start, t + 1))
            part, items = problem.restrict(operators)
            parts.append(Segment(part, operators, items))
            start = t + 1
    return parts


def _crossing(problem: Problem) -> list[list[int]]:
    """Items needed both up to and after each step of the default order."""
    table: list[list[int]] = [[] for _ in problem.operators]
    for a, item in enumerate(problem.items):
        for t in range(min(item.users), max(item.users)):
            table[t].append(a)
    return table


def _is_cut(problem: Problem, crossing: Sequence[int], t: int, fixed: bool) -> bool:
    """Whether one tensor crosses from step t to t + 1, made at t and read by what runs next."""
    if len(crossing) != 1:
        return False
    item = problem.items[crossing[0]]
    rest = [t + 1] if fixed else range(t + 1, len(problem.operators))
    # Without reading it, only what waits for a later operator can stand in the rest.
    return item.producer == t and all(op in item.consumers or problem.before[op] for op in rest)
