"""A network's block operations with blocks, buffers and places of feature maps: the whole mapping.

Operations run one after the other; only transfers of weights overlap with the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dovetail.arch.npu import EthosU, Port
from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.mappers.npu.blocks import find_block
from dovetail.mappers.npu.buffering import Before, Buffer, buffer_weights
from dovetail.mappers.npu.lowering import Lowered, Step
from dovetail.mappers.npu.residence import Life, lives, resident, usage
from dovetail.sim.npu.accesses import accesses
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
        near: activations in SRAM.
    """

    lowered: Lowered
    accelerator: EthosU
    steps: tuple[Planned, ...]
    sram_bytes: int
    near: frozenset[str]

    @property
    def cycles(self) -> float:
        """Estimate of all steps."""
        return sum(step.cost.cycles for step in self.steps)


@dataclass(frozen=True)
class Bench:
    """What choices about a network on a design are made on.

    Attributes:
        lowered: the network.
        accelerator: the design.
        alive: activations and how long they live.
        taken: bytes of SRAM that are in use during each step before any buffer is, (steps,).
    """

    lowered: Lowered
    accelerator: EthosU
    alive: tuple[Life, ...]
    taken: IntArray

    @classmethod
    def of(cls, lowered: Lowered, accelerator: EthosU) -> Bench:
        """The bench of a network and a design.

        Raises:
            MappingError: if SRAM cannot hold what must be in it.
        """
        steps = lowered.steps
        alive = tuple(lives(steps, lowered.outside))
        here = accelerator.feature_maps.name == "sram"
        taken = usage(alive, len(steps)) if here else np.zeros(len(steps), dtype=np.int64)
        if accelerator.constants.name == "sram":
            taken += sum(step.encoded + step.table for step in steps)
        _check_room(accelerator, int(taken.max()))
        return cls(lowered, accelerator, alive, taken)

    @cached_property
    def ports(self) -> dict[str, Port]:
        """Memories by name."""
        return {
            port.name: port for port in (self.accelerator.sram_port, self.accelerator.dram_port)
        }

    def free(self, index: int) -> int:
        """Bytes of SRAM that buffers may take during a step."""
        return _limit(self.accelerator) - int(self.taken[index])

    def buffer(self, index: int, block: Block, before: Before, *, products: bool = False) -> Buffer:
        """Buffers of a step's weights, its feature maps still in their own place.

        Args:
            index: of the step.
            block: how it is cut.
            before: what the step before leaves.
            products: whether weights that are read once get a buffer, too.
        """
        step, home = self.lowered.steps[index], self.accelerator.feature_maps.name
        work = _in_memories(step.work, home, home, home, "sram")

        def cycles(channels: int) -> int:
            part = with_channels(work, channels)
            return timing(self.accelerator.engine, self.ports, part, block).cycles

        free = self.free(index)
        return buffer_weights(
            self.accelerator, work, block, step.encoded, free, before, cycles, products=products
        )

    def after(self, index: int, block: Block, buffer: Buffer) -> Before:
        """What a step leaves for the next one's weights: no time while it reads its own."""
        a, step = self.accelerator, self.lowered.steps[index]
        slack = buffer.transfer.slack
        if step.encoded and not buffer.transfer.buffers and a.constants.name == "dram":
            repeats = accesses(step.work, block).weights / step.work.weights
            slack = max(0, slack - math.ceil(step.encoded * repeats / a.dram_bytes_per_cycle))
        return Before(slack, self.free(index) - buffer.kept_bytes)

    def price(
        self, index: int, block: Block, buffer: Buffer, slack: int, near: frozenset[str]
    ) -> Planned:
        """A step with its cost.

        Args:
            index: of the step.
            block: how it is cut.
            buffer: of its weights.
            slack: cycles that the step before leaves.
            near: activations in SRAM.
        """
        a, step = self.accelerator, self.lowered.steps[index]
        work = _placed(step, buffer, near, a.feature_maps.name, a.constants.name)
        table = transfer_cycles(step.table, a.constants, a.sram_port) if step.table else 0.0
        found = cost(a.engine, self.ports, work, block, buffer.transfer, step.encoded, slack, table)
        return Planned(replace(step, work=work), block, buffer, slack, table, found)

    def plan(self, blocks: Sequence[Block], buffers: Sequence[Buffer]) -> Plan:
        """The plan of some blocks and buffers, feature maps where they fit."""
        taken = self.taken + _held(buffers)
        near = frozenset(life.name for life in self.alive)
        if self.accelerator.feature_maps.name != "sram":
            near = resident(self.alive, self.lowered.outside, taken, _limit(self.accelerator))
            taken += usage([life for life in self.alive if life.name in near], len(taken))
        planned, slack = [], 0
        for index, (block, buffer) in enumerate(zip(blocks, buffers, strict=True)):
            planned.append(self.price(index, block, buffer, slack, near))
            slack = self.after(index, block, buffer).cycles
        return Plan(self.lowered, self.accelerator, tuple(planned), int(taken.max()), near)


def plan(lowered: Lowered, accelerator: EthosU) -> Plan:
    """Maps block operations onto a design, with Vela's choices.

    Args:
        lowered: the network.
        accelerator: the design.

    Raises:
        MappingError: if an operation has no block that fits, or SRAM cannot hold what must be in
            it.
    """
    bench = Bench.of(lowered, accelerator)
    blocks = [find_block(accelerator.engine, step.work) for step in lowered.steps]
    buffers, before = [], Before()
    for index, block in enumerate(blocks):
        buffers.append(bench.buffer(index, block, before))
        before = bench.after(index, block, buffers[-1])
    return bench.plan(blocks, buffers)


def _limit(accelerator: EthosU) -> int:
    return int(accelerator.sram_kib * 1024)


def _check_room(accelerator: EthosU, needed: int) -> None:
    if needed > _limit(accelerator):
        relief = "shared" if accelerator.memory_mode == "sram_only" else "dedicated"
        raise MappingError(
            f"what must be in SRAM takes {math.ceil(needed / 1024):,} KiB of it at once; "
            f"'{accelerator.name}' has {accelerator.sram_kib:,g}: raise sram_kib, or set "
            f"memory_mode = {relief}_sram"
        )


def _held(buffers: Sequence[Buffer]) -> IntArray:
    """Most bytes of buffers during each step: its own, or its last slice and the next one's."""
    after = [*(buffer.ahead_bytes for buffer in buffers[1:]), 0]
    pairs = zip(buffers, after, strict=True)
    return np.array([max(b.size_bytes, b.kept_bytes + ahead) for b, ahead in pairs])


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
