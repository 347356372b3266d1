"""Reads an executable's entries, the very bytes that the gates fetch, for the queues' kernel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dovetail.arch.table import Design
from dovetail.ir.encoding import ENTRY_BYTES, LAYOUT, OPCODE_BITS, Opcode
from dovetail.ir.executable import Executable
from dovetail.ir.program import HardwareLoop, Token
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim import queues, rtl_timing
from dovetail.sim.code import TOKEN_ORDER, Chain
from dovetail.sim.kernel import kernel

ENTRY_WORDS = ENTRY_BYTES // 8
LOOP, END = int(Opcode.LOOP), int(Opcode.END)
LOAD, MULTIPLY, VECTOR, STORE = (
    int(code) for code in (Opcode.LOAD, Opcode.MULTIPLY, Opcode.VECTOR, Opcode.STORE)
)
LOAD_CREDIT, LOADED, STORE_CREDIT, COMPUTED = (
    1 << TOKEN_ORDER.index(token)
    for token in (Token.LOAD_CREDIT, Token.LOADED, Token.STORE_CREDIT, Token.COMPUTED)
)


def _place(opcode: Opcode, field: str) -> tuple[int, int]:
    """First bit and width of a field."""
    at = OPCODE_BITS
    for name, bits in LAYOUT[opcode]:
        if name == field:
            return at, abs(bits)
        at += abs(bits)
    raise KeyError(field)


COUNT = _place(Opcode.LOOP, "count")
A_ROWS, A_COLUMNS, A_RUN, B_ROWS, B_COLUMNS, B_RUN = (
    _place(Opcode.LOAD, f"{part}_{name}")
    for part in "ab"
    for name in ("rows", "columns", "run_beats")
)
ROWS, COLUMNS, RUN = (_place(Opcode.STORE, name) for name in ("rows", "columns", "run_beats"))
# Multiply and vector instructions hold their window in the same bits.
FIRST, LAST, PIXELS, R, S, BLOCKS, BLOCK_COLUMNS = (
    _place(Opcode.MULTIPLY, name)
    for name in ("first", "last", "pixels", "r", "s", "blocks", "columns")
)


@kernel
def _get(words: IntArray, entry: int, place: tuple[int, int]) -> int:
    """An unsigned field of an entry."""
    first, width = place
    at, shift = entry * ENTRY_WORDS + first // 64, first % 64
    low = words[at] >> shift
    if shift == 0 or shift + width <= 64:
        return low & ((1 << width) - 1)
    kept = 64 - shift
    low &= (1 << kept) - 1
    return low | (words[at + 1] & ((1 << (width - kept)) - 1)) << kept


@kernel
def _read(
    words: IntArray, first: IntArray, counts: IntArray, loops: IntArray, machine: IntArray,
    code: IntArray, start: IntArray, code_at: IntArray, runs_at: IntArray,
) -> None:  # fmt: skip
    """Fills a chain's columns.

    Args:
        words: the memory image.
        first: (segments,) first entry of each, in entries from the image's start.
        counts: (segments, 3) entries of its queues.
        loops: numbers of all loops, in the order of their entries.
        machine: bus bytes, share, latency, dataflow, overlap, rows, cols.
        code: written, see `Chain`.
        start: written, likewise.
        code_at: written, likewise.
        runs_at: written, likewise.
    """
    bus, share, latency, dataflow, overlap, rows, cols = machine
    stack = np.zeros(queues.MAX_DEPTH + 1, dtype=np.int64)
    at, loop = 0, 0
    for segment in range(first.shape[0]):
        entry, number, base = first[segment], 0, at
        for queue in range(queues.QUEUES):
            start[segment, queue] = at - base
            depth = 0
            for _ in range(counts[segment, queue]):
                opcode = words[entry * ENTRY_WORDS] & ((1 << OPCODE_BITS) - 1)
                kind, argument, value, waits, signals, moves = (
                    queues.INSTRUCTION,
                    number,
                    0,
                    0,
                    0,
                    1,
                )
                if opcode == LOOP:
                    kind, argument, value = (
                        queues.LOOP_BEGIN,
                        loops[loop],
                        _get(words, entry, COUNT),
                    )
                    loop += 1
                    stack[depth] = at
                    depth += 1
                elif opcode == END:
                    depth -= 1
                    kind, argument = queues.LOOP_END, code[1, stack[depth]]
                    value = stack[depth] - base
                elif opcode == LOAD:
                    beats = (
                        _get(words, entry, A_ROWS) * _get(words, entry, A_COLUMNS)
                        * _get(words, entry, A_RUN)
                        + _get(words, entry, B_ROWS) * _get(words, entry, B_COLUMNS)
                        * _get(words, entry, B_RUN)
                    )  # fmt: skip
                    value = rtl_timing.load_duration(beats, bus, share, latency)
                    waits, signals, moves = LOAD_CREDIT, LOADED, int(beats > 0)
                elif opcode == STORE:
                    beats = (
                        _get(words, entry, ROWS) * _get(words, entry, COLUMNS)
                        * _get(words, entry, RUN)
                    )  # fmt: skip
                    value = rtl_timing.store_duration(beats, bus, share)
                    waits, signals = COMPUTED, STORE_CREDIT
                elif opcode in (MULTIPLY, VECTOR):
                    moves = 0
                    pixels = _get(words, entry, PIXELS)
                    deep = (
                        _get(words, entry, R) * _get(words, entry, S) * _get(words, entry, BLOCKS)
                    )
                    waits = LOADED | STORE_CREDIT * _get(words, entry, FIRST)
                    signals = LOAD_CREDIT | COMPUTED * _get(words, entry, LAST)
                    if opcode == VECTOR:
                        value = rtl_timing.vector_duration(pixels, deep)
                    else:
                        value = rtl_timing.multiply_duration(
                            dataflow, overlap, rows, cols, pixels,
                            _get(words, entry, BLOCK_COLUMNS), deep,
                        )  # fmt: skip
                else:
                    kind, argument = queues.HALT, 0
                if kind == queues.INSTRUCTION:
                    number += 1
                else:
                    moves = 0
                code[0, at], code[1, at], code[2, at] = kind, argument, value
                code[3, at], code[4, at], code[5, at] = waits, signals, moves
                at += 1
                entry += 1
        code_at[segment + 1] = at
        runs_at[segment + 1] = runs_at[segment] + number


def read_executable(executable: Executable, design: FloatArray) -> Chain:
    """The executable's segments as the queues' kernel runs them.

    Equal instructions are not told apart: `Chain.codes` is empty.

    Args:
        executable: lowered for the same array, bus and scratchpads.
        design: row of `Design` columns.
    """
    segments = executable.segments
    words = np.frombuffer(executable.image, dtype=np.int64)
    first = np.array([s.address // ENTRY_BYTES + 1 for s in segments], dtype=np.int64)
    counts = np.array([s.entries for s in segments], dtype=np.int64)
    share = rtl_timing.channel_share(design[Design.BANDWIDTH])
    latency = int(design[Design.LATENCY])
    columns = (Design.DATAFLOW, Design.OVERLAP, Design.ROWS, Design.COLS)
    bus = int(design[Design.BUS_BYTES])
    machine = np.array([bus, share, latency, *(int(design[c]) for c in columns)], dtype=np.int64)
    numbers: list[int] = []
    loops = np.zeros(len(segments), dtype=np.int64)
    for i, segment in enumerate(segments):
        streams: tuple[list[int], ...] = ([], [], [])
        loops[i] = _number_loops(segment.program.body, streams, 0)[0]
        numbers += streams[0] + streams[1] + streams[2]
    code = np.zeros((6, int(counts.sum())), dtype=np.int64)
    start = np.zeros((len(segments), queues.QUEUES), dtype=np.int64)
    code_at, runs_at = (np.zeros(len(segments) + 1, dtype=np.int64) for _ in range(2))
    _read(
        words, first, counts, np.array(numbers, dtype=np.int64), machine, code, start, code_at,
        runs_at,
    )  # fmt: skip
    overhead = [rtl_timing.segment_overhead(s.size - ENTRY_BYTES, share, latency) for s in segments]
    return Chain(
        tuple(s.program.operator for s in segments), (), code_at, start, code, loops, runs_at,
        np.array(overhead, dtype=np.int64), rtl_timing.FETCH,
    )  # fmt: skip


def _number_loops(
    body: Sequence[object], streams: tuple[list[int], ...], count: int
) -> tuple[int, int]:
    """Numbers loops in the order of the program; a queue that has no part in one has no entry.

    Args:
        body: instructions and loops.
        streams: per queue, numbers of its loops; written.
        count: loops before.

    Returns:
        Loops so far, and a bit for each queue that has instructions in the body.
    """
    used = 0
    for item in body:
        if isinstance(item, HardwareLoop):
            lengths = [len(stream) for stream in streams]
            for stream in streams:
                stream.append(count)
            count, inner = _number_loops(item.body, streams, count + 1)
            for queue, length in enumerate(lengths):
                if not inner >> queue & 1:
                    del streams[queue][length:]
            used |= inner
        else:
            used |= 1 << item.queue  # type: ignore[attr-defined]  # an executable's
    return count, used
