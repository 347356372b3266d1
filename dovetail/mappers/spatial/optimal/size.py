"""How many mappings there are."""

from __future__ import annotations

import itertools
import math

import numpy as np

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.optimal.lattice import POWER, axes
from dovetail.mappers.spatial.optimal.padding import variants
from dovetail.mappers.spatial.optimal.problem import hierarchies
from dovetail.mappers.spatial.optimal.unrolling import spatial_choices


def size(einsum: Einsum, accelerator: SpatialArray) -> int:
    """Mappings in the mapspace, whether they fit or not, as nests of loops of prime counts.

    Spatial counts with totals in time (see `padding`), times orders of the prime factors of all
    ranks (equal ones not told apart), times places of the keeps of each operand. A loop of
    composite count is two of prime counts: it costs the same, but where a window slides.
    """
    keeps = [
        [len(kept) - 1 for kept in levels if kept] for levels in hierarchies(einsum, accelerator)
    ]
    total = 0
    extents = np.array([extent for _, extent in einsum.ranks])
    least = -(-extents // spatial_choices(einsum, accelerator).prod(axis=1))
    for totals in itertools.chain.from_iterable(variants(tuple(e)) for e in least.tolist()):
        powers = [int(axis[POWER]) for axis in axes(totals)[0]]
        loops = sum(powers)
        orders = math.factorial(loops) // math.prod(math.factorial(power) for power in powers)
        total += orders * sum(math.prod(math.comb(loops + k, k) for k in each) for each in keeps)
    return total
