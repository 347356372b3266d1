"""Reports: what a network costs on an accelerator, per operator and in total."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

SCHEMA = 1
"""Version of the JSON form; it grows only when a key changes meaning or goes away."""


@dataclass(frozen=True, slots=True)
class OperatorReport:
    """What one operator costs.

    Attributes:
        name: the operator.
        kind: what it does, e.g. `conv2d`.
        engine: `array`, `vector`, `none` for views that move no data, or `host` for what the RTL
            machine leaves to the host, at no cost; in a system the name of the core.
        fused_into: the operator in whose output path it runs; "" if it runs on its own.
        macs: multiply-accumulates.
        vector_ops: scalar operations on the vector unit, fused ones included where they run.
        cycles: from its first load to its last store.
        compute_cycles: stall-free cycles of the engine were all operands on chip, untiled.
        stall_cycles: the rest by cause: `tiling` (array filled and drained once per tile),
            `fill` (first load), `drain` (last store), `memory` (waiting for DRAM in between).
        dram_bytes: traffic by operand: `input`, `weight`, `output`.
        sram_bytes: traffic by scratchpad access: `input_read`, `input_write`, ….
        energy_pj: by component: `mac`, `vector`, `input_sram`, `weight_sram`, `output_sram`,
            `dram`.
        utilization: MACs / (cycles x peak MACs per cycle), 0 to 1.
        mapping: tile sizes and loop order; empty for operators that are not tiled.
    """

    name: str
    kind: str
    engine: str
    fused_into: str
    macs: int
    vector_ops: int
    cycles: int
    compute_cycles: int
    stall_cycles: dict[str, int]
    dram_bytes: dict[str, int]
    sram_bytes: dict[str, int]
    energy_pj: dict[str, float]
    utilization: float
    mapping: dict[str, int | str]


@dataclass(frozen=True)
class Report:
    """What a network costs; the sum over operators, which run one after the other on one core.

    Attributes:
        network: name.
        accelerator: its parameters by name.
        fidelity: `estimate` or `cycle`.
        clock_mhz: clock of the accelerator.
        area_mm2: its area.
        peak_macs_per_cycle: upper bound of the array.
        dram_bytes_per_cycle: upper bound of the memory channel.
        operators: in the order of the network.
        makespan_cycles: of a system, whose operators overlap; None where they run one after the
            other.
    """

    network: str
    accelerator: dict[str, int | float | str]
    fidelity: str
    clock_mhz: float
    area_mm2: float
    peak_macs_per_cycle: int
    dram_bytes_per_cycle: float
    operators: tuple[OperatorReport, ...]
    makespan_cycles: int | None = None

    @cached_property
    def cycles(self) -> int:
        """Total cycles."""
        if self.makespan_cycles is not None:
            return self.makespan_cycles
        return sum(op.cycles for op in self.operators)

    @property
    def latency_ms(self) -> float:
        """Total time in milliseconds."""
        return self.cycles / self.clock_mhz / 1e3

    @cached_property
    def energy_pj(self) -> float:
        """Total energy in picojoules, all components."""
        return sum(sum(op.energy_pj.values()) for op in self.operators)

    @cached_property
    def macs(self) -> int:
        """Total multiply-accumulates."""
        return sum(op.macs for op in self.operators)

    @property
    def total(self) -> dict[str, Any]:
        """Totals over all operators, as in the JSON form."""
        array_cycles = sum(op.cycles for op in self.operators if op.macs)
        peak = self.peak_macs_per_cycle
        return {
            "cycles": self.cycles,
            "latency_ms": self.latency_ms,
            "energy_pj": self.energy_pj,
            "edp_pj_s": self.energy_pj * self.latency_ms / 1e3,
            "macs": self.macs,
            "vector_ops": sum(op.vector_ops for op in self.operators),
            "compute_cycles": sum(op.compute_cycles for op in self.operators),
            "stall_cycles": _sum_dicts(op.stall_cycles for op in self.operators),
            "dram_bytes": _sum_dicts(op.dram_bytes for op in self.operators),
            "sram_bytes": _sum_dicts(op.sram_bytes for op in self.operators),
            "energy_by_component_pj": _sum_dicts(op.energy_pj for op in self.operators),
            "utilization": self.macs / (self.cycles * peak) if self.cycles else 0.0,
            "array_utilization": self.macs / (array_cycles * peak) if array_cycles else 0.0,
        }

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form (`docs/report.md`)."""
        return {
            "schema": SCHEMA,
            "network": self.network,
            "accelerator": self.accelerator,
            "fidelity": self.fidelity,
            "clock_mhz": self.clock_mhz,
            "area_mm2": self.area_mm2,
            "peak_macs_per_cycle": self.peak_macs_per_cycle,
            "dram_bytes_per_cycle": self.dram_bytes_per_cycle,
            "total": self.total,
            "operators": [asdict(op) for op in self.operators],
        }


def _sum_dicts(dicts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for entries in dicts:
        for key, value in entries.items():
            total[key] = total.get(key, 0) + value
    return total
