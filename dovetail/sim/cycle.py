"""The cycle simulator: what a Program takes on an accelerator, to the cycle."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dovetail.arch.systolic import MACHINES, SystolicArray
from dovetail.arch.table import Design, design_row
from dovetail.errors import MappingError
from dovetail.ir import isa, program
from dovetail.ir.executable import Executable
from dovetail.ir.program import (
    INITIAL_TOKENS,
    Load,
    MatrixMultiply,
    Program,
    Store,
    VectorOperate,
)
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim import queues, rtl_timing
from dovetail.sim.code import TOKEN_ORDER, Chain, Cost, Instruction, compile_chain, queue_of
from dovetail.sim.entries import read_executable
from dovetail.sim.tiles import engine_cycles, scratchpad_words, transfer_cycles

RTL = MACHINES.index("rtl")
MAX_EVENTS = 2_000_000
CREDITS = np.array([INITIAL_TOKENS.get(token, 0) for token in TOKEN_ORDER], dtype=np.int64)


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


def instruction_cycles(instruction: program.Instruction, design: FloatArray) -> int:
    """Cycles that an instruction holds its engine or the DRAM channel of the ideal machine.

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


def cost_on(design: FloatArray) -> Cost:
    """What instructions take on a design: cycles, and whether they need the DRAM channel."""

    def cost(item: Instruction) -> tuple[int, bool]:
        if isinstance(item, isa.Instruction):
            return rtl_timing.duration(item, design), rtl_timing.moves(item)
        cycles = instruction_cycles(item, design)
        return cycles, cycles > 0 and isinstance(item, Load | Store)

    return cost


def run(program: Program, design: FloatArray, *, trace: bool = False) -> Timing:
    """Simulates a Program: that of the machine for which it was made.

    Args:
        program: instructions of one operator, of `dovetail.ir.program` or `dovetail.ir.isa`.
        design: row of `Design` columns of the accelerator.
        trace: record every execution (up to 2 million); slower, as nothing is fast-forwarded.

    Raises:
        MappingError: if the program deadlocks: a token is waited for that nothing signals.
    """
    fetch = rtl_timing.FETCH if design[Design.MACHINE] == RTL else 0
    chain = compile_chain([program], cost_on(design), lambda _number, _entries: 0, fetch)
    done = run_chain(chain, trace=trace)
    code = chain.codes[0]
    busy = sum(
        count * cycles
        for item, cycles, count in zip(
            code.instructions, code.cycles, done.runs.tolist(), strict=True
        )
        if queue_of(item) == queues.EXECUTE_QUEUE
    )
    return Timing(
        cycles=int(done.cycles[0]),
        engine_cycles=busy,
        fill=code.cycles[0],
        drain=code.last_store,
        runs=tuple(zip(code.instructions, done.runs.tolist(), strict=True)),
        events=tuple(
            Event(code.instructions[i], int(queue), int(first), int(last))
            for i, queue, first, last in done.trace.tolist()
        ),
    )


def delayed(timing: Timing, cycles: int) -> Timing:
    """The timing of a Program whose queues start so many cycles later: its segment is fetched."""
    return replace(
        timing,
        cycles=timing.cycles + cycles,
        fill=timing.fill + cycles + rtl_timing.FETCH,
        events=tuple(
            replace(event, start=event.start + cycles, end=event.end + cycles)
            for event in timing.events
        ),
    )


@dataclass(frozen=True)
class ChainTiming:
    """What Programs took that ran one after the other.

    Attributes:
        cycles: (programs,) of each, its overhead included.
        runs: how often each instruction ran, `Chain.runs_at` says whose.
        trace: (events, 4) instruction, queue, start, end; cycles since its queues started.
        events: (programs,) rows of `trace` up to each one's end.
        overhead: (programs,) cycles before each one's queues start, part of `cycles`.
    """

    cycles: IntArray
    runs: IntArray
    trace: IntArray
    events: IntArray
    overhead: IntArray

    @property
    def total(self) -> int:
        """Cycles of all."""
        return int(self.cycles.sum())

    def history(self, number: int) -> list[tuple[int, int, int, int]]:
        """(queue, index within the queue, start, end) of every instruction of a Program."""
        first = int(self.events[number - 1]) if number else 0
        counts = [0] * queues.QUEUES
        found = []
        for _, queue, start, end in self.trace[first : int(self.events[number])].tolist():
            found.append((queue, counts[queue], start, end))
            counts[queue] += 1
        return found


def run_chain(chain: Chain, *, trace: bool = False) -> ChainTiming:
    """Simulates compiled Programs, one after the other.

    Args:
        chain: from `compile_chain`.
        trace: see `run`.

    Raises:
        MappingError: if a program deadlocks.
    """
    count = len(chain.names)
    runs = np.zeros(int(chain.runs_at[-1]), dtype=np.int64)
    cycles, events = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    table = np.zeros((MAX_EVENTS if trace else 0, 4), dtype=np.int64)
    stuck = queues.run_chain(
        chain.code_at, chain.start, chain.code, CREDITS, chain.loops, chain.runs_at,
        chain.overhead, chain.fetch, runs, table, cycles, events,
    )  # fmt: skip
    if stuck >= 0:
        name = chain.names[stuck]
        raise MappingError(f"program of '{name}' deadlocks: its tokens do not balance")
    return ChainTiming(cycles, runs, table[: int(events[-1])], events, chain.overhead)


def compile_executable(executable: Executable, design: SystolicArray | FloatArray) -> Chain:
    """Reads the segments of an executable, for any number of `run_chain`.

    Args:
        executable: lowered for the same array, bus and scratchpads.
        design: accelerator, or its row of `Design` columns.
    """
    row = design_row(design) if isinstance(design, SystolicArray) else design
    return read_executable(executable, row)


def run_executable(
    executable: Executable, design: SystolicArray | FloatArray, *, trace: bool = False
) -> ChainTiming:
    """Simulates an executable: cycles of each segment, its fetch included, and of all.

    Args:
        executable: see `compile_executable`.
        design: see `compile_executable`.
        trace: see `run`.
    """
    return run_chain(compile_executable(executable, design), trace=trace)
