"""What a chip costs whose weights are wires, and how long its tokens take.

Weights lie in a few metal layers: chips that hold different weights share all other masks. A new
model needs new masks for those layers only.

References:
    Hardwired-Neuron Language Processing Units as General-Purpose Cognitive Substrates, ASPLOS 2026,
    arXiv 2508.16151.
    Murphy, Cost-size optima of monolithic integrated circuits, Proceedings of the IEEE, 1964.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

HOURS_PER_YEAR = 8760
WAFER_MM = 300.0


def gross_dies(area_mm2: float, wafer_mm: float = WAFER_MM) -> int:
    """Dies of a round wafer, those that its edge cuts left out."""
    whole = math.pi * (wafer_mm / 2) ** 2 / area_mm2
    cut = math.pi * wafer_mm / math.sqrt(2 * area_mm2)
    return max(0, math.floor(whole - cut))


def murphy_yield(area_mm2: float, defects_per_cm2: float) -> float:
    """Share of good dies where the density of defects varies over the wafer."""
    expected = area_mm2 / 100 * defects_per_cm2
    return (-math.expm1(-expected) / expected) ** 2 if expected else 1.0


@dataclass(frozen=True, slots=True)
class Masks:
    """A mask set of which some layers hold the weights.

    Attributes:
        value: dollars of a whole set.
        duv: masks for deep ultraviolet light.
        euv: masks for extreme ultraviolet light.
        euv_price: of one, in DUV masks.
        own: DUV masks that differ from chip to chip.
    """

    value: float
    duv: int = 58
    euv: int = 12
    euv_price: int = 6
    own: int = 10

    @property
    def share(self) -> float:
        """What the masks of one chip's weights are of a set's value."""
        return self.own / (self.duv + self.euv * self.euv_price)

    def respin(self, chips: int) -> float:
        """Dollars for new weights on all chips."""
        return chips * self.share * self.value

    def first(self, chips: int) -> float:
        """Dollars for all masks of all chips."""
        return (1 - self.share) * self.value + self.respin(chips)


@dataclass(frozen=True, slots=True)
class Module:
    """A packaged chip with its memory; dollars.

    Attributes:
        area_mm2: of the die.
        wafer: price.
        defects_per_cm2: mean density.
        package: and test.
        hbm_gb: memory beside it.
        hbm_per_gb: its price.
        integration: board, cooling, assembly.
    """

    package: float
    hbm_per_gb: float
    integration: float
    area_mm2: float = 827.08
    wafer: float = 16_988.0
    defects_per_cm2: float = 0.11
    hbm_gb: float = 192.0

    @property
    def good_dies(self) -> int:
        """Of a wafer."""
        share = murphy_yield(self.area_mm2, self.defects_per_cm2)
        return round(gross_dies(self.area_mm2) * share)

    @property
    def die(self) -> float:
        """Price of a good die."""
        return self.wafer / self.good_dies

    @property
    def price(self) -> float:
        """Of the whole module."""
        return self.die + self.package + self.hbm_gb * self.hbm_per_gb + self.integration


@dataclass(frozen=True, slots=True)
class Hardwired:
    """Nodes of chips that hold one model; dollars.

    Attributes:
        masks: of the chips.
        module: each of them.
        design: architecture, verification, physical design and IP.
        chips: of a node.
    """

    masks: Masks
    module: Module
    design: float
    chips: int = 16

    def hardware(self, nodes: int) -> float:
        """All modules."""
        return nodes * self.chips * self.module.price

    def build(self, nodes: int) -> float:
        """Design, masks and modules."""
        return self.design + self.masks.first(self.chips) + self.hardware(nodes)

    def respin(self, nodes: int) -> float:
        """New masks for the weights and new modules; the design stays."""
        return self.masks.respin(self.chips) + self.hardware(nodes)


@dataclass(frozen=True, slots=True)
class Site:
    """Where machines run; dollars and kilograms.

    Attributes:
        years: of operation.
        pue: power drawn per power of the machines.
        per_kwh: price of energy.
        per_megawatt: price of the building, by power drawn.
        network: per node.
        maintenance: share of hardware, network and building per year.
        carbon: kg CO2e per kWh.
        embodied: kg CO2e per card or module.
    """

    years: float = 3.0
    pue: float = 1.4
    per_kwh: float = 0.095
    per_megawatt: float = 12e6
    network: float = 45e3
    maintenance: float = 0.05
    carbon: float = 0.38
    embodied: float = 124.9

    def energy_kwh(self, kilowatts: float) -> float:
        """Drawn over all years."""
        return kilowatts * self.pue * self.years * HOURS_PER_YEAR

    def facility(self, kilowatts: float) -> float:
        """Building for so many kilowatts of machines."""
        return kilowatts / 1e3 * self.pue * self.per_megawatt

    def running(self, nodes: int, kilowatts: float, hardware: float) -> float:
        """Everything but the hardware itself.

        Args:
            nodes: that are connected.
            kilowatts: of all machines.
            hardware: price of what is maintained.
        """
        fixed = self.facility(kilowatts) + nodes * self.network
        upkeep = self.years * self.maintenance * (hardware + fixed)
        return fixed + upkeep + self.energy_kwh(kilowatts) * self.per_kwh

    def carbon_kg(self, modules: float, kilowatts: float) -> float:
        """Embodied and operational."""
        return modules * self.embodied + self.energy_kwh(kilowatts) * self.carbon


@dataclass(frozen=True, slots=True)
class TokenTime:
    """Microseconds that a token takes, by cause, at a context length.

    Attributes:
        link: exchange between chips.
        projection: products with weights.
        nonlinear: the rest that does not grow.
        attention_per_token: for each token of context.
        buffer_bytes: of keys and values on chip, all chips.
        kv_bytes: per token of context, all layers that see all of it.
        spill_bytes_per_us: keys and values that do not fit come so fast, all chips.
    """

    link: float
    projection: float
    nonlinear: float
    attention_per_token: float
    buffer_bytes: float
    kv_bytes: float
    spill_bytes_per_us: float

    def parts(self, context: float) -> dict[str, float]:
        """Microseconds by cause."""
        spilled = max(0.0, context * self.kv_bytes - self.buffer_bytes)
        return {
            "CXL": self.link,
            "projection": self.projection,
            "attention": self.attention_per_token * context,
            "stall": spilled / self.spill_bytes_per_us,
            "nonlinear": self.nonlinear,
        }

    def shares(self, context: float) -> dict[str, float]:
        """Shares of the whole by cause."""
        parts = self.parts(context)
        total = sum(parts.values())
        return {name: part / total for name, part in parts.items()}
