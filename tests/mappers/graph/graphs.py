"""Random problems, and optima by plain enumeration."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from hypothesis import strategies as st

from dovetail.mappers.graph import Item, Problem
from dovetail.mappers.graph.plan import Gap, Stay, bytes_of, stays_of, use_steps


def problem(*rows: tuple[int, int | None, tuple[int, ...]], operators: int) -> Problem:
    """Rows of (size, producer, consumers)."""
    items = tuple(Item(f"t{a}", *row, backed=row[1] is None) for a, row in enumerate(rows))
    return Problem("test", tuple(f"op{i}" for i in range(operators)), items)


@st.composite
def problems(draw: st.DrawFn, most: int = 5) -> Problem:
    """Every operator writes one tensor and reads earlier ones, an input or a parameter."""
    count = draw(st.integers(2, most))
    readers: list[list[int]] = [[] for _ in range(count)]
    for op in range(1, count):
        for source in draw(st.sets(st.integers(0, op - 1), max_size=2)):
            readers[source].append(op)
    sizes = st.integers(1, 6)
    rows = [(draw(sizes), op, tuple(readers[op])) for op in range(count)]
    for _ in range(draw(st.integers(0, 2))):
        users = draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=2))
        rows.append((draw(sizes), None, tuple(sorted(users))))
    return problem(*rows, operators=count)


def orders(p: Problem) -> Iterator[tuple[int, ...]]:
    """All legal orders."""
    for order in itertools.permutations(range(len(p.operators))):
        place = {op: t for t, op in enumerate(order)}
        if all(place[s] < place[op] for op, row in enumerate(p.before) for s in row):
            yield order


def peak(p: Problem, order: tuple[int, ...]) -> int:
    """Bytes of an order that keeps everything from first to last use."""
    spans = [(steps[0], steps[-1], p.items[a].size) for a, steps in enumerate(use_steps(p, order))]
    return max(sum(s for lo, hi, s in spans if lo <= t <= hi) for t in range(len(order)))


def placeable(p: Problem, stays: tuple[Stay, ...], budget: int) -> bool:
    """Whether contiguous addresses exist: all stacks of all permutations."""
    for order in itertools.permutations(range(len(stays))):
        tops: dict[int, int] = {}
        for i in order:
            size = p.items[stays[i].item].size
            under = [
                tops[j]
                for j in tops
                if stays[j].start <= stays[i].end and stays[i].start <= stays[j].end
            ]
            tops[i] = max(under, default=0) + size
            if tops[i] > budget:
                break
        else:
            return True
    return False


def drops(p: Problem, order: tuple[int, ...]) -> Iterator[frozenset[Gap]]:
    """All sets of gaps in which items leave."""
    gaps = [
        (a, use)
        for a, steps in enumerate(use_steps(p, order))
        for use in range(len(steps) - 1)
        if steps[use + 1] - steps[use] > 1
    ]
    for chosen in itertools.product((False, True), repeat=len(gaps)):
        yield frozenset(itertools.compress(gaps, chosen))


def brute_force(p: Problem, budget: int, *, contiguous: bool = True) -> float:
    """Fewest bytes over all orders, replacements and addresses; infinity if none is legal."""
    best = math.inf
    for order in orders(p):
        for dropped in drops(p, order):
            cost = bytes_of(p, dropped)
            if cost >= best:
                continue
            stays = stays_of(p, order, dropped)
            fits = all(
                sum(p.items[s.item].size for s in stays if s.start <= t <= s.end) <= budget
                for t in range(len(order))
            )
            if fits and (not contiguous or placeable(p, stays, budget)):
                best = cost
    return best
