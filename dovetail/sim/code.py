"""Compiles Programs to what the queues' kernel runs: one instruction stream per queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir import isa, program
from dovetail.ir.program import HardwareLoop, Program, Token
from dovetail.ir.space import IntArray
from dovetail.sim import queues

TOKEN_ORDER = tuple(Token)
Instruction = program.Instruction | isa.Instruction
Cost = Callable[[Instruction], tuple[int, bool]]
"""Cycles of an instruction, and whether it needs the DRAM channel."""

Row = tuple[int, int, int, int, int, int]


def queue_of(item: Instruction) -> int:
    """The queue that runs an instruction."""
    match item:
        case program.Load() | isa.Load():
            return queues.LOAD_QUEUE
        case program.Store() | isa.Store():
            return queues.STORE_QUEUE
    return queues.EXECUTE_QUEUE


@dataclass
class Code:
    """One Program as one stream of entries per queue.

    Attributes:
        cost: what its instructions take.
        instructions: distinct ones; the queues call them by number.
        cycles: of each.
        moves: whether each needs the channel.
        loops: how many loops there are.
        last_store: cycles of the last store.
    """

    cost: Cost
    instructions: list[Instruction] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    moves: list[bool] = field(default_factory=list)
    loops: int = 0
    last_store: int = 0
    _numbers: dict[Instruction, int] = field(default_factory=dict)
    _streams: tuple[list[Row], ...] = field(default_factory=lambda: ([], [], []))

    def add(self, body: Sequence[object], depth: int = 0) -> None:
        """Appends instructions and loops.

        Raises:
            MappingError: if loops nest deeper than the queues' stacks.
        """
        if depth > queues.MAX_DEPTH:
            raise MappingError(f"hardware loops nest deeper than {queues.MAX_DEPTH}")
        for item in body:
            if isinstance(item, HardwareLoop):
                self._add_loop(item, depth)
            else:
                assert isinstance(item, Instruction)
                self._add_instruction(item)

    def _add_loop(self, loop: HardwareLoop, depth: int) -> None:
        number = self.loops
        self.loops += 1
        begins = [len(stream) for stream in self._streams]
        for stream in self._streams:
            stream.append((queues.LOOP_BEGIN, number, loop.count, 0, 0, 0))
        self.add(loop.body, depth + 1)
        for stream, begin in zip(self._streams, begins, strict=True):
            if len(stream) == begin + 1:
                stream.pop()  # this queue has no instruction in the loop
            else:
                stream.append((queues.LOOP_END, number, begin, 0, 0, 0))

    def _add_instruction(self, item: Instruction) -> None:
        number = self._number(item)
        queue, cycles = queue_of(item), self.cycles[number]
        if queue == queues.STORE_QUEUE:
            self.last_store = cycles
        masks = _mask(item.waits), _mask(item.signals)
        row = (queues.INSTRUCTION, number, cycles, *masks, int(self.moves[number]))
        self._streams[queue].append(row)

    def _number(self, item: Instruction) -> int:
        count = len(self.instructions)
        number = self._numbers.setdefault(item, count)
        if number == count:
            cycles, moves = self.cost(item)
            self.instructions.append(item)
            self.cycles.append(cycles)
            self.moves.append(moves)
        return number

    @property
    def entries(self) -> int:
        """Entries of all queues, each one's HALT included."""
        return sum(len(stream) + 1 for stream in self._streams)

    def finish(self) -> tuple[list[int], IntArray]:
        """First entry of each queue, and the entries as columns, (6, entries)."""
        starts: list[int] = []
        rows: list[Row] = []
        for stream in self._streams:
            offset = len(rows)
            starts.append(offset)
            for row in stream:
                if row[0] == queues.LOOP_END:
                    row = (row[0], row[1], row[2] + offset, *row[3:])
                rows.append(row)
            rows.append((queues.HALT, 0, 0, 0, 0, 0))
        return starts, np.array(rows, dtype=np.int64).T


@cache
def _mask(tokens: tuple[Token, ...]) -> int:
    return sum(1 << TOKEN_ORDER.index(token) for token in tokens)


@dataclass(frozen=True)
class Chain:
    """Compiled Programs that run one after the other.

    Attributes:
        names: of the Programs.
        codes: of each, for its instructions.
        code_at: (programs + 1,) where each begins in `code`.
        start: (programs, 3), see `queues.run_chain`.
        code: (6, entries), likewise.
        loops: (programs,) likewise.
        runs_at: (programs + 1,) likewise.
        overhead: (programs,) cycles before each one's queues run.
        fetch: cycles in which a queue reads one entry.
    """

    names: tuple[str, ...]
    codes: tuple[Code, ...]
    code_at: IntArray
    start: IntArray
    code: IntArray
    loops: IntArray
    runs_at: IntArray
    overhead: IntArray
    fetch: int


def compile_chain(
    programs: Sequence[Program], cost: Cost, overhead: Callable[[int, int], int], fetch: int
) -> Chain:
    """Compiles Programs.

    Args:
        programs: in the order in which they run.
        cost: of their instructions.
        overhead: cycles before a program's queues run, of its number and its entries.
        fetch: cycles in which a queue reads one entry.

    Raises:
        MappingError: if loops nest too deep.
    """
    codes = tuple(Code(cost) for _ in programs)
    for code, item in zip(codes, programs, strict=True):
        code.add(item.body)
    starts, tables = zip(*(code.finish() for code in codes), strict=True)
    return Chain(
        names=tuple(item.operator for item in programs),
        codes=codes,
        code_at=_offsets([table.shape[1] for table in tables]),
        start=np.array(starts, dtype=np.int64),
        code=np.ascontiguousarray(np.concatenate(tables, axis=1)),
        loops=np.array([code.loops for code in codes], dtype=np.int64),
        runs_at=_offsets([len(code.instructions) for code in codes]),
        overhead=np.array([overhead(i, code.entries) for i, code in enumerate(codes)], np.int64),
        fetch=fetch,
    )


def _offsets(sizes: list[int]) -> IntArray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
