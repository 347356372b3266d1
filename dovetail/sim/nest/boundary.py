"""Boundaries of the memory hierarchy: what a tile is, and how often one crosses.

An operand X lives in stores m_0 (inner) to m_k (outer). Boundary j lies between m_j above and
m_(j-1) below it; below m_0 are the PEs. Arrays hold one entry per candidate mapping (shape (n,)),
vectors over ranks are arrays of shape (ranks, n); whatever is the same for all candidates may have
n = 1.

Counts are float64: exact below 2^53.

References:
    docs/mapping.md; A. Parashar et al., "Timeloop", ISPASS 2019, Section V; L. Mei et al.,
    "ZigZag", IEEE Trans. Computers 2021, Section IV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Access, Einsum
from dovetail.sim.nest.flow import Array, Flow, write_bandwidth

__all__ = [
    "Array",
    "Boundary",
    "Flow",
    "accesses",
    "boundaries",
    "footprint",
    "indices",
    "served",
    "write_bandwidth",
]

Indices = tuple[tuple[tuple[int, int], ...], ...]
"""Per dimension of a tensor the (position of the rank, coefficient) pairs of its index."""


def accesses(einsum: Einsum) -> dict[str, Access]:
    """The tensors of an Einsum by the part that they play: `input`, `weight`, `output`."""
    factors = dict(zip(OPERANDS[:2], einsum.operands, strict=False))
    return factors | {"output": einsum.output}


def indices(einsum: Einsum, operand: str) -> Indices:
    """Index terms of an operand, with ranks as positions and coefficients as sizes of steps."""
    position = {rank: i for i, (rank, _) in enumerate(einsum.ranks)}
    return tuple(
        tuple((position[rank], abs(step)) for rank, step in index.terms if step)
        for index in accesses(einsum)[operand].indices
    )


def spans(dims: Indices, extents: Array) -> list[Array]:
    """Elements along every dimension of the box that ranks of these extents touch."""
    one = np.ones(extents.shape[1:])
    return [sum((c * (extents[r] - 1) for r, c in dim), one) for dim in dims]


def footprint(dims: Indices, extents: Array) -> Array:
    """Elements of the box that ranks of these extents (ranks, n) touch."""
    return product(spans(dims, extents), extents)


def product(factors: Sequence[Array], like: Array) -> Array:
    """Product of (n,) arrays, n as in `like` (ranks, n); ones if there are none."""
    result = np.ones(like.shape[1:])
    for factor in factors:
        result = result * factor
    return result


@dataclass(frozen=True)
class Boundary:
    """An operand between a store and what lies below it, under given spatial loops.

    Attributes:
        operand: `input`, `weight` or `output`.
        upper: the store m_j.
        lower: the store m_(j-1), or None for the PEs.
        dims: index terms of the operand.
        shared: spatial counts (ranks, n) along the dimensions that `upper` serves.
        held: spatial counts (ranks, n) along those that `lower` serves; ones for the PEs.
        upper_instances: instances of `upper` in use, (n,).
        lower_instances: instances of `lower`, or PEs, in use, (n,).
        split: terms of every sum that instances of `upper` hold apart, (n,).
        bits: width of an element; of a finished one for the output.
        sum_bits: width of an element that is a partial sum.
        reads_zeros: see `SpatialArray.reads_zeros`.
    """

    operand: str
    upper: Store
    lower: Store | None
    dims: Indices
    shared: Array
    held: Array
    upper_instances: Array
    lower_instances: Array
    split: Array
    bits: int
    sum_bits: int
    reads_zeros: bool

    @cached_property
    def relevant(self) -> tuple[int, ...]:
        """Positions of the ranks that the operand depends on."""
        return tuple(sorted({rank for dim in self.dims for rank, _ in dim}))

    def flow(
        self,
        totals: Array,
        inner: Array,
        rank: NDArray[np.intp] | None = None,
        count: Array | None = None,
    ) -> Flow:
        """What crosses the boundary.

        Args:
            totals: products of all temporal counts per rank, (ranks, n).
            inner: products of those inside the boundary, after absorption, (ranks, n).
            rank: position of the rank of the loop directly above the boundary (after absorption),
                (n,); only a `sliding` store needs it. None: nothing slides.
            count: iterations of that loop, (n,).
        """
        outside = totals / inner
        transfers = product(list(outside), inner)
        distinct = product([outside[r] for r in self.relevant], inner)
        union, tile = spans(self.dims, inner * self.shared), spans(self.dims, inner * self.held)
        slides = self.lower is not None and self.lower.sliding and self.operand != "output"
        if not slides or rank is None or count is None:
            return Flow(self, transfers, distinct, product(tile, inner), product(union, inner))
        step = inner * self.shared
        moved = [
            sum((c * step[r] * (rank == r) for r, c in dim), np.zeros(inner.shape[1:]))
            for dim in self.dims
        ]
        starts = transfers / count
        return Flow(
            self,
            transfers,
            distinct,
            product(tile, inner),
            product(union, inner),
            starts,
            _fresh(tile, moved, inner),
            _fresh(union, moved, inner),
        )


def _fresh(box: list[Array], moved: list[Array], like: Array) -> Array:
    """Elements of a box that it did not hold before it moved."""
    kept = [np.maximum(span - step, 0.0) for span, step in zip(box, moved, strict=True)]
    return product(box, like) - product(kept, like)


def served(accelerator: SpatialArray, spatial: Array, store: Store | None) -> tuple[Array, Array]:
    """Spatial counts inside and outside an instance of a store.

    Args:
        accelerator: whose dimensions `spatial` names.
        spatial: counts (dimensions, ranks, n).
        store: None for a PE.

    Returns:
        Counts along the dimensions that an instance serves, and along the others, (ranks, n) each.
        The product of the latter is the number of instances in use.
    """
    names = store.serves if store else ()
    inside = [i for i, (name, _) in enumerate(accelerator.dimensions) if name in names]
    outside = [i for i in range(len(accelerator.dimensions)) if i not in inside]
    return np.prod(spatial[inside], axis=0), np.prod(spatial[outside], axis=0)


def boundaries(
    einsum: Einsum,
    accelerator: SpatialArray,
    operand: str,
    stores: Sequence[Store],
    spatial: Array,
) -> tuple[Boundary, ...]:
    """All boundaries of an operand, from the PEs outwards.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        operand: `input`, `weight` or `output`.
        stores: that keep the operand, from the innermost to the outermost.
        spatial: counts (dimensions, ranks, n); n = 1 if the same for all candidates.
    """
    dims = indices(einsum, operand)
    relevant = {rank for dim in dims for rank, _ in dim}
    summed = [rank for rank in range(len(einsum.ranks)) if rank not in relevant]
    below: list[Store | None] = [None, *stores[:-1]]
    result = []
    for lower, upper in zip(below, stores, strict=True):
        shared, over = served(accelerator, spatial, upper)
        held, under = served(accelerator, spatial, lower)
        result.append(
            Boundary(
                operand=operand,
                upper=upper,
                lower=lower,
                dims=dims,
                shared=shared,
                held=held,
                upper_instances=np.prod(over, axis=0),
                lower_instances=np.prod(under, axis=0),
                split=np.prod(over[summed], axis=0),
                bits=accelerator.bits(operand),
                sum_bits=accelerator.bits(operand, final=False),
                reads_zeros=accelerator.reads_zeros,
            )
        )
    return tuple(result)
