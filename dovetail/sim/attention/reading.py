"""Reports of operators on the attention family."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dovetail.arch.attention import AttentionArray
from dovetail.ir.operator import Operator
from dovetail.ir.report import OperatorReport
from dovetail.sim.attention.costs import Cost

Mapped = Mapping[str, int | str]


def operator_report(
    op: Operator, a: AttentionArray, cost: Cost, *, macs: int = 0, vector_ops: int = 0,
    mapping: Mapped | None = None,
) -> OperatorReport:  # fmt: skip
    """An operator with its cost; `macs` and `vector_ops` are those of all that runs with it."""
    cycles = math.ceil(cost.cycles)
    pipeline = min(cycles, math.ceil(cost.pipeline_cycles))
    compute = min(pipeline, math.ceil(cost.array_cycles if macs else cost.vector_cycles))
    fill = min(pipeline - compute, math.ceil(cost.fill_cycles))
    drain = min(pipeline - compute - fill, math.ceil(cost.drain_cycles))
    stalls = {
        "fill": fill, "drain": drain, "vector": pipeline - compute - fill - drain,
        "memory": cycles - pipeline,
    }  # fmt: skip
    return OperatorReport(
        name=op.name,
        kind=op.kind,
        engine="array" if macs else "vector",
        fused_into="",
        macs=macs,
        vector_ops=vector_ops,
        cycles=cycles,
        compute_cycles=compute,
        stall_cycles=stalls,
        dram_bytes={name: round(count) for name, count in cost.dram_bytes.items()},
        sram_bytes={name: round(count) for name, count in cost.sram_bytes.items()},
        energy_pj=dict(cost.energy_pj),
        utilization=macs / (cycles * a.peak_macs_per_cycle) if cycles else 0.0,
        mapping=dict(mapping or {}),
    )


def fused_report(op: Operator, host: Operator, pj: float = 0.0) -> OperatorReport:
    """An operator that runs with another one, whose time and traffic are those of both.

    Args:
        op: what is fused.
        host: with what it runs.
        pj: energy of each of its scalar operations; 0 where the host's energy has them.
    """
    if op.is_view or op.kind == "transpose":  # what is loaded is addressed so
        return view_report(op)
    energy = {"vector": op.vector_ops * pj} if pj else {}
    return OperatorReport(
        op.name, op.kind, "vector", host.name, 0, op.vector_ops, 0, 0, {}, {}, {}, energy, 0.0, {}
    )


def view_report(op: Operator) -> OperatorReport:
    """An operator that moves no data."""
    return OperatorReport(op.name, op.kind, "none", "", 0, 0, 0, 0, {}, {}, {}, {}, 0.0, {})
