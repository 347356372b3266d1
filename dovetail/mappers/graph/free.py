"""Order and replacement in one integer program; placement is checked outside, by lazy cuts.

COSMA's equations in fewer variables. With x = C of an operator, r = C + P + R of a tensor, the
state of a step (1-3), creation once (6, 7) and residency of operands (5) are rows over x and r;
R is what r gains without creation, and a tensor whose R is ever 1 pays its one spill (4, 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from dovetail.mappers.graph.fixed import Draft, whole
from dovetail.mappers.graph.milp import Answer, Model
from dovetail.mappers.graph.plan import Gap, Stay, bytes_of, stays_of, use_steps
from dovetail.mappers.graph.problem import Problem

Cell = tuple[int, int]


class FreeMaster:
    """The master program; `forbid` adds what placement finds impossible.

    Every operator runs within its window, as soon and as late as the graph allows, and each step
    runs one operator (which equations 1-7 do not imply).
    """

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem, self.budget = problem, budget
        self.unit = problem.granule
        self.count = len(problem.operators)
        self.model = Model()
        self.x: list[dict[int, int]] = []
        self.cells: list[dict[int, int]] = []
        self.created: dict[Cell, int] = {}
        self.retrieved: dict[Cell, int] = {}
        self.spilled: dict[int, int] = {}
        self._start: list[float] | None = None
        self._add_operators()
        for a in range(len(problem.items)):
            self._add_item(a)
        self._add_capacity()

    def _add_operators(self) -> None:
        for low, high in self.problem.windows:
            self.x.append({t: self.model.variable() for t in range(low, high + 1)})
        for row in self.x:
            self.model.add(dict.fromkeys(row.values(), 1.0), low=1, high=1)
        for t in range(self.count):
            running = {row[t]: 1.0 for row in self.x if t in row}
            self.model.add(running, low=1, high=1)
        for op, sources in enumerate(self.problem.before):
            for source in sources:
                self._add_precedence(source, op)

    def _add_precedence(self, source: int, op: int) -> None:
        """What `op` has run by step t, `source` has run by step t - 1."""
        last = max(self.x[source])
        for t in self.x[op]:
            if t > last:
                break
            terms = {v: 1.0 for k, v in self.x[op].items() if k <= t}
            terms.update({v: -1.0 for k, v in self.x[source].items() if k < t})
            self.model.add(terms, high=0)

    def _add_item(self, a: int) -> None:
        item = self.problem.items[a]
        if len(item.users) == 1:  # on chip with its operator alone
            self.cells.append(self.x[item.users[0]])
            return
        windows = [self.problem.windows[op] for op in item.users]
        span = range(min(low for low, _ in windows), max(high for _, high in windows) + 1)
        cells = {t: self.model.variable() for t in span}
        self.cells.append(cells)
        size = item.size // self.unit
        spill = 0 if item.backed else size
        self.spilled[a] = self.model.variable(spill, integer=False)
        for t in span:
            self._add_cell(a, t, size)
        if item.producer is None:  # loaded once without cost
            self.model.add({self.created[a, t]: 1.0 for t in span}, high=1)

    def _add_cell(self, a: int, t: int, size: int) -> None:
        item, cells, model = self.problem.items[a], self.cells[a], self.model
        using = {self.x[op][t]: -1.0 for op in item.users if t in self.x[op]}
        model.add({cells[t]: 1.0, **using}, low=0)
        if item.producer is None:
            self.created[a, t] = model.variable()
            creation = {self.created[a, t]: 1.0}
        else:
            row = self.x[item.producer]
            creation = {row[t]: 1.0} if t in row else {}
            if t < max(row):
                produced = {v: -1.0 for k, v in row.items() if k <= t}
                model.add({cells[t]: 1.0, **produced}, high=0)
        self.retrieved[a, t] = gain = model.variable(size, integer=False)
        before = {cells[t - 1]: 1.0} if t - 1 in cells else {}
        model.add({gain: 1.0, cells[t]: -1.0, **before, **creation}, low=0)
        model.add({self.spilled[a]: 1.0, gain: -1.0}, low=0)

    def _add_capacity(self) -> None:
        capacity = self.budget // self.unit
        for t in range(self.count):
            terms: dict[int, float] = {}
            for a, cells in enumerate(self.cells):
                if t in cells:
                    size = self.problem.items[a].size // self.unit
                    terms[cells[t]] = terms.get(cells[t], 0.0) + size
            self.model.add(terms, high=capacity)

    def begin_with(self, order: Sequence[int], dropped: frozenset[Gap]) -> None:
        """Hands the solver a known solution."""
        values = [0.0] * len(self.model.cost)
        for t, op in enumerate(order):
            values[self.x[op][t]] = 1.0
        first: set[int] = set()
        for stay in stays_of(self.problem, order, dropped):
            for t in range(stay.start, stay.end + 1):
                values[self.cells[stay.item][t]] = 1.0
            if stay.item not in self.spilled:
                continue
            cell = (stay.item, stay.start)
            if stay.item in first:
                values[self.retrieved[cell]] = values[self.spilled[stay.item]] = 1.0
            elif cell in self.created:
                values[self.created[cell]] = 1.0
            first.add(stay.item)
        self._start = values

    def solve(self, time_limit_s: float | None) -> Draft:
        """Solves the program; a solution is at least as good as the model says."""
        answer = self.model.solve(time_limit_s=time_limit_s, start=self._start)
        bound = whole(answer.bound) * self.unit
        if not answer.found:
            return Draft((), frozenset(), answer.status, bound)
        order = self._order(answer)
        return Draft(order, self._dropped(answer, order), answer.status, bound)

    def _order(self, answer: Answer) -> tuple[int, ...]:
        step = {
            op: next(t for t, v in row.items() if answer.is_one(v)) for op, row in enumerate(self.x)
        }
        return tuple(sorted(step, key=step.__getitem__))

    def _dropped(self, answer: Answer, order: tuple[int, ...]) -> frozenset[Gap]:
        found = []
        for a, steps in enumerate(use_steps(self.problem, order)):
            for use, (left, right) in enumerate(pairwise(steps)):
                inside = (self.cells[a][t] for t in range(left + 1, right))
                if not all(answer.is_one(v) for v in inside):
                    found.append((a, use))
        return frozenset(found)

    def forbid(self, conflict: Sequence[Stay]) -> bool:
        """Cuts off every solution with these tensors on chip at these steps.

        Residency over consecutive steps is one stay, in whatever order operators run.
        """
        cells = {self.cells[s.item][t] for s in conflict for t in range(s.start, s.end + 1)}
        self.model.add(dict.fromkeys(cells, 1.0), high=len(cells) - 1)
        self._start = None
        return True

    def value(self, draft: Draft) -> int:
        """Bytes of a draft."""
        return bytes_of(self.problem, draft.dropped)
