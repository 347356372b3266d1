"""A network's block operations with blocks, buffers and places of feature maps: the whole mapping.

Operations run one after the other; only transfers of weights overlap with the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dovetail.arch.npu import EthosU
from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.mappers.npu.blocks import find_block
from dovetail.mappers.npu.buffering import Before, Buffer, buffer_weights
from dovetail.mappers.npu.lowering import Lowered, Step
from dovetail.mappers.npu.residence import lives, resident, usage
from dovetail.sim.npu.cost import Cost, cost, transfer_cycles
from dovetail.sim.npu.timing import timing
from dovetail.sim.npu.work import WEIGHTED, Block, FeatureMap, Work


@dataclass(frozen=True, slots=True)
class Planned:
    """A step with everything that its cost needs.

    Attributes:
        step: from lowering, its work with the memories in use.
        block: how it is cut.
        buffer: of its weights.
        slack: cycles that the operation before leaves for transfers.
        table_cycles: of its table's transfer.
        cost: what it costs.
    """

    step: Step
    block: Block
    buffer: Buffer
    slack: int
    table_cycles: float
    cost: Cost


@dataclass(frozen=True)
class Plan:
    """All steps of a network on a design.

    Attributes:
        lowered: the network.
        accelerator: the design.
        steps: in order.
        sram_bytes: most that feature maps and buffers take of SRAM at once.
    """

    lowered: Lowered
    accelerator: EthosU
    steps: tuple[Planned, ...]
    sram_bytes: int


def plan(lowered: Lowered, accelerator: EthosU) -> Plan:
    """Maps block operations onto a design.

    Args:
        lowered: the network.
        accelerator: the design.

    Raises:
        MappingError: if an operation has no block that fits, or SRAM cannot hold what must be in
            it.
    """
    steps, outside = lowered.steps, lowered.outside
    blocks = [find_block(accelerator.engine, step.work) for step in steps]
    alive = lives(steps, outside)
    here = accelerator.feature_maps.name == "sram"
    limit = int(accelerator.sram_kib * 1024)
    taken = usage(alive, len(steps)) if here else np.zeros(len(steps), dtype=np.int64)
    if accelerator.constants.name == "sram":
        taken += sum(step.encoded + step.table for step in steps)
    _check_room(accelerator, int(taken.max()), limit)
    buffers = _buffers(accelerator, steps, blocks, limit - taken)
    taken += _held(buffers)
    near = frozenset(life.name for life in alive)
    if not here:
        near = resident(alive, outside, taken, limit)
        taken += usage([life for life in alive if life.name in near], len(steps))
    planned = _priced(accelerator, steps, blocks, buffers, near)
    return Plan(lowered, accelerator, planned, int(taken.max()))


def _check_room(accelerator: EthosU, needed: int, limit: int) -> None:
    if needed > limit:
        relief = "shared" if accelerator.memory_mode == "sram_only" else "dedicated"
        raise MappingError(
            f"what must be in SRAM takes {math.ceil(needed / 1024):,} KiB of it at once; "
            f"'{accelerator.name}' has {accelerator.sram_kib:,g}: raise sram_kib, or set "
            f"memory_mode = {relief}_sram"
        )


def _buffers(
    accelerator: EthosU, steps: Sequence[Step], blocks: Sequence[Block], free: IntArray
) -> list[Buffer]:
    found: list[Buffer] = []
    before = Before()
    for index, (step, block) in enumerate(zip(steps, blocks, strict=True)):
        buffer = _buffer(accelerator, step, block, int(free[index]), before)
        found.append(buffer)
        left = int(free[index]) - buffer.kept_bytes
        before = Before(buffer.transfer.slack, left)
    return found


def _buffer(
    accelerator: EthosU, step: Step, block: Block, free_bytes: int, before: Before
) -> Buffer:
    """Buffers of a step, its feature maps still in their own place."""
    home = accelerator.feature_maps.name
    work = _in_memories(step.work, home, home, home, "sram")
    ports = {port.name: port for port in (accelerator.sram_port, accelerator.dram_port)}

    def cycles(channels: int) -> int:
        part = with_channels(work, channels)
        return timing(accelerator.engine, ports, part, block).cycles

    return buffer_weights(accelerator, work, block, step.encoded, free_bytes, before, cycles)


def _held(buffers: Sequence[Buffer]) -> IntArray:
    """Most bytes of buffers during each step: its own, or its last slice and the next one's."""
    after = [*(buffer.ahead_bytes for buffer in buffers[1:]), 0]
    pairs = zip(buffers, after, strict=True)
    return np.array([max(b.size_bytes, b.kept_bytes + ahead) for b, ahead in pairs])


def _priced(
    accelerator: EthosU, steps: Sequence[Step], blocks: Sequence[Block],
    buffers: Sequence[Buffer], near: frozenset[str],
) -> tuple[Planned, ...]:  # fmt: skip
    ports = {port.name: port for port in (accelerator.sram_port, accelerator.dram_port)}
    home = accelerator.feature_maps.name
    planned, slack = [], 0
    for step, block, buffer in zip(steps, blocks, buffers, strict=True):
        work = _placed(step, buffer, near, home, accelerator.constants.name)
        table = transfer_cycles(step.table, accelerator.constants, accelerator.sram_port)
        table = table if step.table else 0.0
        found = cost(
            accelerator.engine, ports, work, block, buffer.transfer, step.encoded, slack, table
        )
        planned.append(Planned(replace(step, work=work), block, buffer, slack, table, found))
        slack = buffer.transfer.slack
    return tuple(planned)


def _placed(step: Step, buffer: Buffer, near: frozenset[str], home: str, constants: str) -> Work:
    names = [*step.reads, "", ""]
    ifm, ifm2, ofm = (
        "sram" if name in near else home for name in (names[0], names[1], step.writes)
    )
    weights = "sram" if buffer.transfer.buffers else constants
    second = step.work.ifm2
    if not names[1] and second is not None:
        ifm2 = second.memory
    return _in_memories(step.work, ifm, ifm2, ofm, weights)


def _in_memories(work: Work, ifm: str, ifm2: str, ofm: str, weights: str) -> Work:
    second = replace(work.ifm2, memory=ifm2) if work.ifm2 is not None else None
    return replace(
        work,
        ifm=replace(work.ifm, memory=ifm),
        ifm2=second,
        ofm=replace(work.ofm, memory=ofm),
        weights_in=weights if work.kind in WEIGHTED else "",
    )


def with_channels(work: Work, channels: int) -> Work:
    """The part of an operation that gives so many output channels."""
    if channels == work.ofm.shape[2]:
        return work
    ifm = _cut(work.ifm, channels) if work.kind == "depthwise" else work.ifm
    return replace(work, ifm=ifm, ofm=_cut(work.ofm, channels))


def _cut(feature_map: FeatureMap, channels: int) -> FeatureMap:
    height, width, _ = feature_map.shape
    return replace(feature_map, shape=(height, width, channels))
