"""The lattice of tiles: which part of every rank's temporal loops lies inside of a cut.

A loop nest is a walk from all ones (nothing inside) to the temporal extents (everything inside),
multiplying one rank by one prime factor at a time. A cut of the nest is a point of the walk: one
divisor per rank. With an axis for every prime factor of every rank, the divisors form a box, a
divides b where no coordinate of a is larger, and whatever minimises over all multiples of a point
is a running minimum along the axes.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.spatial.optimal.compiled import kernel

MAX_AXES = 64

# Columns of an axis: rank, prime factor, its power, distance of neighbours.
RANK, PRIME, POWER, STEP = range(4)


@kernel
def axes(extents):  # type: ignore[no-untyped-def]
    """Axes of the divisors of temporal extents (ranks,): (axes, 4), the last with step 1.

    Returns:
        The axes and the number of points.
    """
    found = np.zeros((MAX_AXES, 4), np.int64)
    n = 0
    for rank in range(extents.size):
        left = extents[rank]
        prime = 2
        while left > 1:
            if prime * prime > left:
                prime = left
            power = 0
            while left % prime == 0:
                left //= prime
                power += 1
            if power:
                found[n, RANK], found[n, PRIME], found[n, POWER] = rank, prime, power
                n += 1
            prime += 1
    count = 1
    for a in range(n - 1, -1, -1):
        found[a, STEP] = count
        count *= found[a, POWER] + 1
    return found[:n].copy(), count


@kernel
def points(lattice, relevant, vectors, inside, project, finished):  # type: ignore[no-untyped-def]
    """Writes what stands at every point of a lattice.

    Args:
        lattice: axes.
        relevant: whether an operand depends on a rank, (3, ranks).
        vectors: written: the vector of every point, (points, ranks).
        inside: written: the product of the vector, (points,).
        project: written: per operand the point without what is irrelevant to it, (3, points).
        finished: written: 1 where all ranks irrelevant to the output are inside, (points,).
    """
    ranks = vectors.shape[1]
    missing = 0
    for a in range(lattice.shape[0]):
        if not relevant[2, lattice[a, RANK]]:
            missing += lattice[a, POWER]
    vectors[0] = 1
    inside[0] = 1.0
    project[:, 0] = 0
    finished[0] = -missing
    for a in range(lattice.shape[0] - 1, -1, -1):
        rank, prime, step = lattice[a, RANK], lattice[a, PRIME], lattice[a, STEP]
        for n in range(step, step * (lattice[a, POWER] + 1)):
            below = n - step
            for r in range(ranks):
                vectors[n, r] = vectors[below, r]
            vectors[n, rank] *= prime
            inside[n] = inside[below] * prime
            finished[n] = finished[below] + (not relevant[2, rank])
            for operand in range(3):
                project[operand, n] = project[operand, below] + step * relevant[operand, rank]
    for n in range(inside.size):
        finished[n] = finished[n] == 0


@kernel
def lower_to_multiples(values, lattice):  # type: ignore[no-untyped-def]
    """Replaces the value of every point by the least among its multiples, in place."""
    count = values.size
    for a in range(lattice.shape[0]):
        power, step = lattice[a, POWER], lattice[a, STEP]
        block = (power + 1) * step
        if step < 8:
            for start in range(0, count, block):
                for n in range(start + block - step - 1, start - 1, -1):
                    more_here = values[n + step]
                    values[n] = more_here if more_here < values[n] else values[n]
            continue
        for start in range(0, count, block):
            for row in range(power - 1, -1, -1):
                here = values[start + row * step : start + (row + 1) * step]
                more = values[start + (row + 1) * step : start + (row + 2) * step]
                for n in range(step):
                    here[n] = more[n] if more[n] < here[n] else here[n]


@kernel
def cells(extents, vectors):  # type: ignore[no-untyped-def]
    """A coarser lattice: of every rank nothing, everything, or anything between is inside.

    If a divides b, the cell of a divides that of b: what is least over the points of a cell makes
    lower bounds.

    Returns:
        Axes of the cells, their number, and the cell of every point.
    """
    found = np.zeros((extents.size, 4), np.int64)
    where = np.zeros(vectors.shape[0], np.int64)
    used = 0
    count = 1
    for rank in range(extents.size - 1, -1, -1):
        if extents[rank] == 1:
            continue
        power = 1
        divisor = 2
        while divisor * divisor <= extents[rank]:
            if extents[rank] % divisor == 0:
                power = 2
                break
            divisor += 1
        found[used, RANK], found[used, POWER], found[used, STEP] = rank, power, count
        for n in range(where.size):
            if vectors[n, rank] == extents[rank]:
                where[n] += power * count
            elif vectors[n, rank] > 1:
                where[n] += count
        count *= power + 1
        used += 1
    return found[:used].copy(), count, where
