"""The FPGA family: a network as a pipeline of nodes, folded to fit a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from dovetail.arch.devices import DEVICES, RESOURCES, Device
from dovetail.arch.laws import UNLIMITED, choice, number, text
from dovetail.arch.parameters import Parameters
from dovetail.ir.space import Value

FIDELITIES = ("estimate",)


@dataclass(frozen=True, slots=True)
class FpgaDataflow(Parameters):
    """A dataflow design in FINN's manner: one node per layer, all of them at work at once.

    How the nodes are folded depends on the network: a mapper decides it, within the device's
    budget.

    Attributes:
        name: label in reports.
        board: names the FPGA (`dovetail.arch.devices`).
        share: of each of its resources that a design may use; the rest is the shell's, and room
            to route.
        clock_mhz: of everything.
        input_bits: width of an activation.
        weight_bits: width of a weight.
        sum_bits: widest accumulator; narrower ones where no sum can fill it.
        multipliers: `lut` or `dsp`.
        weight_memory: `block`, `distributed` (LUTs) or `ultra`: where all weights stay.
        threshold_memory: `distributed` counts the thresholds behind compute nodes as LUTs; `auto`
            leaves them to synthesis, and counts none.
        window_memory: as `weight_memory`, for the rows that windows slide over.
        weight_stream_bits: widest weight stream of one output; folding adds no inputs beyond it.
        interval_cycles: wanted between two inferences; infinite for the least that fits.
        dram_gb_per_s: of what brings inputs and takes outputs.
    """

    family: ClassVar[str] = "fpga"

    name: str = text("fpga", "label in reports")
    board: str = choice("zcu102", tuple(DEVICES), "board, which names the FPGA")
    share: float = number(0.8, 0.01, 1, "", "of its resources that a design may use")
    clock_mhz: float = number(200.0, 1, 1000, "MHz", "of everything")
    input_bits: int = number(8, 1, 32, "bit", "width of an activation", whole=True)
    weight_bits: int = number(8, 1, 32, "bit", "width of a weight", whole=True)
    sum_bits: int = number(32, 2, 64, "bit", "widest accumulator", whole=True)
    multipliers: str = choice("dsp", ("dsp", "lut"), "what multiplies")
    weight_memory: str = choice("block", ("block", "distributed", "ultra"), "where weights stay")
    threshold_memory: str = choice(
        "auto", ("auto", "distributed"), "whether thresholds count as LUTs"
    )
    window_memory: str = choice("block", ("block", "distributed", "ultra"), "what buffers windows")
    weight_stream_bits: int = number(
        36, 1, 4096, "bit", "widest weight stream of one output", whole=True
    )
    interval_cycles: float = number(
        math.inf, 1, 2**50, "cycles", "wanted between inferences", words={"least": math.inf}
    )
    dram_gb_per_s: float = number(
        math.inf, 0.001, 100_000, "GB/s", "for inputs and outputs", words=UNLIMITED
    )

    @property
    def device(self) -> Device:
        """The FPGA."""
        return DEVICES[self.board]

    @property
    def budget(self) -> dict[str, float]:
        """What a design may use, by resource."""
        return {name: self.share * getattr(self.device, name) for name in RESOURCES}

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle that the budget of DSPs, or of LUTs, allows at most."""
        both, budget = self.input_bits + self.weight_bits, self.budget
        adders = budget["lut"] / (1.1 * both)
        if self.multipliers == "dsp":
            return max(1, int(min(budget["dsp"] / -(-both // 48), adders)))
        return max(1, int(budget["lut"] / (1.1 * (2 * -(-both // 6)) * both)))

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of off-chip memory, both directions; infinite if it has no bound."""
        return self.dram_gb_per_s * 1e3 / self.clock_mhz

    @property
    def area_mm2(self) -> float:
        """0: an FPGA's cost is what a design uses of it; no source gives its die."""
        return 0.0

    @property
    def array(self) -> str:
        """The device and how its nodes multiply."""
        return f"{self.device.part}, {self.multipliers}"

    @property
    def sram_bytes(self) -> float:
        """Block RAM and UltraRAM that a design may use."""
        return (self.budget["bram18"] * 18 + self.budget["uram"] * 288) * 1024 / 8

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Its design space: what multiplies, where weights stay, and their widest stream."""
        return {
            "multipliers": ("dsp", "lut"),
            "weight_memory": ("block", "distributed", *(["ultra"] * (self.device.uram > 0))),
            "weight_stream_bits": tuple(sorted({36, 144, 1024, self.weight_stream_bits})),
            "share": tuple(sorted({0.25, 0.5, self.share})),
        }

    def faults(self) -> list[str]:
        """What the device lacks."""
        return [
            f"{name} = ultra: the {self.device.part} of board '{self.board}' has no UltraRAM: set "
            f"{name} = block"
            for name in ("weight_memory", "window_memory")
            if getattr(self, name) == "ultra" and not self.device.uram
        ]
