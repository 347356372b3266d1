"""One spatial choice, opened: its lattice, its costs and its bounds."""

from __future__ import annotations

import numpy as np

from dovetail.mappers.optimal.bounds import remaining, separate, state_count
from dovetail.mappers.optimal.compiled import kernel
from dovetail.mappers.optimal.lattice import axes, points
from dovetail.mappers.optimal.search import ENERGY, LATENCY, value
from dovetail.mappers.optimal.tables import LOWER, fill, projections


@kernel
def served(choice, serves):  # type: ignore[no-untyped-def]
    """Spatial counts per store and instances of it in use; a last row for the PEs.

    Args:
        choice: spatial counts, (dimensions, ranks).
        serves: whether a store serves a dimension, (stores, dimensions).
    """
    stores, dimensions = serves.shape
    ranks = choice.shape[1]
    counts = np.ones((stores + 1, ranks), np.int64)
    instances = np.ones(stores + 1)
    for store in range(stores + 1):
        for d in range(dimensions):
            for rank in range(ranks):
                if store < stores and serves[store, d]:
                    counts[store, rank] *= choice[d, rank]
                else:
                    instances[store] *= choice[d, rank]
    return counts, instances


@kernel
def opened(  # type: ignore[no-untyped-def]
    extents, choice, serves, mac_pj, edges, stores, steps, dims, relevant, bits, sum_bits,
    reads_zeros, port_criterion, criteria, slots,
):  # fmt: skip
    """Lattice and costs of a spatial choice: axes, vectors, and what `tables.fill` returns."""
    ranks = extents.size
    temporal = np.empty(ranks, np.int64)
    compute = 1.0
    for rank in range(ranks):
        spread = 1
        for d in range(choice.shape[0]):
            spread *= choice[d, rank]
        temporal[rank] = -(-extents[rank] // spread)
        compute *= temporal[rank]
    lattice, count = axes(temporal)
    vectors = points(temporal, lattice, count)
    project = projections(vectors, lattice, relevant)
    spatial, instances = served(choice, serves)
    cost, own, tiles, constants, floor, finished = fill(
        edges, stores, steps, dims, relevant, bits, sum_bits, reads_zeros, port_criterion,
        temporal, spatial, instances, vectors, project, criteria, slots,
    )  # fmt: skip
    constants[0] += compute * instances[-1] * mac_pj
    constants[1] += compute
    floor = max(floor, compute)
    return lattice, vectors, cost, own, tiles, constants, floor, finished


@kernel
def cheap_bound(objective, cost, own, constants, floor, slots, lattice, movable):  # type: ignore[no-untyped-def]
    """A lower bound of a choice without the coupling of operands."""
    energy, latency = 0.0, floor
    if objective != LATENCY:
        energy = constants[0] + separate(cost[:, 0], lattice, movable)
    if objective != ENERGY:
        for k in range(1, constants.size - slots):
            latency = max(latency, constants[k] + separate(cost[:, k], lattice, movable))
    return value(objective, energy, latency)


@kernel
def all_remaining(objective, cost, slots, lattice, movable):  # type: ignore[no-untyped-def]
    """`bounds.remaining` of every criterion that the objective looks at, zeros for the others."""
    criteria = cost.shape[1]
    rest = np.zeros((criteria, state_count(movable), cost.shape[2]))
    for k in range(criteria):
        if k == 0 and objective == LATENCY:
            continue
        if 0 < k < criteria - slots and objective == ENERGY:
            continue
        rest[k] = remaining(cost[:, k], lattice, movable)
    return rest
