"""Cuts below a loop that slides a window: only the first tile of the loop is fetched as a whole.

An *option* places one boundary of a `sliding` store, or several neighbouring ones of its operand,
at a point, and then runs a single loop directly above it: the walk goes on from where that loop
lands, and nothing is cut in between.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.compiled import kernel
from dovetail.mappers.spatial.optimal.lattice import POWER, PRIME, RANK, STEP
from dovetail.mappers.spatial.optimal.tables import (
    ENERGY,
    FREE,
    LATENCY,
    LOWER,
    OPERAND,
    PORT,
    PORT_TERM,
    SLIDING,
    TERMS,
    UPPER,
    affine,
    box,
)  # fmt: skip
from dovetail.mappers.spatial.optimal.workspace import carve

# Columns of an option: first boundary, how many, distance to where it lands, rank, iterations.
FIRST, MANY, SHIFT, OVER, TRIPS = range(5)


@kernel
def slides_over(edge, stores, terms, rank):  # type: ignore[no-untyped-def]
    """Whether a loop over a rank slides a window of what crosses a boundary."""
    if edge[LOWER] < 0 or edge[UPPER] < 0 or edge[OPERAND] == 2 or edge[FREE] == 0:
        return False
    if stores[edge[LOWER], SLIDING] == 0.0:
        return False
    index = terms[edge[OPERAND]]
    for dim in range(index.shape[0]):
        used, found = 0, False
        for t in range(index.shape[1]):
            if index[dim, t, 1]:
                used += 1
                found = found or index[dim, t, 0] == rank
        if found and used > 1:
            return True
    return False


@kernel
def listed(edges, stores, terms, lattice, movable):  # type: ignore[no-untyped-def]
    """All options, (options, 5)."""
    found = np.zeros((0, 5), np.int64)
    last = np.array([movable[0], movable[0] + movable[1], 0])
    b = -1
    for e in range(edges.shape[0]):
        b += edges[e, FREE]
        ranks = 0
        for a in range(lattice.shape[0]):
            ranks = max(ranks, lattice[a, RANK] + 1)
        for rank in range(ranks):
            if not slides_over(edges[e], stores, terms, rank):
                continue
            # All divisors of the rank but 1, by the mixed radix of its primes.
            total = 1
            for a in range(lattice.shape[0]):
                if lattice[a, RANK] == rank:
                    total *= lattice[a, POWER] + 1
            for code in range(1, total):
                left, shift, trips = code, 0, 1
                for a in range(lattice.shape[0]):
                    if lattice[a, RANK] == rank:
                        power = left % (lattice[a, POWER] + 1)
                        left //= lattice[a, POWER] + 1
                        shift += power * lattice[a, STEP]
                        for _ in range(power):
                            trips *= lattice[a, PRIME]
                for many in range(1, last[edges[e, OPERAND]] - b + 1):
                    row = np.array([[b, many, shift, rank, trips]])
                    found = np.concatenate((found, row))
    return found


@kernel
def fresh(vector, spatial, above, terms, rank):  # type: ignore[no-untyped-def]
    """Elements of a tile that it did not hold before a loop over a rank moved it by one."""
    whole, kept = 1.0, 1.0
    for dim in range(terms.shape[0]):
        span, moved = 1, 0
        for t in range(terms.shape[1]):
            step = terms[dim, t, 1]
            if step == 0:
                break
            r = terms[dim, t, 0]
            span += step * (vector[r] * spatial[r] - 1)
            if r == rank:
                moved += step * vector[r] * above[r]
        whole *= span
        kept *= max(span - moved, 0)
    return whole - kept


@kernel
def pairs_of(edges, stores, terms, extents):  # type: ignore[no-untyped-def]
    """Boundaries and ranks whose loops slide them, (pairs, 3): edge, boundary, rank."""
    found = np.zeros((edges.shape[0] * extents.size, 3), np.int64)
    used = 0
    b = -1
    for e in range(edges.shape[0]):
        b += edges[e, FREE]
        for rank in range(extents.size):
            if extents[rank] > 1 and slides_over(edges[e], stores, terms, rank):
                found[used, 0], found[used, 1], found[used, 2] = e, b, rank
                used += 1
    return found[:used].copy()


@kernel
def rates(  # type: ignore[no-untyped-def]
    objective, pairs, edges, stores, terms, bits, sum_bits, reads_zeros, spatial, instances,
    outside, vectors, project, space,
):  # fmt: skip
    """What a whole tile, and what a tile moved by one, costs at the points' relevant parts.

    The arguments are those of `tables.fill`, and `pairs` of `pairs_of`.

    Returns:
        Slopes of whole tiles, slopes of moved ones, offsets, (pairs, terms, points) each, and the
        rest of the workspace.
    """
    count = vectors.shape[0]
    used = 1 if objective == ENERGY else TERMS
    size = len(pairs) * used * count
    shape = (len(pairs), used, count)
    whole, space = carve(space, size)
    whole = whole.reshape(shape)
    moved, space = carve(space, size)
    moved = moved.reshape(shape)
    offset, space = carve(space, size)
    offset = offset.reshape(shape)
    slope, shift = np.zeros(TERMS), np.zeros(TERMS)
    for i in range(len(pairs)):
        edge, rank = edges[pairs[i, 0]], pairs[i, 2]
        operand, upper, lower = edge[OPERAND], edge[UPPER], edge[LOWER]
        above, below, index = spatial[upper], spatial[lower], terms[operand]
        for n in range(count):
            if project[operand, n] != n:
                continue
            for part in range(2):
                if part:
                    union = fresh(vectors[n], above, above, index, rank)
                    tile = fresh(vectors[n], below, above, index, rank)
                else:
                    union, tile = box(vectors[n], above, index), box(vectors[n], below, index)
                affine(
                    objective, slope, shift, operand, stores[upper], stores[lower], union, tile,
                    instances[upper], instances[lower], outside[upper], 1.0, 1, bits[operand],
                    sum_bits, reads_zeros,
                )  # fmt: skip
                for t in range(used):
                    if part:
                        moved[i, t, n] = slope[t]
                    else:
                        whole[i, t, n], offset[i, t, n] = slope[t], shift[t]
    return whole, moved, offset, space


@kernel
def slid(term, i, base, times, trips, whole, moved, offset):  # type: ignore[no-untyped-def]
    """What crosses a boundary below a loop of so many trips."""
    starts = times / trips
    return (
        starts * whole[i, term, base]
        + (times - starts) * moved[i, term, base]
        + offset[i, term, base]
    )


@kernel
def add_slid(  # type: ignore[no-untyped-def]
    objective, target, busiest, edge, n, i, base, times, trips, whole, moved, offset,
    port_criterion, port_constant,
):  # fmt: skip
    """Adds a sliding boundary to the criteria of a point; returns its busiest port of its own."""
    if objective != LATENCY:
        target[0] += slid(0, i, base, times, trips, whole, moved, offset)
    if objective == ENERGY:
        return busiest
    target[1] += slid(1, i, base, times, trips, whole, moved, offset)
    for p in range(4):
        port = edge[PORT + p]
        if port < 0:
            continue
        busy = slid(PORT_TERM + p, i, base, times, trips, whole, moved, offset)
        if port_criterion[port] >= 0:
            target[port_criterion[port]] += busy
        else:
            # What slides is a factor: nothing of it goes up, so no port is used both ways.
            busiest = max(busiest, busy + port_constant[port])
    return busiest


@kernel
def least_costs(  # type: ignore[no-untyped-def]
    objective, pairs, edges, port_criterion, extents, vectors, inside, project, whole, moved,
    offset, cost, port_constant, space,
):  # fmt: skip
    """A lower bound of what every boundary costs at every point, sliding or not, as `cost`."""
    if len(pairs) == 0:
        return cost, space
    criteria, _, count = cost.shape
    least, space = carve(space, cost.size)
    least = least.reshape(cost.shape)
    least[:] = cost
    total = 1.0
    for rank in range(extents.size):
        total *= extents[rank]
    here = np.zeros(criteria)
    for i in range(len(pairs)):
        edge, b, rank = edges[pairs[i, 0]], pairs[i, 1], pairs[i, 2]
        for n in range(count):
            trips = extents[rank] // vectors[n, rank]
            if trips == 1:
                continue
            here[:] = 0.0
            add_slid(
                objective, here, 0.0, edge, n, i, project[edge[OPERAND], n], total / inside[n],
                trips, whole, moved, offset, port_criterion, port_constant,
            )  # fmt: skip
            for k in range(criteria):
                # Infinite stays infinite: the tile does not fit.
                if here[k] < least[k, b, n] < np.inf:
                    least[k, b, n] = here[k]
    return least, space


@kernel
def fill_options(  # type: ignore[no-untyped-def]
    objective, options, pairs, edges, port_criterion, extents, vectors, inside, project, lattice,
    whole, moved, offset, cost, own, port_constant, slots, space,
):  # fmt: skip
    """Costs of all options at all points, infinite where they do not fit.

    Returns:
        Costs (criteria, options, points) and busiest ports of their own (options, points).
    """
    criteria, _, count = cost.shape
    number = options.shape[0]
    result, space = carve(space, criteria * number * count)
    result = result.reshape((criteria, number, count))
    busiest, space = carve(space, number * count)
    busiest = busiest.reshape((number, count))
    total = 1.0
    for rank in range(extents.size):
        total *= extents[rank]
    here = np.zeros(criteria)
    for o in range(number):
        first, many = options[o, FIRST], options[o, MANY]
        rank, trips = options[o, OVER], options[o, TRIPS]
        for n in range(count):
            fits = vectors[n, rank] * trips <= extents[rank]
            fits = fits and extents[rank] % (vectors[n, rank] * trips) == 0
            if not fits:
                for k in range(criteria):
                    result[k, o, n] = np.inf
                busiest[o, n] = np.inf
                continue
            here[:] = 0.0
            busy = 0.0
            for member in range(first, first + many):
                pair = -1
                for i in range(len(pairs)):
                    if pairs[i, 1] == member and pairs[i, 2] == rank:
                        pair = i
                if pair < 0:
                    for k in range(criteria):
                        here[k] += cost[k, member, n]
                    busy = max(busy, own[member, n])
                    continue
                edge = edges[pairs[pair, 0]]
                busy = add_slid(
                    objective, here, busy, edge, n, pair, project[edge[OPERAND], n],
                    total / inside[n], trips, whole, moved, offset, port_criterion, port_constant,
                )  # fmt: skip
                for k in range(criteria - slots, criteria):
                    here[k] += cost[k, member, n]
                if cost[1 if objective == LATENCY else 0, member, n] == np.inf:
                    for k in range(criteria):
                        here[k] = np.inf
            for k in range(criteria):
                result[k, o, n] = here[k]
            busiest[o, n] = busy
    return result, busiest
