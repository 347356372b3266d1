"""The analysis of mappings, one at a time and in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Mapping
from dovetail.ir.operator import Einsum
from dovetail.sim.nest.batch import MAX_ITERATIONS, Ints, MappingBatch
from dovetail.sim.nest.boundary import accesses
from dovetail.sim.nest.cost import BatchCost, Chain, NestCost, evaluate, levels
from dovetail.sim.nest.faults import faults, unlawful

CHUNK = 2048
"""Mappings that are analysed at once: their arrays stay in the cache."""


def analyse(einsum: Einsum, accelerator: SpatialArray, mapping: Mapping) -> NestCost:
    """What a mapping of one operator costs.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        mapping: of it, with the roles `input`, `weight` and `output` as names of tensors.

    Raises:
        MappingError: if the mapping is invalid (see `faults`).
    """
    wrong = unlawful(einsum, accelerator, mapping)
    if not wrong:
        batch = MappingBatch.of(einsum, accelerator, [mapping])
        cost, chains = evaluate(einsum, accelerator, batch)
        if cost.valid[0]:
            return nest_cost(einsum, cost, chains)
        wrong = faults(einsum, accelerator, mapping)
    raise MappingError(wrong[0])


def analyse_batch(
    einsum: Einsum, accelerator: SpatialArray, mappings: MappingBatch | Sequence[Mapping]
) -> BatchCost:
    """What many mappings of one operator cost; invalid ones are marked and cost infinity.

    Args:
        einsum: the operator.
        accelerator: that runs it.
        mappings: n of them; as arrays they are analysed fastest.
    """
    if isinstance(mappings, MappingBatch):
        return _analyse(einsum, accelerator, mappings, lawful(einsum, accelerator, mappings))
    paths = [MappingBatch.try_path(einsum, accelerator, mapping) for mapping in mappings]
    batch = MappingBatch.of_paths(einsum, accelerator, [path or () for path in paths])
    named = np.array([path is not None for path in paths], bool)
    return _analyse(einsum, accelerator, batch, named & lawful(einsum, accelerator, batch))


def _analyse(
    einsum: Einsum, accelerator: SpatialArray, batch: MappingBatch, legal: NDArray[np.bool_]
) -> BatchCost:
    n = len(batch)
    result = {
        field.name: np.full(n, np.inf) for field in fields(BatchCost) if field.name != "valid"
    }
    result["utilization"][:] = 0.0
    result["tile_bits"] = np.full((len(accelerator.stores), n), np.inf)
    valid = np.zeros(n, bool)
    for rows in _alike(batch, np.flatnonzero(legal)):
        cost, _ = evaluate(einsum, accelerator, batch[rows])
        fits = rows[cost.valid]
        valid[fits] = True
        for name, values in result.items():
            values[..., fits] = getattr(cost, name)[..., cost.valid]
    return BatchCost(valid=valid, **result)


def _alike(batch: MappingBatch, rows: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Parts of the rows that keep the operands in the same stores, `CHUNK` at most in each."""
    places = batch.keeps.shape[1] * batch.keeps.shape[2]
    kept = (batch.keeps[rows] >= 0).reshape(len(rows), places)
    pattern = kept @ (1 << np.arange(places, dtype=np.int64))
    parts = []
    for value in np.unique(pattern):
        part = rows[pattern == value]
        parts += [part[i : i + CHUNK] for i in range(0, len(part), CHUNK)]
    return parts


def lawful(einsum: Einsum, accelerator: SpatialArray, batch: MappingBatch) -> NDArray[np.bool_]:
    """Whether mappings obey every law but that their tiles fit, (n,)."""
    legal: NDArray[np.bool_] = np.all(batch.counts >= 1, axis=1)
    iterations = batch.counts.prod(axis=1) * batch.spatial.prod(axis=(1, 2))
    legal &= iterations <= MAX_ITERATIONS
    for i, (rank, extent) in enumerate(einsum.ranks):
        covered = np.where(batch.ranks == i, batch.counts, 1.0).prod(axis=1)
        legal &= covered * batch.spatial[:, :, i].prod(axis=1) >= extent
        for axis, (dimension, _) in enumerate(accelerator.dimensions):
            if rank not in dict(accelerator.unrolls).get(dimension, ()):
                legal &= batch.spatial[:, axis, i] == 1
    for axis, (_, size) in enumerate(accelerator.dimensions):
        legal &= batch.spatial[:, axis].prod(axis=1) <= size
    for operand in accesses(einsum):
        legal &= _kept(accelerator, operand, batch.keeps[:, OPERANDS.index(operand)])
    return legal


def _kept(accelerator: SpatialArray, operand: str, keeps: Ints) -> NDArray[np.bool_]:
    """Whether an operand is kept where it must be and outer tiles stand outside of inner ones."""
    legal = np.ones(len(keeps), bool)
    inner: Ints = np.full(len(keeps), np.iinfo(np.int64).max)
    outermost = accelerator.hierarchy(operand)[-1]
    for level, store in enumerate(accelerator.stores):
        here = keeps[:, level]
        if operand not in store.operands:
            legal &= here < 0
        elif operand not in store.bypass or store is outermost:
            legal &= here >= 0
        legal &= here <= inner
        inner = np.where(here >= 0, here, inner)
    return legal


def nest_cost(einsum: Einsum, cost: BatchCost, chains: Sequence[Chain]) -> NestCost:
    """The cost of the first mapping of a batch, per level."""
    compute = int(cost.compute_cycles[0])
    spatial = chains[0].flows[0].boundary.lower_instances
    return NestCost(
        macs=einsum.macs,
        padded_macs=compute * int(spatial[0]),
        compute_cycles=compute,
        steady_cycles=float(cost.steady_cycles[0]),
        onload_cycles=float(cost.onload_cycles[0]),
        offload_cycles=float(cost.offload_cycles[0]),
        wait_cycles=float(cost.wait_cycles[0]),
        cycles=float(cost.cycles[0]),
        mac_pj=float(cost.mac_pj[0]),
        energy_pj=float(cost.energy_pj[0]),
        utilization=float(cost.utilization[0]),
        levels=levels(chains),
    )
