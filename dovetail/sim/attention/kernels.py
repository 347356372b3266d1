"""Closed forms of products and elementwise kernels, bare or with first load and last store."""

from __future__ import annotations

from dataclasses import replace

from dovetail.arch.attention import AttentionArray
from dovetail.sim.attention.costs import Cost, bounded
from dovetail.sim.attention.work import tiles

CHUNK = 256
"""Operations of a 1D PE between a load and a store of a vector kernel."""


def matmul_cost(
    a: AttentionArray, groups: int, rows: int, columns: int, inner: int, vector_ops: int = 0
) -> Cost:
    """A matrix product on the 2D array, each operand moved once; an output per PE at a time.

    Args:
        a: the design.
        groups: products.
        rows: of the input and the output.
        columns: of the output.
        inner: summed.
        vector_ops: scalar operations on the outputs, on 1D PEs as these leave the array.
    """
    array = groups * tiles(rows, a.dim) * tiles(columns, a.dim) * inner
    macs = groups * rows * columns * inner
    moved = {
        "input": a.word_bytes * groups * rows * inner,
        "weight": a.word_bytes * groups * inner * columns,
        "output": a.word_bytes * groups * rows * columns,
    }
    vector = tiles(vector_ops, a.dim)
    energy = {"mac": macs * a.mac_pj, "registers": macs * a.rf_pj, "vector": vector_ops * a.mac_pj}
    across = groups * inner * (rows * tiles(columns, a.dim) + columns * tiles(rows, a.dim))
    busy = float(max(array, vector))
    return bounded(a, array, vector, busy, 0, moved, energy, (across, 0))


def vector_cost(a: AttentionArray, vector_ops: int, read: float, written: float) -> Cost:
    """Elementwise work on the 1D PEs, at most a multiply-accumulate each; bytes are given."""
    vector = tiles(vector_ops, a.dim)
    moved = {"input": read, "weight": 0.0, "output": written}
    energy = {"vector": vector_ops * a.mac_pj}
    return bounded(a, 0, vector, float(vector), 0, moved, energy, (read / a.word_bytes, 0))


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
