"""Layers that Gemmini runs, and their mappings as DOSA writes them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dovetail.errors import MappingError

RANKS = ("C", "K", "P", "Q", "R", "S")
"""Input channels, output channels, output columns and rows, kernel columns and rows."""

LEVELS = (3, 2, 1, 0)
LEVEL = re.compile(r"L(\d)\[([WIO]+)\]((?: [A-Z]\d+X?)+)")
LOOP = re.compile(r"([A-Z])(\d+)(X?)")


@dataclass(frozen=True, slots=True)
class Layer:
    """A convolution or matrix product of batch 1.

    Attributes:
        C: input channels.
        K: output channels.
        P: output columns asked for; the image has `P * stride` columns.
        Q: output rows asked for.
        R: columns of the kernel.
        S: rows of the kernel.
        stride: of both axes.

    Raises:
        MappingError: if an extent is below 1.
    """

    C: int
    K: int
    P: int
    Q: int
    R: int
    S: int
    stride: int = 1

    def __post_init__(self) -> None:
        for rank in (*RANKS, "stride"):
            if getattr(self, rank) < 1:
                raise MappingError(f"layer with {rank} = {getattr(self, rank)}: at least 1")

    @property
    def is_matmul(self) -> bool:
        """Gemmini runs it as a matrix product of P x C by C x K."""
        return self.Q == self.R == self.S == 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates asked for."""
        return math.prod(getattr(self, rank) for rank in RANKS)

    @property
    def computed(self) -> dict[str, int]:
        """Extents that run: padding by half a kernel gives an even one an output more."""
        extents = {rank: getattr(self, rank) for rank in RANKS}
        if not self.is_matmul:
            for outputs, kernel in (("P", "R"), ("Q", "S")):
                image = extents[outputs] * self.stride
                size = extents[kernel]
                extents[outputs] = (image + 2 * (size // 2) - size) // self.stride + 1
        return extents


@dataclass(frozen=True, slots=True)
class TiledMapping:
    """A mapping on Gemmini: what one tile covers, and the order of the tiles.

    Attributes:
        tile: (rank, extent) pairs of a tile in the scratchpad.
        order: ranks whose loops step through memory, from the outermost to the innermost.
    """

    tile: tuple[tuple[str, int], ...]
    order: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> TiledMapping:
        """Reads `L3[WIO] K48 - L2[WI] N1 K16X - L1[O] C48 P16 C16X - L0[W] P8`.

        Level 3 is memory, 2 the scratchpad, 1 the accumulator, 0 the array's registers; loops
        stand from the outermost to the innermost, X marks spatial ones.

        Raises:
            MappingError: if the text has another form.
        """
        tile = dict.fromkeys(RANKS, 1)
        order: list[str] = []
        for level, loops in read_levels(text):
            for rank, count, _ in loops:
                if level == LEVELS[0]:
                    order.append(rank)
                else:
                    tile[rank] *= count
        return cls(tuple(tile.items()), tuple(order))


def read_levels(text: str) -> list[tuple[int, list[tuple[str, int, bool]]]]:
    """Levels 3 to 0 of a mapping, each with its loops (rank, count, whether spatial) in order.

    Raises:
        MappingError: if the text has another form.
    """
    parts = text.split(" - ")
    if len(parts) != len(LEVELS):
        raise MappingError(
            f"mapping '{text}' has {len(parts)} levels; Gemmini's are L3, L2, L1, L0"
        )
    return [(level, _loops(part.strip(), level)) for level, part in zip(LEVELS, parts, strict=True)]


def _loops(text: str, level: int) -> list[tuple[str, int, bool]]:
    match = LEVEL.fullmatch(text)
    if match is None or int(match[1]) != level:
        raise MappingError(
            f"level '{text}' of a mapping: write 'L{level}[WIO] K48 C16X', a rank and a count each"
        )
    loops = [(rank, int(count), bool(x)) for rank, count, x in LOOP.findall(match[3])]
    for rank, count, _ in loops:
        if rank not in (*RANKS, "N"):
            raise MappingError(f"rank '{rank}' in '{text}': Gemmini's are {', '.join(RANKS)}, N")
        if count < 1 or (rank == "N" and count != 1):
            raise MappingError(f"loop {rank}{count} in '{text}': at least 1, and N is 1")
    return [one for one in loops if one[0] != "N"]
