"""The best way to run some stages as one section: kind and number of tiles, shares of units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dovetail.ir.space import IntArray
from dovetail.mappers.rdu.balance import balance, proportional
from dovetail.sim.rdu.mesh import places
from dovetail.sim.rdu.outline import Outline, outline
from dovetail.sim.rdu.pipeline import STREAMS, Pipeline, Works, works
from dovetail.sim.rdu.section import Costs, costs


@dataclass(frozen=True)
class Section:
    """Stages that run at once.

    Attributes:
        outline: the stages.
        costs: for every number of tiles.
        column: of these costs, of the number of tiles that was chosen.
        order: positions of the stages along the path on which they are placed.
    """

    outline: Outline
    costs: Costs
    column: int
    order: tuple[int, ...]

    @property
    def cycles(self) -> int:
        """Of the section, its launch included."""
        return int(self.costs.total[self.column])

    @property
    def tiles(self) -> int:
        """Tiles that it is cut into."""
        return int(self.costs.tiles[self.column])


@dataclass
class Sectioner:
    """Finds sections of one pipeline; equal ones, e.g. of equal layers, once.

    Attributes:
        pipeline: all stages.
        shares: weight of each stage's work in the shares of PCUs; None balances them exactly.
    """

    pipeline: Pipeline
    shares: Sequence[float] | None = None
    table: Works = field(init=False)
    ids: tuple[int, ...] = field(init=False)
    _known: dict[tuple[int, ...], Section | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.table = works(self.pipeline)
        index: dict[object, int] = {}
        weights = self.shares or [1.0] * len(self.pipeline.stages)
        self.ids = tuple(
            index.setdefault(pair, len(index))
            for pair in zip(self.pipeline.stages, weights, strict=True)
        )

    def best(self, members: Sequence[int]) -> Section | None:
        """The fastest section of some stages (indices, ascending); None if none fits."""
        first = members[0]
        key = tuple(part for m in members for part in (m - first, self.ids[m]))
        if key not in self._known:
            self._known[key] = self._find(members)
        found = self._known[key]
        if found is None or found.outline.members == tuple(members):
            return found
        return replace(found, outline=replace(found.outline, members=tuple(members)))

    def _find(self, members: Sequence[int]) -> Section | None:
        best: Section | None = None
        kinds = [outline(self.pipeline, members, kind) for kind in range(len(STREAMS))]
        # One tile is the same of every kind.
        for section in [kind for kind in kinds if kind.most_tiles > 1] or kinds[:1]:
            order = tuple(range(len(members)))
            found = costs(section, self.table, self._units(section), order)
            if not found.fits.any():
                continue
            column = int(np.argmin(np.where(found.fits, found.total, np.inf)))
            if best is None or found.total[column] < best.costs.total[best.column]:
                best = Section(section, found, column, order)
        return best

    def _units(self, section: Outline) -> IntArray:
        members, units = list(section.members), self.pipeline.rdu.units
        quanta = self.table.quanta[section.kind][members, : section.sizes]
        quantum = self.table.quantum[members]
        if self.shares is None:
            return balance(quanta, quantum, section.computing, units)
        weights = np.array([self.shares[m] for m in members])
        return proportional(quanta, quantum, section.computing, units, weights)


def placed(section: Section, table: Works) -> Section:
    """A section whose stages lie so that fewer bytes go a shorter way, or the same section.

    Neighbours on the path change places as long as that lowers the sum of bytes x hops and does
    not slow the section down: a local optimum, the same at every run.
    """
    order, column = list(section.order), section.column
    weight = _way(section, order)
    improved = True
    while improved:
        improved = False
        for i in range(len(order) - 1):
            order[i], order[i + 1] = order[i + 1], order[i]
            other = _way(section, order)
            if other < weight:
                weight, improved = other, True
            else:
                order[i], order[i + 1] = order[i + 1], order[i]
    found = costs(section.outline, table, section.costs.units, order)
    if found.total[column] > section.costs.total[column]:
        return section
    return replace(section, costs=found, order=tuple(order))


def _way(section: Section, order: Sequence[int]) -> int:
    """Bytes x hops of all edges."""
    units = section.costs.units[:, section.column][:, None]
    row, column = (place[:, 0] for place in places(section.outline.pipeline.rdu, units, order))
    return sum(
        edge.size
        * int(
            abs(row[edge.producer] - row[edge.consumer])
            + abs(column[edge.producer] - column[edge.consumer])
        )
        for edge in section.outline.edges
    )
