"""What crosses one boundary of the memory hierarchy: counts, accesses, energy and time.

Everything that the analysis reports is a sum, or one maximum, of what stands here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import Store

if TYPE_CHECKING:
    from dovetail.sim.nest.boundary import Boundary

Array = NDArray[np.float64]


def write_bandwidth(store: Store) -> float:
    """Bits per cycle of the port that writes one instance."""
    if store.write_bits_per_cycle is None:
        return store.read_bits_per_cycle
    return store.write_bits_per_cycle


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
