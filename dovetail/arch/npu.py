"""The NPU family: Arm's Ethos-U, an engine of dot products beside a host processor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dovetail.arch.laws import choice, number, text
from dovetail.arch.npu_cores import CORES, Core
from dovetail.arch.parameters import Parameters, scaled
from dovetail.ir.space import Value

FIDELITIES = ("estimate", "cycle")
MEMORY_MODES = ("shared_sram", "dedicated_sram", "sram_only")


@dataclass(frozen=True, slots=True)
class Port:
    """A memory as the NPU sees it.

    Attributes:
        name: `sram` or `dram`.
        bytes_per_cycle: of its port.
        burst_bytes: moved even where fewer are wanted in a row.
        read_latency: cycles until data come.
        write_latency: cycles until data are taken.
    """

    name: str
    bytes_per_cycle: float
    burst_bytes: int
    read_latency: int
    write_latency: int


@dataclass(frozen=True, slots=True)
class EthosU(Parameters):
    """An Ethos-U with its memories; the defaults are a U55-128 in Arm's high-end embedded system.

    Attributes:
        name: label in reports.
        core: configuration (`dovetail.arch.npu_cores`).
        clock_mhz: of the NPU.
        memory_mode: `shared_sram`: feature maps in SRAM, weights off chip; `dedicated_sram`: both
            off chip, SRAM as the NPU's own buffer; `sram_only`: both in SRAM.
        sram_kib: SRAM that feature maps and buffers of weights may use.
        sram_rate: part of the NPU's clock at which the port to SRAM moves words.
        sram_burst_bytes: least move.
        sram_read_latency: cycles.
        sram_write_latency: cycles.
        dram_rate: the same of the off-chip memory, flash or DRAM.
        dram_burst_bytes: least move.
        dram_read_latency: cycles.
        dram_write_latency: cycles.
        weight_ratio: encoded bytes per byte of weight where the network's values are unknown.
        depthwise_weight_ratio: the same of depthwise weights.
    """

    family: ClassVar[str] = "npu"

    name: str = text("npu", "label in reports")
    core: str = choice("u55-128", tuple(CORES), "configuration")
    clock_mhz: float = number(500.0, 1, 10_000, "MHz", "clock of the NPU")
    memory_mode: str = choice("shared_sram", MEMORY_MODES, "where weights and feature maps stay")
    sram_kib: float = number(4096.0, 16, 2**20, "KiB", "SRAM for feature maps and weight buffers")
    sram_rate: float = number(1.0, 0.001, 1, "", "part of the clock at which SRAM moves words")
    sram_burst_bytes: int = number(32, 1, 4096, "B", "least move of SRAM", whole=True)
    sram_read_latency: int = number(32, 0, 100_000, "cycles", "of SRAM", whole=True)
    sram_write_latency: int = number(32, 0, 100_000, "cycles", "of SRAM", whole=True)
    dram_rate: float = number(0.125, 0.0001, 1, "", "part of the clock of off-chip memory")
    dram_burst_bytes: int = number(128, 1, 4096, "B", "least move of off-chip memory", whole=True)
    dram_read_latency: int = number(64, 0, 100_000, "cycles", "of off-chip memory", whole=True)
    dram_write_latency: int = number(0, 0, 100_000, "cycles", "of off-chip memory", whole=True)
    weight_ratio: float = number(1.0, 0.01, 4, "", "encoded bytes per byte of weight")
    depthwise_weight_ratio: float = number(1.2, 0.01, 4, "", "the same of depthwise weights")

    @property
    def engine(self) -> Core:
        """The configuration."""
        return CORES[self.core]

    @property
    def sram_port(self) -> Port:
        """On-chip memory."""
        return Port(
            "sram",
            self.engine.axi_bytes_per_cycle * self.sram_rate,
            self.sram_burst_bytes,
            self.sram_read_latency,
            self.sram_write_latency,
        )

    @property
    def dram_port(self) -> Port:
        """Off-chip memory, flash or DRAM."""
        return Port(
            "dram",
            self.engine.axi_bytes_per_cycle * self.dram_rate,
            self.dram_burst_bytes,
            self.dram_read_latency,
            self.dram_write_latency,
        )

    @property
    def feature_maps(self) -> Port:
        """Where feature maps stay unless they are moved closer."""
        return self.dram_port if self.memory_mode == "dedicated_sram" else self.sram_port

    @property
    def constants(self) -> Port:
        """Where weights and tables stay."""
        return self.sram_port if self.memory_mode == "sram_only" else self.dram_port

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle."""
        return self.engine.macs_per_cycle

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of off-chip memory."""
        return self.dram_port.bytes_per_cycle

    @property
    def sram_bytes(self) -> float:
        """On-chip memory: SRAM and the banks inside the NPU."""
        return (self.sram_kib + self.engine.banks) * 1024

    @property
    def array(self) -> str:
        """What multiplies, as lists show it."""
        height, width, channels = self.engine.micro_block
        return f"{self.engine.units}x{height}x{width}x{channels}x8"

    @property
    def area_mm2(self) -> float:
        """0: no source gives the area of a configuration with its memories."""
        return 0.0

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Knobs around this design: configurations of its series, memories halved and doubled."""
        series = self.core.partition("-")[0]
        return {
            "core": tuple(name for name in CORES if name.startswith(series)),
            "sram_kib": scaled(self.sram_kib, 0.25, 0.5, 1, 2),
            "dram_rate": tuple(v for v in scaled(self.dram_rate, 0.5, 1, 2) if float(v) <= 1),
        }
