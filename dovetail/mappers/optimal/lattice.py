"""The lattice of tiles: which part of every rank's temporal loops lies inside of a cut.

A loop nest is a walk from all ones (nothing inside) to the temporal extents (everything inside),
multiplying one rank by one prime factor at a time. A cut of the nest is a point of the walk: one
divisor per rank. With an axis for every prime factor of every rank, the divisors form a box, a
divides b where no coordinate of a is larger, and whatever minimises over all multiples of a point
is a running minimum along the axes.
"""

from __future__ import annotations

import numpy as np

from dovetail.mappers.optimal.compiled import kernel

MAX_AXES = 64


@kernel
def axes(extents):  # type: ignore[no-untyped-def]
    """Axes of the divisors of temporal extents (ranks,): (axes, 4) of rank, prime, power, stride.

    Returns:
        The axes, the last with stride 1, and the number of points.
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
                found[n, 0], found[n, 1], found[n, 2] = rank, prime, power
                n += 1
            prime += 1
    points = 1
    for a in range(n - 1, -1, -1):
        found[a, 3] = points
        points *= found[a, 2] + 1
    return found[:n].copy(), points


@kernel
def points(extents, lattice, count):  # type: ignore[no-untyped-def]
    """The vector (ranks,) of every point of a lattice, (count, ranks)."""
    result = np.ones((count, extents.size), np.int64)
    for a in range(lattice.shape[0]):
        rank, prime, size, stride = lattice[a, 0], lattice[a, 1], lattice[a, 2] + 1, lattice[a, 3]
        for n in range(count):
            for _ in range((n // stride) % size):
                result[n, rank] *= prime
    return result


@kernel
def lower_to_multiples(values, lattice):  # type: ignore[no-untyped-def]
    """Replaces the value of every point by the least among its multiples, in place."""
    count = values.size
    for a in range(lattice.shape[0]):
        size, stride = lattice[a, 2] + 1, lattice[a, 3]
        block = size * stride
        for start in range(0, count, block):
            for n in range(start + block - stride - 1, start - 1, -1):
                other = values[n + stride]
                values[n] = min(values[n], other)
