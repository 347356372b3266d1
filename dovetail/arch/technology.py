"""Energy and area per action, at 45 nm and 7 nm, and between them.

Energies: M. Horowitz, "Computing's energy problem", ISSCC 2014 (45 nm, 0.9 V); N. Jouppi et al.,
"Ten lessons from three generations shaped Google's TPUv4i", ISCA 2021, table 2 (7 nm).
DRAM: the same two tables (DDR4, GDDR6), upper end of Horowitz's range for DDR3; HBM2 3.9 pJ/bit
from M. O'Connor et al., "Fine-grained DRAM", MICRO 2017.
Areas: logic of the RTL by the gates that Yosys counts (`dovetail.arch.gates`), in NanGate45's NAND2
at 45 nm; scratchpad and special-function areas from the Accelergy numbers in the FuseMax artifact
(N. Nayak et al., MICRO 2024).

Between nodes every quantity follows a power law of the feature size through its two known values,
E(node) = E45 (E7 / E45)^(ln(45 / node) / ln(45 / 7)); so do energies between the two known widths
or capacities. Outside 45 to 7 nm the same law extrapolates: less to be trusted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dovetail.arch.gates import NAND2_UM2, pe_gates
from dovetail.errors import AcceleratorError

# Published energies in pJ at (45 nm, 7 nm).
ADD_8, ADD_32 = (0.03, 0.007), (0.1, 0.03)
MULTIPLY_8, MULTIPLY_32 = (0.2, 0.07), (3.1, 1.48)
FLOAT16_ADD, FLOAT16_MULTIPLY = (0.4, 0.16), (1.1, 0.34)
# One 64-bit access of an SRAM of so many bytes.
SRAM_64_BIT = {8 << 10: (10.0, 7.5), 32 << 10: (20.0, 8.5), 1 << 20: (100.0, 14.0)}

DRAM_PJ_PER_BYTE = {
    "ddr3": 2600 / 8,
    "ddr4": 1300 / 8,
    "gddr6": 415 / 8,
    "hbm2": 3.9 * 8,
}
"""Energy per byte of off-chip memory; it does not scale with the logic's node."""

# Areas in um2 at 45 nm.
AREA_SRAM_BIT = 94.18e6 / (16 * 2**20 * 8)
AREA_VECTOR_LANE = 1545.0 + 8240.0
"""fp16 multiply-accumulate and exponential unit."""

# Published densities at (45 nm, 7 nm): Intel and TSMC high-density bit cells in um2, and
# millions of transistors per mm2 (Intel 45 nm, TSMC N7).
BIT_CELL_UM2 = (0.346, 0.027)
LOGIC_MTR_PER_MM2 = (3.33, 91.2)


@dataclass(frozen=True, slots=True)
class Technology:
    """Energy and area per action at one node.

    Attributes:
        node_nm: feature size in nm, 3 to 90; published values stand at 45 and 7.
    """

    node_nm: float

    def __post_init__(self) -> None:
        if not 3 <= self.node_nm <= 90:
            raise AcceleratorError(f"node_nm = {self.node_nm}: must be within 3 to 90 nm")

    def _between(self, values: tuple[float, float]) -> float:
        share = math.log(45 / self.node_nm) / math.log(45 / 7)
        return float(values[0] * (values[1] / values[0]) ** share)

    def multiply_pj(self, bits_a: int, bits_b: int) -> float:
        """Energy of one integer multiplication: a power law of bits_a x bits_b."""
        narrow, wide = self._between(MULTIPLY_8), self._between(MULTIPLY_32)
        return narrow * (bits_a * bits_b / 64) ** (math.log(wide / narrow) / math.log(16))

    def add_pj(self, bits: int) -> float:
        """Energy of one integer addition: a power law of its width."""
        narrow, wide = self._between(ADD_8), self._between(ADD_32)
        return narrow * (bits / 8) ** (math.log(wide / narrow) / math.log(4))

    def mac_pj(self, input_bits: int, weight_bits: int, accumulator_bits: int) -> float:
        """Energy of one multiply-accumulate."""
        return self.multiply_pj(input_bits, weight_bits) + self.add_pj(accumulator_bits)

    @property
    def vector_op_pj(self) -> float:
        """Energy of one scalar vector operation: the mean of an fp16 add and multiply."""
        return (self._between(FLOAT16_ADD) + self._between(FLOAT16_MULTIPLY)) / 2

    def sram_pj_per_byte(self, capacity_bytes: float) -> float:
        """Energy per byte of an SRAM of that capacity, log-log between the published sizes."""
        sizes = np.log(list(SRAM_64_BIT))
        energies = np.log([self._between(pair) for pair in SRAM_64_BIT.values()])
        energies = np.maximum.accumulate(energies)  # below 5 nm the extrapolations cross
        x = math.log(max(capacity_bytes, 1))
        segment = 0 if x < sizes[1] else 1
        slope = (energies[segment + 1] - energies[segment]) / (sizes[segment + 1] - sizes[segment])
        return float(math.exp(energies[segment] + slope * (x - sizes[segment]))) / 8

    def sram_mm2(self, capacity_bytes: float) -> float:
        """Area of an SRAM, periphery included."""
        scale = self._between(BIT_CELL_UM2) / BIT_CELL_UM2[0]
        return capacity_bytes * 8 * AREA_SRAM_BIT * scale * 1e-6

    def gates_mm2(self, gates: float) -> float:
        """Area of so many NAND2 equivalents."""
        return gates * NAND2_UM2 * self._logic_scale * 1e-6

    def pe_mm2(
        self,
        input_bits: int,
        weight_bits: int,
        accumulator_bits: int,
        dataflow: str = "ws",
        fold_overlap: str = "none",
    ) -> float:
        """Area of a PE of the RTL."""
        gates = pe_gates(input_bits, weight_bits, accumulator_bits, dataflow, fold_overlap)
        return self.gates_mm2(gates)

    @property
    def vector_lane_mm2(self) -> float:
        """Area of one lane of the ideal machine's vector unit."""
        return AREA_VECTOR_LANE * self._logic_scale * 1e-6

    @property
    def _logic_scale(self) -> float:
        return LOGIC_MTR_PER_MM2[0] / self._between(LOGIC_MTR_PER_MM2)
