"""From costs and timings to the one Report that every fidelity gives."""

from __future__ import annotations

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import Design
from dovetail.ir.operator import Operator
from dovetail.ir.program import Load, MatrixMultiply, Store, VectorOperate
from dovetail.ir.report import OperatorReport, Report
from dovetail.ir.schedule import Placement, Tiling
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import operand_bits
from dovetail.sim.columns import Cost
from dovetail.sim.cycle import Timing, words
from dovetail.sim.energy import fill_energy

COMPONENTS = {
    "mac": Cost.MAC_ENERGY,
    "vector": Cost.VECTOR_ENERGY,
    "input_sram": Cost.INPUT_ENERGY,
    "weight_sram": Cost.WEIGHT_ENERGY,
    "output_sram": Cost.OUTPUT_ENERGY,
    "dram": Cost.DRAM_ENERGY,
}


def cost_of_timing(
    timing: Timing, design: FloatArray, op: IntArray, closed_form: FloatArray
) -> FloatArray:
    """The cost row of a simulated Program: everything that its instructions say, counted.

    Args:
        timing: what the simulator found.
        design: row of `Design` columns.
        op: row of `Op` columns.
        closed_form: gives the column that no Program tells: ideal cycles, untiled.
    """
    cost = closed_form.copy()
    cost[Cost.CYCLES], cost[Cost.ENGINE] = timing.cycles, timing.engine_cycles
    cost[Cost.FILL], cost[Cost.DRAIN] = timing.fill, timing.drain
    cost[Cost.DRAM_INPUT : Cost.VECTOR_OPS + 1] = 0.0
    bits_in, bits_w, _ = (int(bits) for bits in operand_bits(design, op))
    slices_w = -(-bits_w // int(design[Design.WEIGHT_BITS]))
    slices_in = -(-bits_in // int(design[Design.INPUT_BITS]))
    accumulator = design[Design.ACCUMULATOR_BITS] / 8
    streamed = not any(isinstance(item, MatrixMultiply) for item, _ in timing.runs)
    for item, count in timing.runs:
        if isinstance(item, Load):
            cost[Cost.DRAM_INPUT] += count * item.input_bytes
            cost[Cost.DRAM_WEIGHT] += count * item.weight_bytes
        elif isinstance(item, Store):
            cost[Cost.DRAM_OUTPUT] += count * item.output_bytes
            cost[Cost.VECTOR_OPS] += count * item.ops
        elif isinstance(item, VectorOperate):
            cost[Cost.VECTOR_OPS] += count * item.ops
        elif isinstance(item, MatrixMultiply):
            inputs, weights, sums = words(item, design)
            cost[Cost.INPUT_READ] += count * inputs * slices_w * bits_in / 8
            cost[Cost.WEIGHT_READ] += count * weights * slices_in * bits_w / 8
            cost[Cost.OUTPUT_WRITE] += count * sums * accumulator
            cost[Cost.OUTPUT_READ] += count * sums * accumulator
            macs = item.groups * item.m * item.n * item.k
            cost[Cost.MAC_OPS] += count * macs * item.passes
    if streamed:
        cost[Cost.INPUT_READ] = cost[Cost.DRAM_INPUT]
        cost[Cost.OUTPUT_WRITE] = cost[Cost.OUTPUT_READ] = cost[Cost.DRAM_OUTPUT]
    fill_energy(design, cost)
    return cost


def operator_reports(
    placement: Placement,
    accelerator: SystolicArray,
    cost: FloatArray,
    mapping: Tiling | None,
) -> list[OperatorReport]:
    """Reports of an operator and of those fused into it.

    Args:
        placement: what ran where.
        accelerator: gives the peak.
        cost: row of `Cost` columns of the whole placement.
        mapping: its tiling, if it has one.
    """
    op = placement.operator
    energy = {name: float(cost[column]) for name, column in COMPONENTS.items()}
    vector_ops = op.vector_ops + sum(fused.vector_ops for fused in placement.fused)
    pj_per_op = energy["vector"] / vector_ops if vector_ops else 0.0
    if placement.fused:
        energy["vector"] = pj_per_op * op.vector_ops
    cycles, engine = int(cost[Cost.CYCLES]), int(cost[Cost.ENGINE])
    fill, drain = int(cost[Cost.FILL]), int(cost[Cost.DRAIN])
    host = OperatorReport(
        name=op.name,
        kind=op.kind,
        engine=placement.engine,
        fused_into="",
        macs=op.macs,
        vector_ops=op.vector_ops,
        cycles=cycles,
        compute_cycles=int(cost[Cost.IDEAL]),
        stall_cycles={
            "tiling": engine - int(cost[Cost.IDEAL]),
            "fill": fill,
            "drain": drain,
            "memory": cycles - engine - fill - drain,
        },
        dram_bytes={
            name: int(cost[Cost[f"DRAM_{name.upper()}"]]) for name in ("input", "weight", "output")
        },
        sram_bytes={
            "input_write": int(cost[Cost.DRAM_INPUT]),
            "input_read": int(cost[Cost.INPUT_READ]),
            "weight_write": int(cost[Cost.DRAM_WEIGHT]),
            "weight_read": int(cost[Cost.WEIGHT_READ]),
            "output_write": int(cost[Cost.OUTPUT_WRITE]),
            "output_read": int(cost[Cost.OUTPUT_READ]),
        },
        energy_pj=energy,
        utilization=op.macs / (cycles * accelerator.peak_macs_per_cycle) if cycles else 0.0,
        mapping=mapping.describe() if mapping else {},
    )
    return [host] + [_fused(fused, op, pj_per_op) for fused in placement.fused]


def _fused(op: Operator, host: Operator, pj_per_op: float) -> OperatorReport:
    return OperatorReport(
        name=op.name,
        kind=op.kind,
        engine="vector",
        fused_into=host.name,
        macs=0,
        vector_ops=op.vector_ops,
        cycles=0,
        compute_cycles=0,
        stall_cycles={},
        dram_bytes={},
        sram_bytes={},
        energy_pj={"vector": pj_per_op * op.vector_ops},
        utilization=0.0,
        mapping={},
    )


def network_report(
    network: str, accelerator: SystolicArray, fidelity: str, operators: list[OperatorReport]
) -> Report:
    """Puts operator reports and the accelerator's bounds together."""
    return Report(
        network=network,
        accelerator=accelerator.to_dict(),
        fidelity=fidelity,
        clock_mhz=accelerator.clock_mhz,
        area_mm2=accelerator.area_mm2,
        peak_macs_per_cycle=accelerator.peak_macs_per_cycle,
        dram_bytes_per_cycle=accelerator.dram_bytes_per_cycle,
        operators=tuple(operators),
    )
