"""Tables from the choices of an elastic network to the operators that it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dovetail.ir.network import Network
from dovetail.ir.space import IntArray, Space

RowsOf = Callable[[Network], Mapping[str, IntArray]]
"""Rows of `Op` columns by operator name; fused operators and views have none."""

_UNKNOWN = -2


class Slot(Protocol):
    """An operator that some networks of a family have.

    Attributes:
        operator: its name.
        knobs: ascending indices of the knobs that decide whether it exists and what it is.
    """

    @property
    def operator(self) -> str:
        """Name of the operator."""

    @property
    def knobs(self) -> tuple[int, ...]:
        """Knobs that it depends on."""


class Family(Protocol):
    """Networks that share a design space and whose operators depend on a few knobs each."""

    @property
    def space(self) -> Space:
        """Knobs of the network."""

    @property
    def slots(self) -> Sequence[Slot]:
        """All operators of all networks."""

    def network(self, choice: IntArray) -> Network:
        """The network of one choice (knobs,)."""


@dataclass(frozen=True)
class SlotTables:
    """For each slot, the operator row of every combination of its knobs.

    Attributes:
        operators: distinct rows of `Op` columns, (operators, len(Op)).
        knobs: per slot, the knobs that it depends on.
        tables: per slot, an array over the product of these knobs: row of `operators`, -1 if the
            slot is empty.
    """

    operators: IntArray
    knobs: tuple[tuple[int, ...], ...]
    tables: tuple[IntArray, ...]

    def index(self, choices: IntArray) -> IntArray:
        """Rows of `operators` (n, slots), -1 where a slot is empty, of choices (n, knobs)."""
        columns = [
            table[tuple(choices[:, knob] for knob in knobs)]
            for knobs, table in zip(self.knobs, self.tables, strict=True)
        ]
        return np.stack(columns, axis=1)


def tabulate(family: Family, rows_of: RowsOf) -> SlotTables:
    """Fills the tables of a family from as few of its networks as a greedy cover needs.

    Args:
        family: the networks.
        rows_of: operator rows of one network.
    """
    sizes = family.space.cardinalities
    slots = list(family.slots)
    tables = [np.full(tuple(sizes[list(slot.knobs)]), _UNKNOWN) for slot in slots]
    known: dict[bytes, int] = {}
    distinct: list[IntArray] = []
    # What a slot does not depend on is drawn at random: each network then also fills other tables.
    rng = np.random.default_rng(0)
    for slot, table in sorted(zip(slots, tables, strict=True), key=lambda pair: -pair[1].size):
        for place in np.ndindex(table.shape):
            if table[place] != _UNKNOWN:
                continue
            choice = rng.integers(0, sizes)
            choice[list(slot.knobs)] = place
            rows = rows_of(family.network(choice))
            for other, cells in zip(slots, tables, strict=True):
                cells[tuple(choice[list(other.knobs)])] = _number(
                    rows.get(other.operator), known, distinct
                )
    used = [not (table == -1).all() for table in tables]
    return SlotTables(
        np.array(distinct, dtype=np.int64),
        tuple(slot.knobs for slot, keep in zip(slots, used, strict=True) if keep),
        tuple(table for table, keep in zip(tables, used, strict=True) if keep),
    )


def _number(row: IntArray | None, known: dict[bytes, int], distinct: list[IntArray]) -> int:
    if row is None:
        return -1
    key = row.tobytes()
    if key not in known:
        known[key] = len(distinct)
        distinct.append(row)
    return known[key]
