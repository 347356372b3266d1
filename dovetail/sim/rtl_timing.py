"""What the RTL machine's instructions take, in cycles from start to end.

*Start* is the cycle in which an engine is given an instruction, *end* the cycle after its last.
Instructions of `dovetail.ir.isa`; docs/rtl.md says where each constant comes from.
"""

from __future__ import annotations

from dovetail.arch.table import Design
from dovetail.ir.isa import Instruction, Load, Multiply, Store, Vector
from dovetail.ir.space import FloatArray
from dovetail.sim.columns import OS
from dovetail.sim.kernel import kernel
from dovetail.sim.tiles import ceil_div, fold_cycles

ENTRY_BYTES = 64
FETCH = 2
"""Cycles in which a queue reads one entry."""
LOAD_OVERHEAD = 2
NO_LOAD = 1
STORE_OVERHEAD = 11
WS_OVERHEAD = 3
OS_OVERHEAD = 3
VECTOR_OVERHEAD = 4
FETCH_OVERHEAD = 4
"""Of a segment's header and body together."""
SHARE = 256
"""The memory channel's credit per cycle is counted in bytes / SHARE."""


@kernel
def beats_cycles(beats: int, bus_bytes: int, share: int) -> int:
    """Cycles in which the channel carries bus words.

    Args:
        beats: bus words.
        bus_bytes: bytes of each.
        share: bandwidth in bytes / SHARE per cycle.
    """
    return ceil_div(beats * bus_bytes * SHARE, share)


@kernel
def load_duration(beats: int, bus_bytes: int, share: int, latency: int) -> int:
    """Cycles of a load: memory latency once, then all beats of both parts."""
    if beats == 0:
        return NO_LOAD
    return latency + beats_cycles(beats, bus_bytes, share) + LOAD_OVERHEAD


@kernel
def store_duration(beats: int, bus_bytes: int, share: int) -> int:
    """Cycles of a store, requantization streaming along."""
    return beats_cycles(beats, bus_bytes, share) + STORE_OVERHEAD


@kernel
def multiply_duration(
    dataflow: int, overlap: int, rows: int, cols: int, pixels: int, columns: int, words: int
) -> int:
    """Cycles of a matrix product.

    Args:
        dataflow: WS or OS.
        overlap: 1 if folds overlap.
        rows: of the array.
        cols: of the array.
        pixels: output pixels.
        columns: blocks of output channels.
        words: input words per pixel: taps x blocks of input channels.
    """
    if dataflow == OS:
        folds = ceil_div(pixels, rows) * columns
        return fold_cycles(folds, words * rows, 0, rows + cols - 2, overlap) + OS_OVERHEAD
    return fold_cycles(columns * words, pixels, rows, rows + cols - 2, overlap) + WS_OVERHEAD


@kernel
def vector_duration(pixels: int, words: int) -> int:
    """Cycles of a vector instruction: one input word per cycle."""
    return pixels * words + VECTOR_OVERHEAD


@kernel
def segment_overhead(body_bytes: int, share: int, latency: int) -> int:
    """Cycles of a segment before its queues run: header and body are fetched.

    The next segment starts in the cycle in which the last queue has ended and read its HALT.

    Args:
        body_bytes: of entries and parameter words.
        share: bandwidth in bytes / SHARE per cycle.
        latency: of the memory, cycles.
    """
    header = latency + beats_cycles(1, ENTRY_BYTES, share)
    body = latency + beats_cycles(1, body_bytes, share)
    return header + body + FETCH_OVERHEAD


@kernel
def channel_share(bandwidth: float) -> int:
    """Bandwidth in bytes per cycle as a whole number of bytes / SHARE."""
    return round(bandwidth * SHARE)


def duration(instruction: Instruction, design: FloatArray) -> int:
    """Cycles from an instruction's start to its end.

    Args:
        instruction: what runs.
        design: row of `Design` columns.
    """
    bus, share = int(design[Design.BUS_BYTES]), channel_share(design[Design.BANDWIDTH])
    match instruction:
        case Load():
            return load_duration(instruction.beats, bus, share, int(design[Design.LATENCY]))
        case Store():
            return store_duration(instruction.transfer.beats, bus, share)
        case Vector(window=window):
            return vector_duration(window.pixels, window.taps * window.blocks)
        case Multiply(window=window):
            return multiply_duration(
                int(design[Design.DATAFLOW]), int(design[Design.OVERLAP]),
                int(design[Design.ROWS]), int(design[Design.COLS]),
                window.pixels, instruction.columns, window.taps * window.blocks,
            )  # fmt: skip


def moves(instruction: Instruction) -> bool:
    """Whether an instruction needs the memory channel."""
    return isinstance(instruction, Store) or (
        isinstance(instruction, Load) and instruction.beats > 0
    )
