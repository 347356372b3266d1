"""One choice at a time under given bypasses: its bounds, and the search of its mappings."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.optimal import choice as choices
from dovetail.mappers.spatial.optimal import screen, search, tables
from dovetail.mappers.spatial.optimal.lattice import axes
from dovetail.mappers.spatial.optimal.problem import Ints, Problem, Reals
from dovetail.mappers.spatial.optimal.rebuild import cuts_of, mapping_of
from dovetail.mappers.stopping import stop_requested

TOLERANCE = 1e-10
"""Relative: what is better by less counts as equal, since sums of floats come in any order."""

SLACK = (1e-9, 0.003, 0.01, 0.03, 0.1, 0.3, math.inf)
"""By how much over the bound a round of the search looks: good solutions first."""

STRIDE = 2000
"""Nodes between two looks at the clock."""

SHORT = 200
"""Nodes of a round before labels are kept: most rounds end sooner."""

LABELS = 1 << 16
"""Labels kept at most in a round."""


@dataclass
class _Space:
    """Workspaces of the kernels."""

    reals: Reals
    numbers: Ints

    def fit(self, reals: int, numbers: int) -> None:
        """Makes room."""
        if self.reals.size < reals:
            self.reals = np.empty(reals)
        if self.numbers.size < numbers:
            self.numbers = np.empty(numbers, np.int64)


class Run:
    """The best mapping so far, and what bounds all others.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        objective: number of the objective.
        time_limit_s: of wall-clock time.

    Attributes:
        cap: cycles that a mapping may take under the objective CAPPED, which counts cycles in
            units of it.
    """

    def __init__(
        self, einsum: Einsum, accelerator: SpatialArray, objective: int, time_limit_s: float | None
    ) -> None:
        self.einsum, self.accelerator, self.objective = einsum, accelerator, objective
        self.deadline = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
        self.best = math.inf
        self.mapping: Mapping | None = None
        self.place: tuple[Family, Ints, Ints] | None = None  # the mapping's family and choice
        self.cap = math.inf
        self.nodes = 0
        self.space = _Space(np.empty(1 << 16), np.empty(1 << 14, np.int64))

    @property
    def target(self) -> float:
        """What a better mapping must stay below."""
        return self.best * (1 - TOLERANCE)

    @property
    def late(self) -> bool:
        """Whether the time is up, or the user wants an end."""
        return stop_requested() or time.monotonic() > self.deadline


class Family:
    """All choices under given bypasses.

    A choice is spatial counts, (dimensions, ranks), and totals of the loops in time, (ranks,).
    """

    def __init__(self, run: Run, problem: Problem) -> None:
        self.problem, self.run = problem, run
        accelerator = run.accelerator
        names = [name for name, _ in accelerator.dimensions]
        self.serves = np.array([[d in e.serves for d in names] for e in accelerator.stores])
        p = problem
        self.rest = (
            self.serves, accelerator.mac_pj, p.edges, p.stores, p.terms, p.relevant, p.bits,
            p.sum_bits, p.reads_zeros, p.port_criterion, p.criteria, p.slots, p.movable,
        )  # fmt: skip

    def quick(self, totals: Ints, counts: Ints) -> tuple[Reals, Reals]:
        """Loose bounds and compute cycles of some choices."""
        result: Reals = screen.quick_bounds(self.run.objective, totals, counts, *self.rest)
        return result[:, 0], result[:, 1]

    def screen(self, totals: Ints, counts: Ints, bounds: Reals, level: int) -> Reals:
        """Raises the bounds of some choices."""
        run = self.run
        raised: Reals
        raised, run.space.reals, run.space.numbers = screen.screened(
            run.objective, totals, counts, *self.rest, level, bounds, run.target,
            run.space.reals, run.space.numbers,
        )  # fmt: skip
        return raised

    def solve(self, total: Ints, counts: Ints, bound: float) -> float:
        """Searches one choice; returns the bound that is proven of it."""
        run = self.run
        opened = self._open(total, counts)
        bound = max(bound, opened.root)
        if opened.root >= run.target:
            return bound
        for slack in SLACK:
            left_out = self._round(opened, total, counts, opened.root * (1 + slack))
            if left_out is None:
                return bound
            bound = max(bound, min(left_out, run.best))
            if left_out >= run.target:
                return bound
        return bound

    def _open(self, total: Ints, counts: Ints) -> _Opened:
        """Writes the tables of a choice into the workspace."""
        run, p = self.run, self.problem
        lattice, count = axes(total)
        tables_size, slides_size, bounds_size, numbers = choices.room(
            lattice, count, p.edges, p.stores, p.terms, len(total), p.movable, p.criteria
        )
        run.space.fit(tables_size + slides_size + bounds_size, numbers)
        lattice, vectors, made, sliding = choices.opened(
            run.objective, total, counts, *self.rest, run.space.reals, run.space.numbers
        )
        cost, _, _, _, constants, floor, _ = made
        options = choices.slide(
            run.objective, p.edges, p.stores, p.terms, p.port_criterion, p.slots, p.movable,
            lattice, vectors, made, sliding, run.space.reals[tables_size:],
        )  # fmt: skip
        if run.objective == tables.CAPPED:
            timed, least = slice(1, p.criteria - p.slots), sliding[-1]
            scaled = [cost[timed], made[1], constants[timed], options[1][timed], options[2]]
            if not np.shares_memory(least, cost):  # they are one where nothing slides
                scaled.append(least[timed])
            for table in scaled:
                table /= run.cap
            floor /= run.cap
            made = (*made[:5], floor, made[6])
        rest = choices.all_remaining(
            run.objective, cost, options[0], options[1], p.slots, True, lattice, p.movable,
            run.space.reals[tables_size + slides_size :],
        )  # fmt: skip
        root = float(search.root_bound(run.objective, constants, floor, p.limits, p.slots, rest))
        return _Opened(lattice, vectors, made, options, sliding[-1], rest, root)

    def _round(self, opened: _Opened, total: Ints, counts: Ints, target: float) -> float | None:
        """Searches below a target; returns the least bound left out, or None if it is late."""
        run, p = self.run, self.problem
        cost, own, tiles, widths, constants, floor, finished = opened.made
        options, option_cost, option_own = opened.options
        boundaries = cost.shape[1]
        chain = np.zeros((boundaries, 2), np.int64)
        path = np.zeros((boundaries, 3), np.int64)
        whole = np.zeros((1024, search.NODE_COLUMNS), np.int64)
        reals = np.zeros((1024, search.SUMS + p.criteria))
        labels, links = np.empty((LABELS, p.criteria + 3)), np.empty(LABELS, np.int64)
        heads = np.empty(0, np.int64)
        stored, used, left_out = 0, 1, math.inf
        whole[0, search.FINISHED] = finished[0]
        reals[0, search.BOUND], reals[0, search.OWN] = opened.root, floor
        reals[0, search.SUMS :] = constants
        while used:
            best, left, used, expanded, stored, whole, reals = search.search(
                run.objective, cost, own, tiles, constants, floor, p.limits, p.slots, p.slot_of,
                finished, widths, p.sum_bits, opened.rest, opened.lattice, p.movable, run.target,
                target, whole, reals, used, path, chain, STRIDE if heads.size else SHORT,
                p.capacity, heads, labels, links, stored, options, option_cost, option_own,
                opened.least,
            )  # fmt: skip
            left_out = min(left_out, left)
            run.nodes += expanded
            if used and not heads.size:
                heads = np.full(opened.rest[0].size, -1, np.int64)
            if best < run.target:
                run.best = best
                cuts = cuts_of(p, opened.vectors, chain)
                run.mapping = mapping_of(run.einsum, run.accelerator, p.levels, total, counts, cuts)
                run.place = (self, total, counts)
            if used and run.late and run.mapping is not None:
                return None
        return left_out


@dataclass
class _Opened:
    """Tables of one choice; see `choice`, of which these are the returns."""

    lattice: Ints
    vectors: Ints
    made: tuple[Any, ...]
    options: tuple[Any, ...]
    least: Reals
    rest: Reals
    root: float
