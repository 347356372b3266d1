"""What operators cost: totals, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dovetail.arch.spatial import Store
from dovetail.mappers.found import value_of
from dovetail.sim.nest import NestCost

Amounts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Price:
    """Cost of operators.

    Attributes:
        cycles: time.
        energy_pj: of everything.
        read_bits: from the outermost memory.
        written_bits: into it.
        macs: multiply-accumulates, those done again included.
        compute_cycles: iterations of loop nests, padding and repetition included.
        energy: pJ by component: memories by name, `mac`, `vector`.
        moved: bits by operand across the chip's border, and by `MEMORY_read`, `MEMORY_write` on it.
    """

    cycles: float = 0.0
    energy_pj: float = 0.0
    read_bits: float = 0.0
    written_bits: float = 0.0
    macs: int = 0
    compute_cycles: float = 0.0
    energy: Amounts = field(default_factory=dict, repr=False)
    moved: Amounts = field(default_factory=dict, repr=False)

    def __add__(self, other: Price) -> Price:
        return Price(
            self.cycles + other.cycles, self.energy_pj + other.energy_pj,
            self.read_bits + other.read_bits, self.written_bits + other.written_bits,
            self.macs + other.macs, self.compute_cycles + other.compute_cycles,
            _merged(self.energy, other.energy), _merged(self.moved, other.moved),
        )  # fmt: skip

    def times(self, count: int) -> Price:
        """Cost of doing it so often."""
        return Price(
            self.cycles * count, self.energy_pj * count, self.read_bits * count,
            self.written_bits * count, self.macs * count, self.compute_cycles * count,
            {name: value * count for name, value in self.energy.items()},
            {name: value * count for name, value in self.moved.items()},
        )  # fmt: skip

    @property
    def traffic_bits(self) -> float:
        """Bits that cross the chip's border."""
        return self.read_bits + self.written_bits

    def value(self, objective: str) -> float:
        """Of an objective, the less the better."""
        return value_of(self.cycles, self.energy_pj, objective)


def _merged(one: Amounts, other: Amounts) -> Amounts:
    if not one or not other:
        return one or other
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def access(store: Store, read_bits: float, written_bits: float, border: str = "") -> Price:
    """Energy of moving bits through a memory.

    Args:
        store: the memory.
        read_bits: from it.
        written_bits: into it.
        border: the operand that is moved, if the memory is the outermost one.
    """
    bits = store.access_bits
    energy = read_bits / bits * store.read_pj + written_bits / bits * store.write_pj
    if border:
        moved = {border: read_bits + written_bits}
        return Price(0.0, energy, read_bits, written_bits, energy={store.name: energy}, moved=moved)
    moved = {f"{store.name}_read": read_bits, f"{store.name}_write": written_bits}
    return Price(energy_pj=energy, energy={store.name: energy}, moved=moved)


def vector_energy(pj: float) -> Price:
    """Energy of scalar operations."""
    return Price(energy_pj=pj, energy={"vector": pj})


def analysed(cost: NestCost, outermost: str) -> Price:
    """The price of an analysed mapping; a name that ends in `*` is a part of a memory.

    Args:
        cost: of the mapping.
        outermost: name of the memory beyond the chip.
    """
    energy, moved = {"mac": cost.mac_pj}, dict[str, float]()
    read = written = 0.0
    for level in cost.levels:
        name = level.store.removesuffix("*")
        energy[name] = energy.get(name, 0.0) + level.energy_pj
        if name == outermost:
            ways = {level.operand: level.read_bits + level.write_bits}
            read, written = read + level.read_bits, written + level.write_bits
        else:
            ways = {f"{name}_read": level.read_bits, f"{name}_write": level.write_bits}
        for way, bits in ways.items():
            moved[way] = moved.get(way, 0.0) + bits
    return Price(
        cost.cycles, cost.energy_pj, read, written, cost.macs, cost.compute_cycles, energy, moved
    )
