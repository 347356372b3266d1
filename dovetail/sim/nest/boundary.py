"""The formulas of the mapping analysis: what crosses one boundary of the memory hierarchy.

An operand X lives in stores m_0 (inner) to m_k (outer). Boundary j lies between m_j above and
m_(j-1) below it; below m_0 are the PEs. Everything that the analysis reports is a sum, or one
maximum, of what stands here. Arrays hold one entry per candidate mapping (shape (n,)), vectors over
ranks are arrays of shape (ranks, n); whatever is the same for all candidates may have n = 1.

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

Array = NDArray[np.float64]

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


@dataclass(frozen=True)
class Flow:
    """What crosses a boundary; arrays of shape (n,).

    Attributes:
        boundary: that is crossed.
        transfers: T, tiles that cross it in each instance.
        distinct: F, tiles among them that differ. If T > F, an output's partial sums travel.
        tile: elements per transfer and instance below; 1 per PE.
        union: different elements per transfer and instance above (multicast, halos, reduction).
        starts: transfers of whole tiles; the others bring only what is new. None: all are whole.
        fresh_tile: elements of one of the others, per instance below.
        fresh_union: the same, per instance above.
    """

    boundary: Boundary
    transfers: Array
    distinct: Array
    tile: Array
    union: Array
    starts: Array | None = None
    fresh_tile: Array | None = None
    fresh_union: Array | None = None

    @cached_property
    def final(self) -> NDArray[np.bool_]:
        """Whether an output is finished above: no term of its sum is left, here or elsewhere."""
        whole: NDArray[np.bool_] = self.transfers == self.distinct
        return whole & (self.boundary.split == 1)

    @cached_property
    def bits(self) -> Array:
        """Width of an element that crosses."""
        bits, sum_bits = float(self.boundary.bits), float(self.boundary.sum_bits)
        if self.boundary.operand != "output":
            return np.full_like(self.transfers, bits)
        return np.where(self.final, bits, sum_bits)

    @cached_property
    def up(self) -> Array:
        """Transfers upwards: an output's tiles, finished or not."""
        return self.transfers * (self.boundary.operand == "output")

    @cached_property
    def down(self) -> Array:
        """Transfers downwards: factors' tiles, or partial sums that are read back."""
        if self.boundary.operand != "output":
            return self.transfers
        if self.boundary.reads_zeros:
            return np.where(self.final, 0.0, self.transfers)
        return self.transfers - self.distinct

    def _moved(self, way: Array, whole: Array, fresh: Array | None) -> Array:
        if self.starts is None or fresh is None:
            return way * whole
        return self.starts * whole + (way - self.starts) * fresh

    @cached_property
    def reads(self) -> Array:
        """Elements read above, going down, over all instances."""
        return self._moved(self.down, self.union, self.fresh_union) * self.boundary.upper_instances

    @cached_property
    def fills(self) -> Array:
        """Elements that arrive below, over all instances."""
        return self._moved(self.down, self.tile, self.fresh_tile) * self.boundary.lower_instances

    @cached_property
    def drains(self) -> Array:
        """Elements that leave below, going up, over all instances."""
        return self.up * self.tile * self.boundary.lower_instances

    @cached_property
    def updates(self) -> Array:
        """Elements written above, over all instances; `drains - updates` are added on the way."""
        return self.up * self.union * self.boundary.upper_instances

    @cached_property
    def reductions(self) -> Array:
        """Updates that are added to a partial sum held above rather than written first."""
        first = self.distinct * (self.boundary.operand == "output")
        return (self.up - first) * self.union * self.boundary.upper_instances

    def _upper_accesses(self, way: Array, whole: Array, fresh: Array | None) -> Array:
        width = self.bits / self.boundary.upper.access_bits
        each = self._moved(
            way, np.ceil(whole * width), None if fresh is None else np.ceil(fresh * width)
        )
        return each * self.boundary.upper_instances

    def _lower_accesses(self, way: Array, whole: Array, fresh: Array | None) -> Array:
        if self.boundary.lower is None:
            return np.zeros_like(self.transfers)
        width = self.bits / self.boundary.lower.access_bits
        each = self._moved(
            way, np.ceil(whole * width), None if fresh is None else np.ceil(fresh * width)
        )
        return each * self.boundary.lower_instances

    @cached_property
    def read_accesses(self) -> Array:
        """Accesses that serve `reads`."""
        return self._upper_accesses(self.down, self.union, self.fresh_union)

    @cached_property
    def update_accesses(self) -> Array:
        """Accesses that serve `updates`."""
        return self._upper_accesses(self.up, self.union, None)

    @cached_property
    def fill_accesses(self) -> Array:
        """Accesses that serve `fills`; 0 at the PEs."""
        return self._lower_accesses(self.down, self.tile, self.fresh_tile)

    @cached_property
    def drain_accesses(self) -> Array:
        """Accesses that serve `drains`; 0 at the PEs."""
        return self._lower_accesses(self.up, self.tile, None)

    @cached_property
    def upper_pj(self) -> Array:
        """Energy in the store above."""
        store = self.boundary.upper
        return self.read_accesses * store.read_pj + self.update_accesses * store.write_pj

    @cached_property
    def lower_pj(self) -> Array:
        """Energy in the store below."""
        store = self.boundary.lower
        if store is None:
            return np.zeros_like(self.transfers)
        return self.fill_accesses * store.write_pj + self.drain_accesses * store.read_pj

    @property
    def energy_pj(self) -> Array:
        """Energy of everything that crosses, in both stores."""
        return self.upper_pj + self.lower_pj

    @cached_property
    def upper_read_bits(self) -> Array:
        """Bits read per instance above."""
        return self.reads * self.bits / self.boundary.upper_instances

    @cached_property
    def upper_write_bits(self) -> Array:
        """Bits written per instance above."""
        return self.updates * self.bits / self.boundary.upper_instances

    @cached_property
    def lower_write_bits(self) -> Array:
        """Bits written per instance below."""
        return self.fills * self.bits / self.boundary.lower_instances

    @cached_property
    def lower_read_bits(self) -> Array:
        """Bits read per instance below."""
        return self.drains * self.bits / self.boundary.lower_instances

    def _down_cycles(self, union: Array, tile: Array) -> Array:
        upper, lower = self.boundary.upper, self.boundary.lower
        assert lower is not None
        return np.maximum(
            union * self.bits / upper.read_bits_per_cycle,
            tile * self.bits / write_bandwidth(lower),
        )

    @cached_property
    def _up_cycles(self) -> Array:
        upper, lower = self.boundary.upper, self.boundary.lower
        assert lower is not None
        return np.maximum(
            self.tile * self.bits / lower.read_bits_per_cycle,
            self.union * self.bits / write_bandwidth(upper),
        )

    @cached_property
    def onload_cycles(self) -> Array:
        """Time of a factor's first tile, before which nothing below can start."""
        if self.boundary.lower is None or self.boundary.operand == "output":
            return np.zeros_like(self.transfers)
        return self._down_cycles(self.union, self.tile)

    @cached_property
    def offload_cycles(self) -> Array:
        """Time of an output's last tile, after the last multiply-accumulate."""
        if self.boundary.lower is None or self.boundary.operand != "output":
            return np.zeros_like(self.transfers)
        return self._up_cycles

    @cached_property
    def wait_cycles(self) -> Array:
        """Time that work stands still while a `single` buffered store below changes its tile."""
        lower = self.boundary.lower
        if lower is None or lower.buffering != "single":
            return np.zeros_like(self.transfers)
        whole = self._down_cycles(self.union, self.tile)
        if self.boundary.operand == "output":
            return self.down * whole + (self.up - 1) * self._up_cycles
        if self.starts is None or self.fresh_tile is None or self.fresh_union is None:
            return (self.down - 1) * whole
        fresh = self._down_cycles(self.fresh_union, self.fresh_tile)
        return (self.starts - 1) * whole + (self.down - self.starts) * fresh


def write_bandwidth(store: Store) -> float:
    """Bits per cycle of the port that writes one instance."""
    if store.write_bits_per_cycle is None:
        return store.read_bits_per_cycle
    return store.write_bits_per_cycle


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
