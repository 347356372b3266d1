"""The RDU family: tiles of compute and memory units on a mesh, three tiers of memory, sockets."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

from dovetail.arch.laws import choice, number
from dovetail.arch.parameters import Parameters, scaled
from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.ir.space import Value

FIDELITIES = ("estimate", "cycle")
ORCHESTRATIONS = ("hardware", "software")
BYTES = 2
"""Of every floating value: BF16 (the paper's peak is of BF16)."""


@dataclass(frozen=True, slots=True)
class Rdu(Parameters):
    """Sockets that run a section of the network's operators at a time, each a stage of a pipeline.

    A PCU (pattern compute unit) is `lanes` x `stages` multiply-accumulators, an output-stationary
    systolic body or a SIMD pipeline; beside each stands a PMU (pattern memory unit), a scratchpad
    of `pmu_kib`. The defaults are one socket of SambaNova's SN40L. [P] marks what its paper says,
    [S] what others quote of it, [D] what follows from these, [A] our assumption: not published.

    Attributes:
        name: label in reports.
        sockets: that share every matrix product (tensor parallel). [P] 8 in a node.
        clock_mhz: of everything on chip. [D] 1.6 GHz x 1040 x 192 MACs = 639 TFLOPS, of 638 [P].
        tile_rows, tile_columns: tiles of a socket. [A]
        rows, columns: of a tile's mesh, one PCU and one PMU each. [P] 1040 of both in a socket;
            [A] 8 tiles of 10 x 13.
        lanes: values side by side in a PCU. [D] 32 x 6 = 192.
        stages: of a PCU's pipeline. [D] as `lanes`.
        pmu_kib: of a PMU. [P] 520 MiB in all.
        hop_cycles: of a link of the mesh. [A]
        link_bytes: of a link of the mesh per cycle. [A] one BF16 vector of `lanes`.
        hbm_gib, hbm_gb_per_s: of a socket. [P] 64 GiB; [S] 1800 GB/s, elsewhere 1600.
        hbm_efficiency: of its bandwidth that transfers reach. [S] "~85 %" of a decoder layer.
        ddr_gib, ddr_gb_per_s: of a socket. [P] 1.5 TiB, about 200 GB/s.
        socket_gb_per_s: that a socket sends to the others. [A]
        socket_us: until they have it. [A]
        orchestration: what starts a section: `hardware` (AGCUs run a static schedule) or
            `software` (the host does: program load, argument load, execute). [S]
        hardware_us, software_us: to start a section. [S] the first is about 0; [A] both values.
        program_us: to load a section's program into the units. [A]
        node_nm: of logic and SRAM. [P]
        unit_mm2: die per PCU of 192 MACs with a PMU of 512 KiB. [S] two dies below 650 mm2 each;
            [D] 1300 / 1040, so an upper bound.
    """

    family: ClassVar[str] = "rdu"

    name: str = dataclasses.field(
        default="rdu", metadata={"kind": "text", "doc": "label in reports"}
    )
    sockets: int = number(1, 1, 1024, "", "that share every matrix product", whole=True)
    clock_mhz: float = number(1600.0, 1, 10_000, "MHz", "of everything on chip")
    tile_rows: int = number(2, 1, 64, "", "rows of tiles in a socket", whole=True)
    tile_columns: int = number(4, 1, 64, "", "columns of tiles in a socket", whole=True)
    rows: int = number(10, 1, 256, "", "rows of units in a tile", whole=True)
    columns: int = number(13, 1, 256, "", "columns of units in a tile", whole=True)
    lanes: int = number(32, 1, 1024, "", "values side by side in a PCU", whole=True)
    stages: int = number(6, 1, 64, "", "of a PCU's pipeline", whole=True)
    pmu_kib: float = number(512.0, 1, 2**20, "KiB", "scratchpad of a PMU")
    hop_cycles: int = number(1, 0, 1000, "cycles", "of a link of the mesh", whole=True)
    link_bytes: int = number(64, 1, 4096, "B", "of a link of the mesh per cycle", whole=True)
    hbm_gib: float = number(64.0, 0.001, 100_000, "GiB", "HBM of a socket")
    hbm_gb_per_s: float = number(1800.0, 0.001, 1e6, "GB/s", "of a socket's HBM")
    hbm_efficiency: float = number(0.85, 0.01, 1, "", "of the HBM's bandwidth that is reached")
    ddr_gib: float = number(1536.0, 0, 1e6, "GiB", "DDR of a socket")
    ddr_gb_per_s: float = number(200.0, 0.001, 1e6, "GB/s", "of a socket's DDR")
    socket_gb_per_s: float = number(400.0, 0.001, 1e6, "GB/s", "that a socket sends to others")
    socket_us: float = number(0.5, 0, 1e6, "us", "until other sockets have it")
    orchestration: str = choice("hardware", ORCHESTRATIONS, "what starts a section")
    hardware_us: float = number(0.5, 0, 1e6, "us", "the AGCUs' start of a section")
    software_us: float = number(10.0, 0, 1e6, "us", "the host's start of a section")
    program_us: float = number(2.0, 0, 1e6, "us", "to load a section's program")
    node_nm: float = number(5.0, 3, 90, "nm", "of logic and SRAM")
    unit_mm2: float = number(1.25, 0.001, 1000, "mm2", "die per PCU of 192 MACs, 512 KiB of PMU")

    @property
    def mesh(self) -> tuple[int, int]:
        """Rows and columns of all of a socket's units."""
        return self.tile_rows * self.rows, self.tile_columns * self.columns

    @property
    def units(self) -> int:
        """PCUs of a socket, and PMUs."""
        return math.prod(self.mesh)

    @property
    def pmu_bytes(self) -> int:
        """Capacity of one PMU."""
        return int(self.pmu_kib * 1024)

    @property
    def hbm_bytes_per_cycle(self) -> float:
        """What a socket's HBM gives."""
        return self.hbm_efficiency * self.hbm_gb_per_s * 1e3 / self.clock_mhz

    @property
    def ddr_bytes_per_cycle(self) -> float:
        """What a socket's DDR gives."""
        return self.ddr_gb_per_s * 1e3 / self.clock_mhz

    @property
    def socket_bytes_per_cycle(self) -> float:
        """What a socket sends to the others."""
        return self.socket_gb_per_s * 1e3 / self.clock_mhz

    @property
    def launch_cycles(self) -> int:
        """From one section's end to the next one's first load: its program, and its start."""
        start = self.hardware_us if self.orchestration == "hardware" else self.software_us
        return math.ceil((start + self.program_us) * self.clock_mhz)

    @property
    def socket_cycles(self) -> int:
        """Until other sockets have what one sends."""
        return math.ceil(self.socket_us * self.clock_mhz)

    @property
    def peak_macs_per_cycle(self) -> int:
        """Of all sockets."""
        return self.sockets * self.units * self.lanes * self.stages

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Nominal HBM bandwidth of all sockets."""
        return self.sockets * self.hbm_gb_per_s * 1e3 / self.clock_mhz

    @property
    def sram_bytes(self) -> float:
        """PMUs of all sockets."""
        return float(self.sockets * self.units * self.pmu_bytes)

    @property
    def array(self) -> str:
        """What computes."""
        sockets = f"{self.sockets} x " if self.sockets > 1 else ""
        return f"{sockets}{self.units} PCUs of {self.lanes} x {self.stages}"

    @property
    def area_mm2(self) -> float:
        """Dies of all sockets.

        Other PCUs and PMUs scale as multipliers and SRAM do in the technology.
        """
        own = self._logic_mm2(self.lanes * self.stages, self.pmu_bytes)
        return self.sockets * self.units * self.unit_mm2 * own / self._logic_mm2(192, 512 * 1024)

    def _logic_mm2(self, macs: int, size: int) -> float:
        technology = Technology(self.node_nm)
        return macs * technology.pe_mm2(8 * BYTES, 8 * BYTES, 32, "os") + technology.sram_mm2(size)

    @property
    def energies_pj(self) -> dict[str, float]:
        """Per MAC, vector operation, and byte of SRAM, HBM and DDR, of the technology; HBM2."""
        technology = Technology(self.node_nm)
        return {
            "mac": technology.mac_pj(8 * BYTES, 8 * BYTES, 32),
            "vector": technology.vector_op_pj,
            "sram": technology.sram_pj_per_byte(self.pmu_bytes),
            "hbm": DRAM_PJ_PER_BYTE["hbm2"],
            "ddr": DRAM_PJ_PER_BYTE["ddr4"],
        }

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Knobs around this design: units, scratchpads, bandwidths, and who starts sections."""
        return {
            "tile_columns": scaled(self.tile_columns, 0.5, 1, 2),
            "lanes": scaled(self.lanes, 0.5, 1, 2),
            "pmu_kib": scaled(self.pmu_kib, 0.25, 0.5, 1, 2),
            "hbm_gb_per_s": scaled(self.hbm_gb_per_s, 0.5, 1, 2),
            "socket_gb_per_s": scaled(self.socket_gb_per_s, 0.5, 1, 2),
            "orchestration": ORCHESTRATIONS,
        }
