"""Operators that stream through the vector unit in chunks, and their exact closed form.

The steps are those of `dovetail.sim.closed_form`: a chunk is loaded, computed and stored while its
neighbours are, so T = L_0 + sum_i max(C_i, S_(i-1) + L_(i+1)) + S_last.
"""

from __future__ import annotations

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.columns import Cost, Op
from dovetail.sim.energy import fill_energy
from dovetail.sim.kernel import kernel
from dovetail.sim.tiles import ceil_div, load_cycles, packed_bytes, transfer_cycles

MOST_CHUNKS = 16
"""More are made only where the scratchpads are too small for fewer."""


@kernel
def vector_bits(design: FloatArray, op: IntArray) -> tuple[int, int]:
    """Input and output widths of a vector operator in bits."""
    wide = int(design[Design.INPUT_BITS])
    bits_in = op[Op.INPUT_BITS] if op[Op.INPUT_BITS] > 0 else wide
    bits_out = op[Op.OUTPUT_BITS] if op[Op.OUTPUT_BITS] > 0 else wide
    return bits_in, bits_out


@kernel
def chunk(total: int, full: int, index: int) -> int:
    """Size of chunk `index` of a stream: full ones first, then one takes what is left."""
    return max(0, min(full, total - index * full))


@kernel
def _alike_until(total: int, full: int, whole: int, chunks: int, index: int) -> int:
    """First chunk after `index` of another size; `whole` chunks are full."""
    if index * full >= total:
        return chunks
    return max(index + 1, whole)


@kernel
def chunks_alike_until(op: IntArray, chunks: int, index: int) -> int:
    """First chunk after `index` whose size differs from its size in any stream."""
    end = chunks
    for total in (op[Op.IN_ELEMENTS], op[Op.OUT_ELEMENTS], op[Op.VECTOR_OPS]):
        full = max(1, ceil_div(total, chunks))
        end = min(end, _alike_until(total, full, total // full, chunks, index))
    return end


@kernel
def _stream(design: FloatArray, op: IntArray, chunks: int) -> tuple[int, int, int, int, int, int]:
    """Cycles, engine cycles, input bytes, output bytes, first load and last store in cycles."""
    bandwidth, latency = design[Design.BANDWIDTH], int(design[Design.LATENCY])
    lanes = int(design[Design.LANES])
    bits_in, bits_out = vector_bits(design, op)
    inputs, outputs, ops = op[Op.IN_ELEMENTS], op[Op.OUT_ELEMENTS], op[Op.VECTOR_OPS]
    reads = max(1, ceil_div(inputs, chunks))
    writes = max(1, ceil_div(outputs, chunks))
    work = max(1, ceil_div(ops, chunks))
    whole_in, whole_out, whole_ops = inputs // reads, outputs // writes, ops // work
    total = 0
    engine = 0
    in_bytes = 0
    out_bytes = 0
    i = 0
    while i < chunks:
        run = 1
        if i > 0:  # chunks stand for each other if those before and after them are alike, too
            end = min(
                _alike_until(inputs, reads, whole_in, chunks, i - 1),
                _alike_until(outputs, writes, whole_out, chunks, i - 1),
                _alike_until(ops, work, whole_ops, chunks, i - 1),
            )
            run = max(1, end - 1 - i)
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
    fill = load_cycles(packed_bytes(chunk(inputs, reads, 0), bits_in), bandwidth, latency)
    last = packed_bytes(chunk(outputs, writes, chunks - 1), bits_out)
    drain = transfer_cycles(last, bandwidth)
    return fill + total + drain, engine, in_bytes, out_bytes, fill, drain


@kernel
def best_chunks(design: FloatArray, op: IntArray) -> int:
    """Number of chunks, a power of two, that takes the fewest cycles.

    Inputs stream through half the input scratchpad, outputs through half the accumulators. More
    chunks than must be start and end sooner, but each pays the DRAM latency.
    """
    bits_in, bits_out = vector_bits(design, op)
    fit_in = max(1, int(design[Design.INPUT_HALF]) * 8 // bits_in)
    fit_out = max(1, int(design[Design.OUTPUT_HALF]) * 8 // bits_out)
    needed = max(ceil_div(op[Op.IN_ELEMENTS], fit_in), ceil_div(op[Op.OUT_ELEMENTS], fit_out))
    count = 1
    while count < needed:
        count *= 2
    best, lowest = count, _stream(design, op, count)[0]
    while count < MOST_CHUNKS:
        count *= 2
        cycles = _stream(design, op, count)[0]
        if cycles < lowest:
            best, lowest = count, cycles
    return best


@kernel
def vector_cost(design: FloatArray, op: IntArray, cost: FloatArray) -> None:
    """Costs an operator that streams through the vector unit in chunks; writes `Cost` columns."""
    cycles, engine, in_bytes, out_bytes, fill, drain = _stream(design, op, best_chunks(design, op))
    ops = op[Op.VECTOR_OPS]
    cost[:] = 0.0
    cost[Cost.CYCLES] = cycles
    cost[Cost.ENGINE] = engine
    cost[Cost.FILL] = fill
    cost[Cost.DRAIN] = drain
    cost[Cost.IDEAL] = ceil_div(ops, int(design[Design.LANES]))
    cost[Cost.DRAM_INPUT] = in_bytes
    cost[Cost.DRAM_OUTPUT] = out_bytes
    cost[Cost.INPUT_READ] = in_bytes
    cost[Cost.OUTPUT_WRITE] = out_bytes
    cost[Cost.OUTPUT_READ] = out_bytes
    cost[Cost.VECTOR_OPS] = ops
    fill_energy(design, cost)
