"""Counts of loops: prime factors, and spatial counts that differ in steps."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

Loop = tuple[int, int]
"""Index of a rank, and a count."""


@lru_cache(maxsize=4096)
def prime_factors(number: int) -> tuple[int, ...]:
    """Prime factors in ascending order, with repetition."""
    factors, divisor = [], 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return (*factors, number) if number > 1 else tuple(factors)


def prime_loops(counts: Sequence[int]) -> list[Loop]:
    """(rank, prime) of every prime factor of every rank's count."""
    return [(rank, prime) for rank, count in enumerate(counts) for prime in prime_factors(count)]


@lru_cache(maxsize=4096)
def useful_counts(extent: int, limit: int) -> tuple[int, ...]:
    """Spatial counts up to `limit` that no smaller one equals in steps: ceil(extent / q)."""
    counts, count = [], 1
    while count <= min(extent, limit):
        steps = -(-extent // count)
        counts.append(count)
        if steps == 1:
            break
        count = -(-extent // (steps - 1))  # the least that takes fewer steps
    return tuple(counts)
