"""The attention family: a 2D array of PEs and a row of 1D PEs that run attention as a cascade."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dovetail.arch.laws import UNLIMITED, choice, flag, number, text
from dovetail.arch.parameters import Parameters, scaled
from dovetail.ir.space import Value

FIDELITIES = ("estimate", "cycle")

BINDINGS = ("fusemax", "architecture", "cascade", "flat", "unfused")
"""Which Einsums of attention run where and when; `dovetail.sim.attention.bindings` says it."""

AREA_UM2 = {"mac": 1545.0, "max": 49.3, "divide": 23741.0, "exp": 8240.0}
"""Parts of a PE at 45 nm: Accelergy's tables in FuseMax's artifact (an adder is in the MAC)."""

PE_REST_UM2 = 12_607.0
"""Of a PE beside MAC, max and registers: calibrated on 12.08 cm2 for 256 x 256 PEs."""

BUFFER_UM2_PER_BYTE = 94.18e6 / 2**24
"""Global buffer: 94.18 mm2 for 16 MiB in the same tables."""


@dataclass(frozen=True, slots=True)
class AttentionArray(Parameters):
    """A design in FuseMax's manner: `dim` x `dim` PEs, and one 1D PE at the end of each column.

    Attributes:
        name: label in reports.
        binding: how the Einsums of attention lie on the PEs.
        dim: rows and columns of the 2D array, and 1D PEs; also the tile of keys and of queries.
        clock_mhz: of everything.
        buffer_kib: global buffer.
        dram_gb_per_s: of off-chip memory, both directions.
        operand_bits: width of every element.
        exp_unit: whether 1D PEs have a unit that takes an exponential per cycle; 2D PEs, and 1D
            PEs without it, take `exp_macs`.
        exp_macs: multiply-accumulates of an exponential (a Taylor polynomial of that degree + 1).
        rf_words: registers of a 2D PE.
        vector_rf_words: registers of a 1D PE.
        rf_word_um2: area of a register of a 2D PE.
        vector_rf_word_um2: area of a register of a 1D PE.
        mac_pj: energy of a multiply-accumulate, or of a product.
        add_pj: energy of an addition.
        max_pj: energy of a comparison.
        divide_pj: energy of a division.
        exp_pj: energy of an exponential in its unit.
        rf_pj: registers' energy beside each operation of a 2D PE.
        score_pj: energy beside all else for each attention score that leaves the array, as it does
            with all bindings but `fusemax` and `architecture`.
        buffer_pj_per_byte: energy of the global buffer, read or written.
        dram_pj_per_byte: energy of off-chip traffic.

    References:
        Nayak et al., FuseMax, MICRO 2024 (arXiv 2406.10491), section VI and its artifact.
    """

    family: ClassVar[str] = "attention"

    name: str = text("attention", "label in reports")
    binding: str = choice("fusemax", BINDINGS, "how attention lies on the PEs")
    dim: int = number(256, 4, 4096, "PEs", "rows, columns and 1D PEs", whole=True)
    clock_mhz: float = number(940.0, 1, 10_000, "MHz", "of everything")
    buffer_kib: int = number(16_384, 1, 2**24, "KiB", "global buffer", whole=True)
    dram_gb_per_s: float = number(
        429.4967296, 0.001, 100_000, "GB/s", "of off-chip memory", words=UNLIMITED
    )
    operand_bits: int = number(16, 4, 32, "bit", "width of every element", whole=True)
    exp_unit: bool = flag(False, "whether 1D PEs have an exponential unit")
    exp_macs: int = number(6, 1, 32, "MACs", "of an exponential without a unit", whole=True)
    rf_words: int = number(12, 1, 4096, "words", "registers of a 2D PE", whole=True)
    vector_rf_words: int = number(32, 1, 4096, "words", "registers of a 1D PE", whole=True)
    rf_word_um2: float = number(354.67, 0, 1e6, "um2", "area of a register of a 2D PE")
    vector_rf_word_um2: float = number(133.0, 0, 1e6, "um2", "area of a register of a 1D PE")
    mac_pj: float = number(17.1645, 0, 1e6, "pJ", "multiply-accumulate or product")
    add_pj: float = number(8.3395, 0, 1e6, "pJ", "addition")
    max_pj: float = number(0.028, 0, 1e6, "pJ", "comparison")
    divide_pj: float = number(36.251, 0, 1e6, "pJ", "division")
    exp_pj: float = number(94.6475, 0, 1e6, "pJ", "exponential in its unit")
    rf_pj: float = number(0.5696, 0, 1e6, "pJ", "registers, for each operation of a 2D PE")
    score_pj: float = number(600.0, 0, 1e6, "pJ", "more for each score that leaves the array")
    buffer_pj_per_byte: float = number(0.914, 0, 1e6, "pJ", "global buffer, read or written")
    dram_pj_per_byte: float = number(31.2, 0, 1e6, "pJ", "off-chip traffic")

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of the 2D array."""
        return self.dim**2

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of off-chip memory, both directions; infinite if it has no bound."""
        return self.dram_gb_per_s * 1e3 / self.clock_mhz

    @property
    def word_bytes(self) -> float:
        """Bytes of an element, packed."""
        return self.operand_bits / 8

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the global buffer."""
        return self.buffer_kib * 1024

    @property
    def pe_area_mm2(self) -> float:
        """Area of all PEs, 2D and 1D."""
        part = AREA_UM2
        # Of a FLAT design the 1D PEs compare: its 2D PEs have no maximum.
        maximum = part["max"] if self.binding in ("fusemax", "architecture") else 0.0
        inner = part["mac"] + maximum + self.rf_words * self.rf_word_um2 + PE_REST_UM2
        edge = part["mac"] + part["max"] + part["divide"] + self.exp_unit * part["exp"]
        edge += self.vector_rf_words * self.vector_rf_word_um2 + PE_REST_UM2
        return float(self.dim**2 * inner + self.dim * edge) / 1e6

    @property
    def area_mm2(self) -> float:
        """Area of PEs and global buffer."""
        return self.pe_area_mm2 + self.buffer_bytes * BUFFER_UM2_PER_BYTE / 1e6

    @property
    def array(self) -> str:
        """PEs and binding."""
        return f"{self.dim} x {self.dim} + {self.dim} 1D, {self.binding}"

    @property
    def sram_bytes(self) -> float:
        """The global buffer."""
        return float(self.buffer_bytes)

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Its design space: PEs, buffer, bandwidth and binding."""
        bandwidth: tuple[Value, ...] = (self.dram_gb_per_s,)
        if math.isfinite(self.dram_gb_per_s):
            bandwidth = scaled(self.dram_gb_per_s, 0.25, 0.5, 1, 2)
        return {
            "dim": scaled(self.dim, 0.25, 0.5, 1, 2),
            "buffer_kib": scaled(self.buffer_kib, 0.125, 0.25, 0.5, 1, 2),
            "dram_gb_per_s": bandwidth,
            "binding": BINDINGS,
        }
