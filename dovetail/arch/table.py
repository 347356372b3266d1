"""Designs as rows of numbers, so that thousands of them are costed by array operations."""

from __future__ import annotations

from enum import IntEnum, auto
from functools import lru_cache

import numpy as np

from dovetail.arch import gates
from dovetail.arch.systolic import DATAFLOWS, MACHINES, OVERLAPS, SystolicArray, tile_bytes_needed
from dovetail.arch.technology import DRAM_PJ_PER_BYTE
from dovetail.ir.space import FloatArray

OPERANDS = ("input", "weight", "output")


class Column(IntEnum):
    """Base of column enumerations: members count from 0."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[int]) -> int:
        return count


class Design(Column):
    """Columns of a design row (float64)."""

    ROWS = auto()
    COLS = auto()
    ARRAYS = auto()
    DATAFLOW = auto()
    INPUT_BITS = auto()
    WEIGHT_BITS = auto()
    ACCUMULATOR_BITS = auto()
    INPUT_HALF = auto()  # bytes that one tile may take
    WEIGHT_HALF = auto()
    OUTPUT_HALF = auto()
    LANES = auto()
    BANDWIDTH = auto()  # DRAM bytes per cycle
    LATENCY = auto()  # cycles
    MAC_PJ = auto()
    VECTOR_PJ = auto()
    INPUT_PJ = auto()  # per byte of the scratchpad
    WEIGHT_PJ = auto()
    OUTPUT_PJ = auto()
    DRAM_PJ = auto()  # per byte
    CLOCK_MHZ = auto()
    PE_MM2 = auto()  # of one PE
    SRAM_MM2 = auto()  # of one KiB
    LANE_MM2 = auto()  # of one vector lane
    MACHINE = auto()
    OVERLAP = auto()
    BUS_BYTES = auto()
    COLUMN_MM2 = auto()  # of what stands below one column; this and the rest are 0 if ideal
    ROW_SKEW_MM2 = auto()  # of the delays before row 1; those before row i are i times as many
    COLUMN_SKEW_MM2 = auto()  # of the delays around column 1
    CONTROL_MM2 = auto()


DEPENDS: dict[Design, tuple[str, ...]] = {
    Design.ROWS: ("rows",),
    Design.COLS: ("cols",),
    Design.ARRAYS: ("arrays",),
    Design.DATAFLOW: ("dataflow",),
    Design.INPUT_BITS: ("input_bits",),
    Design.WEIGHT_BITS: ("weight_bits",),
    Design.ACCUMULATOR_BITS: ("accumulator_bits",),
    Design.INPUT_HALF: ("input_sram_kib", "machine", "rows", "input_bits"),
    Design.WEIGHT_HALF: ("weight_sram_kib", "machine", "cols", "weight_bits"),
    Design.OUTPUT_HALF: ("output_sram_kib", "machine", "cols", "accumulator_bits"),
    Design.LANES: ("vector_lanes", "machine", "rows", "cols"),
    Design.BANDWIDTH: ("dram_gb_per_s", "clock_mhz", "machine", "bus_bits"),
    Design.LATENCY: ("dram_latency_ns", "clock_mhz"),
    Design.MAC_PJ: ("input_bits", "weight_bits", "accumulator_bits", "node_nm"),
    Design.VECTOR_PJ: ("node_nm",),
    Design.INPUT_PJ: ("input_sram_kib", "node_nm"),
    Design.WEIGHT_PJ: ("weight_sram_kib", "node_nm"),
    Design.OUTPUT_PJ: ("output_sram_kib", "node_nm"),
    Design.DRAM_PJ: ("dram",),
    Design.CLOCK_MHZ: ("clock_mhz",),
    Design.PE_MM2: (
        "input_bits", "weight_bits", "accumulator_bits", "node_nm", "dataflow", "fold_overlap",
    ),
    Design.SRAM_MM2: ("node_nm",),
    Design.LANE_MM2: ("node_nm", "machine", "input_bits", "accumulator_bits"),
    Design.MACHINE: ("machine",),
    Design.OVERLAP: ("fold_overlap",),
    Design.BUS_BYTES: ("bus_bits",),
    Design.COLUMN_MM2: ("node_nm", "machine", "accumulator_bits"),
    Design.ROW_SKEW_MM2: ("node_nm", "machine", "input_bits", "dataflow", "fold_overlap"),
    Design.COLUMN_SKEW_MM2: (
        "node_nm", "machine", "weight_bits", "accumulator_bits", "dataflow", "fold_overlap",
    ),
    Design.CONTROL_MM2: ("node_nm", "machine"),
}  # fmt: skip
"""Parameters that each column is computed from."""


TILE_LAWS = (
    Design.ROWS, Design.COLS, Design.INPUT_BITS, Design.WEIGHT_BITS, Design.ACCUMULATOR_BITS,
    Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF,
)  # fmt: skip
"""Columns that `excesses` reads."""

RTL_LAWS = (
    Design.ROWS, Design.COLS, Design.ARRAYS, Design.DATAFLOW, Design.INPUT_BITS,
    Design.WEIGHT_BITS, Design.ACCUMULATOR_BITS, Design.BUS_BYTES,
)  # fmt: skip
"""Columns that `rtl_faults` reads."""


def design_row(accelerator: SystolicArray) -> FloatArray:
    """One design as a row of `Design` columns, shape (len(Design),)."""
    return np.array(_design_values(accelerator), dtype=np.float64)


@lru_cache(maxsize=256)
def _design_values(accelerator: SystolicArray) -> tuple[float, ...]:
    tech = accelerator.technology
    pads = [accelerator.scratchpad(operand) for operand in OPERANDS]
    halves = [accelerator.half_bytes(operand) for operand in OPERANDS]
    bits = (accelerator.input_bits, accelerator.weight_bits, accelerator.accumulator_bits)
    values: dict[Design, float] = {
        Design.ROWS: accelerator.rows,
        Design.COLS: accelerator.cols,
        Design.ARRAYS: accelerator.arrays,
        Design.DATAFLOW: DATAFLOWS.index(accelerator.dataflow),
        Design.INPUT_BITS: bits[0],
        Design.WEIGHT_BITS: bits[1],
        Design.ACCUMULATOR_BITS: bits[2],
        Design.INPUT_HALF: halves[0],
        Design.WEIGHT_HALF: halves[1],
        Design.OUTPUT_HALF: halves[2],
        Design.LANES: accelerator.lanes,
        Design.BANDWIDTH: accelerator.dram_bytes_per_cycle,
        Design.LATENCY: accelerator.dram_latency_cycles,
        Design.MAC_PJ: tech.mac_pj(*bits),
        Design.VECTOR_PJ: tech.vector_op_pj,
        Design.INPUT_PJ: pads[0].pj_per_byte,
        Design.WEIGHT_PJ: pads[1].pj_per_byte,
        Design.OUTPUT_PJ: pads[2].pj_per_byte,
        Design.DRAM_PJ: DRAM_PJ_PER_BYTE[accelerator.dram],
        Design.CLOCK_MHZ: accelerator.clock_mhz,
        Design.PE_MM2: tech.pe_mm2(*bits, accelerator.dataflow, accelerator.fold_overlap),
        Design.SRAM_MM2: tech.sram_mm2(1024),
        Design.MACHINE: MACHINES.index(accelerator.machine),
        Design.OVERLAP: OVERLAPS.index(accelerator.fold_overlap),
        Design.BUS_BYTES: accelerator.bus_bits / 8,
        **_unit_areas(accelerator),
    }
    return tuple(values[column] for column in Design)


def _unit_areas(accelerator: SystolicArray) -> dict[Design, float]:
    """Areas in mm2 of what stands beside PEs and scratchpads."""
    tech = accelerator.technology
    bits, sums = accelerator.input_bits, accelerator.accumulator_bits
    kind = (accelerator.dataflow, accelerator.fold_overlap)
    counts = {
        Design.LANE_MM2: gates.vector_lane_gates(bits, sums),
        Design.COLUMN_MM2: gates.column_gates(sums),
        Design.ROW_SKEW_MM2: gates.row_skew_gates(bits, *kind),
        Design.COLUMN_SKEW_MM2: gates.column_skew_gates(accelerator.weight_bits, sums, *kind),
        Design.CONTROL_MM2: gates.CONTROL,
    }
    if accelerator.machine == "ideal":
        return dict.fromkeys(counts, 0.0) | {Design.LANE_MM2: tech.vector_lane_mm2}
    return {column: tech.gates_mm2(count) for column, count in counts.items()}


def areas(rows: FloatArray) -> FloatArray:
    """Areas in mm2 of designs (n, len(Design)) -> (n,)."""
    half_kib = rows[:, [Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF]].sum(1) / 1024
    r, c = rows[:, Design.ROWS], rows[:, Design.COLS]
    total: FloatArray = rows[:, Design.PE_MM2] * r * c * rows[:, Design.ARRAYS]
    total += rows[:, Design.SRAM_MM2] * 2 * half_kib
    total += rows[:, Design.LANE_MM2] * rows[:, Design.LANES]
    total += rows[:, Design.COLUMN_MM2] * c + rows[:, Design.CONTROL_MM2]
    total += rows[:, Design.ROW_SKEW_MM2] * r * (r - 1) / 2
    total += rows[:, Design.COLUMN_SKEW_MM2] * c * (c - 1) / 2
    return total


def excesses(rows: FloatArray) -> FloatArray:
    """Relative excess over each scratchpad's law, designs (n, len(Design)) -> (n, 3); 0 if kept."""
    halves = rows[:, [Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF]]
    bits = rows[:, [Design.INPUT_BITS, Design.WEIGHT_BITS, Design.ACCUMULATOR_BITS]]
    need = tile_bytes_needed(rows[:, [Design.ROWS]], rows[:, [Design.COLS]], bits)
    return np.maximum(0.0, need / halves - 1.0)


def rtl_faults(rows: FloatArray) -> FloatArray:
    """Laws of the RTL machine that designs (n, len(Design)) break, (n,); 0 on the ideal machine."""
    r, c, a, d, i, w, o, bus_bytes = (rows[:, column] for column in RTL_LAWS)
    bus = bus_bytes * 8
    broken = [r < 2, a > 1, d == DATAFLOWS.index("is"), i < 2, i > 16, w < 2, w > 16, o > 32, o < i]
    broken.append(np.exp2(np.round(np.log2(bus))) != bus)
    broken += [width % bus != 0 for width in (r * i, c * i, c * w, c * o, c * 64)]
    faults: FloatArray = np.sum(broken, axis=0) * rows[:, Design.MACHINE]
    return faults
