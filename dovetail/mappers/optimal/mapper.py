"""The search over all spatial choices."""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass

import numpy as np

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Mapping
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.mappers.found import Found, check_objective, value_of
from dovetail.mappers.optimal import choice as choices
from dovetail.mappers.optimal import screen, search, tables
from dovetail.mappers.optimal.infeasible import nothing_fits
from dovetail.mappers.optimal.lattice import axes
from dovetail.mappers.optimal.problem import Ints, Problem, Reals, hierarchies
from dovetail.mappers.optimal.rebuild import cuts_of, mapping_of
from dovetail.mappers.optimal.unrolling import Spread, fixed_choice, spatial_choices
from dovetail.mappers.stopping import stop_requested
from dovetail.sim.nest import analyse

OBJECTIVE = {"latency": tables.LATENCY, "energy": tables.ENERGY, "edp": tables.EDP}

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

FIRST = 4
"""Spatial choices that are searched for a first solution before all are bounded."""

CHUNK = 16
"""Spatial choices that are bounded between two looks at the clock."""


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


class _Search:
    """The best mapping so far, and what bounds all others.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        objective: number of the objective.
        time_limit_s: of wall-clock time.
    """

    def __init__(
        self, einsum: Einsum, accelerator: SpatialArray, objective: int, time_limit_s: float | None
    ) -> None:
        self.einsum, self.accelerator, self.objective = einsum, accelerator, objective
        self.deadline = math.inf if time_limit_s is None else time.monotonic() + time_limit_s
        self.best = math.inf
        self.mapping: Mapping | None = None
        self.nodes = 0
        self.open_bound = math.inf
        self.space = _Space(np.empty(1 << 16), np.empty(1 << 14, np.int64))

    @property
    def target(self) -> float:
        """What a better mapping must stay below."""
        return self.best * (1 - TOLERANCE)

    @property
    def late(self) -> bool:
        """Whether the time is up, or the user wants an end."""
        return stop_requested() or time.monotonic() > self.deadline


class _Family:
    """All spatial choices under given bypasses."""

    def __init__(self, run: _Search, problem: Problem, counts: Ints) -> None:
        self.problem, self.counts, self.run = problem, counts, run
        einsum, accelerator = run.einsum, run.accelerator
        self.extents = np.array([extent for _, extent in einsum.ranks])
        names = [name for name, _ in accelerator.dimensions]
        self.serves = np.array([[d in e.serves for d in names] for e in accelerator.stores])
        p = problem
        self.rest = (
            self.serves, accelerator.mac_pj, p.edges, p.stores, p.terms, p.relevant, p.bits,
            p.sum_bits, p.reads_zeros, p.port_criterion, p.criteria, p.slots, p.movable,
        )  # fmt: skip
        quick = screen.quick_bounds(run.objective, self.extents, counts, *self.rest)
        self.bounds: Reals = quick[:, 0].copy()
        self.compute: Reals = quick[:, 1].copy()

    def screen(self, chosen: Ints, level: int) -> None:
        """Raises the bounds of some choices."""
        run = self.run
        bounds, run.space.reals, run.space.numbers = screen.screened(
            run.objective, self.extents, self.counts[chosen], *self.rest, level,
            self.bounds[chosen], run.target, run.space.reals, run.space.numbers,
        )  # fmt: skip
        self.bounds[chosen] = bounds

    def solve(self, i: int) -> None:
        """Searches one choice; its bound rises to what is proven."""
        run, p = self.run, self.problem
        choice = self.counts[i]
        lattice, count = axes(choices.temporal_extents(self.extents, choice))
        tables_size, slides_size, bounds_size, numbers = choices.room(
            lattice, count, p.edges, p.stores, p.terms, len(self.extents), p.movable, p.criteria
        )
        run.space.fit(tables_size + slides_size + bounds_size, numbers)
        lattice, vectors, made, sliding = choices.opened(
            run.objective, self.extents, choice, *self.rest, run.space.reals, run.space.numbers
        )
        cost, own, tiles, widths, constants, floor, finished = made
        options, option_cost, option_own = choices.slide(
            run.objective, p.edges, p.stores, p.terms, p.port_criterion, p.slots, p.movable,
            lattice, vectors, made, sliding, run.space.reals[tables_size:],
        )  # fmt: skip
        rest = choices.all_remaining(
            run.objective, cost, options, option_cost, p.slots, True, lattice, p.movable,
            run.space.reals[tables_size + slides_size :],
        )  # fmt: skip
        root = float(search.root_bound(run.objective, constants, floor, p.limits, p.slots, rest))
        self.bounds[i] = max(self.bounds[i], root)
        if root >= run.target:
            return
        boundaries = cost.shape[1]
        chain = np.zeros((boundaries, 2), np.int64)
        path = np.zeros((boundaries, 3), np.int64)
        whole = np.zeros((1024, search.NODE_COLUMNS), np.int64)
        reals = np.zeros((1024, search.SUMS + p.criteria))
        labels = np.empty((LABELS, p.criteria + 3))
        links = np.empty(LABELS, np.int64)
        for slack in SLACK:
            heads = np.empty(0, np.int64)
            stored = 0
            whole[0] = 0
            whole[0, search.FINISHED] = finished[0]
            reals[0, search.BOUND] = root
            reals[0, search.OWN] = floor
            reals[0, search.SUMS :] = constants
            used, left_out = 1, math.inf
            while used:
                best, left, used, expanded, stored, whole, reals = search.search(
                    run.objective, cost, own, tiles, constants, floor, p.limits, p.slots, p.slot_of,
                    finished, widths, p.sum_bits, rest, lattice, p.movable, run.target,
                    root * (1 + slack), whole, reals, used, path, chain,
                    STRIDE if heads.size else SHORT, p.capacity, heads, labels, links, stored,
                    options, option_cost, option_own, sliding[-1],
                )  # fmt: skip
                left_out = min(left_out, left)
                run.nodes += expanded
                if used and not heads.size:
                    heads = np.full(rest[0].size, -1, np.int64)
                if best < run.target:
                    run.best = best
                    cuts = cuts_of(p, vectors, chain)
                    run.mapping = mapping_of(run.einsum, run.accelerator, p.levels, choice, cuts)
                if used and run.late and run.mapping is not None:
                    return
            self.bounds[i] = max(self.bounds[i], min(left_out, run.best))
            if left_out >= run.target:
                return


def optimal(
    einsum: Einsum,
    accelerator: SpatialArray,
    objective: str = "latency",
    *,
    time_limit_s: float | None = None,
    spatial: Spread | None = None,
) -> Found:
    """The best mapping of an operator, with proof; see the package for the mapspace.

    Args:
        einsum: the operator, with at most two factors.
        accelerator: that runs it.
        objective: `latency`, `energy`, or `edp`.
        time_limit_s: of wall-clock time. When it is up, or on Ctrl-C, the best mapping so far is
            returned with a bound that holds for all others.
        spatial: counts per dimension and rank, e.g. {"x": {"K": 16}}, to be kept as they are; ranks
            and dimensions that are left out are not unrolled. None: all that `unrolls` allow.

    Raises:
        MappingError: if no mapping fits, or `spatial` breaks a law of the accelerator.
        UnknownNameError: for an unknown objective, dimension, or rank.
    """
    number = OBJECTIVE[check_objective(objective)]
    if len(einsum.operands) > 2:
        raise MappingError(
            f"the einsum has {len(einsum.operands)} factors: at most 2; split it in products"
        )
    _compile()
    run = _Search(einsum, accelerator, number, time_limit_s)
    counts = fixed_choice(einsum, accelerator, spatial) if spatial is not None else (
        spatial_choices(einsum, accelerator)
    )  # fmt: skip
    families = [
        _Family(run, Problem.of(einsum, accelerator, levels), counts)
        for levels in hierarchies(einsum, accelerator)
    ]
    bound, interrupted = _explore(run, families)
    if run.mapping is None:
        raise MappingError(nothing_fits(einsum, accelerator))
    cost = analyse(einsum, accelerator, run.mapping)
    value = value_of(cost.cycles, cost.energy_pj, objective)
    if abs(value - run.best) > 1e-9 * value:
        raise RuntimeError(
            f"the mapper's cost {run.best} is not the analysis' {value}: please report"
        )
    proven = bound >= run.target
    return Found(
        run.mapping, cost, value if proven else bound, value, proven, run.nodes, interrupted
    )


@functools.cache
def _compile() -> None:
    """Compiles all kernels on the smallest problem: no search pays for it out of its time."""
    index = Affine((("K", 1),))
    einsum = Einsum(
        (("K", 2),), (Access("i", (index,)), Access("w", (index,))), Access("o", (index,))
    )
    stores = (Store("near", OPERANDS), Store("far", OPERANDS))
    accelerator = SpatialArray("smallest", (("x", 1),), stores)
    run = _Search(einsum, accelerator, tables.LATENCY, None)
    levels = hierarchies(einsum, accelerator)[0]
    counts = spatial_choices(einsum, accelerator)
    family = _Family(run, Problem.of(einsum, accelerator, levels), counts)
    for level in (screen.COARSE, screen.FINE, screen.EXACT):
        family.screen(np.zeros(1, np.int64), level)
    family.solve(0)


def _explore(run: _Search, families: list[_Family]) -> tuple[float, bool]:
    """Searches until nothing open can be better.

    Returns:
        The bound of everything, and whether the search was cut short.
    """
    sizes = [len(family.counts) for family in families]
    owner = np.repeat(np.arange(len(families)), sizes)
    index = np.concatenate([np.arange(size) for size in sizes])
    compute = np.concatenate([family.compute for family in families])
    bounds = np.concatenate([family.bounds for family in families])
    level = np.full(len(owner), screen.QUICK)
    slides = any(store.sliding for store in run.accelerator.stores)

    def solve(i: int) -> None:
        families[owner[i]].solve(int(index[i]))
        level[i] = screen.SOLVED
        bounds[i] = families[owner[i]].bounds[index[i]]

    def refine() -> bool:
        """Works on the most promising choices; False if none is left."""
        left = np.flatnonzero((level < screen.SOLVED) & (bounds < run.target))
        if not len(left):
            return False
        few = left[np.argpartition(bounds[left], min(CHUNK, len(left)) - 1)[:CHUNK]]
        few = few[np.argsort(bounds[few], kind="stable")]
        now = level[few[0]]
        if now == screen.EXACT or (now == screen.FINE and not slides):
            solve(int(few[0]))
            return True
        few = few[(level[few] == now) & (owner[few] == owner[few[0]])]
        family = families[owner[few[0]]]
        family.screen(index[few], now + 1)
        bounds[few] = family.bounds[index[few]]
        level[few] += 1
        return True

    try:
        # Something good first: the fewest cycles, of these the least bound.
        first = np.lexsort((bounds, compute))[: FIRST if run.objective == tables.LATENCY else 0]
        for i in first:
            if run.mapping is None:
                solve(int(i))
        while not run.late and refine():
            pass
        for i in np.argsort(bounds, kind="stable"):
            if run.mapping is None and level[i] < screen.SOLVED and math.isfinite(bounds[i]):
                solve(int(i))
    except KeyboardInterrupt:
        if run.mapping is None:
            raise
        return float(min(bounds.min(), run.best)), True
    bound = float(min(bounds.min(), run.best))
    return bound, bound < run.target
