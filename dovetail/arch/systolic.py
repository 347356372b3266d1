"""The systolic array family: a weight-, output- or input-stationary matrix engine."""

from __future__ import annotations

import dataclasses
import math
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from dovetail.arch import gates
from dovetail.arch.memory import Memory
from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.errors import AcceleratorError
from dovetail.ir.space import Value

DATAFLOWS = ("ws", "os", "is")
MACHINES = ("ideal", "rtl")
OVERLAPS = ("none", "full")
FIDELITIES = ("estimate", "cycle")
MAX_DEPTH = 65535
"""Most words of one half of a scratchpad on the RTL machine; what is beyond stays unused."""


DEFAULT_KNOBS: dict[str, tuple[Value, ...]] = {
    "rows": (4, 8, 16, 32, 64),
    "cols": (4, 8, 16, 32, 64),
    "dataflow": ("ws", "os", "is"),
    "input_bits": (4, 8),
    "weight_bits": (2, 4, 8),
    "input_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "weight_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "output_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "vector_lanes": (4, 8, 16, 32, 64),
    "clock_mhz": (125, 250, 500, 1000),
}
"""An edge-class space of 3 million designs; the `edge` preset is one of them."""

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 1


def shorten(value: object) -> str:
    """A value as one short line for a message, however long or nested it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python prints no integer of more than 4300 digits
        return f"a huge {type(value).__name__}"


def tile_bytes_needed(rows: Any, cols: Any, bits: Any) -> Any:
    """Bytes of one rows x cols tile, which half of each scratchpad must hold; numbers or arrays."""
    return -(-rows * cols * bits // 8)


def _number(default: float, low: float, high: float, unit: str, doc: str) -> Any:
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "doc": doc})


def _choice(default: str, choices: tuple[str, ...], doc: str) -> Any:
    return field(default=default, metadata={"choices": choices, "unit": "", "doc": doc})


@dataclass(frozen=True, slots=True)
class SystolicArray:
    """A systolic array with three double-buffered scratchpads, a vector unit and a DRAM channel.

    Every parameter has a unit and a legal range in its field's metadata; `parameters()` lists
    them. Construction checks nothing: an illegal design is a value, and `validate()` says why.
    """

    family: ClassVar[str] = "systolic"

    name: str = field(default="systolic", metadata={"unit": "", "doc": "label in reports"})
    rows: int = _number(32, 1, 4096, "PEs", "rows of one array")
    cols: int = _number(32, 1, 4096, "PEs", "columns of one array")
    arrays: int = _number(1, 1, 1024, "", "identical arrays that share the scratchpads")
    dataflow: str = _choice("ws", DATAFLOWS, "operand that stays in the PEs")
    input_bits: int = _number(8, 1, 32, "bit", "width of the PE's input operand")
    weight_bits: int = _number(8, 1, 32, "bit", "width of the PE's weight operand")
    accumulator_bits: int = _number(32, 8, 64, "bit", "width of a partial sum")
    input_sram_kib: float = _number(64, 0.0625, 2**20, "KiB", "input scratchpad, both halves")
    weight_sram_kib: float = _number(64, 0.0625, 2**20, "KiB", "weight scratchpad, both halves")
    output_sram_kib: float = _number(64, 0.0625, 2**20, "KiB", "accumulators, both halves")
    vector_lanes: int = _number(32, 1, 65536, "lanes", "scalar operations per cycle")
    clock_mhz: float = _number(500, 1, 10000, "MHz", "clock of everything but DRAM")
    dram: str = _choice("ddr4", tuple(DRAM_PJ_PER_BYTE), "kind of off-chip memory")
    dram_gb_per_s: float = _number(12.8, 0.001, 100000, "GB/s", "bandwidth, reads and writes")
    dram_latency_ns: float = _number(100, 0, 100000, "ns", "from a request to its first byte")
    node_nm: float = _number(28, 3, 90, "nm", "process node of energies and areas")
    machine: str = _choice("ideal", MACHINES, "unbounded in detail, or what the RTL is")
    fold_overlap: str = _choice("none", OVERLAPS, "whether folds of one tile follow without gaps")
    bus_bits: int = _number(64, 8, 512, "bit", "width of the RTL machine's memory bus")

    @classmethod
    def parameters(cls) -> Iterator[tuple[str, str, str, str]]:
        """(name, default, legal values, meaning) of what `from_dict` and `replace` take."""
        for f in dataclasses.fields(cls):
            law = f.metadata
            legal = ", ".join(law.get("choices", ()))
            if "low" in law:
                legal = f"{law['low']:,} to {law['high']:,} {law['unit']}".strip()
            yield f.name, str(f.default), legal, law["doc"]

    @property
    def array(self) -> str:
        """Shape and dataflow."""
        arrays = f"{self.arrays} x " * (self.arrays > 1)
        return f"{arrays}{self.rows} x {self.cols} {self.dataflow}"

    @property
    def sram_bytes(self) -> float:
        """All three scratchpads, both halves."""
        return (self.input_sram_kib + self.weight_sram_kib + self.output_sram_kib) * 1024

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """The family's design space, the same around every base."""
        return dict(DEFAULT_KNOBS)

    @classmethod
    def from_dict(cls, values: Mapping[str, object], source: str = "parameters") -> SystolicArray:
        """Builds a design from parameter values; missing ones take their defaults.

        Args:
            values: by parameter name.
            source: where they come from, for messages.

        Raises:
            AcceleratorError: naming source, key, value and legal range or type.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        for key in values:
            if key not in known:
                raise AcceleratorError(
                    f"{source}: unknown key {shorten(key)}; legal keys: {', '.join(known)}"
                )
        checked: dict[str, Any] = {k: _checked(source, known[k], v) for k, v in values.items()}
        return cls(**checked)

    def to_dict(self) -> dict[str, int | float | str]:
        """Parameter values by name."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}

    def replace(self, values: Mapping[str, object], source: str = "--set") -> SystolicArray:
        """A copy with some parameters replaced; raises as `from_dict` does."""
        return self.from_dict({**self.to_dict(), **values}, source)

    def validate(self) -> list[str]:
        """Reasons why the design is illegal; empty if it is legal."""
        reasons = []
        for f in dataclasses.fields(self):
            try:
                _checked(self.name, f, getattr(self, f.name))
            except AcceleratorError as error:
                reasons.append(str(error))
        return reasons or self._broken_laws()

    def _broken_laws(self) -> list[str]:
        bits = {
            "input": self.input_bits,
            "weight": self.weight_bits,
            "output": self.accumulator_bits,
        }
        reasons = []
        for operand, width in bits.items():
            memory = self.scratchpad(operand)
            need = int(tile_bytes_needed(self.rows, self.cols, width))
            if memory.tile_bytes < need:
                reasons.append(
                    f"half of '{memory.name}' holds {memory.tile_bytes} B; one tile of the "
                    f"{self.rows} x {self.cols} array needs {need} B: enlarge "
                    f"{operand}_sram_kib or shrink rows, cols or the operand's bits"
                )
        return reasons + (self._broken_rtl_laws() if self.machine == "rtl" else [])

    def _broken_rtl_laws(self) -> list[str]:
        limits = (
            ("rows", self.rows, 2, 4096),
            ("arrays", self.arrays, 1, 1),
            ("input_bits", self.input_bits, 2, 16),
            ("weight_bits", self.weight_bits, 2, 16),
            ("accumulator_bits", self.accumulator_bits, 8, 32),
        )
        reasons = [
            f"machine 'rtl' with {name} = {value}: must be within {low} to {high}"
            for name, value, low, high in limits
            if not low <= value <= high
        ]
        if self.dataflow == "is":
            reasons.append("machine 'rtl' runs dataflow 'ws' or 'os': 'is' is 'ws' with exchanged "
                           "operands")  # fmt: skip
        if self.accumulator_bits < self.input_bits:
            reasons.append(
                f"accumulator_bits = {self.accumulator_bits}: machine 'rtl' needs input_bits = "
                f"{self.input_bits} at least, for pooling passes inputs through"
            )
        if self.bus_bits & (self.bus_bits - 1):
            reasons.append(f"bus_bits = {self.bus_bits}: must be a power of two")
        for what, width in self._words_on_bus():
            if width % self.bus_bits:
                reasons.append(f"bus_bits = {self.bus_bits} must divide {what} = {width} bit")
        return reasons

    def _words_on_bus(self) -> tuple[tuple[str, int], ...]:
        return (
            ("rows x input_bits", self.rows * self.input_bits),
            ("cols x input_bits", self.cols * self.input_bits),
            ("cols x weight_bits", self.cols * self.weight_bits),
            ("cols x accumulator_bits", self.cols * self.accumulator_bits),
            ("a parameter word of cols x 64", self.cols * 64),
        )

    def word_bits(self, operand: str) -> int:
        """Bits of one word of the `input`, `weight` or `output` scratchpad of the RTL machine."""
        return {
            "input": self.rows * self.input_bits,
            "weight": self.cols * self.weight_bits,
            "output": self.cols * self.accumulator_bits,
        }[operand]

    def half_words(self, operand: str) -> int:
        """Words of one half of a scratchpad of the RTL machine."""
        return min(MAX_DEPTH, self.scratchpad(operand).tile_bytes * 8 // self.word_bits(operand))

    @property
    def technology(self) -> Technology:
        """Energies and areas at the design's node."""
        return Technology(self.node_nm)

    def scratchpad(self, operand: str) -> Memory:
        """The double-buffered scratchpad of `input`, `weight` or `output`."""
        capacity = int(getattr(self, f"{operand}_sram_kib") * 1024)
        edge = self.cols if operand == "output" else max(self.rows, self.cols)
        width = self.accumulator_bits if operand == "output" else self.input_bits
        return Memory(
            name=f"{operand}_sram",
            capacity_bytes=capacity,
            bytes_per_cycle=edge * width / 8 * self.arrays,
            latency_cycles=1,
            pj_per_byte=self.technology.sram_pj_per_byte(capacity),
            operands=(operand,),
            buffers=2,
        )

    def half_bytes(self, operand: str) -> float:
        """Bytes that one tile may take; whole words on the RTL machine."""
        if self.machine == "ideal":
            return self.scratchpad(operand).tile_bytes
        return self.half_words(operand) * self.word_bits(operand) / 8

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of the DRAM channel in bytes per clock cycle.

        On the RTL machine a whole number of 1/256 bytes, and at most what the bus carries.
        """
        wanted = self.dram_gb_per_s * 1e3 / self.clock_mhz
        return wanted if self.machine == "ideal" else self.bandwidth_256ths / 256

    @property
    def bandwidth_256ths(self) -> int:
        """Bandwidth of the RTL machine's DRAM channel in 1/256 byte per cycle."""
        wanted = math.floor(self.dram_gb_per_s * 1e3 / self.clock_mhz * 256)
        return max(1, min(wanted, self.bus_bits // 8 * 256))

    @property
    def lanes(self) -> int:
        """Scalar operations per cycle; the RTL machine's vector lanes are its array's edge."""
        return self.vector_lanes if self.machine == "ideal" else min(self.rows, self.cols)

    @property
    def dram_latency_cycles(self) -> int:
        """Latency of a DRAM read in clock cycles, rounded up."""
        return math.ceil(self.dram_latency_ns * self.clock_mhz / 1e3 - 1e-9)

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of all arrays."""
        return self.rows * self.cols * self.arrays

    @property
    def area_mm2(self) -> float:
        """Area of PEs, scratchpads and vector unit; DRAM and its controller are outside.

        The RTL machine's covers its engines and delay lines, too, and of its memories the words
        that it has, without those of program and parameters.
        """
        tech, overlap = self.technology, self.fold_overlap
        widths = (self.input_bits, self.weight_bits, self.accumulator_bits)
        pe = tech.pe_mm2(*widths, self.dataflow, overlap)
        halves = sum(self.half_bytes(operand) for operand in ("input", "weight", "output"))
        area = pe * self.peak_macs_per_cycle + tech.sram_mm2(2 * halves)
        if self.machine == "ideal":
            return area + tech.vector_lane_mm2 * self.lanes
        return area + tech.gates_mm2(
            gates.periphery_gates(self.rows, self.cols, *widths, self.dataflow, overlap)
        )


def _checked(source: str, parameter: dataclasses.Field[Any], value: object) -> Value:
    name, law = parameter.name, parameter.metadata
    if parameter.type == "str":
        if not isinstance(value, str):
            raise AcceleratorError(f"{source}: {name} = {shorten(value)}: must be a text")
        if "choices" in law and value not in law["choices"]:
            raise AcceleratorError(
                f"{source}: {name} = {shorten(value)}: must be one of {', '.join(law['choices'])}"
            )
        return value
    wanted = "a whole number" if parameter.type == "int" else "a number"
    legal = f"{wanted} within {law['low']:g} to {law['high']:g} {law['unit']}".rstrip()
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not law["low"] <= value <= law["high"]  # comparisons refuse NaN, too
        or (parameter.type == "int" and value != int(value))
    ):
        raise AcceleratorError(f"{source}: {name} = {shorten(value)}: must be {legal}")
    return int(value) if parameter.type == "int" else float(value)
