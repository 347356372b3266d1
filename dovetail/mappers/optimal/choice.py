"""One spatial choice, opened: its lattice, its costs and its bounds."""

from __future__ import annotations

import numpy as np

from dovetail.mappers.optimal.bounds import remaining, state_count
from dovetail.mappers.optimal.compiled import kernel
from dovetail.mappers.optimal.lattice import axes, points
from dovetail.mappers.optimal.tables import ENERGY, LATENCY, TERMS, fill
from dovetail.mappers.optimal.workspace import carve


@kernel
def served(choice, serves, summed):  # type: ignore[no-untyped-def]
    """What a spatial choice gives every store.

    Args:
        choice: spatial counts, (dimensions, ranks).
        serves: whether a store serves a dimension, (stores, dimensions).
        summed: whether the output does not depend on a rank, (ranks,).

    Returns:
        Spatial counts that an instance serves (stores, ranks); instances in use, those of PEs last
        (stores + 1,); terms of a sum that instances hold apart (stores,).
    """
    stores, dimensions = serves.shape
    ranks = choice.shape[1]
    counts = np.ones((stores, ranks), np.int64)
    instances = np.ones(stores + 1)
    outside = np.ones(stores)
    for d in range(dimensions):
        for rank in range(ranks):
            instances[stores] *= choice[d, rank]
            for store in range(stores):
                if serves[store, d]:
                    counts[store, rank] *= choice[d, rank]
                else:
                    instances[store] *= choice[d, rank]
                    if summed[rank]:
                        outside[store] *= choice[d, rank]
    return counts, instances, outside


@kernel
def temporal_extents(extents, choice):  # type: ignore[no-untyped-def]
    """What remains in time of every rank."""
    result = np.empty(extents.size, np.int64)
    for rank in range(extents.size):
        spread = 1
        for d in range(choice.shape[0]):
            spread *= choice[d, rank]
        result[rank] = -(-extents[rank] // spread)
    return result


@kernel
def room(lattice_points, ranks, movable, criteria):  # type: ignore[no-untyped-def]
    """Reals and whole numbers that `opened` and `all_remaining` need."""
    boundaries = movable[0] + movable[1] + movable[2]
    per_point = boundaries * (criteria + 2) + 4 * TERMS + 4 + criteria * state_count(movable)
    return lattice_points * per_point, lattice_points * (ranks + 4)


@kernel
def opened(  # type: ignore[no-untyped-def]
    objective, extents, choice, serves, mac_pj, edges, stores, terms, relevant, bits, sum_bits,
    reads_zeros, port_criterion, criteria, slots, space, numbers,
):  # fmt: skip
    """Lattice and costs of a spatial choice: axes, vectors, and what `tables.fill` returns."""
    ranks = extents.size
    temporal = temporal_extents(extents, choice)
    lattice, count = axes(temporal)
    inside, space = carve(space, count)
    vectors, numbers = carve(numbers, count * ranks)
    vectors = vectors.reshape((count, ranks))
    project, numbers = carve(numbers, 3 * count)
    project = project.reshape((3, count))
    finished, numbers = carve(numbers, count)
    points(lattice, relevant, vectors, inside, project, finished)
    spatial, instances, outside = served(choice, serves, ~relevant[2])
    cost, own, tiles, widths, constants, floor = fill(
        objective, edges, stores, terms, relevant, bits, sum_bits, reads_zeros, port_criterion,
        temporal, spatial, instances, outside, vectors, inside, project, finished, criteria, slots,
        space,
    )  # fmt: skip
    compute = 1.0
    for rank in range(ranks):
        compute *= temporal[rank]
    constants[0] += compute * instances[-1] * mac_pj
    constants[1] += compute
    floor = max(floor, compute)
    if objective != ENERGY:
        for b in range(own.shape[0]):
            least = np.inf
            for n in range(count):
                if own[b, n] < least and cost[1, b, n] < np.inf:
                    least = own[b, n]
            floor = max(floor, least)
    return lattice, vectors, cost, own, tiles, widths, constants, floor, finished


@kernel
def all_remaining(objective, cost, slots, with_slots, lattice, movable, space):  # type: ignore[no-untyped-def]
    """`bounds.remaining` of every criterion that the objective looks at.

    Args:
        objective: LATENCY, ENERGY or EDP.
        cost: see `tables.fill`.
        slots: how many criteria are bits of shared stores.
        with_slots: whether to bound these, too; zeros otherwise.
        lattice: axes.
        movable: boundaries of each operand, (3,).
        space: workspace.

    Returns:
        Bounds (criteria, states, points); those of the others are not written.
    """
    criteria, count = cost.shape[0], cost.shape[2]
    states = state_count(movable)
    rest, _ = carve(space, criteria * states * count)
    rest = rest.reshape((criteria, states, count))
    for k in range(criteria):
        if k == 0 and objective == LATENCY:
            continue
        if 0 < k < criteria - slots and objective == ENERGY:
            continue
        if k >= criteria - slots and not with_slots:
            rest[k] = 0.0
            continue
        remaining(cost[k], lattice, movable, rest[k])
    return rest
