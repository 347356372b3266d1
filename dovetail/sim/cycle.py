"""The cycle simulator: what a Program takes on an accelerator, to the cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.arch.table import Design
from dovetail.errors import MappingError
from dovetail.ir.program import (
    INITIAL_TOKENS,
    HardwareLoop,
    Instruction,
    Load,
    MatrixMultiply,
    Program,
    Store,
    Token,
    VectorOperate,
)
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim import queues
from dovetail.sim.tiles import engine_cycles, scratchpad_words, transfer_cycles

TOKEN_ORDER = tuple(Token)
MAX_EVENTS = 2_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """One executed instruction: queue 0 load, 1 execute, 2 store; cycles from 0."""

    instruction: Instruction
    queue: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Timing:
    """What a Program took.

    Attributes:
        cycles: until the last queue is empty.
        engine_cycles: cycles in which the engine computed.
        fill: cycles until its first computation began: the first load.
        drain: cycles of its last store.
        runs: (instruction, executions) pairs.
        events: every execution in order of start, if traced.
    """

    cycles: int
    engine_cycles: int
    fill: int
    drain: int
    runs: tuple[tuple[Instruction, int], ...]
    events: tuple[Event, ...] = ()


def instruction_cycles(instruction: Instruction, design: FloatArray) -> int:
    """Cycles that an instruction holds its engine or the DRAM channel.

    Args:
        instruction: what runs.
        design: row of `Design` columns.
    """
    bandwidth = design[Design.BANDWIDTH]
    lanes = int(design[Design.LANES])
    match instruction:
        case Load():
            size = instruction.input_bytes + instruction.weight_bytes
            latency = int(design[Design.LATENCY])
            return latency + int(transfer_cycles(size, bandwidth)) if size else 0
        case Store():
            drain = int(transfer_cycles(instruction.output_bytes, bandwidth))
            return max(drain, -(-instruction.ops // lanes))
        case VectorOperate():
            return -(-instruction.ops // lanes)
        case MatrixMultiply():
            return int(
                engine_cycles(
                    *_array(design), instruction.groups, instruction.m, instruction.n,
                    instruction.k, instruction.passes, int(design[Design.OVERLAP]),
                )
            )  # fmt: skip


def _array(design: FloatArray) -> tuple[int, int, int, int]:
    columns = (Design.DATAFLOW, Design.ROWS, Design.COLS, Design.ARRAYS)
    dataflow, rows, cols, arrays = (int(design[column]) for column in columns)
    return dataflow, rows, cols, arrays


def words(instruction: MatrixMultiply, design: FloatArray) -> tuple[int, int, int]:
    """Input reads, weight reads and partial-sum writes of one execution, in words."""
    counts = scratchpad_words(*_array(design)[:3], instruction.m, instruction.n, instruction.k)
    a, b, c = (instruction.groups * int(count) for count in counts)
    return a, b, c


def run(program: Program, design: FloatArray, *, trace: bool = False) -> Timing:
    """Simulates a Program.

    Args:
        program: instructions of one operator.
        design: row of `Design` columns of the accelerator.
        trace: record every execution (up to 2 million); slower, as nothing is fast-forwarded.

    Raises:
        MappingError: if the program deadlocks: a token is waited for that nothing signals.
    """
    code = _Code(design)
    code.add(program.body)
    start, arrays = code.finish()
    runs = np.zeros(len(code.instructions), dtype=np.int64)
    events = np.zeros((MAX_EVENTS if trace else 0, 4), dtype=np.int64)
    credits = np.array([INITIAL_TOKENS.get(token, 0) for token in TOKEN_ORDER], dtype=np.int64)
    kind, argument, duration, waits, signals = arrays
    end, traced, stuck = queues.run_queues(
        start, kind, argument, duration, waits, signals, credits, code.loops, runs, events
    )
    if stuck:
        raise MappingError(f"program of '{program.operator}' deadlocks: its tokens do not balance")
    counted = tuple(zip(code.instructions, runs.tolist(), strict=True))
    busy = sum(
        count * code.cycles[i]
        for i, (instruction, count) in enumerate(counted)
        if isinstance(instruction, MatrixMultiply | VectorOperate)
    )
    return Timing(
        cycles=int(end),
        engine_cycles=busy,
        fill=code.cycles[0],
        drain=code.last_store,
        runs=counted,
        events=tuple(
            Event(code.instructions[i], int(queue), int(first), int(last))
            for i, queue, first, last in events[:traced].tolist()
        ),
    )


class _Code:
    """Compiles a Program to one instruction stream per queue."""

    def __init__(self, design: FloatArray) -> None:
        self.design = design
        self.instructions: list[Instruction] = []
        self.cycles: list[int] = []
        self.loops = 0
        self.last_store = 0
        self._numbers: dict[Instruction, int] = {}
        self._streams: list[list[tuple[int, int, int, int, int]]] = [[], [], []]

    def add(self, body: tuple[Instruction | HardwareLoop, ...], depth: int = 0) -> None:
        if depth > queues.MAX_DEPTH:
            raise MappingError(f"hardware loops nest deeper than {queues.MAX_DEPTH}")
        for item in body:
            if isinstance(item, HardwareLoop):
                self._add_loop(item, depth)
            else:
                self._add_instruction(item)

    def _add_loop(self, loop: HardwareLoop, depth: int) -> None:
        number = self.loops
        self.loops += 1
        begins = [len(stream) for stream in self._streams]
        for stream in self._streams:
            stream.append((queues.LOOP_BEGIN, number, loop.count, 0, 0))
        self.add(loop.body, depth + 1)
        for stream, begin in zip(self._streams, begins, strict=True):
            if len(stream) == begin + 1:
                stream.pop()  # this queue has no instruction in the loop
            else:
                stream.append((queues.LOOP_END, number, begin, 0, 0))

    def _add_instruction(self, item: Instruction) -> None:
        if item not in self._numbers:
            self._numbers[item] = len(self.instructions)
            self.instructions.append(item)
            self.cycles.append(instruction_cycles(item, self.design))
        number = self._numbers[item]
        queue = {Load: queues.LOAD_QUEUE, Store: queues.STORE_QUEUE}.get(
            type(item), queues.EXECUTE_QUEUE
        )
        if queue == queues.STORE_QUEUE:
            self.last_store = self.cycles[number]
        masks = (_mask(item.waits), _mask(item.signals))
        self._streams[queue].append((queues.INSTRUCTION, number, self.cycles[number], *masks))

    def finish(self) -> tuple[IntArray, tuple[IntArray, ...]]:
        """First entry of each queue, and the code as columns."""
        starts: list[int] = []
        rows: list[tuple[int, int, int, int, int]] = []
        for stream in self._streams:
            offset = len(rows)
            starts.append(offset)
            for kind, number, value, waits, signals in stream:
                moved = value + offset if kind == queues.LOOP_END else value
                rows.append((kind, number, moved, waits, signals))
            rows.append((queues.HALT, 0, 0, 0, 0))
        table = np.array(rows, dtype=np.int64)
        columns = tuple(np.ascontiguousarray(table[:, i]) for i in range(5))
        return np.array(starts, dtype=np.int64), columns


def _mask(tokens: tuple[Token, ...]) -> int:
    return sum(1 << TOKEN_ORDER.index(token) for token in tokens)
