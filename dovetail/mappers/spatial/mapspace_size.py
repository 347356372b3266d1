"""How many mappings an operator has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from dovetail.ir.mapping import OPERANDS
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.mappers.spatial.mapspace_factors import prime_factors, useful_counts


def mapspace_size(space: Mapspace) -> int:
    """Number of points, before capacities are looked at.

    Counts sequences of prime loops: sequences that differ only in the order of two
    neighbouring loops of one rank are one mapping but several points.
    """
    ways: dict[tuple[tuple[int, ...], int], int] = {
        (tuple(1 for _ in space.accelerator.dimensions), 0): 1
    }
    for rank, extent in enumerate(space.extents):
        ways = _with_rank(space, ways, rank, extent)
    return sum(count * _cut_choices(space, loops) for (_, loops), count in ways.items())


def _with_rank(
    space: Mapspace, ways: dict[tuple[tuple[int, ...], int], int], rank: int, extent: int
) -> dict[tuple[tuple[int, ...], int], int]:
    """Orders of loops by (PEs used per dimension, loops), one more rank among them."""
    sizes = [size for _, size in space.accelerator.dimensions]
    free = [rank in ranks for ranks in space.unrolls]
    table: dict[tuple[tuple[int, ...], int], int] = {}
    for counts, left in _spreads(extent, tuple(sizes), tuple(free)):
        primes = prime_factors(left)
        orders = _permutations(primes)
        for (used, loops), ways_here in ways.items():
            now = tuple(u * c for u, c in zip(used, counts, strict=True))
            if all(u <= size for u, size in zip(now, sizes, strict=True)):
                key = (now, loops + len(primes))
                merged = ways_here * orders * math.comb(loops + len(primes), loops)
                table[key] = table.get(key, 0) + merged
    return table


def _cut_choices(space: Mapspace, loops: int) -> int:
    """Ways to cut a sequence of loops, over all operands."""
    total = 1
    for operand, stores in zip(OPERANDS, space.hierarchies, strict=True):
        optional = sum(operand in store.bypass for store in stores[:-1])
        fixed = len(stores) - 1 - optional
        total *= sum(
            math.comb(optional, k) * math.comb(loops + fixed + k, loops)
            for k in range(optional + 1)
        )
    return total


def _spreads(
    extent: int, sizes: tuple[int, ...], free: tuple[bool, ...]
) -> list[tuple[tuple[int, ...], int]]:
    """(count per dimension, what remains) of every way to spread a rank."""
    ways: list[tuple[tuple[int, ...], int]] = [((), extent)]
    for size, allowed in zip(sizes, free, strict=True):
        ways = [
            ((*counts, count), -(-left // count))
            for counts, left in ways
            for count in (useful_counts(left, size) if allowed else (1,))
        ]
    return ways


def _permutations(primes: Sequence[int]) -> int:
    total = math.factorial(len(primes))
    for _, group in groupby(primes):
        total //= math.factorial(len(list(group)))
    return total
