"""The best mapping of an operator, with proof."""

from __future__ import annotations

import functools

import numpy as np

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Mapping
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.mappers.found import Found, check_objective, value_of
from dovetail.mappers.spatial.optimal import screen, tables
from dovetail.mappers.spatial.optimal.explore import Exploration
from dovetail.mappers.spatial.optimal.family import TOLERANCE, Family, Run
from dovetail.mappers.spatial.optimal.infeasible import nothing_fits
from dovetail.mappers.spatial.optimal.problem import Problem, hierarchies
from dovetail.mappers.spatial.optimal.unrolling import Spread, fixed_choice, spatial_choices
from dovetail.sim.nest import analyse

OBJECTIVE = {"latency": tables.LATENCY, "energy": tables.ENERGY, "edp": tables.EDP}


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
        objective: `latency`, `energy`, or `edp`. Of equally fast mappings with the same spatial
            counts, totals and bypasses the one of least energy is returned.
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
    run = Run(einsum, accelerator, number, time_limit_s)
    counts = fixed_choice(einsum, accelerator, spatial) if spatial is not None else (
        spatial_choices(einsum, accelerator)
    )  # fmt: skip
    families = [
        Family(run, Problem.of(einsum, accelerator, levels))
        for levels in hierarchies(einsum, accelerator)
    ]
    exploration = Exploration(run, families, counts)
    interrupted = exploration.search()
    bound = exploration.bound
    if run.mapping is None:
        raise MappingError(nothing_fits(einsum, accelerator))
    mapping = run.mapping
    if number == tables.LATENCY and bound >= run.target and not interrupted:
        mapping = _least_energy(run, mapping)
    cost = analyse(einsum, accelerator, mapping)
    value = value_of(cost.cycles, cost.energy_pj, objective)
    if abs(value - run.best) > 1e-9 * value:
        raise RuntimeError(
            f"the mapper's cost {run.best} is not the analysis' {value}: please report"
        )
    proven = bound >= run.target
    return Found(mapping, cost, value if proven else bound, value, proven, run.nodes, interrupted)


def _least_energy(run: Run, mapping: Mapping) -> Mapping:
    """Of the mappings of the winning choice that are as fast, the one of least energy."""
    assert run.place is not None
    family, totals, counts = run.place
    tie = Run(run.einsum, run.accelerator, tables.CAPPED, None)
    tie.deadline, tie.cap = run.deadline, run.best * (1 + TOLERANCE)
    tie.mapping, tie.best = mapping, analyse(run.einsum, run.accelerator, mapping).energy_pj
    Family(tie, family.problem).solve(totals, counts, 0.0)
    run.nodes += tie.nodes
    return tie.mapping


@functools.cache
def _compile() -> None:
    """Compiles all kernels on the smallest problem: no search pays for it out of its time."""
    index = Affine((("K", 1),))
    einsum = Einsum(
        (("K", 2),), (Access("i", (index,)), Access("w", (index,))), Access("o", (index,))
    )
    stores = (Store("near", OPERANDS), Store("far", OPERANDS))
    accelerator = SpatialArray("smallest", (("x", 1),), stores)
    run = Run(einsum, accelerator, tables.LATENCY, None)
    family = Family(run, Problem.of(einsum, accelerator, hierarchies(einsum, accelerator)[0]))
    counts = spatial_choices(einsum, accelerator)
    totals = np.full((1, 1), 2)
    bounds, _ = family.quick(totals, counts)
    for level in (screen.COARSE, screen.FINE, screen.EXACT):
        family.screen(totals, counts, bounds, level)
    family.solve(totals[0], counts[0], 0.0)
