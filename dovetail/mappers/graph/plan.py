"""A schedule of a graph: the order, and where each tensor lies while it is on chip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from dovetail.mappers.graph.problem import Problem


@dataclass(frozen=True, slots=True, order=True)
class Stay:
    """A tensor is on chip from one step to another, both included.

    Attributes:
        item: index in the problem.
        start: step that creates, loads or retrieves it.
        end: last step at which it is on chip; it is spilled or dropped after.
    """

    item: int
    start: int
    end: int


@dataclass(frozen=True)
class Plan:
    """Order, stays and addresses; `replay` says what it costs and whether it is legal.

    Attributes:
        order: operators, one per step.
        stays: when tensors are on chip; the second and later stays of one begin by a retrieval.
        addresses: first byte of each stay.
        budget_bytes: scratchpad.
    """

    order: tuple[int, ...]
    stays: tuple[Stay, ...]
    addresses: tuple[int, ...]
    budget_bytes: int


Gap = tuple[int, int]
"""An item and the number of one of its uses: the steps between that use and the next one."""


def use_steps(problem: Problem, order: Iterable[int]) -> list[list[int]]:
    """Steps at which each item must be on chip, ascending, by item."""
    position = {op: t for t, op in enumerate(order)}
    return [sorted({position[op] for op in item.users}) for item in problem.items]


def stays_of(problem: Problem, order: Iterable[int], dropped: frozenset[Gap]) -> tuple[Stay, ...]:
    """Stays of an order in which items leave the chip in some of the gaps between their uses."""
    stays = []
    for a, steps in enumerate(use_steps(problem, order)):
        start = steps[0]
        for use, (left, right) in enumerate(pairwise(steps)):
            if (a, use) in dropped:
                stays.append(Stay(a, start, left))
                start = right
        stays.append(Stay(a, start, steps[-1]))
    return tuple(stays)


def bytes_of(problem: Problem, dropped: Iterable[Gap]) -> int:
    """Bytes moved when items leave in these gaps: one retrieval per gap, one spill per item.

    What was loaded needs no spill: its copy off chip is still there.
    """
    gaps = list(dropped)
    made = {a for a, _ in gaps if not problem.items[a].backed}
    return sum(problem.items[a].size for a in (*(a for a, _ in gaps), *made))
