"""One spatial choice, opened: its lattice, its costs and its bounds."""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.bounds import remaining, state_count
from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.lattice import axes, points
from dovetail.mappers.spatial.optimal.slides import (
    fill_options,
    least_costs,
    listed,
    pairs_of,
    rates,
    slides_over,
)  # fmt: skip
from dovetail.mappers.spatial.optimal.tables import ENERGY, LATENCY, TERMS, fill
from dovetail.mappers.spatial.optimal.workspace import carve


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
def room(lattice, count, edges, stores, terms, ranks, movable, criteria):  # type: ignore[no-untyped-def]
    """Reals and whole numbers that `opened` and `all_remaining` need, the latter's apart."""
    boundaries = movable[0] + movable[1] + movable[2]
    options = listed(edges, stores, terms, lattice, movable).shape[0]
    pairs = 0
    for e in range(edges.shape[0]):
        for rank in range(ranks):
            pairs += slides_over(edges[e], stores, terms, rank)
    tables = boundaries * (criteria + 2) + 4 * TERMS + 4
    if pairs:
        tables += 3 * TERMS * pairs + boundaries * criteria
    slides = options * (criteria + 1)
    bounds = criteria * state_count(movable)
    return count * tables, count * slides, count * bounds, count * (ranks + 4)


@kernel
def opened(  # type: ignore[no-untyped-def]
    objective, temporal, choice, serves, mac_pj, edges, stores, terms, relevant, bits, sum_bits,
    reads_zeros, port_criterion, criteria, slots, movable, space, numbers,
):  # fmt: skip
    """Lattice and costs of a choice: spatial counts, and totals of the loops in time.

    Returns:
        Axes; vectors; costs, ports, tiles, widths, constants, and floor of `tables.fill`, and where
        sums are finished; pairs of `slides.pairs_of`, products and projections of the points, what
        `slides.rates` returns, what fixed boundaries add to ports, and `slides.least_costs`.
    """
    ranks = temporal.size
    lattice, count = axes(temporal)
    inside, space = carve(space, count)
    vectors, numbers = carve(numbers, count * ranks)
    vectors = vectors.reshape((count, ranks))
    project, numbers = carve(numbers, 3 * count)
    project = project.reshape((3, count))
    finished, numbers = carve(numbers, count)
    points(lattice, relevant, vectors, inside, project, finished)
    spatial, instances, outside = served(choice, serves, ~relevant[2])
    cost, own, tiles, widths, constants, floor, port_constant, space = fill(
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
    pairs = pairs_of(edges, stores, terms, temporal)
    whole, moved, offset, space = rates(
        objective, pairs, edges, stores, terms, bits, sum_bits, reads_zeros, spatial, instances,
        outside, vectors, project, space,
    )  # fmt: skip
    least, space = least_costs(
        objective, pairs, edges, port_criterion, temporal, vectors, inside, project, whole, moved,
        offset, cost, port_constant, space,
    )  # fmt: skip
    if objective != ENERGY:
        for b in range(own.shape[0]):
            smallest = np.inf
            for n in range(count):
                if own[b, n] < smallest and cost[1, b, n] < np.inf:
                    smallest = own[b, n]
            if not (pairs[:, 1] == b).any():
                floor = max(floor, smallest)
    made = (cost, own, tiles, widths, constants, floor, finished)
    return (
        lattice,
        vectors,
        made,
        (pairs, inside, project, whole, moved, offset, port_constant, least),
    )


@kernel
def slide(  # type: ignore[no-untyped-def]
    objective, edges, stores, terms, port_criterion, slots, movable, lattice, vectors, made,
    sliding, space,
):  # fmt: skip
    """The options of an opened choice: see `slides.listed` and `slides.fill_options`."""
    cost, own, _, _, _, _, _ = made
    pairs, inside, project, whole, moved, offset, port_constant, _ = sliding
    options = listed(edges, stores, terms, lattice, movable)
    option_cost, option_own = fill_options(
        objective, options, pairs, edges, port_criterion, vectors[-1], vectors, inside, project,
        lattice, whole, moved, offset, cost, own, port_constant, slots, space,
    )  # fmt: skip
    return options, option_cost, option_own


@kernel
def all_remaining(  # type: ignore[no-untyped-def]
    objective, cost, options, option_cost, slots, with_slots, lattice, movable, space
):  # fmt: skip
    """`bounds.remaining` of every criterion that the objective looks at.

    Args:
        objective: LATENCY, ENERGY or EDP.
        cost: see `tables.fill`.
        options: see `slides.listed`.
        option_cost: see `slides.fill_options`.
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
        remaining(cost[k], options, option_cost[k], lattice, movable, rest[k])
    return rest
