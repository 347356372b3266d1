"""The command stream of an Ethos-U as a task program: what its engines do block by block.

Engines: a read and a write channel per memory, dot products (`dpu`), the output stage, the way of
weights from off-chip memory (`dma`), and four lanes of block commands in flight, where they wait
for memory to answer. Inputs, accumulators and encoded weights have two buffers each; inputs are
asked for before their buffer is free.

In the steady state estimate and program give a block every max(dpu, output, command) cycles, where
command = (read + dpu + output + write) / 4 is what four lanes mean, unless a channel takes longer.
The program adds what the estimate leaves out: the first block's fetch and the last one's store.
With stages longer than the command it takes `read + write` cycles more than max x blocks + min;
where commands bound it, (blocks + 3) x command instead of (blocks + 1) x command.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dovetail.arch.npu import EthosU
from dovetail.ir.tasks import Task, TaskLoop, TaskProgram
from dovetail.mappers.npu.buffering import slice_bytes
from dovetail.mappers.npu.planning import Plan, Planned, with_channels
from dovetail.sim.npu.accesses import memory_bytes
from dovetail.sim.npu.cost import transfer_cycles
from dovetail.sim.npu.timing import timing
from dovetail.sim.npu.work import counts, within
from dovetail.sim.tasks import run

LANES = 4
"""Block commands in flight."""
TOKENS = {"inputs": 2, "sums": 2, "weights": 2}

Body = tuple[Task | TaskLoop, ...]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Whole cycles that the tasks of one block take.

    Attributes:
        source: memory that inputs come from.
        target: memory that results go to.
        weights_in: memory that weights are read from; "" where none are.
        read: of the first input block on its channel.
        more: of the other inputs that the block needs.
        weights: of its weights on their channel.
        read_wait: latency.
        dpu: dot products; 0 of elementwise operations.
        output: of the output stage.
        write: of results on their channel.
        write_wait: latency.
    """

    source: str
    target: str
    weights_in: str
    read: int
    more: int
    weights: int
    read_wait: int
    dpu: int
    output: int
    write: int
    write_wait: int


def times(plan: Plan, *, transfers: bool = True) -> list[int]:
    """Cycle at which each step of a plan has ended.

    Args:
        plan: blocks and buffers of a network.
        transfers: whether weights and tables take time to come.
    """
    found = run(program(plan, transfers=transfers))
    return [found.first_start[f"end{index}"] for index in range(len(plan.steps))]


def program(plan: Plan, *, transfers: bool = True) -> TaskProgram:
    """The task program of a whole network, one step after the other."""
    body: list[Task | TaskLoop] = []
    lane = 0
    for index, step in enumerate(plan.steps):
        body += _table(index, step, transfers)
        blocks = sum(_slice_blocks(step))
        body += _blocks(plan, index, step, lane, transfers)
        body.append(Task("end", f"end{index}", 0, (f"done{index}",)))
        lane = (lane + blocks) % LANES
    return TaskProgram(tuple(body), TOKENS)


def _table(index: int, step: Planned, transfers: bool) -> Iterator[Task]:
    """Transfer of a step's table, while the one before it works."""
    if step.step.table:
        cycles = math.ceil(step.table_cycles) if transfers else 0
        waits = (f"done{index - 2}",) if index > 1 else ()
        yield Task("table", "dma", cycles, waits, (f"table{index}",))


def _blocks(
    plan: Plan, index: int, step: Planned, lane: int, transfers: bool
) -> Iterator[Task | TaskLoop]:
    a = plan.accelerator
    parts = _slice_blocks(step)
    buffered = step.buffer.transfer.buffers > 0
    for part, count in enumerate(parts):
        first, last = part == 0, part == len(parts) - 1
        starts = ([f"done{index - 1}"] if index else []) if first else []
        needs = [f"table{index}"] if first and step.step.table else []
        if buffered:
            cycles = _transfer(a, step, part) if transfers else 0
            after = _comes_after(plan, index) if first else None
            waits = ("weights",) if after is None else ("weights", f"done{after}")
            yield Task("weights", "dma", cycles, waits, ("loaded",))
            needs.append("loaded")
        ends = ["weights"] if buffered else []
        done = _done(plan, index) if last else []
        lengths = lengths_of(a, step, part)
        yield from blocks_of(lengths, lane, count, starts, needs, ends, done)
        lane = (lane + count) % LANES


def _comes_after(plan: Plan, index: int) -> int | None:
    """The step whose end a step's first weights wait for; None if they wait for none.

    They come while the step before works, and only then has SRAM room for them; if it has none at
    all, they come after that step.
    """
    buffer = plan.steps[index].buffer
    if not buffer.transfer.buffers:
        return None
    after = index - (2 if buffer.ahead_bytes else 1)
    return after if after >= 0 else None


def _done(plan: Plan, index: int) -> list[str]:
    """Tokens of a step's end: for its mark, for the next step, for what waits to come."""
    following = range(index + 1, min(index + 3, len(plan.steps)))
    readers = 1 + (index + 1 < len(plan.steps))
    readers += sum(_comes_after(plan, other) == index for other in following)
    if index + 2 < len(plan.steps):
        readers += bool(plan.steps[index + 2].step.table)
    return [f"done{index}"] * readers


def blocks_of(
    lengths: Lengths, lane: int, count: int, starts: Sequence[str] = (),
    needs: Sequence[str] = (), ends: Sequence[str] = (), done: Sequence[str] = (),
) -> Iterator[Task | TaskLoop]:  # fmt: skip
    """Blocks of one slice: the first waits, the last tells, those between repeat.

    Args:
        lengths: of a block's tasks.
        lane: of the first block.
        count: of blocks.
        starts: tokens that the first fetch waits for.
        needs: tokens that the first dot products wait for.
        ends: tokens that the last dot products hand out.
        done: tokens that the last stored block hands out.
    """
    loops = max(count - 2, 0) // LANES
    single = count - loops * LANES
    for position in range(single):
        first, last = position == 0, position == single - 1
        yield from _block(
            lengths,
            (lane + position) % LANES,
            tuple(starts) if first else (),
            tuple(needs) if first else (),
            tuple(ends) if last else (),
            tuple(done) if last else (),
        )
        if first and loops:
            turns = [(lane + 1 + turn) % LANES for turn in range(LANES)]
            body = tuple(task for turn in turns for task in _block(lengths, turn))
            yield TaskLoop(loops, body)


def _block(
    lengths: Lengths, lane: int, starts: tuple[str, ...] = (), needs: tuple[str, ...] = (),
    ends: tuple[str, ...] = (), done: tuple[str, ...] = (),
) -> Iterator[Task]:  # fmt: skip
    """Tasks of one block.

    Args:
        lengths: of its tasks.
        lane: of the command.
        starts: tokens that fetching waits for.
        needs: tokens that dot products wait for.
        ends: tokens that they hand out.
        done: tokens that the stored block hands out.
    """
    reader, own = f"{lengths.source} read", f"lane{lane}"
    yield Task("read wait", own, lengths.read_wait, starts, (f"read{lane}",))
    came = [*(["more"] if lengths.more else []), *(["coded"] if lengths.weights else [])]
    after = ("ready", *(f"{name} wanted" for name in came))
    yield Task("read", reader, lengths.read, (f"read{lane}", "inputs"), after)
    if lengths.more:
        yield Task("read more", reader, lengths.more, ("more wanted",), ("more",))
    if lengths.weights:
        channel = "dma" if lengths.weights_in == "dram" else f"{lengths.weights_in} read"
        yield Task("read weights", channel, lengths.weights, ("coded wanted",), ("coded",))
    sums = ("inputs", "summed", *ends)
    yield Task("dot products", "dpu", lengths.dpu, ("ready", "sums", *needs), sums)
    yield Task("output", "output", lengths.output, ("summed", *came), ("sums", "out"))
    yield Task("write", f"{lengths.target} write", lengths.write, ("out",), (f"written{lane}",))
    yield Task("write wait", own, lengths.write_wait, (f"written{lane}",), done)


def lengths_of(a: EthosU, step: Planned, part: int = 0) -> Lengths:
    """How long the tasks of a step's blocks take, in one slice of output channels."""
    slices = step.buffer.slices
    work = with_channels(step.step.work, slices[part + 1] - slices[part])
    ports = {port.name: port for port in (a.sram_port, a.dram_port)}
    source, target = ports[work.ifm.memory], ports[work.ofm.memory]
    timed = timing(a.engine, ports, work, step.block)
    encoded = 0.0 if step.buffer.transfer.buffers else step.step.encoded
    moved = memory_bytes(a.engine, ports, work, step.block, encoded)
    inputs = sum(moved[name]["input"] / port.bytes_per_cycle for name, port in ports.items())
    coded = work.weights_in if encoded else ""
    weights = moved[coded]["weight"] / ports[coded].bytes_per_cycle if coded else 0.0
    read = timed.read - source.read_latency
    alone = timed.cycles / timed.blocks if work.kind == "elementwise" else timed.output
    return Lengths(
        source.name,
        target.name,
        coded,
        math.ceil(read),
        math.ceil(max(inputs / timed.blocks - read, 0)),
        math.ceil(weights / timed.blocks),
        source.read_latency,
        math.ceil(timed.dpu),
        math.ceil(alone),
        math.ceil(timed.write - target.write_latency),
        target.write_latency,
    )


def _slice_blocks(step: Planned) -> list[int]:
    """Blocks of each slice of output channels."""
    work = step.step.work
    slices = step.buffer.slices
    height, width, _ = work.ofm.shape
    return [
        math.prod(
            counts(
                (height, width, end - begin), within(step.block.ofm, (height, width, end - begin))
            )
        )
        for begin, end in itertools.pairwise(slices)
    ]


def _transfer(a: EthosU, step: Planned, part: int) -> int:
    """Cycles of one slice's transfer; only the first one waits for the memory's latency."""
    size = slice_bytes(step.buffer.slices, part, step.step.encoded)
    cycles = transfer_cycles(size, a.dram_port, a.sram_port)
    return math.ceil(cycles if part == 0 else cycles - a.dram_port.read_latency)
