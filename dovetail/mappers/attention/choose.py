"""The mappers of the attention family."""

from __future__ import annotations

from dovetail.arch.attention import AttentionArray
from dovetail.mappers.attention.flat import choose_flat, search_flat
from dovetail.mappers.attention.resident import choose_resident
from dovetail.sim.attention.work import AttentionMapping, AttentionWork

MAPPERS = ("published", "search")
"""They differ for FLAT: the mappings that its authors' mapper found where known, or our search."""


def choose(a: AttentionArray, work: AttentionWork, mapper: str = MAPPERS[0]) -> AttentionMapping:
    """What stays on chip.

    Raises:
        MappingError: if nothing fits the buffer.
    """
    if a.binding == "unfused":
        return None
    if a.binding == "flat":
        return choose_flat(a, work) if mapper == "published" else search_flat(a, work)
    return choose_resident(a, work)
