"""Arm's Ethos-U55 and Ethos-U65 in their six configurations: what their models need to know.

References:
    Arm Ethos-U55 and Ethos-U65 NPU technical reference manuals (configurations, block dependency,
    shared RAM); the tables of the performance model in Arm's open compiler Vela, release 5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True, slots=True)
class Granules:
    """Banks of the shared RAM that a buffer occupies at least, and in multiples of which it grows.

    Attributes:
        ifm: input feature maps by bits per element.
        ifm_elementwise: the same of elementwise operators.
        accumulators: by bits per accumulator.
    """

    ifm: dict[int, int]
    ifm_elementwise: dict[int, int]
    accumulators: dict[int, int]


@dataclass(frozen=True, slots=True)
class OutputRates:
    """Cycles per element that the output stage takes at most.

    Attributes:
        binary32: elementwise operators of two 32-bit inputs.
        unary32: those of one.
        mul_to32: products with 32-bit results.
        mul: other products, and anything from 40-bit accumulators.
        add: sums and differences.
        maxpool: greatest values.
        rest: everything else.
        lut: results that go through a look-up table.
        relu: results that are clipped.
    """

    binary32: float
    unary32: float
    mul_to32: float
    mul: float
    add: float
    maxpool: float
    rest: float
    lut: float
    relu: float


@dataclass(frozen=True, slots=True, eq=False)
class Core:
    """One configuration; each exists once, and is compared as such.

    Attributes:
        name: what parameter files call it.
        units: cores that share a block's channels.
        micro_block: what one core works on at once: output height, width, channels.
        ifm_micro_channels: input channels that it reads at once.
        banks: of the shared RAM, 1 KiB each.
        granules: how buffers occupy them.
        rates: of the output stage.
        bubbles: cycles that the dot products wait where a micro-block depends on the one before
            it, by bits per accumulator.
        axi_bytes_per_cycle: width of its memory port.
    """

    name: str
    units: int
    micro_block: Shape
    ifm_micro_channels: int
    banks: int
    granules: Granules
    rates: OutputRates
    bubbles: dict[int, int]
    axi_bytes_per_cycle: int

    @property
    def macs_per_cycle(self) -> int:
        """Multiply-accumulates per cycle of all units: dot products of eight elements."""
        height, width, channels = self.micro_block
        return self.units * height * width * channels * 8

    @property
    def small(self) -> bool:
        """Whether it is the smallest, whose pooling and accumulators differ from the others'."""
        return self.micro_block[2] == 4

    @property
    def square(self) -> bool:
        """Whether its micro-blocks have two rows, which single rows of results leave idle."""
        return self.micro_block[0] == 2


def _granules(sizes: tuple[int, ...]) -> Granules:
    ifm8, ifm16, ifm8_ew, ifm16_ew, ifm32, acc16, acc32, acc40 = sizes
    return Granules(
        {8: ifm8, 16: ifm16, 32: ifm32},
        {8: ifm8_ew, 16: ifm16_ew, 32: ifm32},
        {16: acc16, 32: acc32, 40: acc40},
    )


_LARGE = _granules((8, 8, 8, 8, 16, 8, 16, 20))
_RATES_32 = OutputRates(2, 3, 3, 3, 6, 1, 2, lut=1, relu=1)
_RATES_64 = OutputRates(1, 1.5, 1.5, 1.5, 3, 0.5, 1, lut=1, relu=1)
_RATES_128 = OutputRates(0.75, 1.25, 0.75, 0.75, 1.5, 0.25, 0.5, lut=1, relu=0.5)
_RATES_256 = OutputRates(0.625, 1.125, 0.5, 0.375, 0.75, 0.125, 0.25, lut=1, relu=0.25)
_RATES_512 = OutputRates(
    0.3125, 0.5625, 0.25, 0.1875, 0.375, 0.0625, 0.125, lut=0.5, relu=0.125
)  # fmt: skip

_U55_32 = Core(
    "u55-32", 1, (1, 1, 4), 8, 16, _granules((2, 2, 2, 2, 4, 4, 4, 4)), _RATES_32,
    {32: 3, 40: 7}, 8,
)  # fmt: skip
_U55_64 = Core(
    "u55-64", 1, (1, 1, 8), 8, 16, _granules((2, 2, 2, 2, 4, 4, 4, 8)), _RATES_64,
    {32: 2, 40: 3}, 8,
)  # fmt: skip
_U55_128 = Core(
    "u55-128", 1, (1, 2, 8), 8, 24, _granules((4, 4, 4, 4, 8, 4, 8, 12)), _RATES_128,
    {32: 2, 40: 3}, 8,
)  # fmt: skip
_U55_256 = Core("u55-256", 1, (2, 2, 8), 8, 48, _LARGE, _RATES_256, {32: 2, 40: 2}, 8)
_U65_256 = Core("u65-256", 1, (2, 2, 8), 8, 48, _LARGE, _RATES_256, {32: 2, 40: 2}, 16)
_U65_512 = Core("u65-512", 2, (2, 2, 8), 8, 48, _LARGE, _RATES_512, {32: 2, 40: 2}, 16)

CORES = {core.name: core for core in (_U55_32, _U55_64, _U55_128, _U55_256, _U65_256, _U65_512)}
