"""Closed forms of kernels that stream, with what no other work hides: first load and last store."""

from __future__ import annotations

from dataclasses import replace

from dovetail.arch.attention import AttentionArray
from dovetail.sim.attention.estimate import Cost, matmul_cost, vector_cost
from dovetail.sim.attention.work import tiles

CHUNK = 256
"""Operations of a 1D PE between a load and a store of a vector kernel."""


def product_estimate(
    a: AttentionArray, groups: int, rows: int, columns: int, inner: int, vector_ops: int
) -> Cost:
    """A matrix product as `matmul_cost`; operands in slices `dim` deep, outputs by the tile."""
    cost = matmul_cost(a, groups, rows, columns, inner, vector_ops)
    count, slices = output_tiles(a, groups, rows, columns), tiles(inner, a.dim)
    read = cost.dram_bytes["input"] + cost.dram_bytes["weight"]
    load = read / count / slices / a.dram_bytes_per_cycle
    store = cost.dram_bytes["output"] / count / a.dram_bytes_per_cycle
    array, vector = cost.array_cycles, cost.vector_cycles
    pipeline = max(array + vector / count, vector + array / count)
    return _ended(a, cost, load, store, pipeline, array / count / slices + vector / count)


def vector_estimate(a: AttentionArray, vector_ops: int, read: float, written: float) -> Cost:
    """Elementwise work as `vector_cost`, in chunks."""
    cost = vector_cost(a, vector_ops, read, written)
    count = vector_chunks(a, vector_ops)
    load, store = (moved / count / a.dram_bytes_per_cycle for moved in (read, written))
    return _ended(a, cost, load, store, cost.vector_cycles, cost.vector_cycles / count)


def output_tiles(a: AttentionArray, groups: int, rows: int, columns: int) -> int:
    """Tiles of a product's outputs."""
    return groups * tiles(rows, a.dim) * tiles(columns, a.dim)


def vector_chunks(a: AttentionArray, vector_ops: int) -> int:
    """Chunks of a vector kernel; one if it only moves data."""
    return max(1, tiles(vector_ops, CHUNK * a.dim))


def _ended(
    a: AttentionArray, cost: Cost, load: float, store: float, pipeline: float, last: float
) -> Cost:
    """A cost with its ends.

    Args:
        a: the design.
        cost: without them.
        load: cycles before any work.
        store: cycles after all work.
        pipeline: cycles of the work.
        last: cycles of work between the last load and the last store.
    """
    busy = load + pipeline + store
    memory = cost.traffic / a.dram_bytes_per_cycle + last
    return replace(
        cost,
        cycles=max(busy, memory),
        pipeline_cycles=busy,
        fill_cycles=load,
        drain_cycles=store,
    )
