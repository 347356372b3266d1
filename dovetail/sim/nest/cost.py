"""What mappings cost: counts, cycles and energy from the boundaries of all operands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.batch import MappingBatch, Nest
from dovetail.sim.nest.boundary import (
    Array,
    Flow,
    accesses,
    boundaries,
    footprint,
    served,
    write_bandwidth,
)


@dataclass(frozen=True, slots=True)
class LevelCost:
    """What one operand costs in one store, over all instances; elements unless named otherwise.

    Attributes:
        store: its name.
        operand: `input`, `weight` or `output`.
        tile_elements: kept in each instance.
        instances: in use.
        reads: going down, to the next store that keeps the operand or to the PEs.
        fills: arriving from above; partial sums that come back, for the output.
        updates: results arriving from below.
        drains: results leaving upwards.
        reductions: updates that are added to a sum held here.
        spatial_reductions: additions across PEs or instances on the way here.
        read_accesses: accesses of `access_bits` for reads and drains.
        write_accesses: for fills and updates.
        energy_pj: of all accesses.
        read_bits: moved by reads and drains.
        write_bits: moved by fills and updates.
    """

    store: str
    operand: str
    tile_elements: int
    instances: int
    reads: int
    fills: int
    updates: int
    drains: int
    reductions: int
    spatial_reductions: int
    read_accesses: int
    write_accesses: int
    energy_pj: float
    read_bits: int
    write_bits: int


@dataclass(frozen=True, slots=True)
class NestCost:
    """What a mapped operator costs.

    Attributes:
        macs: the operator's multiply-accumulates.
        padded_macs: those that the loop nest runs, padding included.
        compute_cycles: iterations of all temporal loops.
        steady_cycles: of compute or of the busiest port, whichever is longer (Timeloop's cycles).
        onload_cycles: before the first multiply-accumulate.
        offload_cycles: after the last.
        wait_cycles: while `single` buffered stores change their tiles.
        cycles: of the whole operator.
        mac_pj: energy of all multiply-accumulates that run.
        energy_pj: of everything.
        utilization: useful multiply-accumulates per PE and cycle.
        levels: per operand from the innermost store to the outermost.
    """

    macs: int
    padded_macs: int
    compute_cycles: int
    steady_cycles: float
    onload_cycles: float
    offload_cycles: float
    wait_cycles: float
    cycles: float
    mac_pj: float
    energy_pj: float
    utilization: float
    levels: tuple[LevelCost, ...]

    def level(self, store: str, operand: str) -> LevelCost:
        """What an operand costs in a store that keeps it."""
        return next(e for e in self.levels if (e.store, e.operand) == (store, operand))


@dataclass(frozen=True)
class BatchCost:
    """What n mappings of an operator cost; every array has shape (n,). See `NestCost`.

    Attributes:
        valid: whether the mapping obeys all laws; what breaks one costs infinitely much.
        compute_cycles: iterations of all temporal loops.
        steady_cycles: of compute or of the busiest port.
        onload_cycles: before the first multiply-accumulate.
        offload_cycles: after the last.
        wait_cycles: while `single` buffered stores change their tiles.
        cycles: of the whole operator.
        mac_pj: energy of all multiply-accumulates that run.
        energy_pj: of everything.
        utilization: useful multiply-accumulates per PE and cycle.
        tile_bits: of all tiles together per store of the accelerator, (stores, n).
    """

    valid: NDArray[np.bool_]
    compute_cycles: Array
    steady_cycles: Array
    onload_cycles: Array
    offload_cycles: Array
    wait_cycles: Array
    cycles: Array
    mac_pj: Array
    energy_pj: Array
    utilization: Array
    tile_bits: Array


@dataclass(frozen=True)
class Chain:
    """An operand of n mappings that keep it in the same stores.

    Attributes:
        operand: `input`, `weight` or `output`.
        stores: that keep it, from the innermost to the outermost.
        flows: across the boundary below each of them.
        top: elements of the tile in the outermost of them, (n,).
    """

    operand: str
    stores: tuple[Store, ...]
    flows: tuple[Flow, ...]
    top: Array

    def tiles(self) -> Iterator[tuple[Store, Array, Array]]:
        """Every store with the elements of its tile and the bits that they take, (n,) each.

        A tile of the output takes the width of a partial sum unless only finished elements arrive.
        """
        for level, store in enumerate(self.stores):
            outermost = level + 1 == len(self.stores)
            tile = self.top if outermost else self.flows[level + 1].tile
            yield store, tile, tile * self.flows[level].bits


def chains(
    einsum: Einsum, accelerator: SpatialArray, nest: Nest, kept: NDArray[np.bool_]
) -> tuple[Chain, ...]:
    """The operands of mappings that keep them in the same stores.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        nest: loops of the mappings.
        kept: whether each of `OPERANDS` is kept in each store, (3, stores).
    """
    result = []
    for operand in accesses(einsum):
        role = OPERANDS.index(operand)
        levels = [i for i in range(len(accelerator.stores)) if kept[role, i]]
        stores = tuple(accelerator.stores[i] for i in levels)
        links = boundaries(einsum, accelerator, operand, stores, nest.spatial)
        flows = []
        for below, link in zip([None, *levels[:-1]], links, strict=True):
            position, floor = nest.position(role, below), nest.floor(role, below)
            if below is not None or operand in accelerator.latched:
                position = nest.absorbed(position, link.relevant, floor)
            rank, count = None, None
            if link.lower is not None and link.lower.sliding:
                rank, count = nest.above(position, floor)
            flows.append(link.flow(nest.totals, nest.inner(position), rank, count))
        held, _ = served(accelerator, nest.spatial, stores[-1])
        inner = nest.inner(nest.position(role, levels[-1]))
        top = footprint(links[-1].dims, inner * held)
        result.append(Chain(operand, stores, tuple(flows), top))
    return tuple(result)


def port_cycles(store: Store, chains: Sequence[Chain]) -> Array:
    """Cycles that the busier port of an instance moves bits, (n,)."""
    reads: Array = np.zeros(1)
    writes: Array = np.zeros(1)
    for flow in (flow for chain in chains for flow in chain.flows):
        if flow.boundary.upper is store:
            reads, writes = reads + flow.upper_read_bits, writes + flow.upper_write_bits
        if flow.boundary.lower is store:
            reads, writes = reads + flow.lower_read_bits, writes + flow.lower_write_bits
    if store.write_bits_per_cycle is None:
        return (reads + writes) / store.read_bits_per_cycle
    return np.maximum(reads / store.read_bits_per_cycle, writes / write_bandwidth(store))


def tile_bits(store: Store, chains: Sequence[Chain]) -> Array:
    """Bits that the tiles of all operands take in an instance, (n,)."""
    zero: Array = np.zeros(1)
    return sum((b for c in chains for kept, _, b in c.tiles() if kept is store), zero)


def total(
    einsum: Einsum, accelerator: SpatialArray, nest: Nest, chains: Sequence[Chain]
) -> BatchCost:
    """Adds up what the operands cost; `valid` says only whether all tiles fit."""
    compute = np.prod(nest.totals, axis=0)
    flows = [flow for chain in chains for flow in chain.flows]
    ports = [port_cycles(store, chains) for store in accelerator.stores]
    busiest = np.max(np.broadcast_arrays(*ports, compute)[:-1], axis=0)
    onload = sum((flow.onload_cycles for flow in flows), np.zeros_like(compute))
    offload = sum((flow.offload_cycles for flow in flows), np.zeros_like(compute))
    wait = sum((flow.wait_cycles for flow in flows), np.zeros_like(compute))
    cycles = np.maximum(onload + compute + wait + offload, busiest)
    mac_pj = compute * np.prod(nest.spatial, axis=(0, 1)) * accelerator.mac_pj
    bits = np.stack(
        [np.broadcast_to(tile_bits(e, chains), compute.shape) for e in accelerator.stores]
    )
    limits = np.array([store.tile_bits for store in accelerator.stores[:-1]]).reshape(-1, 1)
    fits: NDArray[np.bool_] = np.all(bits[:-1] <= limits, axis=0)
    return BatchCost(
        valid=fits,
        compute_cycles=compute,
        steady_cycles=np.maximum(compute, busiest),
        onload_cycles=onload,
        offload_cycles=offload,
        wait_cycles=wait,
        cycles=cycles,
        mac_pj=mac_pj,
        energy_pj=sum((flow.energy_pj for flow in flows), mac_pj),
        utilization=einsum.macs / (cycles * accelerator.peak_macs_per_cycle),
        tile_bits=bits,
    )


def levels(chains: Sequence[Chain]) -> tuple[LevelCost, ...]:
    """What the operands of a single mapping cost per store."""
    result = []
    for chain in chains:
        crossings: list[Flow | None] = [*chain.flows[1:], None]
        tiles = list(chain.tiles())
        for (store, tile, _), below, above in zip(tiles, chain.flows, crossings, strict=True):
            result.append(_level(store, chain.operand, tile, below, above))
    return tuple(result)


def _level(store: Store, operand: str, tile: Array, below: Flow, above: Flow | None) -> LevelCost:
    """Joins the boundary below a store with the one above it."""
    down = (below.reads, below.updates, below.read_accesses, below.update_accesses, below.upper_pj)
    zero = np.zeros(1)
    up = (zero, zero, zero, zero, zero)
    bits = zero
    if above is not None:
        up = (above.drains, above.fills, above.drain_accesses, above.fill_accesses, above.lower_pj)
        bits = above.bits
    reads, updates, read_accesses, update_accesses, below_pj = (float(e[0]) for e in down)
    drains, fills, drain_accesses, fill_accesses, above_pj = (float(e[0]) for e in up)
    return LevelCost(
        store=store.name,
        operand=operand,
        tile_elements=int(tile[0]),
        instances=int(below.boundary.upper_instances[0]),
        reads=int(reads),
        fills=int(fills),
        updates=int(updates),
        drains=int(drains),
        reductions=int(below.reductions[0]),
        spatial_reductions=int(below.drains[0] - updates),
        read_accesses=int(read_accesses + drain_accesses),
        write_accesses=int(update_accesses + fill_accesses),
        energy_pj=below_pj + above_pj,
        read_bits=int(reads * below.bits[0] + drains * bits[0]),
        write_bits=int(updates * below.bits[0] + fills * bits[0]),
    )


def evaluate(
    einsum: Einsum, accelerator: SpatialArray, batch: MappingBatch
) -> tuple[BatchCost, tuple[Chain, ...]]:
    """Costs of mappings that all keep the operands in the same stores."""
    nest = Nest(batch, len(einsum.ranks))
    parts = chains(einsum, accelerator, nest, batch.keeps[0] >= 0)
    return total(einsum, accelerator, nest, parts), parts
