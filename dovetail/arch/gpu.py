"""The GPU-like family: multiprocessors with matrix units, an L2 and off-chip memory they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dovetail.arch.laws import flag, number, text
from dovetail.arch.parameters import Parameters, scaled
from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.ir.space import Value

FIDELITIES = ("estimate", "cycle")
SUM_BYTES = 4
"""Of a sum of products: fp32."""


@dataclass(frozen=True, slots=True)
class Gpu(Parameters):
    """A GPU that runs one kernel after the other.

    The first group of parameters are what data sheets say; the second what `experiments/
    real_gpus.py` fits to measured kernels, a library's and a framework's rather than a chip's.

    Attributes:
        name: label in reports.
        sms: streaming multiprocessors, or compute units.
        clock_mhz: of everything on chip.
        tensor_macs: multiply-accumulates per cycle of a multiprocessor's matrix units.
        operand_bits: width of their operands, and of every floating tensor.
        vector_lanes: scalar operations per cycle of a multiprocessor.
        shared_kib: scratchpad of a multiprocessor, for the operands of a tile.
        register_kib: registers of a multiprocessor; half of them may hold sums.
        l2_mib: L2 that all share.
        l2_bytes_per_cycle: that it gives to all multiprocessors.
        sm_bytes_per_cycle: of it that one multiprocessor takes at most.
        hbm_gb_per_s: off-chip memory, both directions.
        node_nm: of logic and SRAM.
        sm_other_mm2: of a multiprocessor, beside its multipliers, lanes and memories.
        other_mm2: of the die, beside multiprocessors and L2: memory ports, links, spare parts.
        tensor_efficiency: of the matrix units' rate that full tiles reach.
        hbm_efficiency: of the off-chip bandwidth that kernels reach.
        matmul_us, softmax_us, norm_us, elementwise_us: from call to first load, by kernel.
        softmax_row, norm_row: longest row of elements that a kernel keeps; a longer one is read
            twice.
        norm_row_cycles: of a multiprocessor for each row that it normalizes, beside the row's
            elements.
        epilogues: whether elementwise operators run inside the kernel that feeds them, as a
            compiler fuses them; else each is a kernel, as eager frameworks have it.
        queued: whether the host launches kernels while earlier ones still run; else each launch
            waits for the end of the kernel before it, as measurements of single kernels do.
    """

    family: ClassVar[str] = "gpu"

    name: str = text("gpu", "label in reports")
    sms: int = number(108, 1, 4096, "", "multiprocessors", whole=True)
    clock_mhz: float = number(1410.0, 1, 10_000, "MHz", "of everything on chip")
    tensor_macs: int = number(1024, 1, 2**20, "", "of a multiprocessor per cycle", whole=True)
    operand_bits: int = number(16, 4, 64, "bit", "of matrix units and floating tensors", whole=True)
    vector_lanes: int = number(64, 1, 4096, "", "of a multiprocessor", whole=True)
    shared_kib: float = number(164.0, 1, 2**16, "KiB", "scratchpad of a multiprocessor")
    register_kib: float = number(256.0, 1, 2**16, "KiB", "registers of a multiprocessor")
    l2_mib: float = number(40.0, 0.01, 2**16, "MiB", "L2 that all share")
    l2_bytes_per_cycle: float = number(5120.0, 1, 2**20, "B/cycle", "that the L2 gives")
    sm_bytes_per_cycle: float = number(64.0, 1, 2**16, "B/cycle", "that a multiprocessor takes")
    hbm_gb_per_s: float = number(2039.0, 0.01, 1e6, "GB/s", "off-chip memory")
    node_nm: float = number(7.0, 3, 90, "nm", "of logic and SRAM")
    sm_other_mm2: float = number(0.0, 0, 1000, "mm2", "of a multiprocessor beside its arithmetic")
    other_mm2: float = number(0.0, 0, 10_000, "mm2", "of the die beside multiprocessors and L2")
    tensor_efficiency: float = number(0.9, 0.01, 1, "", "of the matrix units' rate")
    hbm_efficiency: float = number(0.8, 0.01, 1, "", "of the off-chip bandwidth")
    matmul_us: float = number(5.0, 0, 1e6, "us", "to launch a matrix product")
    softmax_us: float = number(5.0, 0, 1e6, "us", "to launch a softmax")
    norm_us: float = number(5.0, 0, 1e6, "us", "to launch a normalization")
    elementwise_us: float = number(5.0, 0, 1e6, "us", "to launch any other kernel")
    softmax_row: int = number(1024, 1, 2**31, "", "longest row that softmax keeps", whole=True)
    norm_row: int = number(8192, 1, 2**31, "", "longest row that a norm keeps", whole=True)
    norm_row_cycles: float = number(0.0, 0, 1e6, "cycles", "a row of a norm takes beside its data")
    epilogues: bool = flag(False, "whether elementwise operators run inside kernels")
    queued: bool = flag(False, "whether launches run ahead of kernels")

    @property
    def peak_macs_per_cycle(self) -> int:
        """Of all matrix units."""
        return self.sms * self.tensor_macs

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Nominal off-chip bandwidth."""
        return self.hbm_gb_per_s * 1e3 / self.clock_mhz

    @property
    def sram_bytes(self) -> float:
        """Scratchpads, registers and L2."""
        inner = self.sms * (self.shared_kib + self.register_kib)
        return 1024 * (inner + 1024 * self.l2_mib)

    @property
    def l2_bytes(self) -> float:
        """Capacity of the L2."""
        return self.l2_mib * 2**20

    @property
    def array(self) -> str:
        """What computes."""
        return f"{self.sms} SMs of {self.tensor_macs} MACs"

    @property
    def area_mm2(self) -> float:
        """Of the die: multipliers, lanes and memories at the technology's densities, and the rest.

        The presets' `sm_other_mm2` and `other_mm2` bring a published die to its size.
        """
        l2 = Technology(self.node_nm).sram_mm2(self.l2_bytes)
        return self.sms * (self.sm_counted_mm2 + self.sm_other_mm2) + l2 + self.other_mm2

    @property
    def sm_counted_mm2(self) -> float:
        """Multipliers (of integers), lanes and memories of a multiprocessor."""
        technology, bits = Technology(self.node_nm), self.operand_bits
        macs = self.tensor_macs * technology.pe_mm2(bits, bits, 8 * SUM_BYTES, "os")
        memories = technology.sram_mm2(1024 * (self.shared_kib + self.register_kib))
        return macs + self.vector_lanes * technology.vector_lane_mm2 + memories

    @property
    def energies_pj(self) -> dict[str, float]:
        """Per MAC, vector operation, and byte of L2 and HBM2, of the technology."""
        technology, bits = Technology(self.node_nm), self.operand_bits
        return {
            "mac": technology.mac_pj(bits, bits, 8 * SUM_BYTES),
            "vector": technology.vector_op_pj,
            "l2": technology.sram_pj_per_byte(self.l2_bytes),
            "dram": DRAM_PJ_PER_BYTE["hbm2"],
        }

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Knobs around this design: multiprocessors, their matrix units, memories, fusion."""
        return {
            "sms": scaled(self.sms, 0.5, 1, 2),
            "tensor_macs": scaled(self.tensor_macs, 0.5, 1, 2),
            "l2_mib": scaled(self.l2_mib, 0.25, 0.5, 1, 2),
            "hbm_gb_per_s": scaled(self.hbm_gb_per_s, 0.5, 1, 2),
            "epilogues": ("false", "true"),
        }

    def faults(self) -> list[str]:
        """Whether the smallest tile finds room."""
        least = 2 * 2 * TILE_SIDES[0] * TILE_DEPTH * self.operand_bits / 8
        if least > self.shared_kib * 1024:
            return [
                f"shared_kib = {self.shared_kib:g}: two stages of the smallest tile need "
                f"{least:g} B"
            ]
        return []


TILE_SIDES = (16, 32, 64, 128, 256)
"""Rows and columns that a tile of a matrix product may have."""
TILE_DEPTH = 32
"""Products per sum that a multiprocessor loads at a time."""
