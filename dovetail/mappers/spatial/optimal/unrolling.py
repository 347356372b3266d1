"""Spatial choices: how many PEs of every dimension go to which rank."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError, UnknownNameError
from dovetail.ir.operator import Einsum

Ints = NDArray[np.int64]

Spread = Mapping[str, Mapping[str, int]]
"""Counts per dimension and rank."""

MAX_CHOICES = 2_000_000


def spatial_choices(einsum: Einsum, accelerator: SpatialArray) -> Ints:
    """Spatial counts worth considering, (choices, dimensions, ranks).

    Of counts that leave the same temporal extents only the smallest is one: more PEs would only
    run padding.
    """
    extents = [extent for _, extent in einsum.ranks]
    names = [name for name, _ in einsum.ranks]
    allowed = dict(accelerator.unrolls)
    per_dimension = []
    for dimension, size in accelerator.dimensions:
        ranks = [names.index(e) for e in allowed.get(dimension, ()) if e in names]
        per_dimension.append(list(_spreads(extents, ranks, size)))
    number = math.prod(len(options) for options in per_dimension)
    if number > MAX_CHOICES:
        raise MappingError(
            f"the array '{accelerator.name}' can unroll this operator in {number} ways, at most "
            f"{MAX_CHOICES} are searched: allow fewer ranks in its unrolls, or give the counts"
        )
    choices = np.array(list(itertools.product(*per_dimension)), np.int64)
    choices = choices.reshape(len(choices), len(accelerator.dimensions), len(extents))
    return choices[_tight(choices, np.array(extents))]


def _spreads(extents: list[int], ranks: list[int], size: int) -> Iterator[list[int]]:
    """Counts of all ranks along one dimension with a product of at most its size."""
    if not ranks:
        yield [1] * len(extents)
        return
    rank, others = ranks[0], ranks[1:]
    for count in range(1, min(size, extents[rank]) + 1):
        for rest in _spreads(extents, others, size // count):
            counts = list(rest)
            counts[rank] = count
            yield counts


def _tight(choices: Ints, extents: Ints) -> NDArray[np.bool_]:
    """Choices in which no single count can be lowered at equal temporal extents."""
    spread = choices.prod(axis=1)
    temporal = -(-extents // spread)
    good = np.ones(len(choices), np.bool_)
    for dimension in range(choices.shape[1]):
        count = choices[:, dimension]
        fewer = spread // count * np.maximum(count - 1, 1)
        good &= ((count == 1) | (-(-extents // fewer) > temporal)).all(axis=1)
    return good


def fixed_choice(einsum: Einsum, accelerator: SpatialArray, given: Spread) -> Ints:
    """The one choice that a user gives, (1, dimensions, ranks).

    Raises:
        MappingError: if a count does not fit, or a rank may not be unrolled there.
        UnknownNameError: for an unknown dimension or rank.
    """
    names = [name for name, _ in einsum.ranks]
    sizes, allowed = dict(accelerator.dimensions), dict(accelerator.unrolls)
    choice = np.ones((1, len(sizes), len(names)), np.int64)
    for dimension, counts in given.items():
        if dimension not in sizes:
            raise UnknownNameError("dimension", dimension, sizes)
        position = list(sizes).index(dimension)
        for rank, count in counts.items():
            if rank not in names:
                raise UnknownNameError("rank", rank, names)
            if count < 1 or (count > 1 and rank not in allowed.get(dimension, ())):
                raise MappingError(
                    f"rank {rank} cannot be spread {count}-fold over dimension '{dimension}', "
                    f"which takes {', '.join(allowed.get(dimension, ())) or 'nothing'}: change it"
                )
            choice[0, position, names.index(rank)] = count
        used = math.prod(counts.values())
        if used > sizes[dimension]:
            raise MappingError(
                f"dimension '{dimension}' has {sizes[dimension]} PEs; the spatial counts given "
                f"need {used}: lower one"
            )
    return choice
