"""The flow of the NPU family: block operations with their buffers, one after the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dovetail.arch.npu import FIDELITIES, EthosU
from dovetail.flows import check_fidelity, check_legal, mapper_for
from dovetail.flows.base import Request
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.npu.commands import times
from dovetail.mappers.npu.fastest import fastest
from dovetail.mappers.npu.lowering import Lowered, lower
from dovetail.mappers.npu.planning import Plan, Planned, plan

MAPPERS = ("vela", "fastest")
"""Least traffic per result, as Arm's compiler chooses; fewest estimated cycles."""


@dataclass(frozen=True)
class MappedNpu:
    """A network laid onto an Ethos-U.

    Attributes:
        plan: its block operations, in order.
    """

    plan: Plan

    @property
    def lowered(self) -> Lowered:
        """The network as block operations."""
        return self.plan.lowered

    @property
    def network(self) -> Network:
        """What is computed."""
        return self.lowered.network

    def report(self, fidelity: str = "estimate") -> Report:
        """What one inference costs.

        Raises:
            FidelityError: if the fidelity is neither `estimate` nor `cycle`.
        """
        check_fidelity(fidelity, FAMILY)
        a = self.plan.accelerator
        operators: list[OperatorReport] = []
        cycles = self._cycles(fidelity)
        for placement in self.lowered.plan.placements:
            operators += self._reports(placement, cycles)
        return Report(
            network=self.network.name,
            accelerator={**a.to_dict(), "used_sram_bytes": self.plan.sram_bytes},
            fidelity=fidelity,
            clock_mhz=a.clock_mhz,
            area_mm2=a.area_mm2,
            peak_macs_per_cycle=a.peak_macs_per_cycle,
            dram_bytes_per_cycle=a.dram_bytes_per_cycle,
            operators=tuple(operators),
        )

    def note(self) -> str:
        """A line on what memories hold, and what the host is left with."""
        encoded = sum(step.encoded for step in self.lowered.steps)
        text = (
            f"{len(self.plan.steps)} block operations; {encoded / 1024:,.0f} KiB of encoded "
            f"weights; {self.plan.sram_bytes / 1024:,.0f} KiB of SRAM in use"
        )
        if not self.lowered.host:
            return text
        named = "; ".join(f"{name} ({why})" for name, why in list(self.lowered.host.items())[:3])
        more = f" and {len(self.lowered.host) - 3} more" if len(self.lowered.host) > 3 else ""
        left = sum(op.macs for op in self.network.operators if op.name in self.lowered.host)
        share = left / max(1, self.network.macs)
        return f"{text}; left to the host, at no cost here, {share:.1%} of the MACs: {named}{more}"

    @cached_property
    def _indices(self) -> dict[str, list[int]]:
        """Steps of each operator."""
        found: dict[str, list[int]] = {}
        for index, step in enumerate(self.plan.steps):
            found.setdefault(step.step.operator, []).append(index)
        return found

    def _reports(
        self, placement: Placement, cycles: Mapping[str, tuple[int, int, int]]
    ) -> list[OperatorReport]:
        op = placement.operator
        steps = [self.plan.steps[index] for index in self._indices.get(op.name, [])]
        engine = "host" if op.name in self.lowered.host else placement.engine if steps else "none"
        total, compute, weights = cycles.get(op.name, (0, 0, 0))
        stalls = {"weights": weights, "memory": total - compute - weights}
        vector = [part for part in (op, *placement.fused) if part.einsum is None]
        a = self.plan.accelerator
        report = OperatorReport(
            name=op.name,
            kind=op.kind,
            engine=engine,
            fused_into="",
            macs=op.macs if steps else 0,
            vector_ops=sum(part.vector_ops for part in vector) if steps else 0,
            cycles=total,
            compute_cycles=compute,
            stall_cycles=stalls if steps else {},
            dram_bytes=_traffic(steps, "dram", a.constants.name),
            sram_bytes=_traffic(steps, "sram", a.constants.name),
            energy_pj={},
            utilization=op.macs / (total * a.peak_macs_per_cycle) if total else 0.0,
            mapping=_described(steps),
        )
        return [report, *(_fused(part, op, engine) for part in placement.fused)]

    def _cycles(self, fidelity: str) -> dict[str, tuple[int, int, int]]:
        """By operator: cycles, those of blocks alone, and those that wait for weights."""
        steps, found = self.plan.steps, {}
        ends = times(self.plan) if fidelity == "cycle" else []
        free = times(self.plan, transfers=False) if fidelity == "cycle" else []
        for name, indices in self._indices.items():
            own = [steps[index] for index in indices]
            blocks = sum(step.cost.timing.cycles for step in own)
            if fidelity == "cycle":
                total, alone = (_between(marks, indices) for marks in (ends, free))
                waiting = max(total - alone, 0)
            else:
                total = math.ceil(sum(step.cost.cycles for step in own))
                npu = math.ceil(sum(step.cost.npu_cycles for step in own))
                waiting = min(npu - blocks, total - blocks)
            found[name] = (total, min(blocks, total - waiting), waiting)
        return found


def _between(marks: Sequence[int], indices: Sequence[int]) -> int:
    """Cycles from the end of the step before some steps to the end of the last of them."""
    begin = marks[indices[0] - 1] if indices[0] else 0
    return marks[indices[-1]] - begin


def _traffic(steps: Sequence[Planned], memory: str, constants: str) -> dict[str, int]:
    """Bytes over a memory's port by operand, transfers of weights and tables included."""
    if not steps:
        return {}
    moved = dict.fromkeys(("input", "weight", "output"), 0.0)
    for step in steps:
        for name, count in step.cost.moved[memory].items():
            moved[name] += count
        if step.buffer.transfer.buffers:
            moved["weight"] += step.step.encoded
        if memory == constants:
            moved["weight"] += step.step.table
    whole = {name: math.ceil(count) for name, count in moved.items()}
    if memory == "dram":
        return whole
    return {
        "input_read": whole["input"],
        "weight_read": whole["weight"],
        "output_write": whole["output"],
    }


def _described(steps: Sequence[Planned]) -> dict[str, int | str]:
    """Blocks and buffers of an operator's largest operation."""
    if not steps:
        return {}
    step = max(steps, key=lambda step: step.cost.cycles)
    work, block = step.step.work, step.block
    return {
        "operations": len(steps),
        "block": "x".join(map(str, block.ofm)),
        "input_block": "x".join(map(str, block.ifm)),
        "traversal": "part_kernel" if block.part_kernel else "depth_first",
        "accumulator_bits": block.accumulator_bits,
        "layout": "->".join("NHCWB16" if m.bricks else "NHWC" for m in (work.ifm, work.ofm)),
        "weight_buffers": step.buffer.transfer.buffers,
        "weight_slices": len(step.buffer.slices) - 1,
    }


def _fused(op: Operator, into: Operator, engine: str) -> OperatorReport:
    engine = "host" if engine == "host" else "vector"
    return OperatorReport(op.name, op.kind, engine, into.name, 0, 0, 0, 0, {}, {}, {}, {}, 0.0, {})


class NpuFamily:
    """Ethos-U designs, as `dovetail.flows.base.Family`."""

    name = "npu"
    accelerator = EthosU
    fidelities = FIDELITIES

    def mappers(self) -> tuple[str, ...]:
        """Names of the mappers, the default first."""
        return MAPPERS

    def map_network(self, network: Network, accelerator: EthosU, request: Request) -> MappedNpu:
        """Lays a network onto a design.

        Raises:
            AcceleratorError: if the design is illegal.
            MappingError: if nothing of the network runs on it, an operation has no block that
                fits, or loop nests, energy or another schedule are asked for.
            UnknownNameError: if objective or mapper are unknown.
        """
        check_legal(accelerator)
        mapper = mapper_for(request, self, energy=False)
        chosen = {"vela": plan, "fastest": fastest}[mapper]
        return MappedNpu(chosen(lower(network, accelerator), accelerator))


FAMILY = NpuFamily()
