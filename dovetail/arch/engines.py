"""The FPGA engine family: engines from our kernels, side by side within a device's budget."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from dovetail.arch.devices import DEVICES, Device, bram18
from dovetail.arch.kernels import KernelCost, builds, find, widest
from dovetail.arch.laws import UNLIMITED, choice, number, text
from dovetail.arch.parameters import Parameters, scaled
from dovetail.errors import DovetailError
from dovetail.ir.space import Value

FIDELITIES = ("estimate", "cycle")

RESOURCES = ("lut", "ff", "dsp", "bram18")
"""What designs are held to; UltraRAM is not used."""

SUM_BITS = {8: 32, 16: 44}
"""Accumulators of the linear kernel by the width of its numbers: what its requantizer takes."""

LONGEST_ROW = 2**16
"""That a row buffer may hold."""

DEFORMABLE_BITS = 8
"""Elements and weights of the deformable kernel."""

WHOLE = (
    ("linear", "linear_layer", {"inputs": 16, "outputs": 16}, 1),
    ("attention", "attention_scores", {"inputs": 8, "outputs": 1}, 4),
    ("attention", "attention_values", {"inputs": 1, "outputs": 8}, 4),
)
"""Engines built whole, in 8 bits, and the form and copies of `linear` that multiply inside: what
they take beyond those is control."""

LANES = ("linear_outputs", "queries", "gelu_lanes", "norm_lanes", "requantize_lanes")
"""Parallelism that takes logic in proportion: what to lower where logic is short."""


@dataclass(frozen=True, slots=True)
class Part:
    """Copies of one build.

    Attributes:
        engine: that it is part of.
        cost: a line of the table of builds.
        copies: side by side.
    """

    engine: str
    cost: KernelCost
    copies: int


@dataclass(frozen=True, slots=True)
class FpgaEngines(Parameters):
    """A set of engines in Edge-MoE's manner: one per kind of operator, used layer after layer.

    Activations and weights lie off chip. Two read ports, a write port and a weight port move
    `axi_bits` per cycle each; weights go into two buffers in turn, so that one fills while the
    other works. Logic and latencies are those of our kernels' builds (`dovetail.arch.kernels`).

    Attributes:
        name: label in reports.
        board: names the FPGA (`dovetail.arch.devices`).
        share: of each of its resources that a design may use; the rest is for ports and the shell,
            which are not counted, and room to route.
        clock_mhz: of everything.
        bits: of the numbers that are multiplied: 8, requantized by a dyadic multiplier, or 16 in
            fixed point.
        activation_bits: of an activation in memory.
        axi_bits: that a port moves per cycle.
        linear_inputs: of the unified linear unit, per cycle.
        linear_outputs: alike.
        weight_buffer_kib: of each of its two weight buffers.
        row_features: longest row that it, or a normalization, reads.
        requantize_lanes: sums that become activations per cycle.
        gelu_lanes: activations through GELU per cycle; 0 for no such engine.
        queries: that the attention engine works off at once; 0 for no attention and no softmax.
        norm_lanes: rows that layer normalization works off at once; 0 for no such engine.
        norm_features: of a row that it normalizes; its kernel is built for one number.
        deformable_channels: of the deformable 3x3 convolution; 0 for no such engine.
        deformable_width: of its images, in pixels; its kernel is built for one number.
        dram_gb_per_s: of off-chip memory, all ports together.
    """

    family: ClassVar[str] = "engines"

    name: str = text("engines", "label in reports")
    board: str = choice("zcu102", tuple(DEVICES), "board, which names the FPGA")
    share: float = number(0.8, 0.01, 1, "", "of its resources that a design may use")
    clock_mhz: float = number(300.0, 1, 1000, "MHz", "of everything")
    bits: int = number(16, 2, 16, "bit", "of numbers that are multiplied: 8 or 16", whole=True)
    activation_bits: int = number(16, 8, 32, "bit", "of an activation in memory", whole=True)
    axi_bits: int = number(256, 32, 1024, "bit", "that a port moves per cycle", whole=True)
    linear_inputs: int = number(16, 1, 64, "", "inputs of the linear unit", whole=True)
    linear_outputs: int = number(16, 1, 1024, "", "outputs of the linear unit", whole=True)
    weight_buffer_kib: float = number(288, 1, 16384, "KiB", "of each of two weight buffers")
    row_features: int = number(1024, 1, LONGEST_ROW, "", "longest row that is read", whole=True)
    requantize_lanes: int = number(2, 1, 64, "", "sums requantized per cycle", whole=True)
    gelu_lanes: int = number(2, 0, 64, "", "GELUs per cycle; 0 for none", whole=True)
    queries: int = number(4, 0, 64, "", "attention's queries at once; 0 for none", whole=True)
    norm_lanes: int = number(1, 0, 64, "", "rows normalized at once; 0 for none", whole=True)
    norm_features: int = number(192, 1, 4096, "", "of a normalized row", whole=True)
    deformable_channels: int = number(
        0, 0, 4, "", "of the deformable convolution; 0 for none", whole=True
    )
    deformable_width: int = number(16, 4, 4096, "px", "widest image of the same", whole=True)
    dram_gb_per_s: float = number(
        math.inf, 0.001, 100_000, "GB/s", "of off-chip memory", words=UNLIMITED
    )

    @property
    def device(self) -> Device:
        """The FPGA."""
        return DEVICES[self.board]

    @property
    def budget(self) -> dict[str, int]:
        """What a design may use, by resource."""
        return {name: int(self.share * getattr(self.device, name)) for name in RESOURCES}

    @property
    def block(self) -> int:
        """Activations per beat of a port."""
        return self.axi_bits // self.activation_bits

    @property
    def requantizer(self) -> str:
        """The kernel that makes numbers of sums: a shift in fixed point, or a dyadic factor."""
        return "quantize" if self.bits > 8 else "requantize"

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multipliers of the linear unit and of both attention engines."""
        return self.linear_inputs * self.linear_outputs + 2 * self.queries * self.block

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
        """Its largest engines."""
        linear = f"{self.linear_inputs} x {self.linear_outputs}"
        return f"{linear}, {self.queries} queries" if self.queries else linear

    @property
    def sram_bytes(self) -> float:
        """Block RAM of its buffers."""
        return sum(self.buffers().values()) * 18 * 1024 / 8

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Its design space: the parallelism of the engines that it has, and the weight buffers."""
        knobs: dict[str, tuple[Value, ...]] = {
            "linear_inputs": (8, 16, 32),
            "linear_outputs": (8, 16, 32, 64),
            "requantize_lanes": (1, 2, 4, 8),
            "weight_buffer_kib": scaled(self.weight_buffer_kib, 0.5, 1, 2),
        }
        for name, values in (
            ("gelu_lanes", (1, 2, 4, 8)),
            ("queries", (1, 2, 4, 8, 16)),
            ("norm_lanes", (1, 2, 4, 8)),
        ):
            if getattr(self, name):
                knobs[name] = values
        return knobs

    def parts(self) -> tuple[Part, ...]:
        """The builds that its engines are made of.

        Raises:
            AcceleratorError: if the table has no build that an engine could be made of.
        """
        return _parts(self)

    def kernel(self, name: str) -> KernelCost:
        """The build of a kernel among its parts; the linear unit's own for `linear`.

        Raises:
            KeyError: if it has no engine of that kernel.
        """
        return _kernels(self)[name]

    def buffers(self) -> dict[str, int]:
        """18 Kib blocks by buffer."""
        word = self.linear_inputs * self.linear_outputs * self.bits
        row = self.row_features * self.activation_bits
        found = {
            "weights": 2 * bram18(word, math.ceil(self.weight_buffer_kib * 8192 / word)),
            "rows": 4 * bram18(self.axi_bits, -(-row // self.axi_bits)),  # two in, two out
        }
        if self.queries:
            # A row of every query for the scores, and a row of sums of each for mixing.
            words = -(-self.row_features // self.block)
            each = self.block * SUM_BITS.get(self.bits, 32)
            found["queries"] = bram18(self.queries * self.block * self.activation_bits, words)
            found["sums"] = bram18(self.queries * each, words)
        return found

    def control(self) -> dict[str, int]:
        """LUTs and flip-flops that walk over rows and tiles, as in the engines built whole."""
        has = {part.engine for part in self.parts()}
        total = {"lut": 0, "ff": 0}
        for engine, name, form, copies in WHOLE:
            whole = find(builds(), name, bits=8)
            inside = find(builds(), "linear", bits=8, **form)
            for what in total:
                beyond = getattr(whole, what) - copies * getattr(inside, what)
                total[what] += beyond if engine in has else 0
        return total

    def used(self) -> dict[str, int]:
        """Resources of all its engines and buffers; raises as `parts` does."""
        total = dict.fromkeys(RESOURCES, 0) | self.control()
        for part in self.parts():
            for name in RESOURCES:
                total[name] += part.copies * getattr(part.cost, name)
        total["lut"] += 2 * self.axi_bits  # adder and comparator of two blocks: a LUT per bit each
        total["bram18"] += sum(self.buffers().values())
        return total

    def faults(self) -> list[str]:
        """Widths that do not fit each other, kernels that were not built, resources beyond budget.

        Each reason names what is short, how much is needed and how much there is.
        """
        if self.axi_bits % self.activation_bits or self.axi_bits % self.bits:
            return [
                f"axi_bits = {self.axi_bits} must be a multiple of activation_bits = "
                f"{self.activation_bits} and of bits = {self.bits}"
            ]
        if self.deformable_channels and self.bits != DEFORMABLE_BITS:
            return [
                f"deformable_channels = {self.deformable_channels}: the deformable kernel "
                f"multiplies {DEFORMABLE_BITS} bits, not {self.bits}: set bits = {DEFORMABLE_BITS}"
                " or deformable_channels = 0"
            ]
        try:
            used = self.used()
        except DovetailError as error:
            return [str(error)]
        budget, part = self.budget, self.device.part
        return [
            f"{name}: the engines need {used[name]:,}, the budget of the {part} has "
            f"{budget[name]:,}: lower {_remedy(name)}"
            for name in RESOURCES
            if used[name] > budget[name]
        ]


def _remedy(resource: str) -> str:
    if resource == "bram18":
        return "weight_buffer_kib or row_features, or raise share"
    return f"{', '.join(LANES)}, or raise share"


@lru_cache(maxsize=256)
def _parts(design: FpgaEngines) -> tuple[Part, ...]:
    return tuple(Part(engine, *build) for engine, build in _engines(design))


@lru_cache(maxsize=256)
def _kernels(design: FpgaEngines) -> dict[str, KernelCost]:
    return {part.cost.kernel: part.cost for part in reversed(_parts(design))}


def _engines(design: FpgaEngines) -> Iterator[tuple[str, tuple[KernelCost, int]]]:
    numbers = {"bits": design.bits, "acc": SUM_BITS.get(design.bits, 32)}
    inputs, lanes = design.linear_inputs, design.requantize_lanes
    yield "linear", widest("linear", "outputs", design.linear_outputs, inputs=inputs, **numbers)
    form = {"in": numbers["acc"]} if design.bits > 8 else {"acc": numbers["acc"], "out": 8}
    yield "requantize", widest(design.requantizer, "lanes", lanes, **form)
    if design.gelu_lanes:
        yield "gelu", widest("gelu", "lanes", design.gelu_lanes)
    if design.norm_lanes:
        for kernel in ("layernorm", "layernorm_scale"):
            yield "norm", widest(kernel, "lanes", design.norm_lanes, count=design.norm_features)
    if design.queries:
        yield from _attention(design, numbers)
    if design.deformable_channels:
        form = {"channels": design.deformable_channels, "width": design.deformable_width}
        yield "deformable", widest("deformable", "lanes", 1, **form)


def _attention(
    design: FpgaEngines, numbers: dict[str, int]
) -> Iterator[tuple[str, tuple[KernelCost, int]]]:
    """Scores: a dot product of a block per query; mixing: a block times a weight per query."""
    dot, copies = widest("linear", "outputs", 1, inputs=design.block, **numbers)
    yield "attention", (dot, copies * design.queries)
    scale, copies = widest("linear", "outputs", design.block, inputs=1, **numbers)
    yield "attention", (scale, copies * design.queries)
    for kernel in ("softmax", "softmax_weight"):
        yield "attention", widest(kernel, "lanes", design.queries)
