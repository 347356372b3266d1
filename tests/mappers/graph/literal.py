"""COSMA's program as it is printed, equations 1-12, with its gaps closed: a reference, slow."""

from __future__ import annotations

import itertools
import math

from dovetail.mappers.graph import Problem
from dovetail.mappers.graph.milp import Model


def literal_optimum(p: Problem, budget: int) -> float:
    """Fewest non-compulsory bytes; infinity if the program has no solution."""
    m, steps, items = Model(), range(len(p.operators)), range(len(p.items))
    cells = list(itertools.product(items, steps))
    sizes = [item.size for item in p.items]
    c = {cell: m.variable() for cell in cells}
    kept = {cell: m.variable() for cell in cells}
    made = [not item.backed for item in p.items]
    s = {(a, t): m.variable(sizes[a] if made[a] else 0) for a, t in cells}
    r = {(a, t): m.variable(sizes[a]) for a, t in cells}
    low = {cell: m.variable(high=budget) for cell in cells}
    same = {cell: m.variable() for cell in cells}
    for a, t in cells:
        m.add({c[a, t]: 1, kept[a, t]: 1, s[a, t]: 1, r[a, t]: 1}, high=1)  # 1
        m.add({r[a, t]: 1, **{s[a, k]: -1 for k in range(t + 1)}}, high=0)  # 4
        m.add({low[a, t]: 1}, high=budget - sizes[a])  # 9
        if not t:
            m.add({kept[a, t]: 1, s[a, t]: 1}, high=0)  # nothing is on chip before
            continue
        m.add({kept[a, t]: 1, c[a, t - 1]: -1, kept[a, t - 1]: -1, r[a, t - 1]: -1}, high=0)  # 2
        m.add({s[a, t]: 1, c[a, t - 1]: -1, kept[a, t - 1]: -1}, high=0)  # 3
        m.add({same[a, t]: 1, kept[a, t]: -1}, low=0)  # 11
        for sign in (1, -1):
            m.add({low[a, t]: sign, low[a, t - 1]: -sign, same[a, t]: budget}, high=budget)
    for a, item in enumerate(p.items):
        m.add({c[a, t]: 1 for t in steps}, low=1, high=1)  # 7
        m.add({s[a, t]: 1 for t in steps}, high=1)  # 8
        for t in steps:
            _operands(p, m, a, t, c, kept, r)
        del item
    heads = {i.producer: a for a, i in reversed(list(enumerate(p.items))) if i.producer is not None}
    for t in steps:
        m.add({c[a, t]: 1 for a in heads.values()}, high=1)  # one operator per step
    _no_overlap(p, m, budget, c, kept, r, low)
    answer = m.solve(time_limit_s=60)
    assert answer.status in ("optimal", "infeasible")
    return answer.objective if answer.found else math.inf


def _operands(p: Problem, m: Model, a: int, t: int, c: dict, kept: dict, r: dict) -> None:  # type: ignore[type-arg]
    """Equations 5 and 6; what has no producer may be loaded at the step itself."""
    op = p.items[a].producer
    if op is None:
        return
    for b, other in enumerate(p.items):
        if op in other.consumers:
            loaded = {c[b, t]: -1.0} if other.producer is None else {}
            m.add({c[a, t]: 1, kept[b, t]: -1, r[b, t]: -1, **loaded}, high=0)
        elif other.producer == op and b != a:
            m.add({c[a, t]: 1, c[b, t]: -1}, low=0, high=0)


def _no_overlap(p: Problem, m: Model, budget: int, c, kept, r, low) -> None:  # type: ignore[no-untyped-def]
    """Equation 10."""
    for (a, b), t in itertools.product(
        itertools.combinations(range(len(p.items)), 2), range(len(p.operators))
    ):
        above, below = m.variable(), m.variable()
        m.add({above: 1, below: 1}, high=1)
        both = {x[i, t]: -1.0 for x in (c, kept, r) for i in (a, b)}
        m.add({above: 1, below: 1, **both}, low=-1)
        m.add({low[a, t]: 1, low[b, t]: -1, above: -budget}, low=p.items[b].size - budget)
        m.add({low[b, t]: 1, low[a, t]: -1, below: -budget}, low=p.items[a].size - budget)
