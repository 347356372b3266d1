"""Operators that stream through the vector unit in chunks, and their exact closed form.

The steps are those of `dovetail.sim.closed_form`: a chunk is loaded, computed and stored while its
neighbours are, so T = L_0 + sum_i max(C_i, S_(i-1) + L_(i+1)) + S_last.
"""

from __future__ import annotations

from numba import njit

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.columns import Cost, Op
from dovetail.sim.energy import fill_energy
from dovetail.sim.tiles import ceil_div, load_cycles, packed_bytes, transfer_cycles


@njit(cache=True, error_model="numpy")
def vector_bits(design: FloatArray, op: IntArray) -> tuple[int, int]:
    """Input and output widths of a vector operator in bits."""
    wide = int(design[Design.INPUT_BITS])
    bits_in = op[Op.INPUT_BITS] if op[Op.INPUT_BITS] > 0 else wide
    bits_out = op[Op.OUTPUT_BITS] if op[Op.OUTPUT_BITS] > 0 else wide
    return bits_in, bits_out


@njit(cache=True, error_model="numpy")
def vector_chunks(design: FloatArray, op: IntArray) -> tuple[int, int, int, int]:
    """Number of chunks, and input elements, output elements and operations of a full one.

    Inputs stream through half the input scratchpad, outputs through half the accumulators. The
    first chunks of each stream are full, then one takes what is left.
    """
    bits_in, bits_out = vector_bits(design, op)
    inputs, outputs = op[Op.IN_ELEMENTS], op[Op.OUT_ELEMENTS]
    fit_in = max(1, int(design[Design.INPUT_HALF]) * 8 // bits_in)
    fit_out = max(1, int(design[Design.OUTPUT_HALF]) * 8 // bits_out)
    chunks = max(1, ceil_div(inputs, fit_in), ceil_div(outputs, fit_out))
    work = ceil_div(op[Op.VECTOR_OPS], chunks)
    return chunks, ceil_div(inputs, chunks), ceil_div(outputs, chunks), work


@njit(cache=True, error_model="numpy")
def chunk(total: int, full: int, index: int) -> int:
    """Size of chunk `index` of a stream."""
    return max(0, min(full, total - index * full))


@njit(cache=True, error_model="numpy")
def _alike_until(total: int, full: int, chunks: int, index: int) -> int:
    if full == 0 or index * full >= total:
        return chunks
    return max(index + 1, total // full)


@njit(cache=True, error_model="numpy")
def chunks_alike_until(design: FloatArray, op: IntArray, index: int) -> int:
    """First chunk after `index` whose size differs from its size in any stream."""
    chunks, reads, writes, work = vector_chunks(design, op)
    return min(
        _alike_until(op[Op.IN_ELEMENTS], reads, chunks, index),
        _alike_until(op[Op.OUT_ELEMENTS], writes, chunks, index),
        _alike_until(op[Op.VECTOR_OPS], work, chunks, index),
    )


@njit(cache=True, error_model="numpy")
def vector_cost(design: FloatArray, op: IntArray, cost: FloatArray) -> None:
    """Costs an operator that streams through the vector unit in chunks; writes `Cost` columns."""
    bandwidth, latency = design[Design.BANDWIDTH], int(design[Design.LATENCY])
    lanes = int(design[Design.LANES])
    bits_in, bits_out = vector_bits(design, op)
    chunks, reads, writes, work = vector_chunks(design, op)
    inputs, outputs, ops = op[Op.IN_ELEMENTS], op[Op.OUT_ELEMENTS], op[Op.VECTOR_OPS]
    total = 0
    engine = 0
    in_bytes = 0
    out_bytes = 0
    i = 0
    while i < chunks:
        # Chunks stand for each other if those before and after them are alike, too.
        run = max(1, chunks_alike_until(design, op, i - 1) - 1 - i) if i > 0 else 1
        busy = ceil_div(chunk(ops, work, i), lanes)
        phase = load_cycles(packed_bytes(chunk(inputs, reads, i + 1), bits_in), bandwidth, latency)
        if i > 0:
            done = packed_bytes(chunk(outputs, writes, i - 1), bits_out)
            phase += transfer_cycles(done, bandwidth)
        total += run * max(busy, phase)
        engine += run * busy
        in_bytes += run * packed_bytes(chunk(inputs, reads, i), bits_in)
        out_bytes += run * packed_bytes(chunk(outputs, writes, i), bits_out)
        i += run
    first = packed_bytes(chunk(inputs, reads, 0), bits_in)
    last = packed_bytes(chunk(outputs, writes, chunks - 1), bits_out)
    cost[:] = 0.0
    cost[Cost.FILL] = load_cycles(first, bandwidth, latency)
    cost[Cost.DRAIN] = transfer_cycles(last, bandwidth)
    cost[Cost.CYCLES] = cost[Cost.FILL] + total + cost[Cost.DRAIN]
    cost[Cost.IDEAL] = ceil_div(ops, lanes)
    cost[Cost.ENGINE] = engine
    cost[Cost.DRAM_INPUT] = in_bytes
    cost[Cost.DRAM_OUTPUT] = out_bytes
    cost[Cost.INPUT_READ] = in_bytes
    cost[Cost.OUTPUT_WRITE] = out_bytes
    cost[Cost.OUTPUT_READ] = out_bytes
    cost[Cost.VECTOR_OPS] = ops
    fill_energy(design, cost)
