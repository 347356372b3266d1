"""Schedules: which engine runs an operator, and how a systolic array tiles it."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.errors import MappingError
from dovetail.ir.operator import Operator


@dataclass(frozen=True, slots=True)
class TileLoop:
    """One loop of a tiling.

    Attributes:
        rank: dimension that it walks: N G K C P Q, or R and S as part of C.
        count: iterations; for a spatial loop the PEs that it spreads over.
        tile: extent of the rank that one iteration covers.
        level: memory whose tiles it walks (`dram`), or `rows` / `cols` for a spatial loop.
    """

    rank: str
    count: int
    tile: int
    level: str

    @property
    def spatial(self) -> bool:
        """True for a loop over PEs."""
        return self.level in ("rows", "cols")


@dataclass(frozen=True, slots=True)
class Tiling:
    """How one operator lies on a systolic array: loops from the outermost to the innermost."""

    operator: str
    loops: tuple[TileLoop, ...]

    def temporal(self, rank: str) -> TileLoop:
        """The tile loop of a rank.

        Raises:
            MappingError: if the tiling has none.
        """
        for loop in self.loops:
            if loop.rank == rank and not loop.spatial:
                return loop
        raise MappingError(f"tiling of '{self.operator}' has no temporal loop over {rank}")

    def describe(self) -> dict[str, int | str]:
        """Tile extents by rank, the loop order, and the spatial ranks."""
        order = "".join(loop.rank for loop in self.loops if not loop.spatial)
        tiles: dict[str, int | str] = {
            f"tile_{loop.rank.lower()}": loop.tile for loop in self.loops if not loop.spatial
        }
        spatial = {loop.level: loop.rank for loop in self.loops if loop.spatial}
        return {"order": order, **tiles, **spatial}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an operator runs.

    Attributes:
        operator: what runs.
        engine: `array`, `vector`, or `none` for a view.
        fused: operators that run in its output path, in order.
    """

    operator: Operator
    engine: str
    fused: tuple[Operator, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """A network's operators on engines, one after the other; fused ones stand with their host."""

    network: str
    placements: tuple[Placement, ...]
