"""Which memory holds which loops of a given order, as ZigZag decides it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import OPERANDS, Spatial
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.mapspace import accesses_of

Loop = tuple[str, int]
"""Rank and count."""


def allocate(
    einsum: Einsum, accelerator: SpatialArray, spatial: Sequence[Spatial], loops: Sequence[Loop]
) -> list[list[int]]:
    """How many loops of an order lie inside of each memory's tile, per operand.

    Memories are filled from the inside out. Of all ways to divide a memory among its operands
    the one is taken that moves the fewest bits into it; on a tie, the one with most loops.

    Args:
        einsum: the operator.
        accelerator: its memories.
        spatial: loops over the array.
        loops: loops in time from the inside out.

    Returns:
        One list per operand, with one number per memory but the outermost.
    """
    tiles = _Tiles(einsum, accelerator, spatial, loops)
    cuts: list[list[int]] = [[] for _ in OPERANDS]
    for store in accelerator.stores:
        here = [o for o, role in enumerate(OPERANDS) if _inner(accelerator, role, store)]
        if not here:
            continue
        sizes = [tiles.fitting(o, store, cuts[o]) for o in here]
        best = min(
            (
                choice
                for choice in itertools.product(*sizes)
                if sum(bits for _, bits in choice) <= store.tile_bits
            ),
            key=lambda choice: (tiles.moved(here, choice), [-cut for cut, _ in choice]),
            default=None,
        )
        if best is None:
            raise MappingError(
                f"memory '{store.name}' holds {store.tile_bits / 8:g} B of tiles: too little for "
                "the smallest tiles under this spatial mapping; enlarge it or spread less"
            )
        for operand, (cut, _) in zip(here, best, strict=True):
            cuts[operand].append(cut)
    return cuts


def _inner(accelerator: SpatialArray, role: str, store: Store) -> bool:
    return store in accelerator.hierarchy(role)[:-1]


class _Tiles:
    """Sizes and transfers of the tiles of one loop order."""

    def __init__(
        self, einsum: Einsum, accelerator: SpatialArray, spatial: Sequence[Spatial],
        loops: Sequence[Loop],
    ) -> None:  # fmt: skip
        self._accelerator, self._spatial, self._loops = accelerator, spatial, loops
        self._accesses = accesses_of(einsum)

    def fitting(self, operand: int, store: Store, cuts: Sequence[int]) -> list[tuple[int, int]]:
        """(cut, bits of the tile) of all cuts at which the operand alone fits a memory.

        Args:
            operand: position among the roles.
            store: the memory.
            cuts: of the memories inside of it.
        """
        start = cuts[-1] if cuts else 0
        width = self._width(operand, store, start, stays=bool(cuts))
        spread = [(s.rank, s.count) for s in self._spatial if s.dimension in store.serves]
        found = []
        for cut in range(start, len(self._loops) + 1):
            bits = self._elements(operand, (*self._loops[:cut], *spread)) * width
            if bits <= store.tile_bits:
                found.append((cut, bits))
        return found

    def _elements(self, operand: int, loops: Sequence[Loop]) -> int:
        extents: dict[str, int] = {}
        for rank, count in loops:
            extents[rank] = extents.get(rank, 1) * count
        elements = 1
        for index in self._accesses[operand].indices:
            elements *= 1 + sum(c * (extents.get(rank, 1) - 1) for rank, c in index.terms)
        return elements

    def _width(self, operand: int, store: Store, start: int, *, stays: bool) -> int:
        """Bits of an element; of sums that arrive finished from below, those of a result."""
        role, relevant = OPERANDS[operand], self._accesses[operand].ranks
        outside = [rank for rank, _ in self._loops[start:]]
        if stays or role in self._accelerator.latched:
            outside = list(itertools.dropwhile(lambda rank: rank not in relevant, outside))
        apart = (s.rank for s in self._spatial if s.dimension not in store.serves)
        final = relevant.issuperset(outside) and relevant.issuperset(apart)
        return self._accelerator.bits(role, final=final)

    def moved(self, operands: Sequence[int], choice: Sequence[tuple[int, int]]) -> int:
        """Bits that all transfers of tiles into one instance of a memory move."""
        return sum(
            bits * self._transfers(operand, cut)
            for operand, (cut, bits) in zip(operands, choice, strict=True)
        )

    def _transfers(self, operand: int, cut: int) -> int:
        outside = list(self._loops[cut:])
        relevant = self._accesses[operand].ranks
        while outside and outside[0][0] not in relevant:
            outside.pop(0)
        return math.prod(count for _, count in outside)
