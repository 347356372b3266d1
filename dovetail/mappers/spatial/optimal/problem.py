"""The operator and the accelerator as arrays."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.optimal import tables
from dovetail.sim.nest.boundary import accesses, indices, write_bandwidth

Ints = NDArray[np.int64]
Reals = NDArray[np.float64]

Hierarchy = tuple[tuple[int, ...], ...]
"""Per operand the positions of the stores that keep it, from the inside out."""


def hierarchies(einsum: Einsum, accelerator: SpatialArray) -> list[Hierarchy]:
    """All choices of stores to bypass, the one that bypasses nothing first."""
    per_operand: list[list[tuple[int, ...]]] = []
    for operand in OPERANDS:
        if operand not in accesses(einsum):
            per_operand.append([()])
            continue
        levels = [i for i, store in enumerate(accelerator.stores) if operand in store.operands]
        optional = [i for i in levels[:-1] if operand in accelerator.stores[i].bypass]
        left_out = [
            set(some)
            for n in range(len(optional) + 1)
            for some in itertools.combinations(optional, n)
        ]
        per_operand.append([tuple(i for i in levels if i not in out) for out in left_out])
    return list(itertools.product(*per_operand))


@dataclass(frozen=True)
class Problem:
    """One operator on one accelerator with given bypasses; see `tables.fill` for the arrays."""

    edges: Ints
    stores: Reals
    terms: Ints
    relevant: NDArray[np.bool_]
    bits: Ints
    sum_bits: int
    reads_zeros: bool
    port_criterion: Ints
    criteria: int
    limits: Reals
    slot_of: Ints
    capacity: Reals
    movable: Ints
    levels: Hierarchy

    @property
    def slots(self) -> int:
        """Stores that several operands share, in which space can run out."""
        return len(self.limits)

    @classmethod
    def of(cls, einsum: Einsum, accelerator: SpatialArray, levels: Hierarchy) -> Problem:
        """Builds the arrays."""
        terms, relevant = _accesses(einsum)
        edges = _edges(accelerator, levels)
        limits = _slots(accelerator, edges)
        port_criterion = _ports(accelerator, edges)
        shared_ports = int(port_criterion.max(initial=-1)) - 1
        free = edges[edges[:, tables.FREE] == 1]
        stores = accelerator.stores
        return cls(
            edges=edges,
            stores=np.array([_store(store) for store in stores]),
            terms=terms,
            relevant=relevant,
            bits=np.array([accelerator.bits(operand) for operand in OPERANDS]),
            sum_bits=accelerator.bits("output", final=False),
            reads_zeros=accelerator.reads_zeros,
            port_criterion=port_criterion,
            criteria=2 + max(shared_ports, 0) + len(limits),
            limits=limits,
            slot_of=free[:, tables.SLOT].copy(),
            capacity=np.array([stores[e].tile_bits if e >= 0 else math.inf for e in free[:, 2]]),
            movable=np.array([int((free[:, 0] == operand).sum()) for operand in range(3)]),
            levels=levels,
        )


def _accesses(einsum: Einsum) -> tuple[Ints, NDArray[np.bool_]]:
    tensors = [indices(einsum, e) if e in accesses(einsum) else () for e in OPERANDS]
    dims = max(len(tensor) for tensor in tensors)
    longest = max((len(index) for tensor in tensors for index in tensor), default=0)
    terms = np.zeros((3, max(dims, 1), max(longest, 1), 2), np.int64)
    relevant = np.zeros((3, len(einsum.ranks)), np.bool_)
    for operand, tensor in enumerate(tensors):
        for dim, index in enumerate(tensor):
            for t, (rank, step) in enumerate(index):
                terms[operand, dim, t] = rank, step
                relevant[operand, rank] = True
    return terms, relevant


def _store(store: Store) -> tuple[float, ...]:
    return (
        float(store.access_bits), store.read_pj, store.write_pj, store.read_bits_per_cycle,
        write_bandwidth(store), store.tile_bits, float(store.buffering == "single"),
        float(store.sliding),
    )  # fmt: skip


def _edges(accelerator: SpatialArray, levels: Hierarchy) -> Ints:
    """Boundaries of all operands with their ports: 2 i reads and 2 i + 1 writes store i."""
    rows = []
    for operand, kept in enumerate(levels):
        for lower, upper in itertools.pairwise((-1, *kept)):
            free = lower >= 0 or OPERANDS[operand] in accelerator.latched
            ports = [_port(accelerator, e, write) for e in (upper, lower) for write in (0, 1)]
            if OPERANDS[operand] != "output":
                ports[1] = ports[2] = -1  # nothing goes up
            rows.append([operand, upper, lower, int(free), -1, *ports])
        finite = kept and not math.isinf(accelerator.stores[kept[-1]].tile_bits)
        if finite and kept[-1] != len(accelerator.stores) - 1:
            rows.append([operand, -1, kept[-1], 1, -1, -1, -1, -1, -1])
    return np.array(rows, np.int64)


def _port(accelerator: SpatialArray, store: int, write: int) -> int:
    if store < 0:
        return -1
    shared = accelerator.stores[store].write_bits_per_cycle is None
    each = accelerator.stores[store]
    rate = write_bandwidth(each) if write else each.read_bits_per_cycle
    return -1 if math.isinf(rate) else 2 * store + (0 if shared else write)


def _slots(accelerator: SpatialArray, edges: Ints) -> Reals:
    """Numbers the finite stores that keep tiles of several operands; writes them into `edges`."""
    limits: list[float] = []
    for i, store in enumerate(accelerator.stores[:-1]):
        below = edges[:, tables.LOWER] == i
        if below.sum() > 1 and not math.isinf(store.tile_bits):
            edges[below, tables.SLOT] = len(limits)
            limits.append(store.tile_bits)
    return np.array(limits)


def _ports(accelerator: SpatialArray, edges: Ints) -> Ints:
    """Numbers as criteria from 2 the ports that several movable boundaries use; -1 the others."""
    result = np.full(2 * len(accelerator.stores), -1, np.int64)
    free = edges[edges[:, tables.FREE] == 1, tables.PORT :]
    number = 2
    for port in range(len(result)):
        if (free == port).any(axis=1).sum() > 1:
            result[port] = number
            number += 1
    return result
