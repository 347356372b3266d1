"""Designs as rows of numbers, so that thousands of them are costed by array operations."""

from __future__ import annotations

from enum import IntEnum, auto
from functools import lru_cache

import numpy as np

from dovetail.arch.systolic import DATAFLOWS, SystolicArray, tile_bytes_needed
from dovetail.arch.technology import DRAM_PJ_PER_BYTE
from dovetail.ir.space import FloatArray


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


DEPENDS: dict[Design, tuple[str, ...]] = {
    Design.ROWS: ("rows",),
    Design.COLS: ("cols",),
    Design.ARRAYS: ("arrays",),
    Design.DATAFLOW: ("dataflow",),
    Design.INPUT_BITS: ("input_bits",),
    Design.WEIGHT_BITS: ("weight_bits",),
    Design.ACCUMULATOR_BITS: ("accumulator_bits",),
    Design.INPUT_HALF: ("input_sram_kib",),
    Design.WEIGHT_HALF: ("weight_sram_kib",),
    Design.OUTPUT_HALF: ("output_sram_kib",),
    Design.LANES: ("vector_lanes",),
    Design.BANDWIDTH: ("dram_gb_per_s", "clock_mhz"),
    Design.LATENCY: ("dram_latency_ns", "clock_mhz"),
    Design.MAC_PJ: ("input_bits", "weight_bits", "accumulator_bits", "node_nm"),
    Design.VECTOR_PJ: ("node_nm",),
    Design.INPUT_PJ: ("input_sram_kib", "node_nm"),
    Design.WEIGHT_PJ: ("weight_sram_kib", "node_nm"),
    Design.OUTPUT_PJ: ("output_sram_kib", "node_nm"),
    Design.DRAM_PJ: ("dram",),
    Design.CLOCK_MHZ: ("clock_mhz",),
    Design.PE_MM2: ("input_bits", "weight_bits", "accumulator_bits", "node_nm"),
    Design.SRAM_MM2: ("node_nm",),
    Design.LANE_MM2: ("node_nm",),
}
"""Parameters that each column is computed from."""


def design_row(accelerator: SystolicArray) -> FloatArray:
    """One design as a row of `Design` columns, shape (len(Design),)."""
    return np.array(_design_values(accelerator), dtype=np.float64)


@lru_cache(maxsize=256)
def _design_values(accelerator: SystolicArray) -> tuple[float, ...]:
    tech = accelerator.technology
    pads = [accelerator.scratchpad(operand) for operand in ("input", "weight", "output")]
    bits = (accelerator.input_bits, accelerator.weight_bits, accelerator.accumulator_bits)
    values: dict[Design, float] = {
        Design.ROWS: accelerator.rows,
        Design.COLS: accelerator.cols,
        Design.ARRAYS: accelerator.arrays,
        Design.DATAFLOW: DATAFLOWS.index(accelerator.dataflow),
        Design.INPUT_BITS: bits[0],
        Design.WEIGHT_BITS: bits[1],
        Design.ACCUMULATOR_BITS: bits[2],
        Design.INPUT_HALF: pads[0].tile_bytes,
        Design.WEIGHT_HALF: pads[1].tile_bytes,
        Design.OUTPUT_HALF: pads[2].tile_bytes,
        Design.LANES: accelerator.vector_lanes,
        Design.BANDWIDTH: accelerator.dram_bytes_per_cycle,
        Design.LATENCY: accelerator.dram_latency_cycles,
        Design.MAC_PJ: tech.mac_pj(*bits),
        Design.VECTOR_PJ: tech.vector_op_pj,
        Design.INPUT_PJ: pads[0].pj_per_byte,
        Design.WEIGHT_PJ: pads[1].pj_per_byte,
        Design.OUTPUT_PJ: pads[2].pj_per_byte,
        Design.DRAM_PJ: DRAM_PJ_PER_BYTE[accelerator.dram],
        Design.CLOCK_MHZ: accelerator.clock_mhz,
        Design.PE_MM2: tech.pe_mm2(*bits),
        Design.SRAM_MM2: tech.sram_mm2(1024),
        Design.LANE_MM2: tech.vector_lane_mm2,
    }
    return tuple(values[column] for column in Design)


def areas(rows: FloatArray) -> FloatArray:
    """Areas in mm2 of designs (n, len(Design)) -> (n,)."""
    half_kib = rows[:, [Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF]].sum(1) / 1024
    pes = rows[:, Design.ROWS] * rows[:, Design.COLS] * rows[:, Design.ARRAYS]
    return (
        rows[:, Design.PE_MM2] * pes
        + rows[:, Design.SRAM_MM2] * 2 * half_kib
        + rows[:, Design.LANE_MM2] * rows[:, Design.LANES]
    )


def excesses(rows: FloatArray) -> FloatArray:
    """Relative excess over each scratchpad's law, designs (n, len(Design)) -> (n, 3); 0 if kept."""
    halves = rows[:, [Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF]]
    bits = rows[:, [Design.INPUT_BITS, Design.WEIGHT_BITS, Design.ACCUMULATOR_BITS]]
    need = tile_bytes_needed(rows[:, [Design.ROWS]], rows[:, [Design.COLS]], bits)
    return np.maximum(0.0, need / halves - 1.0)
