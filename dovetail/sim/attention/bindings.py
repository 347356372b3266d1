"""Bindings of the 1-pass cascade: which Einsum of a tile runs on which PEs, and beside which other.

Phases follow each other; within a phase the 2D array and the 1D PEs work at the same time, each on
its own Einsums in order. `AV` is done once per query tile, all others once per tile.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """What runs at the same time.

    Attributes:
        array: Einsums on the 2D array.
        vector: Einsums on the 1D PEs.
        drains: whether the array's results leave it, `dim` cycles, before the next phase begins.
    """

    array: tuple[str, ...]
    vector: tuple[str, ...]
    drains: bool = False


PHASES: dict[str, tuple[Phase, ...]] = {
    # Tiles are interleaved: one drains while the array works on others.
    "fusemax": (
        Phase(("QK", "LM"), ("RD", "RNV", "AV")),
        Phase((), ("RM",)),
        Phase(("SLN", "SLD"), ("PRM", "SPD")),
        Phase(("SLNV",), ("SPNV",)),
    ),
    "architecture": (
        Phase(("QK", "LM"), ("RD", "AV"), drains=True),
        Phase((), ("RM",)),
        Phase(("SLN", "SLD"), ("PRM", "SPD")),
        Phase(("SLNV",), ("SPNV", "RNV")),
    ),
}
"""Of the designs whose 2D PEs take exponentials and maxima."""

ON_ARRAY = {"fusemax": ("QK", "LM", "SLN", "SLD", "SLNV"), "cascade": ("QK", "SLNV")}
ON_ARRAY["architecture"] = ON_ARRAY["fusemax"]
"""Einsums of the 1-pass cascade on the 2D array."""

PER_SCORE = ("QK", "LM", "SLN", "SLD", "SLNV")
"""Einsums with a point for each score; the others have one for each tile of keys and query."""
