"""FPGAs by board: what a design may use.

Sources: AMD DS891, "Zynq UltraScale+ MPSoC data sheet: overview" (ZU9EG of the ZCU102, ZU3EG of the
Ultra96); DS890, "UltraScale architecture and product data sheet: overview" (VU9P of the VCU1525);
DS963, "Alveo U280 data center accelerator card data sheet" (XCU280, the fabric of the VU37P). A
shell or platform takes a share of these: designs leave it by their `share`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Device:
    """What one FPGA has.

    Attributes:
        part: its name.
        lut: six-input look-up tables.
        ff: flip-flops.
        dsp: DSP48E2 slices.
        bram18: 18 Kib blocks; two of them are one of 36 Kib.
        uram: 288 Kib blocks of UltraRAM.
    """

    part: str
    lut: int
    ff: int
    dsp: int
    bram18: int
    uram: int

    def share(self, used: Mapping[str, int]) -> float:
        """The largest share of any of its resources, of what is used by name."""
        return max(used[name] / getattr(self, name) for name in used if getattr(self, name))


DEVICES = {
    "zcu102": Device("XCZU9EG", 274_080, 548_160, 2_520, 2 * 912, 0),
    "ultra96": Device("XCZU3EG", 70_560, 141_120, 360, 2 * 216, 0),
    "u280": Device("XCU280", 1_303_680, 2_607_360, 9_024, 2 * 2_016, 960),
    "vcu1525": Device("XCVU9P", 1_182_240, 2_364_480, 6_840, 2 * 2_160, 960),
}
"""Devices by board."""

BRAM18_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""(bits, words) of an 18 Kib block as simple dual-port memory (UG573, table 1-10)."""

RESOURCES = ("lut", "dsp", "bram18", "uram")
"""What designs are held to; flip-flops are not, for FINN estimates none."""


def bram18(bits: int, words: int) -> int:
    """18 Kib blocks of a memory of so many words, all of the shape that takes fewest."""
    return min(-(-bits // width) * -(-words // depth) for width, depth in BRAM18_SHAPES)
