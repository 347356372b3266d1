"""The spatial family: an array of PEs under any hierarchy of memories."""

from __future__ import annotations

import math
from dataclasses import dataclass

BUFFERING = ("ideal", "single", "double")


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
    """

    name: str
    operands: tuple[str, ...]
    serves: tuple[str, ...] = ()
    capacity_bytes: float = math.inf
    access_bits: int = 1
    read_pj: float = 0.0
    write_pj: float = 0.0
    read_bits_per_cycle: float = math.inf
    write_bits_per_cycle: float | None = math.inf
    buffering: str = "ideal"
    bypass: tuple[str, ...] = ()
    sliding: bool = False
    area_mm2: float | None = None

    @property
    def tile_bits(self) -> float:
        """Bits that the tiles of all operands may take together."""
        return self.capacity_bytes * 8 / (2 if self.buffering == "double" else 1)


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
    """

    name: str
    dimensions: tuple[tuple[str, int], ...]
    stores: tuple[Store, ...]
    unrolls: tuple[tuple[str, tuple[str, ...]], ...] = ()
    latched: tuple[str, ...] = ()
    reads_zeros: bool = False
    input_bits: int = 8
    weight_bits: int = 8
    sum_bits: int = 32
    output_bits: int = 8
    mac_pj: float = 0.0
    vector_lanes: int = 1
    clock_mhz: float = 1000.0
    node_nm: float = 28.0

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
