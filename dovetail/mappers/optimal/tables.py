"""What every cut of one spatial choice costs: the formulas of `dovetail.sim.nest.boundary`, compiled.

`tests/mappers/test_optimal_tables.py` holds them to be equal. They stand here a second time because
a search needs them at every point of the lattices of hundreds of spatial choices in milliseconds.

A *criterion* is a sum over all boundaries: energy, the cycles of everything that cannot overlap,
the busy cycles of a port that several boundaries use, the bits of a store that several share.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.optimal.compiled import kernel

# Columns of the tables of edges and stores.
OPERAND, UPPER, LOWER, FREE, SLOT, PORT = 0, 1, 2, 3, 4, 5
EDGE_COLUMNS = 9
ACCESS, READ_PJ, WRITE_PJ, READ_RATE, WRITE_RATE, LIMIT, SINGLE, SLIDING = range(8)
STORE_COLUMNS = 8


@kernel
def projections(vectors, lattice, relevant):  # type: ignore[no-untyped-def]
    """Per operand the point without what is irrelevant to it, (3, points)."""
    count = vectors.shape[0]
    result = np.zeros((3, count), np.int64)
    for a in range(lattice.shape[0]):
        size, stride = lattice[a, 2] + 1, lattice[a, 3]
        for operand in range(3):
            if relevant[operand, lattice[a, 0]]:
                for n in range(count):
                    result[operand, n] += (n // stride) % size * stride
    return result


@kernel
def box(vector, spatial, steps, dims):  # type: ignore[no-untyped-def]
    """Elements of an operand that ranks of these extents touch."""
    total = 1.0
    for dim in range(dims):
        span = 1
        for rank in range(vector.size):
            if steps[dim, rank]:
                span += steps[dim, rank] * (vector[rank] * spatial[rank] - 1)
        total *= span
    return total


@kernel
def words(elements, bits, access):  # type: ignore[no-untyped-def]
    """Accesses that move so many elements."""
    return np.ceil(elements * bits / access)


@kernel
def fill(  # type: ignore[no-untyped-def]
    edges, stores, steps, dims, relevant, bits, sum_bits, reads_zeros, port_criterion,
    extents, spatial, instances, vectors, project, criteria, slots,
):  # fmt: skip
    """Costs of all boundaries at all points.

    Args:
        edges: boundaries, per operand from the inside out, (edges, EDGE_COLUMNS).
        stores: (stores, STORE_COLUMNS).
        steps: coefficient of every rank in every dimension of the operands, (3, dims, ranks).
        dims: dimensions of the operands, (3,).
        relevant: whether an operand depends on a rank, (3, ranks).
        bits: widths of elements, (3,).
        sum_bits: width of a partial sum.
        reads_zeros: see `SpatialArray`.
        port_criterion: criterion of every port; -1 where only one boundary that can move uses it.
        extents: temporal extents, (ranks,).
        spatial: spatial counts that an instance of each store serves, then of a PE,
            (stores + 1, ranks).
        instances: in use, of each store, then of the PEs, (stores + 1,).
        vectors: of all points, (points, ranks).
        project: see `projections`.
        criteria: how many.
        slots: how many of them, the last ones, are bits of shared stores.

    Returns:
        Costs (movable boundaries, criteria, points), infinite where a tile does not fit; busiest
        port of its own of every boundary (movable boundaries, points); tiles in elements (movable
        boundaries, points); constants of the criteria, from boundaries that cannot move; whether
        sums are finished at a point.
    """
    count = vectors.shape[0]
    ranks = vectors.shape[1]
    movable = 0
    for e in range(edges.shape[0]):
        movable += edges[e, FREE]
    ports = port_criterion.size
    cost = np.zeros((movable, criteria, count))
    own = np.zeros((movable, count))
    tiles = np.zeros((movable, count))
    constants = np.zeros(criteria)
    port_constant = np.zeros(ports)
    total = 1.0
    distinct_total = np.ones(3)
    for rank in range(ranks):
        total *= extents[rank]
        for operand in range(3):
            if relevant[operand, rank]:
                distinct_total[operand] *= extents[rank]
    transfers = np.empty(count)
    finished = np.empty(count, np.bool_)
    for n in range(count):
        inside = 1.0
        done = True
        for rank in range(ranks):
            inside *= vectors[n, rank]
            if not relevant[2, rank] and vectors[n, rank] != extents[rank]:
                done = False
        transfers[n] = total / inside
        finished[n] = done
    tile_at = np.zeros(count)
    union_at = np.zeros(count)
    inside_at = np.ones(count)
    port_value = np.zeros(4)
    # Boundaries that cannot move come first: what they add to a port is part of its constant.
    for stage in range(2):
        b = -1
        for e in range(edges.shape[0]):
            b += edges[e, FREE]
            if edges[e, FREE] != stage:
                continue
            operand, upper, lower = edges[e, OPERAND], edges[e, UPPER], edges[e, LOWER]
            slot = edges[e, SLOT]
            upper_instances = instances[upper]
            lower_instances = instances[lower]
            points_here = count if stage else 1
            for n in range(points_here):
                if project[operand, n] != n:
                    continue
                union_at[n] = box(vectors[n], spatial[upper], steps[operand], dims[operand])
                tile_at[n] = (
                    box(vectors[n], spatial[lower], steps[operand], dims[operand])
                    if lower >= 0
                    else 1.0
                )
                inside_at[n] = 1.0
                for rank in range(ranks):
                    if relevant[operand, rank]:
                        inside_at[n] *= vectors[n, rank]
            for n in range(points_here):
                base = project[operand, n]
                if stage and lower < 0 and base != 0:
                    # A PE holds one element: only irrelevant loops may stand inside.
                    for k in range(criteria):
                        cost[b, k, n] = np.inf
                    own[b, n] = np.inf
                    continue
                tile, union = tile_at[base], union_at[base]
                trips = transfers[n]
                distinct = distinct_total[operand] / inside_at[base]
                width = bits[operand]
                up, down = 0.0, trips
                if operand == 2:
                    up = trips
                    if trips == distinct:
                        down = 0.0
                    else:
                        width = sum_bits
                        down = trips if reads_zeros else trips - distinct
                above = words(union, width, stores[upper, ACCESS]) * upper_instances
                energy = above * (down * stores[upper, READ_PJ] + up * stores[upper, WRITE_PJ])
                port_value[0] = down * union * width / stores[upper, READ_RATE]
                port_value[1] = up * union * width / stores[upper, WRITE_RATE]
                port_value[2] = 0.0
                port_value[3] = 0.0
                stall = 0.0
                if lower >= 0:
                    below = words(tile, width, stores[lower, ACCESS]) * lower_instances
                    energy += below * (down * stores[lower, WRITE_PJ] + up * stores[lower, READ_PJ])
                    port_value[2] = up * tile * width / stores[lower, READ_RATE]
                    port_value[3] = down * tile * width / stores[lower, WRITE_RATE]
                    fetch = max(
                        union * width / stores[upper, READ_RATE],
                        tile * width / stores[lower, WRITE_RATE],
                    )
                    empty = max(
                        tile * width / stores[lower, READ_RATE],
                        union * width / stores[upper, WRITE_RATE],
                    )
                    stall = empty if operand == 2 else fetch
                    if stores[lower, SINGLE] != 0.0:
                        if operand == 2:
                            stall += down * fetch + (up - 1) * empty
                        else:
                            stall += (down - 1) * fetch
                if stage == 0:
                    constants[0] += energy
                    for p in range(4):
                        port = edges[e, PORT + p]
                        if port >= 0:
                            port_constant[port] += port_value[p]
                    continue
                cost[b, 0, n] = energy
                cost[b, 1, n] = stall
                for p in range(4):
                    port = edges[e, PORT + p]
                    if port < 0:
                        continue
                    if port_criterion[port] >= 0:
                        cost[b, port_criterion[port], n] += port_value[p]
                        continue
                    busy = port_constant[port]
                    for q in range(4):
                        if edges[e, PORT + q] == port:
                            busy += port_value[q]
                    own[b, n] = max(own[b, n], busy)
                tiles[b, n] = tile
                if lower >= 0:
                    # A lower bound for outputs: finished only if the cut below is finished too.
                    least = bits[2] if operand == 2 and finished[n] else sum_bits
                    needed = tile * (least if operand == 2 else bits[operand])
                    if slot >= 0:
                        cost[b, criteria - slots + slot, n] = needed
                    if needed > stores[lower, LIMIT]:
                        for k in range(criteria):
                            cost[b, k, n] = np.inf
    floor = 0.0
    for port in range(ports):
        if port_criterion[port] >= 0:
            constants[port_criterion[port]] += port_constant[port]
        else:
            floor = max(floor, port_constant[port])
    return cost, own, tiles, constants, floor, finished
