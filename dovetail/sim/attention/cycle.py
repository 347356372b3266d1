"""Attention simulated task by task: fill, drain and stalls beside the closed forms."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

from dovetail.arch.attention import AttentionArray
from dovetail.ir.tasks import TaskProgram
from dovetail.sim.attention.costs import Cost
from dovetail.sim.attention.estimate import attention_cost
from dovetail.sim.attention.kernels import (
    matmul_cost,
    output_tiles,
    vector_chunks,
    vector_cost,
)
from dovetail.sim.attention.programs import ARRAY, TICKS, VECTOR, CascadeProgram
from dovetail.sim.attention.streams import SlicedProduct, Streamed
from dovetail.sim.attention.work import (
    AttentionMapping,
    AttentionWork,
    FlatMapping,
    Resident,
    tiles,
)
from dovetail.sim.tasks import TaskTimes, run


@lru_cache(maxsize=1024)
def simulate_attention(
    a: AttentionArray, work: AttentionWork, mapping: AttentionMapping
) -> tuple[Cost, ...]:
    """Kernels as `attention_cost` gives them, with simulated cycles."""
    costs = attention_cost(a, work, mapping)
    if isinstance(mapping, Resident):
        programs = (cascade_program(a, work, mapping, memory=m) for m in (True, False))
        return (_simulated(costs[0], *(one.program() for one in programs)),)
    if isinstance(mapping, FlatMapping):
        blocks = work.groups * -(-work.queries // mapping.rows)
        widths = (work.query_width, work.value_width)
        first, second = (costs[0].array_cycles * one / sum(widths) / blocks for one in widths)
        softmax = costs[0].vector_cycles / blocks
        steps = ((ARRAY, first), (VECTOR, softmax), (ARRAY, second))
        return (streamed_cost(a, costs[0], blocks, steps),)
    count = work.groups * tiles(work.keys, a.dim) * tiles(work.queries, a.dim)
    return tuple(streamed_cost(a, cost, count) for cost in costs)


def cascade_program(
    a: AttentionArray, work: AttentionWork, mapping: Resident, *, memory: bool = True
) -> CascadeProgram:
    """The tasks of the 1-pass cascade; what its mapping leaves of the buffer doubles buffers."""
    e, f, wide = work.query_width, work.value_width, a.binding == "cascade"
    tile = a.word_bytes * a.dim
    query_words = e + f + 2 + 2 * a.dim * wide
    resident = mapping.query_tiles * mapping.groups
    spare = a.buffer_bytes - tile * (e + f + resident * query_words)
    buffers = 2 if spare >= tile * (e + f) else 1
    spare -= (buffers - 1) * tile * (e + f)
    query_buffers = 2 if spare >= tile * resident * e else 1
    return CascadeProgram(a, work, mapping, buffers, query_buffers, memory)


def streamed_cost(
    a: AttentionArray, cost: Cost, chunks: int, steps: tuple[tuple[str, float], ...] = ()
) -> Cost:
    """A kernel in equal chunks, double-buffered.

    Args:
        a: the design.
        cost: closed form of the kernel.
        chunks: how many.
        steps: (engine, cycles) of a chunk; what the array and then the 1D PEs do by default.
    """
    steps = steps or tuple(
        (engine, total / chunks)
        for engine, total in ((ARRAY, cost.array_cycles), (VECTOR, cost.vector_cycles))
        if total
    )
    ticks = tuple((engine, _ticks(cycles)) for engine, cycles in steps)
    read = cost.dram_bytes["input"] + cost.dram_bytes["weight"]
    moved = [
        _ticks(total / chunks / a.dram_bytes_per_cycle)
        for total in (read, cost.dram_bytes["output"])
    ]
    programs = [Streamed(chunks, ticks, load, store) for load, store in (moved, (0, 0))]
    return _simulated(cost, *(one.program() for one in programs))


@lru_cache(maxsize=1024)
def product_simulated(
    a: AttentionArray, groups: int, rows: int, columns: int, inner: int, vector_ops: int
) -> Cost:
    """A matrix product as `matmul_cost`, simulated; its operands in slices `dim` deep."""
    cost = matmul_cost(a, groups, rows, columns, inner, vector_ops)
    count, slices = output_tiles(a, groups, rows, columns), tiles(inner, a.dim)
    read = cost.dram_bytes["input"] + cost.dram_bytes["weight"]
    per_cycle = a.dram_bytes_per_cycle
    programs = [
        SlicedProduct(
            count,
            slices,
            _ticks(cost.array_cycles / count / slices),
            _ticks(cost.vector_cycles / count),
            memory * _ticks(read / per_cycle / count / slices),
            memory * _ticks(cost.dram_bytes["output"] / per_cycle / count),
        )
        for memory in (True, False)
    ]
    return _simulated(cost, *(one.program() for one in programs))


def vector_simulated(a: AttentionArray, vector_ops: int, read: float, written: float) -> Cost:
    """Elementwise work as `vector_cost`, simulated in chunks."""
    cost = vector_cost(a, vector_ops, read, written)
    return streamed_cost(a, cost, vector_chunks(a, vector_ops))


def _ticks(cycles: float) -> int:
    return math.ceil(cycles * TICKS)


def _simulated(cost: Cost, program: TaskProgram, unbounded: TaskProgram) -> Cost:
    """A cost with the cycles of a program; `unbounded` is the same with memory of no time."""
    times = run(program)
    engines = [name for name in (ARRAY, VECTOR) if times.busy.get(name)]
    fill = min((times.first_start[name] for name in engines), default=0)
    drain = times.cycles - max((times.last_end[n] for n in engines), default=times.cycles)
    free = run(unbounded).cycles
    return replace(
        cost,
        cycles=times.cycles / TICKS,
        array_cycles=_busy(times, ARRAY),
        vector_cycles=_busy(times, VECTOR),
        pipeline_cycles=min(times.cycles, free + fill + drain) / TICKS,
        fill_cycles=fill / TICKS,
        drain_cycles=cost.drain_cycles + drain / TICKS,
    )


def _busy(times: TaskTimes, engine: str) -> float:
    return times.busy.get(engine, 0) / TICKS
