"""What the rules of Ethos-U's shared RAM allow: traversal, accumulators, input blocks, banks.

References:
    The block configuration rules of Arm's open compiler Vela, release 5.2.0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.arch.npu_cores import Core, Shape
from dovetail.ir.space import BoolArray, IntArray
from dovetail.sim.npu.work import DEEP, SUB_KERNEL, Block, Work, round_up

BANK_BYTES = 1024
OUTPUT_BANKS = 2
SPARE_BANKS = 2
"""Kept at the end of shared RAM for tables, where there are more than 16 banks."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is fixed of an operation's blocks before their size is chosen.

    Attributes:
        core: configuration.
        work: the operation.
        part_kernel: traversal.
        accumulator_bits: of sums.
        ifm_channels: of an input block; 0: as many as the output block has.
    """

    core: Core
    work: Work
    part_kernel: bool
    accumulator_bits: int
    ifm_channels: int

    def block(self, ofm: Shape) -> Block:
        """The block of some size of results."""
        height, width, channels = self.ifm_sizes(np.array([ofm]))[0].tolist()
        return Block(ofm, (height, width, channels), self.part_kernel, self.accumulator_bits)

    def ifm_sizes(self, ofm: IntArray) -> IntArray:
        """Inputs fetched at once for blocks of results, (n, 3) each."""
        rows, columns = (self._extents(ofm[:, axis], axis) for axis in (0, 1))
        deep = np.full(len(ofm), self.ifm_channels) if self.ifm_channels else ofm[:, 2]
        return np.stack([rows, columns, deep], axis=1)

    def fits(self, ofm: IntArray) -> BoolArray:
        """Whether the buffers of blocks (n, 3) fit shared RAM, (n,)."""
        banks = OUTPUT_BANKS + self._ifm_banks(ofm) + self._accumulator_banks(ofm)
        spare = SPARE_BANKS if self.core.banks > 16 or self.work.activation == "lut" else 0
        return np.asarray(banks <= self.core.banks - spare)

    @property
    def flat(self) -> bool:
        """Whether two-row micro-blocks work on the one row that there is, so that it fits half."""
        return self.core.square and self.work.ofm.shape[0] == 1 and self.work.kernel[0] == 1

    def _extents(self, results: IntArray, axis: int) -> IntArray:
        work = self.work
        reach = work.dilation[axis] * (work.kernel[axis] - 1) + 1
        wanted = (results - 1) * work.stride[axis] + min(reach, SUB_KERNEL)
        return _up(wanted, self.core.micro_block[axis])

    def _ifm_banks(self, ofm: IntArray) -> IntArray:
        work = self.work
        height, width, channels = self.ifm_sizes(ofm).T
        pixels = width if self.flat else height * width
        alone = work.kind != "elementwise"
        granule = self.core.granules.ifm if alone else self.core.granules.ifm_elementwise
        banks = _double(pixels * _up(channels * work.ifm.bits // 8, 8), granule[work.ifm.bits])
        return banks if work.ifm2 is None else 2 * banks

    def _accumulator_banks(self, ofm: IntArray) -> IntArray:
        if self.work.kind == "elementwise":
            return np.zeros(len(ofm), dtype=np.int64)
        height, width, channels = ofm.T
        pixels = width if self.flat else height * width
        filled = pixels * _up(channels, 8) * self.accumulator_bits // 8
        return _double(filled, self.core.granules.accumulators[self.accumulator_bits])


def rules_of(core: Core, work: Work) -> Rules:
    """What is fixed of an operation's blocks on a core."""
    part_kernel = work.kind in ("conv", "depthwise") and _prefers_kernel(work)
    wide = work.ifm.bits == 16 and work.scaled and work.kind != "pooling"
    channels = _ifm_channels(core, work, part_kernel) if work.kind in DEEP else 0
    return Rules(core, work, part_kernel, 40 if wide else 32, channels)


def _prefers_kernel(work: Work) -> bool:
    """Whether kernel taps first keep the dot products fuller than channels first."""
    channels = work.ifm.shape[2]
    if channels <= 8:
        return True
    taps_at_once, depth = (4, 32) if work.ifm.bits == 8 else (2, 16)
    taps = channels * work.taps / (round_up(channels, 8) * round_up(work.taps, taps_at_once))
    return taps > channels / round_up(channels, depth)


def _ifm_channels(core: Core, work: Work, part_kernel: bool) -> int:
    channels = work.ifm.shape[2]
    if work.ifm.bits == 16:
        return round_up(min(channels, 16), 4)
    return round_up(min(channels, 16 if part_kernel else 32), core.ifm_micro_channels)


def _double(filled_bytes: IntArray, granule: int) -> IntArray:
    """Banks of double buffers."""
    return _up(2 * -(-filled_bytes // BANK_BYTES), granule)


def _up(counts: IntArray, to: int) -> IntArray:
    return np.asarray(-(-counts // to) * to)
