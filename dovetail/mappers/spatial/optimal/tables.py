"""What every cut of one spatial choice costs: `dovetail.sim.nest.boundary`, compiled.

The formulas stand here a second time because a search needs them at every point of the lattices of
hundreds of spatial choices in milliseconds; the mapper compares the two whenever it returns, and
`tests/mappers/spatial/test_optimal.py` over all mappings of small operators. Everything that
crosses a boundary is affine in the number of its transfers, with coefficients that depend only on
what is relevant to the operand, and on whether sums are finished.

A *criterion* is a sum over all boundaries: energy, the cycles of everything that cannot overlap,
the busy cycles of a port that several boundaries use, the bits of a store that several share.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.workspace import carve

# Columns of the tables of edges and stores.
OPERAND, UPPER, LOWER, FREE, SLOT, PORT = 0, 1, 2, 3, 4, 5
EDGE_COLUMNS = 9
ACCESS, READ_PJ, WRITE_PJ, READ_RATE, WRITE_RATE, LIMIT, SINGLE, SLIDING = range(8)
STORE_COLUMNS = 8

LATENCY, ENERGY, EDP, CAPPED = 0, 1, 2, 3
"""CAPPED: energy, of mappings of one cycle at most; see `Family.cap`."""

# What crosses a boundary: energy, waiting, and the ports above (reads, writes) and below.
ENERGY_TERM, STALL_TERM, PORT_TERM = 0, 1, 2
TERMS = 6


@kernel
def box(vector, spatial, terms):  # type: ignore[no-untyped-def]
    """Elements of an operand that ranks of these extents touch."""
    total = 1.0
    for dim in range(terms.shape[0]):
        span = 1
        for t in range(terms.shape[1]):
            step = terms[dim, t, 1]
            if step == 0:
                break
            rank = terms[dim, t, 0]
            span += step * (vector[rank] * spatial[rank] - 1)
        total *= span
    return total


@kernel
def affine(  # type: ignore[no-untyped-def]
    objective, slope, offset, operand, above, below, union, tile, upper_instances,
    lower_instances, split, distinct, whole, bits, sum_bits, reads_zeros,
):  # fmt: skip
    """Writes slope and offset in the number of transfers of everything that crosses a boundary.

    Args:
        objective: for ENERGY nothing but the energy is written.
        slope: written, (TERMS,).
        offset: written, (TERMS,).
        operand: that crosses.
        above: row of the table of stores.
        below: the same; any if the PEs are below (tile = 0).
        union: elements per transfer and instance above.
        tile: elements per transfer and instance below; 0 for the PEs, where nothing is counted.
        upper_instances: of the store above.
        lower_instances: of the store below.
        split: terms of every sum that instances of the store above hold apart.
        distinct: different tiles.
        whole: whether every tile crosses once, so that sums are finished but for other instances.
        bits: width of a finished element.
        sum_bits: width of a partial sum.
        reads_zeros: see `SpatialArray`.
    """
    width = float(bits)
    up, down, down_offset = 0.0, 1.0, 0.0
    if operand == 2:
        up = 1.0
        final = whole and split == 1
        if not final:
            width = float(sum_bits)
        if final or (whole and not reads_zeros):
            down = 0.0
        elif not reads_zeros:
            down_offset = -distinct
    words_above = np.ceil(union * (width / above[ACCESS])) * upper_instances
    words_below = np.ceil(tile * (width / below[ACCESS])) * lower_instances
    down_pj = words_above * above[READ_PJ] + words_below * below[WRITE_PJ]
    up_pj = words_above * above[WRITE_PJ] + words_below * below[READ_PJ]
    slope[ENERGY_TERM] = down * down_pj + up * up_pj
    offset[ENERGY_TERM] = down_offset * down_pj
    if objective == ENERGY:
        return
    wide, narrow = union * width, tile * width
    slope[PORT_TERM], offset[PORT_TERM] = (
        down * wide / above[READ_RATE], down_offset * wide / above[READ_RATE],
    )  # fmt: skip
    slope[PORT_TERM + 1], offset[PORT_TERM + 1] = up * wide / above[WRITE_RATE], 0.0
    slope[PORT_TERM + 2], offset[PORT_TERM + 2] = up * narrow / below[READ_RATE], 0.0
    slope[PORT_TERM + 3], offset[PORT_TERM + 3] = (
        down * narrow / below[WRITE_RATE], down_offset * narrow / below[WRITE_RATE],
    )  # fmt: skip
    slope[STALL_TERM], offset[STALL_TERM] = 0.0, 0.0
    if tile:
        fetch = max(wide / above[READ_RATE], narrow / below[WRITE_RATE])
        empty = max(narrow / below[READ_RATE], wide / above[WRITE_RATE])
        offset[STALL_TERM] = empty if operand == 2 else fetch
        if below[SINGLE] != 0.0:
            slope[STALL_TERM] = down * fetch + up * empty
            offset[STALL_TERM] += down_offset * fetch - (empty if operand == 2 else fetch)


@kernel
def fill(  # type: ignore[no-untyped-def]
    objective, edges, stores, terms, relevant, bits, sum_bits, reads_zeros, port_criterion,
    extents, spatial, instances, outside, vectors, inside, project, finished, criteria, slots,
    space,
):  # fmt: skip
    """Costs of all boundaries at all points.

    Args:
        objective: LATENCY, ENERGY or EDP; the criteria that it does not need stay 0.
        edges: boundaries, per operand from the inside out, (edges, EDGE_COLUMNS).
        stores: (stores, STORE_COLUMNS).
        terms: (rank, coefficient) of the index of every dimension, (3, dims, terms, 2).
        relevant: whether an operand depends on a rank, (3, ranks).
        bits: widths of elements, (3,).
        sum_bits: width of a partial sum.
        reads_zeros: see `SpatialArray`.
        port_criterion: criterion of every port; -1 where only one boundary that can move uses it.
        extents: temporal extents, (ranks,).
        spatial: spatial counts that an instance of each store serves, (stores, ranks).
        instances: in use, of each store, then of the PEs, (stores + 1,).
        outside: spatial counts of summed ranks that an instance does not serve, (stores,).
        vectors: see `lattice.points`.
        inside: alike.
        project: alike.
        finished: alike.
        criteria: how many.
        slots: how many of them, the last ones, are bits of shared stores.
        space: where the tables go, see `workspace`.

    Returns:
        Costs (criteria, movable boundaries, points), infinite where a tile does not fit; busiest
        port of its own of every boundary (movable boundaries, points); tiles in elements (movable
        boundaries, points); width of finished outputs in the store below (movable boundaries,),
        that of a partial sum where other instances hold other terms; constants of the criteria,
        from boundaries that cannot move; busiest port that only these use; what they add to every
        port; what is left of the workspace.
    """
    count = vectors.shape[0]
    ranks = vectors.shape[1]
    movable = 0
    for e in range(edges.shape[0]):
        movable += edges[e, FREE]
    cost, space = carve(space, movable * criteria * count)
    cost = cost.reshape((criteria, movable, count))
    own, space = carve(space, movable * count)
    own = own.reshape((movable, count))
    tiles, space = carve(space, movable * count)
    tiles = tiles.reshape((movable, count))
    slope, space = carve(space, 2 * TERMS * count)
    slope = slope.reshape((2, TERMS, count))
    offset, space = carve(space, 2 * TERMS * count)
    offset = offset.reshape((2, TERMS, count))
    transfers, space = carve(space, count)
    busy, space = carve(space, count)
    if objective == ENERGY:
        cost[0] = 0.0
        cost[criteria - slots :] = 0.0
        used_terms = 1
    else:
        cost[:] = 0.0
        own[:] = 0.0
        used_terms = TERMS
    widths = np.full(movable, float(sum_bits))
    constants = np.zeros(criteria)
    port_constant = np.zeros(port_criterion.size)
    total = 1.0
    for rank in range(ranks):
        total *= extents[rank]
    for n in range(count):
        transfers[n] = total / inside[n]
    one_slope, one_offset = np.zeros(TERMS), np.zeros(TERMS)
    # Boundaries that cannot move come first: what they add to a port is part of its constant.
    for stage in range(2):
        b = -1
        for e in range(edges.shape[0]):
            b += edges[e, FREE]
            if edges[e, FREE] != stage:
                continue
            operand, upper, lower = edges[e, OPERAND], edges[e, UPPER], edges[e, LOWER]
            slot = edges[e, SLOT]
            if upper < 0:
                # The outermost store of an operand that is not that of all: it keeps everything.
                end = count - 1
                tiles[b, end] = box(vectors[end], spatial[lower], terms[operand])
                if outside[lower] == 1:
                    widths[b] = bits[operand]
                width = widths[b] if operand == 2 else bits[operand]
                for k in range(criteria):
                    cost[k, b, :end] = np.inf
                    if tiles[b, end] * width > stores[lower, LIMIT]:
                        cost[k, b, end] = np.inf
                if slot >= 0 and cost[0, b, end] < np.inf:
                    cost[criteria - slots + slot, b, end] = tiles[b, end] * width
                continue
            distinct_total = 1.0
            for rank in range(ranks):
                if relevant[operand, rank]:
                    distinct_total *= extents[rank]
            where = project[operand]
            finals = 2 if operand == 2 else 1
            for n in range(count if stage else 1):
                if where[n] != n:
                    continue
                if lower < 0 and n:
                    # A PE holds one element: only irrelevant loops may stand inside.
                    for whole in range(finals):
                        for t in range(used_terms):
                            slope[whole, t, n] = 0.0
                            offset[whole, t, n] = np.inf
                    continue
                union = box(vectors[n], spatial[upper], terms[operand])
                tile = box(vectors[n], spatial[lower], terms[operand]) if lower >= 0 else 0.0
                within = 1.0
                for rank in range(ranks):
                    if relevant[operand, rank]:
                        within *= vectors[n, rank]
                for whole in range(finals):
                    affine(
                        objective, one_slope, one_offset, operand, stores[upper],
                        stores[max(lower, 0)], union, tile, instances[upper], instances[lower],
                        outside[upper], distinct_total / within, whole, bits[operand],
                        sum_bits, reads_zeros,
                    )  # fmt: skip
                    for t in range(used_terms):
                        slope[whole, t, n] = one_slope[t]
                        offset[whole, t, n] = one_offset[t]
                    if lower >= 0:
                        # Of outputs a lower bound: finished only if the cut below is finished too.
                        done = operand != 2 or (whole and outside[lower] == 1)
                        width = bits[operand] if done else sum_bits
                        if tile * width > stores[lower, LIMIT]:
                            for t in range(used_terms):
                                offset[whole, t, n] = np.inf
                tiles[max(b, 0), n] = tile
            if stage == 0:
                f = finished[0] if operand == 2 else 0
                constants[0] += transfers[0] * slope[f, 0, 0] + offset[f, 0, 0]
                for p in range(4):
                    port, t = edges[e, PORT + p], PORT_TERM + p
                    if port >= 0 and objective != ENERGY:
                        port_constant[port] += transfers[0] * slope[f, t, 0] + offset[f, t, 0]
                continue
            if objective != LATENCY:
                spread(cost[0, b], transfers, where, finished, operand, slope[:, 0], offset[:, 0])
            if objective != ENERGY:
                spread(cost[1, b], transfers, where, finished, operand, slope[:, 1], offset[:, 1])
                for p in range(4):
                    port = edges[e, PORT + p]
                    if port < 0:
                        continue
                    t = PORT_TERM + p
                    if port_criterion[port] >= 0:
                        spread(
                            cost[port_criterion[port], b], transfers, where, finished, operand,
                            slope[:, t], offset[:, t],
                        )  # fmt: skip
                        continue
                    busy[:] = port_constant[port]
                    for q in range(4):
                        if edges[e, PORT + q] == port:
                            spread(
                                busy, transfers, where, finished, operand,
                                slope[:, PORT_TERM + q], offset[:, PORT_TERM + q],
                            )  # fmt: skip
                    for n in range(count):
                        own[b, n] = max(own[b, n], busy[n])
            if lower >= 0 and outside[lower] == 1:
                widths[b] = bits[operand]
            if (lower >= 0 and operand == 2) or slot >= 0:
                for n in range(count):
                    tiles[b, n] = tiles[b, where[n]]
            if slot >= 0:
                k = criteria - slots + slot
                for n in range(count):
                    done = operand != 2 or (finished[n] and outside[lower] == 1)
                    width = bits[operand] if done else sum_bits
                    cost[k, b, n] = tiles[b, n] * width
    floor = 0.0
    for port in range(port_criterion.size):
        if port_criterion[port] >= 0:
            constants[port_criterion[port]] += port_constant[port]
        else:
            floor = max(floor, port_constant[port])
    return cost, own, tiles, widths, constants, floor, port_constant, space


@kernel
def spread(target, transfers, where, finished, operand, slope, offset):  # type: ignore[no-untyped-def]
    """Adds slope x transfers + offset of the points' relevant parts to a criterion."""
    if operand == 2:
        for n in range(target.size):
            base, final = where[n], finished[n]
            target[n] += transfers[n] * slope[final, base] + offset[final, base]
    else:
        for n in range(target.size):
            base = where[n]
            target[n] += transfers[n] * slope[0, base] + offset[0, base]
