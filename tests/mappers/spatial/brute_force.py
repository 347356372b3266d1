"""Every mapping of a small operator, evaluated by the analysis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import OBJECTIVES, value_of
from dovetail.sim.nest import MappingBatch, analyse_batch

Loops = tuple[tuple[int, int], ...]


def primes(n: int) -> list[int]:
    """Prime factors in ascending order."""
    found, p = [], 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


def factorings(count: int) -> set[tuple[int, ...]]:
    """Ways to write a count as a multiset of factors."""
    if count == 1:
        return {()}
    firsts = [f for f in range(2, count + 1) if count % f == 0]
    return {tuple(sorted((f, *rest))) for f in firsts for rest in factorings(count // f)}


def totals(least: int) -> list[int]:
    """What the loops in time of a rank may multiply to: see the package."""
    if max(primes(least), default=1) <= 7:
        return [least]
    found, most = [], 0
    for total in range(least, max(least + 1, least * 21 // 20) + 1):
        divisors = sum(total % d == 0 for d in range(1, total + 1))
        if divisors > most:
            found.append(total)
            most = divisors
    return found


def nests(temporal: list[int], composite: bool) -> Iterator[Loops]:
    """Orders of all loops, outermost first; of prime counts only unless `composite`."""
    ways = [
        [[(rank, f) for f in some] for some in (factorings(n) if composite else [primes(n)])]
        for rank, n in enumerate(temporal)
    ]
    for some in itertools.product(*ways):
        yield from set(itertools.permutations(itertools.chain(*some)))


def spreads(einsum: Einsum, accelerator: SpatialArray) -> Iterator[np.ndarray]:
    """Spatial counts (dimensions, ranks), useless ones included."""
    allowed = dict(accelerator.unrolls)
    per_dimension = []
    for dimension, size in accelerator.dimensions:
        counts = [
            range(1, min(size, extent) + 1 if rank in allowed.get(dimension, ()) else 2)
            for rank, extent in einsum.ranks
        ]
        per_dimension.append([e for e in itertools.product(*counts) if math.prod(e) <= size])
    for some in itertools.product(*per_dimension):
        yield np.array(some)


def keeps(accelerator: SpatialArray, operand: str, loops: int) -> Iterator[np.ndarray]:
    """Loops outside of every store's tile, (stores,), -1 where bypassed."""
    levels = [i for i, store in enumerate(accelerator.stores) if operand in store.operands]
    last = levels[-1]
    optional = [i for i in levels if operand in accelerator.stores[i].bypass and i != last]
    for n in range(len(optional) + 1):
        for out in itertools.combinations(optional, n):
            inner = [i for i in reversed(levels) if i not in out and i != last]
            for cuts in itertools.combinations_with_replacement(range(loops + 1), len(inner)):
                row = np.full(len(accelerator.stores), -1)
                row[last] = 0
                row[inner] = cuts
                yield row


def batches(einsum: Einsum, accelerator: SpatialArray, composite: bool) -> Iterator[MappingBatch]:
    """All mappings of the mapspace, one batch per spatial choice and loop nest."""
    extents = np.array([extent for _, extent in einsum.ranks])
    for spread in spreads(einsum, accelerator):
        temporal = itertools.product(*(totals(int(e)) for e in -(-extents // spread.prod(axis=0))))
        for nest in itertools.chain(*(nests(list(some), composite) for some in temporal)):
            options = [np.array(list(keeps(accelerator, e, len(nest)))) for e in OPERANDS]
            picks = np.indices([len(e) for e in options]).reshape(3, -1)
            kept = np.stack([e[i] for e, i in zip(options, picks, strict=True)], axis=1)
            n = len(kept)
            loops = np.array(nest, np.int64).reshape(-1, 2)
            yield MappingBatch(
                np.tile(loops[:, 0], (n, 1)), np.tile(loops[:, 1].astype(float), (n, 1)),
                np.tile(spread.astype(float), (n, 1, 1)), kept,
            )  # fmt: skip


def best(
    einsum: Einsum, accelerator: SpatialArray, composite: bool = False
) -> tuple[dict[str, float], int]:
    """The least latency, energy and product over all mappings, and how many there are."""
    least = dict.fromkeys(OBJECTIVES, math.inf)
    count = 0
    for batch in batches(einsum, accelerator, composite):
        count += len(batch)
        cost = analyse_batch(einsum, accelerator, batch)
        if not cost.valid.any():
            continue
        cycles, energy = cost.cycles[cost.valid], cost.energy_pj[cost.valid]
        for objective in OBJECTIVES:
            value = float(value_of(cycles, energy, objective).min())
            least[objective] = min(least[objective], value)
    return least, count
