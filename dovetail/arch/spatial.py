"""The spatial family: an array of PEs under any hierarchy of memories."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dovetail.arch import spatial_form, spatial_laws
from dovetail.arch.laws import UNLIMITED, choice, flag, names, number
from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.errors import AcceleratorError
from dovetail.ir.space import Value

BUFFERING = ("ideal", "single", "double")
OPERANDS = ("input", "weight", "output")
FIDELITIES = ("estimate",)
ENERGIES = ("read_pj", "write_pj")
REGISTER_FILE_BYTES = 1024
"""Memories up to this size are register files, of which the design space has fewer sizes."""


@dataclass(frozen=True, slots=True)
class Store:
    """One level of the memory hierarchy: all instances of one memory.

    Attributes:
        name: unique within its accelerator.
        operands: which of `input`, `weight`, `output` live there.
        serves: dimensions of the array that one instance serves. Along them it multicasts what
            all PEs need, shares the halos of a sliding window, and receives sums reduced across
            PEs; along the others every used coordinate has an instance of its own.
        capacity_bytes: of one instance; infinite for off-chip memory.
        access_bits: granularity of an access. A transfer of a tile takes whole accesses.
        read_pj: energy of reading `access_bits` once.
        write_pj: energy of writing them once.
        read_bits_per_cycle: bandwidth of one instance's read port.
        write_bits_per_cycle: bandwidth of its write port; None if one port reads and writes,
            sharing `read_bits_per_cycle`.
        buffering: `double`: half of the capacity holds a tile while the other half is filled;
            `single`: the whole capacity holds a tile, and work waits while it is filled;
            `ideal`: the whole capacity, and filling never waits (Timeloop's and ZigZag's bound).
        bypass: operands among `operands` that a mapping may leave out of this memory.
        sliding: whether a tile whose window slides by one loop fetches only what is new.
        area_mm2: of one instance; None lets the technology say.
        derived: energies that the technology gave for the capacity, not the user.
    """

    name: str = dataclasses.field(metadata={"kind": "text", "doc": "unique, without dots"})
    operands: tuple[str, ...] = names("operands that live there", OPERANDS)
    serves: tuple[str, ...] = names("dimensions of the array that one instance serves")
    capacity_bytes: float = number(math.inf, 0.125, 2**50, "B", "of one instance", words=UNLIMITED)
    access_bits: int = number(1, 1, 2**20, "bit", "granularity of an access", whole=True)
    read_pj: float = number(0.0, 0, 1e9, "pJ", "energy of one read of access_bits")
    write_pj: float = number(0.0, 0, 1e9, "pJ", "energy of one write of access_bits")
    read_bits_per_cycle: float = number(
        math.inf, 1e-6, 1e12, "bit/cycle", "of one instance's read port", words=UNLIMITED
    )
    write_bits_per_cycle: float | None = number(
        math.inf, 1e-6, 1e12, "bit/cycle", "of its write port, or one port for both",
        words={**UNLIMITED, "shared": None},
    )  # fmt: skip
    buffering: str = choice("ideal", BUFFERING, "whether filling waits, and halves the capacity")
    bypass: tuple[str, ...] = names("operands that a mapping may leave out", OPERANDS)
    sliding: bool = flag(False, "whether a sliding window fetches only what is new")
    area_mm2: float | None = number(
        None, 0, 1e6, "mm2", "of one instance", words={"technology": None}
    )
    derived: tuple[str, ...] = names("energies that the technology gives", ENERGIES)

    @property
    def tile_bits(self) -> float:
        """Bits that the tiles of all operands may take together."""
        return self.capacity_bytes * 8 / (2 if self.buffering == "double" else 1)

    @property
    def bits_per_cycle(self) -> float:
        """Bandwidth of one instance, both directions."""
        return self.read_bits_per_cycle + (self.write_bits_per_cycle or 0.0)


@dataclass(frozen=True, slots=True)
class SpatialArray:
    """An array of PEs with one or more dimensions, fed by a hierarchy of memories.

    Construction checks nothing: an illegal design is a value, and `validate()` says why.

    Attributes:
        name: label in reports.
        dimensions: (name, PEs) pairs, e.g. (("x", 14), ("y", 12)).
        stores: from the innermost to the outermost; the last holds every operand of a network.
        unrolls: (dimension, ranks) pairs: the ranks that a mapping may lay along a dimension.
        latched: operands that a PE holds while they do not change, so that no memory is read.
        reads_zeros: whether the first partial sum of an output is read from memory as a zero
            rather than made in the PE. Where no sum is ever read back, nothing is read.
        input_bits: width of an input element; `weight_bits`, `sum_bits` (partial sums) and
            `output_bits` (finished results) alike.
        mac_pj: energy of one multiply-accumulate.
        vector_lanes: scalar operations per cycle of what is no Einsum.
        clock_mhz: of everything.
        node_nm: process node.
        dram: kind of off-chip memory, for the energy of memories without capacity.
        derived: energies that the technology gave, not the user.
    """

    family: ClassVar[str] = "spatial"

    name: str = dataclasses.field(metadata={"kind": "text", "doc": "label in reports"})
    dimensions: tuple[tuple[str, int], ...] = dataclasses.field(metadata={"kind": "array"})
    stores: tuple[Store, ...] = dataclasses.field(metadata={"kind": "memories"})
    unrolls: tuple[tuple[str, tuple[str, ...]], ...] = dataclasses.field(
        default=(), metadata={"kind": "unrolls"}
    )
    latched: tuple[str, ...] = names("operands that a PE holds while they do not change", OPERANDS)
    reads_zeros: bool = flag(False, "whether the first partial sum is read as a zero")
    input_bits: int = number(8, 1, 64, "bit", "width of an input element", whole=True)
    weight_bits: int = number(8, 1, 64, "bit", "width of a weight", whole=True)
    sum_bits: int = number(32, 1, 128, "bit", "width of a partial sum", whole=True)
    output_bits: int = number(8, 1, 128, "bit", "width of a finished result", whole=True)
    mac_pj: float = number(0.0, 0, 1e9, "pJ", "energy of one multiply-accumulate")
    vector_lanes: int = number(1, 1, 65536, "lanes", "scalar operations per cycle", whole=True)
    clock_mhz: float = number(1000.0, 1, 10000, "MHz", "clock of everything")
    node_nm: float = number(28.0, 3, 90, "nm", "process node of energies and areas")
    dram: str = choice("ddr4", tuple(DRAM_PJ_PER_BYTE), "energy of memories without capacity")
    derived: tuple[str, ...] = names("energies that the technology gives", ("mac_pj",))

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of all PEs."""
        return math.prod(size for _, size in self.dimensions)

    def bits(self, operand: str, final: bool = True) -> int:
        """Width of an element of `input`, `weight` or `output` (unfinished: a partial sum)."""
        if operand == "output":
            return self.output_bits if final else self.sum_bits
        return self.input_bits if operand == "input" else self.weight_bits

    def hierarchy(self, operand: str) -> tuple[Store, ...]:
        """Stores of an operand from the innermost to the outermost."""
        return tuple(store for store in self.stores if operand in store.operands)

    def instances(self, store: Store) -> int:
        """How many instances of a memory the whole array has."""
        return math.prod(size for name, size in self.dimensions if name not in store.serves)

    @property
    def sram_bytes(self) -> float:
        """Capacity of all instances of all memories that have one."""
        limited = (s for s in self.stores if math.isfinite(s.capacity_bytes))
        return sum(store.capacity_bytes * self.instances(store) for store in limited)

    @property
    def array(self) -> str:
        """Sizes of its dimensions."""
        return " x ".join(f"{size} {name}" for name, size in self.dimensions)

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Array dimensions and capacities, halved and doubled; larger memories quartered, too."""
        knobs: dict[str, tuple[Value, ...]] = {}
        for name, size in self.dimensions:
            knobs[f"array.{name}"] = tuple(sorted({max(1, size // 2), size, size * 2}))
        for store in self.stores:
            if math.isfinite(store.capacity_bytes):
                small = store.capacity_bytes <= REGISTER_FILE_BYTES
                scales = (0.5, 1, 2) if small else (0.25, 0.5, 1, 2)
                sizes = tuple(store.capacity_bytes * scale for scale in scales)
                knobs[f"memories.{store.name}.capacity_bytes"] = sizes
        return knobs

    @property
    def technology(self) -> Technology:
        """Energies and areas at the design's node."""
        return Technology(self.node_nm)

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Bandwidth of the outermost memory, both directions; infinite if it has no bound."""
        return self.stores[-1].bits_per_cycle / 8

    @property
    def area_mm2(self) -> float:
        """Area of PEs, memories with a capacity, and vector lanes."""
        tech = self.technology
        pe = tech.pe_mm2(self.input_bits, self.weight_bits, self.sum_bits)
        area = pe * self.peak_macs_per_cycle + tech.vector_lane_mm2 * self.vector_lanes
        for store in self.stores:
            one = store.area_mm2
            if one is None:
                on_chip = math.isfinite(store.capacity_bytes)
                one = tech.sram_mm2(store.capacity_bytes) if on_chip else 0.0
            area += one * self.instances(store)
        return area

    @staticmethod
    def parameters() -> Iterator[tuple[str, str, str, str]]:
        """(name, default, legal values, meaning) of what `from_dict` and `replace` take."""
        yield "array.DIM", "", "1 to 65,536 PEs", "size of a dimension of the array"
        yield "unrolls.DIM", "none", "ranks", "ranks that a mapping may lay along it"
        for field in dataclasses.fields(SpatialArray):
            if field.metadata["kind"] not in ("array", "memories", "unrolls") and (
                field.name != "derived"
            ):
                yield spatial_form.described("", field)
        yield "memories.M.capacity_kib", "unlimited", "KiB", "instead of capacity_bytes"
        for field in dataclasses.fields(Store):
            if field.name not in ("name", "derived"):
                yield spatial_form.described("memories.M.", field)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "parameters") -> SpatialArray:
        """Builds a design from parameters, nested as in a file or flat as `to_dict` gives them.

        Args:
            values: by parameter name.
            source: where they come from, for messages.

        Raises:
            AcceleratorError: naming source, path, value and legal range or type.
        """
        return cls(**_built(spatial_form.nested(values, source), source, by_name=False))

    def to_dict(self) -> dict[str, int | float | str]:
        """Parameter values as scalars by dotted name, e.g. `memories.glb.capacity_bytes`."""
        return spatial_form.flat(self)

    def replace(self, values: Mapping[str, object], source: str = "--set") -> SpatialArray:
        """A copy with some parameters replaced by dotted name; raises as `from_dict` does.

        Energies that the technology gave follow the new capacities.
        """
        tree = spatial_form.replaced(self, values, source)
        return type(self)(**_built(tree, source, by_name=True))

    def validate(self) -> list[str]:
        """Reasons why the design is illegal; empty if it is legal."""
        try:
            spatial_laws.check_fields(self)
        except AcceleratorError as error:
            return [str(error)]
        return list(spatial_laws.broken(self))


def _built(values: Mapping[str, Any], source: str, *, by_name: bool) -> dict[str, Any]:
    """Arguments of an array from nested values.

    Memories are named in messages, or numbered as in a file.
    """
    fields = {f.name: f.metadata for f in dataclasses.fields(SpatialArray)}
    parsed = spatial_form.parsed(values, source, fields)
    node, kind = parsed.get("node_nm", 28.0), parsed.get("dram", "ddr4")
    tech, laws_of_store = Technology(node), {f.name: f.metadata for f in dataclasses.fields(Store)}
    stores = []
    for position, memory in enumerate(values["memories"]):
        named = by_name and isinstance(memory, Mapping)
        path = f"memories.{memory['name']}" if named else f"memories[{position}]"
        store = Store(**spatial_form.parsed_memory(memory, f"{source}: {path}", laws_of_store))
        stores.append(_with_energies(store, tech, kind))
    built = {**parsed, "stores": tuple(stores)}
    if "mac_pj" in values and "mac_pj" not in built.get("derived", ()):
        return built
    defaults = {name: law.default for name, law in SpatialArray.__dataclass_fields__.items()}
    widths = (built.get(f"{n}_bits", defaults[f"{n}_bits"]) for n in ("input", "weight", "sum"))
    return {**built, "mac_pj": tech.mac_pj(*widths), "derived": ("mac_pj",)}


def _with_energies(store: Store, tech: Technology, dram: str) -> Store:
    """The store with the energies in `derived` by its capacity: an SRAM, or off-chip memory."""
    if not store.derived:
        return store
    if math.isinf(store.capacity_bytes):
        per_byte = DRAM_PJ_PER_BYTE[dram]
    else:
        per_byte = tech.sram_pj_per_byte(store.capacity_bytes)
    energies: dict[str, Any] = dict.fromkeys(store.derived, per_byte / 8 * store.access_bits)
    return dataclasses.replace(store, **energies)
