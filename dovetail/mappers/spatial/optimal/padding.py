"""Totals of a rank's loops in time: what is left of its extent, or a little more that tiles better.

ceil(extent / spatial counts) may be a prime, of which no loop can take a part. If it has a prime
factor above 7, larger totals are offered, too: all up to 5 % above it, or one above it, that have
more divisors than every smaller one from it on. Of 197 these are 197 and 198, of 127 they are 127,
128, and 132. The loops run all of a padded total, and everything that it moves is paid for.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

SMOOTH = (2, 3, 5, 7)
"""Extents of these primes alone are not padded: they tile well as they are."""

LIMIT = 20
"""Padding is at most the 20th part of what is padded, or one iteration."""


@functools.lru_cache(1 << 12)
def totals(least: int) -> tuple[int, ...]:
    """Totals of one rank, ascending, the first with nothing added in time."""
    left = least
    for prime in SMOOTH:
        while left % prime == 0:
            left //= prime
    if left == 1:
        return (least,)
    divisors = _divisors(least, max(least + 1, least + least // LIMIT))
    before = np.maximum.accumulate(np.concatenate(([0], divisors[:-1])))
    return tuple(least + int(i) for i in np.flatnonzero(divisors > before))


@functools.lru_cache(1 << 12)
def variants(least: tuple[int, ...]) -> Ints:
    """All totals of all ranks, (variants, ranks), the first with nothing added."""
    return np.array(list(itertools.product(*map(totals, least))), np.int64)


def _divisors(first: int, last: int) -> Ints:
    """How many divisors every number has from the first to the last."""
    count = np.zeros(last - first + 1, np.int64)
    for d in range(1, math.isqrt(last) + 1):
        start = max(-(-first // d) * d, d * d)
        count[start - first :: d] += 2
        if d * d >= first:
            count[d * d - first] -= 1
    return count
