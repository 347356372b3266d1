"""Cuts below a loop that slides a window: only the first tile of the loop is fetched as a whole.

An *option* places one boundary of a `sliding` store, or several neighbouring ones of its operand,
at a point, and then runs a single loop directly above it: the walk goes on from where that loop
lands, and nothing is cut in between.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.optimal.compiled import kernel
from dovetail.mappers.optimal.lattice import POWER, PRIME, RANK, STEP
from dovetail.mappers.optimal.tables import (
    ENERGY, FREE, LATENCY, LOWER, OPERAND, PORT, PORT_TERM, SLIDING, TERMS, UPPER, affine, box,
)  # fmt: skip
from dovetail.mappers.optimal.workspace import carve

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
def fill_options(  # type: ignore[no-untyped-def]
    objective, options, edges, stores, terms, bits, sum_bits, reads_zeros, port_criterion, extents,
    spatial, instances, outside, vectors, inside, project, lattice, cost, own, port_constant, slots,
    space,
):  # fmt: skip
    """Costs of all options at all points, infinite where they do not fit.

    Returns:
        Costs (criteria, options, points), busiest ports of their own (options, points), and a
        lower bound of what every boundary costs, sliding or not, shaped as `cost`.
    """
    criteria, movable, count = cost.shape
    number = options.shape[0]
    result, space = carve(space, criteria * number * count)
    result = result.reshape((criteria, number, count))
    busiest, space = carve(space, number * count)
    busiest = busiest.reshape((number, count))
    if number == 0:
        return result, busiest, cost
    least, space = carve(space, cost.size)
    least = least.reshape(cost.shape)
    least[:] = cost
    edge_of = np.zeros(movable, np.int64)
    b = -1
    for e in range(edges.shape[0]):
        b += edges[e, FREE]
        if edges[e, FREE]:
            edge_of[b] = e
    total = 1.0
    for rank in range(extents.size):
        total *= extents[rank]
    whole = np.zeros((TERMS, count))
    moving = np.zeros((TERMS, count))
    offset = np.zeros((TERMS, count))
    slope, shift = np.zeros(TERMS), np.zeros(TERMS)
    for o in range(number):
        first, many, jump = options[o, FIRST], options[o, MANY], options[o, SHIFT]
        rank, trips = options[o, OVER], options[o, TRIPS]
        result[:, o] = 0.0
        busiest[o] = 0.0
        for member in range(first, first + many):
            edge = edges[edge_of[member]]
            if member > first and not slides_over(edge, stores, terms, rank):
                for k in range(criteria):
                    for n in range(count):
                        result[k, o, n] += cost[k, member, n]
                for n in range(count):
                    busiest[o, n] = max(busiest[o, n], own[member, n])
                continue
            operand, upper, lower = edge[OPERAND], edge[UPPER], edge[LOWER]
            for n in range(count):
                if project[operand, n] != n:
                    continue
                union = box(vectors[n], spatial[upper], terms[operand])
                tile = box(vectors[n], spatial[lower], terms[operand])
                new_union = fresh(vectors[n], spatial[upper], spatial[upper], terms[operand], rank)
                new_tile = fresh(vectors[n], spatial[lower], spatial[upper], terms[operand], rank)
                affine(
                    objective, slope, shift, operand, stores[upper], stores[lower], new_union,
                    new_tile, instances[upper], instances[lower], outside[upper], 1.0, 1,
                    bits[operand], sum_bits, reads_zeros,
                )  # fmt: skip
                moving[:, n] = slope
                affine(
                    objective, slope, shift, operand, stores[upper], stores[lower], union, tile,
                    instances[upper], instances[lower], outside[upper], 1.0, 1, bits[operand],
                    sum_bits, reads_zeros,
                )  # fmt: skip
                whole[:, n] = slope
                offset[:, n] = shift
            for n in range(count):
                base = project[operand, n]
                times = total / inside[n]
                starts = times / trips
                if objective != LATENCY:
                    result[0, o, n] += (
                        starts * whole[0, base] + (times - starts) * moving[0, base]
                        + offset[0, base]
                    )  # fmt: skip
                if objective != ENERGY:
                    result[1, o, n] += (
                        starts * whole[1, base] + (times - starts) * moving[1, base]
                        + offset[1, base]
                    )  # fmt: skip
                    for p in range(4):
                        port = edge[PORT + p]
                        if port < 0:
                            continue
                        t = PORT_TERM + p
                        busy = starts * whole[t, base] + (times - starts) * moving[t, base]
                        if port_criterion[port] >= 0:
                            result[port_criterion[port], o, n] += busy
                            continue
                        for q in range(p + 1, 4):
                            if edge[PORT + q] == port:
                                t = PORT_TERM + q
                                busy += starts * whole[t, base] + (times - starts) * moving[t, base]
                        busiest[o, n] = max(busiest[o, n], busy + port_constant[port])
                for k in range(criteria - slots, criteria):
                    result[k, o, n] += cost[k, member, n]
                if cost[needed(objective), member, n] == np.inf:
                    result[:, o, n] = np.inf
        for n in range(count):
            valid = n + jump < count
            for a in range(lattice.shape[0]):
                if lattice[a, RANK] == rank:
                    size, step = lattice[a, POWER] + 1, lattice[a, STEP]
                    after = (n + jump) // step % size
                    valid = valid and after == n // step % size + jump_of(trips, lattice[a, PRIME])
            if not valid:
                result[:, o, n] = np.inf
            elif many == 1:
                for k in range(criteria):
                    least[k, first, n] = min(least[k, first, n], result[k, o, n])
    return result, busiest, least


@kernel
def needed(objective):  # type: ignore[no-untyped-def]
    """A criterion that the objective has."""
    return 1 if objective == LATENCY else 0


@kernel
def jump_of(trips, prime):  # type: ignore[no-untyped-def]
    """Power of a prime in a number."""
    power = 0
    while trips % prime == 0:
        trips //= prime
        power += 1
    return power
