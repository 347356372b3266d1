"""The search over all spatial choices."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir.mapping import Mapping
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import Found, check_objective, value_of
from dovetail.mappers.optimal import choice as choices
from dovetail.mappers.optimal import search
from dovetail.mappers.optimal.problem import Ints, Problem, hierarchies, spatial_choices
from dovetail.mappers.optimal.rebuild import cuts_of, mapping_of
from dovetail.sim.nest import analyse

OBJECTIVE = {"latency": search.LATENCY, "energy": search.ENERGY, "edp": search.EDP}

TOLERANCE = 1e-10
"""Relative: what is better by less counts as equal, since sums of floats come in any order."""

SLACK = (1e-9, 0.003, 0.01, 0.03, 0.1, 0.3, math.inf)
"""By how much over the bound a round of the search looks: good solutions first."""

STRIDE = 2000
"""Nodes between two looks at the clock."""


@dataclass
class _State:
    best: float = math.inf
    mapping: Mapping | None = None
    nodes: int = 0
    bound: float = math.inf
    deadline: float = math.inf
    late: bool = False


class _Choice:
    """A spatial choice under given bypasses."""

    def __init__(
        self, einsum: Einsum, accelerator: SpatialArray, problem: Problem, counts: Ints
    ) -> None:
        self.problem = problem
        self.counts = counts
        self.arguments = (
            np.array([extent for _, extent in einsum.ranks]),
            counts,
            np.array([[d in e.serves for d, _ in accelerator.dimensions] for e in accelerator.stores]),
            accelerator.mac_pj,
            problem.edges, problem.stores, problem.steps, problem.dims, problem.relevant, problem.bits,
            problem.sum_bits, problem.reads_zeros, problem.port_criterion, problem.criteria,
            problem.slots,
        )  # fmt: skip

    def open(self) -> None:
        (self.lattice, self.vectors, self.cost, self.own, self.tiles, self.constants, self.floor,
         self.finished) = choices.opened(*self.arguments)  # fmt: skip

    def cheap(self, objective: int) -> float:
        p = self.problem
        return float(choices.cheap_bound(
            objective, self.cost, self.own, self.constants, self.floor, p.slots, self.lattice,
            p.movable,
        ))  # fmt: skip


def optimal(
    einsum: Einsum,
    accelerator: SpatialArray,
    objective: str = "latency",
    *,
    time_limit_s: float | None = None,
) -> Found:
    number = OBJECTIVE[check_objective(objective)]
    state = _State(deadline=math.inf if time_limit_s is None else time.monotonic() + time_limit_s)
    candidates = []
    for levels in hierarchies(einsum, accelerator):
        problem = Problem.of(einsum, accelerator, levels)
        for counts in spatial_choices(einsum, accelerator):
            candidate = _Choice(einsum, accelerator, problem, counts)
            candidate.open()
            bound = candidate.cheap(number)
            candidates.append((bound, len(candidates), candidate))
    candidates.sort()
    for bound, _, candidate in candidates:
        if bound >= state.best * (1 - TOLERANCE):
            break
        _solve(einsum, accelerator, candidate, number, state)
    if state.mapping is None:
        raise MappingError("nothing fits")
    cost = analyse(einsum, accelerator, state.mapping)
    value = value_of(cost.cycles, cost.energy_pj, objective)
    assert abs(value - state.best) <= 1e-9 * value, (value, state.best)
    return Found(state.mapping, cost, value, value, True, state.nodes)


def _solve(
    einsum: Einsum, accelerator: SpatialArray, c: _Choice, objective: int, state: _State
) -> None:
    p = c.problem
    rest = choices.all_remaining(objective, c.cost, p.slots, c.lattice, p.movable)
    root = float(search.root_bound(objective, c.constants, c.floor, p.limits, p.slots, rest))
    if root >= state.best * (1 - TOLERANCE):
        return
    boundaries = len(c.cost)
    chain = np.zeros(boundaries, np.int64)
    path = np.zeros((boundaries, 2), np.int64)
    whole = np.zeros((1024, search.NODE_COLUMNS), np.int64)
    reals = np.zeros((1024, search.SUMS + p.criteria))
    for slack in SLACK:
        target = root * (1 + slack)
        whole[0] = 0
        whole[0, search.FINISHED] = c.finished[0]
        reals[0, search.BOUND] = root
        reals[0, search.OWN] = c.floor
        reals[0, search.SUMS :] = c.constants
        used, left_out = 1, math.inf
        while used:
            best, left, used, expanded, whole, reals = search.search(
                objective, c.cost, c.own, c.tiles, c.constants, c.floor, p.limits, p.slots, p.slot_of,
                c.finished, int(p.bits[2]), p.sum_bits, rest, c.lattice, p.movable,
                state.best * (1 - TOLERANCE), target, whole, reals, used, path, chain, STRIDE,
                p.capacity,
            )  # fmt: skip
            left_out = min(left_out, left)
            state.nodes += expanded
            if best < state.best * (1 - TOLERANCE):
                state.best = best
                cuts = cuts_of(p, c.vectors, chain)
                state.mapping = mapping_of(einsum, accelerator, p.levels, c.counts, cuts)
        if left_out >= state.best * (1 - TOLERANCE):
            return
