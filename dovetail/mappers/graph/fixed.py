"""The replacement problem of a fixed order: which tensors leave between two uses.

In a fixed order a tensor is best kept over a whole gap between two uses or dropped right after
the first and retrieved right before the second, so that one binary per gap says all that the
variables P, S and R of every step say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dovetail.mappers.graph.milp import Answer, Model
from dovetail.mappers.graph.plan import Gap, Stay, use_steps
from dovetail.mappers.graph.problem import Problem


@dataclass(frozen=True)
class Draft:
    """An order and the gaps in which tensors leave, without addresses.

    Attributes:
        order: operators.
        dropped: gaps.
        status: see `milp.Answer`.
        bound_bytes: no solution of the model moves fewer bytes.
    """

    order: tuple[int, ...]
    dropped: frozenset[Gap]
    status: str
    bound_bytes: int


class FixedMaster:
    """Equations 1-9 and 12 of COSMA with C given (16-17); placement is checked outside."""

    def __init__(self, problem: Problem, order: Sequence[int], budget: int) -> None:
        self.problem, self.order, self.budget = problem, tuple(order), budget
        self.unit = problem.granule
        self.model = Model()
        self.gaps: dict[Gap, int] = {}
        self.steps = use_steps(problem, order)
        self.load = [0] * len(self.order)
        self.open: list[list[Gap]] = [[] for _ in self.order]
        for a in range(len(problem.items)):
            self._add_item(a)
        self._add_capacity()

    def _add_item(self, a: int) -> None:
        size = self.problem.items[a].size // self.unit
        wide = []
        steps = self.steps[a]
        for t in steps:
            self.load[t] += size
        for use, (left, right) in enumerate(pairwise(steps)):
            if right - left > 1:
                wide.append((a, use))
                for t in range(left + 1, right):
                    self.open[t].append((a, use))
        if not wide:
            return
        drops = [self.model.variable(size) for _ in wide]
        self.gaps.update(zip(wide, drops, strict=True))
        if self.problem.items[a].backed:  # its copy off chip is still there
            return
        spill = self.model.variable(size, integer=False)
        for drop in drops:
            self.model.add({spill: 1, drop: -1}, low=0)

    def _add_capacity(self) -> None:
        """Equation 9 without addresses: what is kept over a step fits beside what it uses."""
        capacity = self.budget // self.unit
        tightest: dict[tuple[Gap, ...], int] = {}
        for t, gaps in enumerate(self.open):
            key = tuple(gaps)
            tightest[key] = max(tightest.get(key, 0), self.load[t])
        for gaps_, load in tightest.items():
            sizes = {self.gaps[g]: self.problem.items[g[0]].size // self.unit for g in gaps_}
            excess = load + sum(sizes.values()) - capacity
            if excess > 0:
                # What exceeds a gap's need adds nothing: smaller coefficients, tighter relaxation.
                self.model.add({v: min(s, excess) for v, s in sizes.items()}, low=excess)

    def solve(self, time_limit_s: float | None) -> Draft:
        """Solves the model."""
        if not self.gaps:
            legal = all(low <= 0 for low, _, _ in self.model.rows)
            return Draft(self.order, frozenset(), "optimal" if legal else "infeasible", 0)
        return self._draft(self.model.solve(time_limit_s=time_limit_s))

    def _draft(self, answer: Answer) -> Draft:
        dropped = frozenset(g for g, v in self.gaps.items() if answer.found and answer.is_one(v))
        return Draft(self.order, dropped, answer.status, whole(answer.bound) * self.unit)

    def forbid(self, conflict: Sequence[Stay]) -> bool:
        """Cuts off every solution that keeps all these stays; False if all of them must be."""
        broken: dict[int, float] = {}
        for stay in conflict:
            steps = self.steps[stay.item]
            for use, (left, right) in enumerate(pairwise(steps)):
                inside = left < stay.end and right > stay.start
                if (stay.item, use) in self.gaps and inside:
                    broken[self.gaps[stay.item, use]] = 1.0
        self.model.add(broken, low=1)
        return bool(broken)


def whole(bound: float) -> int:
    """The smallest whole cost that a bound allows; 0 without a bound."""
    return 0 if math.isinf(bound) else math.ceil(bound - 1e-6)
