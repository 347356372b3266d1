"""What a kernel costs on the attention family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from dovetail.arch.attention import AttentionArray

Words: TypeAlias = tuple[float, float]
"""Read from the buffer, and written into it, by PEs."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a kernel costs; cycles may be fractions.

    Attributes:
        cycles: from its first load to its last store.
        array_cycles: of work on the 2D array.
        vector_cycles: of work on the 1D PEs.
        pipeline_cycles: were off-chip memory infinitely fast.
        drain_cycles: of these, waiting for results to leave the array.
        dram_bytes: traffic by operand: `input`, `weight`, `output`.
        energy_pj: by component: `mac`, `vector`, `registers`, `buffer`, `dram`.
        sram_bytes: traffic of the global buffer: `buffer_write`, `buffer_read`.
        fill_cycles: until the array first works; closed forms of attention know none.
    """

    cycles: float
    array_cycles: float
    vector_cycles: float
    pipeline_cycles: float
    drain_cycles: float
    dram_bytes: dict[str, float]
    energy_pj: dict[str, float]
    sram_bytes: dict[str, float]
    fill_cycles: float = 0.0

    @property
    def traffic(self) -> float:
        """Bytes to and from off-chip memory."""
        return sum(self.dram_bytes.values())

    @property
    def energy(self) -> float:
        """Picojoules of all components."""
        return sum(self.energy_pj.values())


def bounded(
    a: AttentionArray, array: float, vector: float, pipeline: float, drain: float,
    moved: dict[str, float], energy: dict[str, float], buffer: Words,
) -> Cost:  # fmt: skip
    """A cost whose traffic runs beside the work and, all of it, through the buffer."""
    traffic = sum(moved.values())
    cycles = max(pipeline, traffic / a.dram_bytes_per_cycle)
    read, written = (words * a.word_bytes for words in buffer)
    sram = {
        "buffer_write": written + moved["input"] + moved["weight"],
        "buffer_read": read + moved["output"],
    }
    energy = {
        **energy,
        "buffer": energy.get("buffer", 0.0) + sum(sram.values()) * a.buffer_pj_per_byte,
        "dram": traffic * a.dram_pj_per_byte,
    }
    return Cost(cycles, array, vector, pipeline, drain, moved, energy, sram)
