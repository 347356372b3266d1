"""How encoded weights come into SRAM: not at all, all at once, or in slices of channels.

A first slice comes while the operation before works, as large as that leaves time for; the others
in turns, as many channels as one slice's work hides.

References:
    The weight buffering of Arm's open compiler Vela 5.2.0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dovetail.arch.npu import EthosU
from dovetail.mappers.npu.weights import STREAM_BYTES
from dovetail.sim.npu.cost import Transfer, transfer_cycles
from dovetail.sim.npu.work import Block, Work, round_up

SPLIT = 16
"""Channels in multiples of which weights are cut."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """Where an operation's weights are.

    Attributes:
        transfer: how they came.
        slices: where slices of channels begin, and the end.
        size_bytes: of buffers in SRAM.
        kept_bytes: of these, what is in use until the operation ends.
        ahead_bytes: of these, what fills while the operation before works; 0 if that leaves no
            room, and the first slice has to wait for its end.
    """

    transfer: Transfer
    slices: tuple[int, ...]
    size_bytes: int = 0
    kept_bytes: int = 0
    ahead_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """What the operation before leaves.

    Attributes:
        cycles: in which weights may come.
        free_bytes: of SRAM meanwhile.
    """

    cycles: int = 0
    free_bytes: int = 0


def buffer_weights(
    accelerator: EthosU, work: Work, block: Block, encoded: int, free_bytes: int, before: Before,
    cycles: Callable[[int], int], *, products: bool = False,
) -> Buffer:  # fmt: skip
    """Decides how weights come.

    Args:
        accelerator: the design.
        work: the operation.
        block: how it is cut.
        encoded: bytes of weights and biases.
        free_bytes: of SRAM.
        before: what the operation before leaves.
        cycles: of the operation with so many output channels.
        products: whether weights that are read once come closer, too.
    """
    channels = work.ofm.shape[2]
    stay = Buffer(Transfer(slack=cycles(channels)), (0, channels))
    once = work.kind == "fully_connected" and not products
    if once or not encoded or accelerator.constants.name == "sram":
        return stay
    full = transfer_cycles(encoded, accelerator.dram_port, accelerator.sram_port)
    hidden = before.cycles / full * encoded if full > before.cycles else encoded
    ahead = min(hidden, free_bytes // 2)
    slices: tuple[int, ...] = (0, channels)
    if ahead < encoded:
        limits = _Limits(channels, block.ofm[2], encoded, free_bytes)
        slices = _slices(limits, ahead / encoded, full, cycles)
    return _buffers(accelerator, slices, encoded, full, free_bytes, before, cycles) or stay


@dataclass(frozen=True, slots=True)
class _Limits:
    channels: int
    block: int
    encoded: int
    free_bytes: int


def _slices(
    limits: _Limits, ahead: float, full: float, cycles: Callable[[int], int]
) -> tuple[int, ...]:
    """Where slices begin, and the end: a first one, then as many channels as its work hides."""
    first = int(max(SPLIT, limits.channels * ahead // SPLIT * SPLIT))
    wanted = float(round_up(math.ceil(limits.channels * (cycles(first) / full)), limits.block))
    half = limits.free_bytes // 2
    if wanted / limits.channels * limits.encoded > half:
        wanted = half / limits.encoded * limits.channels
    while True:
        step = limits.block if wanted > limits.block else SPLIT
        each = max(int(wanted // step * step), SPLIT)
        slices = (*_starts(limits.channels, first, each), limits.channels)
        if sum(_pair(slices, limits.encoded)) <= limits.free_bytes or first == SPLIT:
            return slices
        if each > first:
            wanted = round_up(each // 2, SPLIT)
        else:
            first = round_up(first // 2, SPLIT)


def _starts(channels: int, first: int, each: int) -> tuple[int, ...]:
    return (0, *range(first, channels, each)) if first < channels else (0,)


def _pair(slices: tuple[int, ...], encoded: int) -> tuple[int, int]:
    """Bytes of the two buffers that slices take in turns."""
    sizes = [slice_bytes(slices, index, encoded) for index in range(len(slices) - 1)]
    return max(sizes[::2]), max(sizes[1::2], default=0)


def slice_bytes(slices: tuple[int, ...], index: int, encoded: int, units: int = 1) -> int:
    """Bytes of one slice, a stream per unit."""
    share = encoded * (slices[index + 1] - slices[index]) / slices[-1]
    return round_up(math.ceil(share / units), STREAM_BYTES) * units


def _buffers(
    accelerator: EthosU, slices: tuple[int, ...], encoded: int, full: float, free_bytes: int,
    before: Before, cycles: Callable[[int], int],
) -> Buffer | None:  # fmt: skip
    """Buffers of slices; None if the largest does not fit."""
    pair = _pair(slices, encoded)
    largest = min(encoded, max(pair))
    if largest > free_bytes:
        return None
    double = sum(pair) <= free_bytes and len(slices) > 2
    if not double and len(slices) > 2:
        return None
    size = sum(pair) if double else largest
    first = slice_bytes(slices, 0, encoded, accelerator.engine.units) if double else encoded
    first_cycles = transfer_cycles(first, accelerator.dram_port, accelerator.sram_port)
    slack = cycles(slices[-1] - slices[-2])
    kept = pair[len(slices) % 2] if double else largest
    ahead = size if size < before.free_bytes else 0
    return Buffer(Transfer(1 + double, full, first_cycles, slack), slices, size, kept, ahead)
