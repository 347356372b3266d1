"""Plain Python twins of the models, obvious at a glance: everything unrolled and enumerated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import Design
from dovetail.ir.program import (
    INITIAL_TOKENS,
    Instruction,
    Load,
    MatrixMultiply,
    Program,
    Store,
    VectorOperate,
)
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.columns import Op

Executed = tuple[Instruction, int, int, int]
QUEUE = {Load: 0, MatrixMultiply: 1, VectorOperate: 1, Store: 2}


def fold_cycles(dataflow: str, rows: int, cols: int, stream: int) -> int:
    """Cycles of one fold: its operand's way in, skew, the stream, its way out."""
    load = 0 if dataflow == "os" else rows
    skew = (rows - 1) + (cols - 1)
    return load + skew + stream


def array_cycles(a: SystolicArray, groups: int, m: int, n: int, k: int, passes: int) -> int:
    """Cycles of products on the arrays, folds dealt to them one by one."""
    down, across, stream = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[a.dataflow]
    folds = 0
    for _ in range(groups):
        for _ in range(0, down, a.rows):
            folds += len(range(0, across, a.cols))
    rounds = len(range(0, folds, a.arrays))
    alone = fold_cycles(a.dataflow, a.rows, a.cols, stream * passes)
    if a.fold_overlap == "none":
        return rounds * alone
    # The array's edge is busy with a fold's stream, or with loading what stays for the next one.
    period = stream * passes if a.dataflow == "os" else max(a.rows, stream * passes)
    return alone + (rounds - 1) * period


def duration(item: Instruction, a: SystolicArray) -> int:
    """Cycles of one instruction."""
    bandwidth = a.dram_gb_per_s * 1e3 / a.clock_mhz
    match item:
        case Load():
            size = item.input_bytes + item.weight_bytes
            return a.dram_latency_cycles + math.ceil(size / bandwidth) if size else 0
        case MatrixMultiply():
            return array_cycles(a, item.groups, item.m, item.n, item.k, item.passes)
        case VectorOperate():
            return math.ceil(item.ops / a.vector_lanes)
        case Store():
            stream = math.ceil(item.ops / a.vector_lanes)
            return max(stream, math.ceil(item.output_bytes / bandwidth))


def execute(program: Program, accelerator: SystolicArray) -> tuple[list[Executed], bool]:
    """Runs every instruction of a Program, one moment after the other.

    At one moment the DRAM channel first serves who asked first, a store before a load that asked
    at the same time; then the engine starts.

    Returns:
        (instruction, queue, start, end) in order of start, and whether all of them ran.
    """
    waiting: list[list[Instruction]] = [[], [], []]
    for item in program.unrolled():
        waiting[QUEUE[type(item)]].append(item)
    tokens = Counter(INITIAL_TOKENS)
    asked: dict[int, int] = {}  # queue -> since when its next instruction could run
    running: dict[int, tuple[Instruction, int]] = {}
    done: list[Executed] = []
    now, channel = 0, 0
    while True:
        for queue, (item, end) in list(running.items()):
            if end == now:
                tokens.update(item.signals)
                del running[queue]
        for queue in range(3):
            idle = queue not in running and queue not in asked and waiting[queue]
            if idle and all(tokens[token] for token in waiting[queue][0].waits):
                asked[queue] = now
        started = _next(asked, waiting, accelerator, channel <= now)
        if started is None:
            if not running:
                return done, not any(waiting)
            now = min(end for _, end in running.values())
            continue
        del asked[started]
        item = waiting[started].pop(0)
        tokens.subtract(item.waits)
        end = now + duration(item, accelerator)
        running[started] = item, end
        done.append((item, started, now, end))
        if started != 1 and end > now:
            channel = end


def _next(
    asked: dict[int, int], waiting: list[list[Instruction]], a: SystolicArray, open_channel: bool
) -> int | None:
    for queue in sorted(asked, key=lambda queue: (queue == 1, asked[queue], -queue)):
        takes_channel = queue != 1 and duration(waiting[queue][0], a) > 0
        if open_channel or not takes_channel:
            return queue
    return None


def touched(
    first: int, count: int, kernel: int, stride: int, dilation: int, pad: int, size: int
) -> set[int]:
    """Input rows that `count` outputs from `first` on read, one by one."""
    rows = {(first + p) * stride + r * dilation - pad for p in range(count) for r in range(kernel)}
    return {row for row in rows if 0 <= row < size}


def tile_ranges(extent: int, tile: int) -> Iterable[range]:
    """The tiles of a rank."""
    return (range(at, min(at + tile, extent)) for at in range(0, extent, tile))


def bits_of(op: IntArray, design: FloatArray) -> tuple[int, int]:
    """Input and weight widths of an operator on a design."""
    return (
        int(op[Op.INPUT_BITS] or design[Design.INPUT_BITS]),
        int(op[Op.WEIGHT_BITS] or design[Design.WEIGHT_BITS]),
    )
