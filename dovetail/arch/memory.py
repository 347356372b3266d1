"""Memories: what a scratchpad or a DRAM channel is to the models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Memory:
    """One memory of an accelerator.

    Attributes:
        name: e.g. `weight_sram`.
        capacity_bytes: size; a double-buffered memory offers half of it to one tile.
        bytes_per_cycle: bandwidth, reads and writes together.
        latency_cycles: from a request to its first byte.
        pj_per_byte: energy per byte read or written.
        operands: which of `input`, `weight`, `output` may live there.
        buffers: 2 for double buffering, else 1.
    """

    name: str
    capacity_bytes: int
    bytes_per_cycle: float
    latency_cycles: int
    pj_per_byte: float
    operands: tuple[str, ...]
    buffers: int = 1

    @property
    def tile_bytes(self) -> int:
        """Bytes that one tile may take."""
        return self.capacity_bytes // self.buffers
