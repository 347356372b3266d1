"""The report of a network whose operators run in fused groups on a spatial array."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dovetail.arch.spatial import SpatialArray
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement
from dovetail.mappers.fusion.groups import FusedSchedule, Group
from dovetail.mappers.fusion.price import Price

OPERANDS = ("input", "weight", "output")


def fused_report(network: Network, accelerator: SpatialArray, fused: FusedSchedule) -> Report:
    """What a fused schedule costs, operator by operator.

    The first operator of a group carries the traffic of the group's inputs and the time that work
    waits for it, the last one that of its result; in between nothing leaves the chip.

    Args:
        network: what is computed.
        accelerator: what computes it.
        fused: its schedule on the accelerator.
    """
    bandwidth = accelerator.dram_bytes_per_cycle
    operators = (
        report
        for number, group in enumerate(fused.groups)
        for placement, part in zip(group.placements, group.parts, strict=True)
        for report in _reports(placement, part, accelerator, _described(group, number))
    )
    return Report(
        network=network.name,
        accelerator=accelerator.to_dict(),
        fidelity="estimate",
        clock_mhz=accelerator.clock_mhz,
        area_mm2=accelerator.area_mm2,
        peak_macs_per_cycle=accelerator.peak_macs_per_cycle,
        dram_bytes_per_cycle=bandwidth if math.isfinite(bandwidth) else 0.0,
        operators=tuple(operators),
    )


def _described(group: Group, number: int) -> dict[str, int | str]:
    if group.tiling is None:
        return {}
    rows, columns = group.tiling.grid
    return {"group": number, "tiles": f"{rows}x{columns}", "halo": group.tiling.mode}


def _reports(
    placement: Placement, part: Price, a: SpatialArray, mapping: Mapping[str, int | str]
) -> list[OperatorReport]:
    """Of an operator and of those in its output path."""
    op = placement.operator
    each = a.technology.vector_op_pj
    riders = [_rider(fused, op.name, each, placement.engine) for fused in placement.fused]
    if placement.engine == "none":
        return [_view(op), *riders]
    ideal = -(-op.macs // a.peak_macs_per_cycle) if op.einsum else math.ceil(part.compute_cycles)
    cycles = max(math.ceil(part.cycles), ideal)
    padding = max(0, min(math.ceil(part.compute_cycles), cycles) - ideal)
    energy = {name: part.energy.get(name, 0.0) for name in ("mac", *(s.name for s in a.stores))}
    apart = sum(rider.energy_pj["vector"] for rider in riders if rider.energy_pj)
    energy["vector"] = max(0.0, part.energy.get("vector", 0.0) - apart)
    stalls = {"padding": padding, "fill": 0, "drain": 0, "memory": cycles - ideal - padding}
    keys = [f"{store.name}_{way}" for store in a.stores[:-1] for way in ("write", "read")]
    host = OperatorReport(
        name=op.name,
        kind=op.kind,
        engine=placement.engine,
        fused_into="",
        macs=op.macs,
        vector_ops=op.vector_ops,
        cycles=cycles,
        compute_cycles=ideal,
        stall_cycles=stalls,
        dram_bytes={name: _bytes(part.moved.get(name, 0.0)) for name in OPERANDS},
        sram_bytes={name: _bytes(part.moved.get(name, 0.0)) for name in keys},
        energy_pj=energy,
        utilization=op.macs / (cycles * a.peak_macs_per_cycle) if cycles else 0.0,
        mapping=dict(mapping),
    )
    return [host, *riders]


def _bytes(bits: float) -> int:
    return math.ceil(bits / 8)


def _rider(op: Operator, host: str, each: float, engine: str) -> OperatorReport:
    energy = {} if engine == "none" else {"vector": op.vector_ops * each}
    return OperatorReport(
        op.name, op.kind, "none" if engine == "none" else "vector", host, 0, op.vector_ops, 0, 0,
        {}, {}, {}, energy, 0.0, {},
    )  # fmt: skip


def _view(op: Operator) -> OperatorReport:
    return OperatorReport(op.name, op.kind, "none", "", 0, 0, 0, 0, {}, {}, {}, {}, 0.0, {})
