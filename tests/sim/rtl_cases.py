"""Random Programs for the RTL machine, and a plain Python twin of its queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.ir.isa import (
    Fill,
    Instruction,
    Load,
    Multiply,
    Scratchpad,
    Store,
    Transfer,
    Vector,
    VectorMode,
    Window,
)
from dovetail.ir.program import INITIAL_TOKENS, HardwareLoop, Program
from dovetail.sim.rtl_timing import FETCH, duration, moves

MARK = None


def transfer(beats: int, columns: int = 1) -> Transfer:
    """So many beats in runs of one."""
    return Transfer(0, 1 if beats else 0, 0, beats, 8, columns)


def window(pixels: int, taps: int, blocks: int) -> Window:
    """So many pixels in a row, so many taps in a row."""
    return Window(1, pixels, 1, taps, 1, 1, 1, 1, 0, 0, 1, pixels + taps, blocks, 0)


def random_rtl(rng: np.random.Generator) -> SystolicArray:
    """A legal design of the RTL machine: any bus, dataflow and overlap; channels slow and fast."""
    rows, cols = (int(x) for x in rng.choice([2, 4, 8, 16], size=2))
    bits = [int(x) for x in rng.choice([4, 8, 16], size=2)]
    words = (rows * bits[0], cols * bits[0], cols * bits[1], cols * 32)
    widest = int(np.gcd.reduce(words))
    bus = int(rng.choice([b for b in (8, 16, 32, 64, 128) if widest % b == 0]))
    kib = [float(rng.choice([1, 2, 6.5, 30])) for _ in range(3)]
    return SystolicArray(
        rows=rows,
        cols=cols,
        dataflow=str(rng.choice(["ws", "os"])),
        input_bits=bits[0],
        weight_bits=bits[1],
        input_sram_kib=max(kib[0], rows * cols * bits[0] / 4096),
        weight_sram_kib=max(kib[1], rows * cols * bits[1] / 4096),
        output_sram_kib=max(kib[2], rows * cols / 128),
        clock_mhz=1000,
        dram_gb_per_s=float(10 ** rng.uniform(-1, 2)),
        dram_latency_ns=float(rng.choice([0, 1, 7, 37, 100])),
        machine="rtl",
        fold_overlap=str(rng.choice(["none", "full"])),
        bus_bits=bus,
    )


def random_program(rng: np.random.Generator) -> Program:
    """Loops in loops of steps whose tokens balance."""
    return Program("random", _body(rng, 0))


def _body(rng: np.random.Generator, depth: int) -> tuple[Instruction | HardwareLoop, ...]:
    items: list[Instruction | HardwareLoop] = []
    for _ in range(int(rng.integers(1, 4))):
        if depth < 3 and rng.random() < 0.5:
            count = int(rng.choice([1, 2, 3, 5, 9, 30]))
            items.append(HardwareLoop(count, _body(rng, depth + 1)))
        else:
            items += _step(rng)
    return tuple(items)


def _step(rng: np.random.Generator) -> Iterator[Instruction]:
    depth = int(rng.integers(1, 4))
    for i in range(depth):
        beats = int(rng.integers(0, 40) * (rng.random() > 0.2))
        yield Load(Fill(transfer(beats), Scratchpad.INPUT, 0, 1))
        shape = window(*(int(x) for x in rng.integers(1, 6, size=3)))
        if depth == 1 and rng.random() < 0.3:
            yield Vector(shape, VectorMode.SUM, 1, 1)
        else:
            yield Multiply(shape, int(rng.integers(1, 4)), i == 0, i == depth - 1, True, True)
    beats = int(rng.integers(1, 40))
    yield Store(transfer(beats), 1, beats, 1, False, 0, False, 0, -128, 127)


def entries(
    body: tuple[Instruction | HardwareLoop, ...], queue: int
) -> Iterator[Instruction | None]:
    """What a queue reads, loops unrolled: instructions and MARKs."""
    for item in body:
        if isinstance(item, HardwareLoop):
            inside = list(entries(item.body, queue))
            if any(inside):
                yield MARK
                for _ in range(item.count):
                    yield from inside
                    yield MARK
        elif item.queue == queue:
            yield item


def execute(program: Program, accelerator: SystolicArray) -> tuple[list[list[object]], int]:
    """Runs every instruction, one cycle after the other.

    Returns:
        Per queue (instruction, start, end), and the cycle in which all queues have ended and read
        their HALT.
    """
    design = design_row(accelerator)
    streams = [list(entries(program.body, queue)) for queue in range(3)]
    at, read, free = [0] * 3, [0] * 3, [0] * 3
    asked: list[int | None] = [None] * 3
    running: list[tuple[Instruction, int] | None] = [None] * 3
    tokens = Counter(INITIAL_TOKENS)
    channel, now = 0, 0
    done: list[list[object]] = [[], [], []]
    for queue in range(3):
        _read_ahead(streams[queue], at, read, queue, 0)
    while any(at[q] < len(streams[q]) for q in range(3)) or any(running):
        for queue in range(3):
            busy = running[queue]
            if busy and busy[1] == now:
                tokens.update(busy[0].signals)
                running[queue] = None
        for queue in range(3):
            if asked[queue] is None and at[queue] < len(streams[queue]):
                item = streams[queue][at[queue]]
                ready = running[queue] is None and read[queue] <= now
                if ready and all(tokens[token] for token in item.waits):
                    asked[queue] = now
        for queue in sorted(range(3), key=lambda q: (asked[q] is None, asked[q], -q)):
            if asked[queue] is None:
                continue
            item = streams[queue][at[queue]]
            if moves(item) and channel > now:
                continue
            asked[queue] = None
            tokens.subtract(item.waits)
            end = now + duration(item, design)
            running[queue], free[queue] = (item, end), end
            channel = end if moves(item) else channel
            done[queue].append((item, now, end))
            at[queue] += 1
            _read_ahead(streams[queue], at, read, queue, now)
        now += 1
        assert now < 10**7, "deadlock"
    return done, max(*free, *read)


def _read_ahead(
    stream: list[Instruction | None], at: list[int], read: list[int], queue: int, now: int
) -> None:
    read[queue] = now + FETCH
    while at[queue] < len(stream) and stream[at[queue]] is MARK:
        read[queue] += FETCH
        at[queue] += 1
