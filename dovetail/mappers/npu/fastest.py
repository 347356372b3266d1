"""Blocks and buffers of least estimated cycles, where Vela takes those of least traffic.

Every operation has two blocks to choose from, Vela's and the one whose blocks take the fewest
cycles, and its weights may be read where they are, even if a buffer would fit, or come closer, even
if they are read once. Choices meet in the cycles that one operation leaves for the next one's
transfer; of each choice the fastest way to it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from dovetail.arch.npu import EthosU
from dovetail.mappers.npu.blocks import candidates, find_block
from dovetail.mappers.npu.buffering import Before, Buffer
from dovetail.mappers.npu.lowering import Lowered
from dovetail.mappers.npu.planning import Bench, Plan, plan
from dovetail.sim.npu.accesses import memory_bytes
from dovetail.sim.npu.cost import Transfer
from dovetail.sim.npu.shram import rules_of
from dovetail.sim.npu.timing import timing
from dovetail.sim.npu.work import Block, Work


@dataclass(frozen=True, slots=True)
class Way:
    """The fastest way to a choice.

    Attributes:
        cycles: of all steps so far.
        block: of the last one.
        buffer: of the last one.
        before: the way to the step before; None at the first.
    """

    cycles: float
    block: Block
    buffer: Buffer
    before: Way | None


def fastest(lowered: Lowered, accelerator: EthosU) -> Plan:
    """Maps block operations onto a design; never slower by the estimate than Vela's choices.

    Args:
        lowered: the network.
        accelerator: the design.

    Raises:
        MappingError: as `plan` does.
    """
    bench, base = Bench.of(lowered, accelerator), plan(lowered, accelerator)
    ways: list[Way] = []
    for index, step in enumerate(base.steps):
        two = (step.block, fastest_block(accelerator, step.step.work))
        blocks = dict.fromkeys(two)
        ways = [way for block in blocks for way in _ways(bench, index, block, ways, base.near)]
    chosen, buffers = _back(min(ways, key=lambda way: way.cycles))
    return min((base, bench.plan(chosen, buffers)), key=lambda found: found.cycles)


def _ways(
    bench: Bench, index: int, block: Block, before: list[Way], near: frozenset[str]
) -> Iterator[Way]:
    """The fastest ways to a step with a block: weights where they are, or closer."""
    channels = bench.lowered.steps[index].work.ofm.shape[2]
    for direct in (True, False):
        ways = []
        starts: list[Way | None] = [*before] or [None]
        for way in starts:
            left = bench.after(index - 1, way.block, way.buffer) if way else Before()
            buffer = bench.buffer(index, block, left, products=True)
            if direct:
                stay = Transfer(slack=buffer.transfer.slack)
                buffer = Buffer(stay, (0, channels))
            step = bench.price(index, block, buffer, left.cycles, near)
            ways.append(Way((way.cycles if way else 0) + step.cost.cycles, block, buffer, way))
        yield min(ways, key=lambda way: way.cycles)


def _back(way: Way | None) -> tuple[list[Block], list[Buffer]]:
    blocks, buffers = [], []
    while way is not None:
        blocks.append(way.block)
        buffers.append(way.buffer)
        way = way.before
    return blocks[::-1], buffers[::-1]


@lru_cache(maxsize=8192)
def fastest_block(accelerator: EthosU, work: Work) -> Block:
    """The block with which an operation takes the fewest cycles, its weights being in SRAM.

    Args:
        accelerator: the design.
        work: the operation, feature maps in the memories that they are in.
    """
    ports = {port.name: port for port in (accelerator.sram_port, accelerator.dram_port)}
    rules = rules_of(accelerator.engine, work)
    sizes = candidates(rules).tolist()
    blocks = [find_block(accelerator.engine, work), *(rules.block(tuple(s)) for s in sizes)]

    def cycles(block: Block) -> float:
        moved = memory_bytes(accelerator.engine, ports, work, block, 0.0)
        waits = (sum(moved[n].values()) / port.bytes_per_cycle for n, port in ports.items())
        return max(timing(accelerator.engine, ports, work, block).cycles, *waits)

    return min(blocks, key=cycles)
