"""Thousands of designs at once, each running its own network: mapped, costed and added up.

What is counted of a pair is kept, and looked up when another design has the same
(`dovetail.mappers.systolic.kept`). Nothing in Python is done per design.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.counts import Count
from dovetail.mappers.systolic.kept import Digits, Levels, digits_of, nothing_kept
from dovetail.mappers.systolic.tiling import count_pairs, mapper_code, objective_code
from dovetail.sim.columns import NONE, Op
from dovetail.sim.kernel import kernel

Rows = NDArray[np.integer]

CHUNK = 512
"""Designs that are worked on together."""

FEWEST, MOST = 2**14, 2**20
"""Rows of the table: at first, and at most; a row takes 64 bytes, and half of them are used."""


class PairCosts:
    """Costs networks on systolic arrays, keeping what it counts of each pair.

    When the table is full everything is forgotten: memory is bounded, and results never depend on
    what is kept.

    Args:
        ops: rows of `Op` columns, (operators, len(Op)).
        objective: what each tiling minimises: `latency`, `energy` or `edp`.
        mapper: `greedy` or `exhaustive`.
        levels: values that each column of the designs takes, ascending; None keeps nothing.

    Attributes:
        costed: pairs that were mapped so far, each time.

    Raises:
        UnknownNameError: if objective or mapper are unknown.
    """

    def __init__(
        self,
        ops: IntArray,
        objective: str = "latency",
        mapper: str = "greedy",
        levels: Levels | None = None,
    ) -> None:
        self._ops = np.ascontiguousarray(ops)
        self._codes = objective_code(objective), mapper_code(mapper)
        digits = None if levels is None else digits_of(levels, self._ops, objective)
        self._keeps = digits is not None
        self._digits = digits or nothing_kept(len(ops))
        self._table = np.zeros((FEWEST, 1 + len(Count)))
        self._used = 0
        self._places: Rows = np.empty((0, 0), dtype=np.int32)
        self._new: IntArray = np.empty((3, 0), dtype=np.int64)
        self.costed = 0

    def totals(
        self, designs: FloatArray, networks: Rows, number: IntArray | None = None
    ) -> FloatArray:
        """Cycles, and pJ of MACs, vector operations, the scratchpads and DRAM: (n, 7).

        Args:
            designs: rows of `Design` columns, (n, len(Design)), whose values are of the levels.
            networks: row of the operators in each slot of a network, (networks, slots), -1 if none.
            number: row of `networks` that each design runs, (n,); None if there is one each.

        Returns:
            Columns as those of `Count`; NaN where an operator has no tiling that fits.

        Raises:
            ValueError: if a design has a value that is none of the levels.
        """
        number = np.arange(len(designs)) if number is None else number
        designs, networks = np.ascontiguousarray(designs), np.ascontiguousarray(networks)
        totals = np.empty((len(designs), len(Count)))
        start = 0
        while start < len(designs):
            part = slice(start, start + CHUNK)
            start += self._some(designs[part], networks, number[part], totals[part])
        return totals

    def _some(
        self, designs: FloatArray, networks: Rows, number: IntArray, totals: FloatArray
    ) -> int:
        """Totals of as many designs as the table has room for; returns how many."""
        room = self._make_room(min(networks.shape[1], len(self._ops)))
        places, new = self._work_space(networks.shape[1])
        done, found = _look_up(
            designs, self._ops, networks, number, self._digits, self._table.view(np.int64), places,
            new, room,
        )  # fmt: skip
        if done < 0:
            raise ValueError("a design's value is none of its column's levels")
        # Pairs of one operator take similar steps, and blocks take them together.
        design, op, place = new[:, :found][:, np.argsort(new[1, :found], kind="stable")]
        counts = np.empty((found, len(Count)))
        count_pairs(designs, self._ops, design, op, *self._codes, counts)
        self._table[place, 1:] = counts
        self._used += found
        self.costed += found
        _add_up(designs, self._table, places[:done], totals)
        return done

    def _work_space(self, slots: int) -> tuple[Rows, IntArray]:
        """Arrays that stay in memory: fresh ones cost as much time as the designs."""
        if self._places.shape[1] != slots:
            pairs = CHUNK * min(slots, len(self._ops))
            self._places = np.empty((CHUNK, slots), dtype=np.int32)
            self._new = np.empty((3, pairs), dtype=np.int64)
        return self._places, self._new

    def _make_room(self, pairs: int) -> int:
        """Makes sure that so many more pairs fill half the table at most; returns how many may."""
        if not self._keeps:
            self._forget()
        size = len(self._table)
        if 2 * (self._used + pairs) > size and size >= MOST:
            self._forget()
        while 2 * (self._used + pairs) > size:
            size *= 2
        if size > len(self._table):
            before, self._table = self._table, np.zeros((size, self._table.shape[1]))
            _move(before, before.view(np.int64), self._table, self._table.view(np.int64))
        return size // 2 - self._used

    def _forget(self) -> None:
        if self._used:
            self._table[:, 0] = 0.0
        self._used = 0


@kernel
def _place(keys: IntArray, key: int) -> int:
    """Row of the table that holds a key, or the empty one that it belongs in."""
    row = ((key * -7046029254386353131) >> 20) & (keys.shape[0] - 1)
    while keys[row, 0] != 0 and keys[row, 0] != key:
        row = (row + 1) & (keys.shape[0] - 1)
    return row


@kernel
def _move(before: FloatArray, keys_before: IntArray, table: FloatArray, keys: IntArray) -> None:
    for i in range(before.shape[0]):
        if keys_before[i, 0] != 0:
            row = _place(keys, keys_before[i, 0])
            for column in range(table.shape[1]):
                table[row, column] = before[i, column]


@kernel
def _look_up(
    designs: FloatArray, ops: IntArray, networks: Rows, number: IntArray, known: Digits,
    keys: IntArray, places: Rows, new: IntArray, room: int,
) -> tuple[int, int]:  # fmt: skip
    """Finds the pairs of designs in the table, and gives those that it lacks a row.

    Args:
        designs: (n, len(Design)).
        ops: (operators, len(Op)).
        networks: (networks, slots) row of `ops`, or -1.
        number: (n,) row of `networks`.
        known: how pairs are numbered; of no columns if nothing is kept.
        keys: the table, key and counts of pairs (rows, 1 + len(Count)), as whole numbers.
        places: (n or more, slots), written: row of `table`, -1 if the slot takes no time.
        new: (3, pairs), written: design, operator and row of those not found.
        room: most of these.

    Returns:
        How many designs were looked at before there was no room, and how many pairs were not found;
        -1 if a design has a value that is none of the levels.
    """
    found = 0
    columns, levels, digits = known.columns, known.values, known.digits
    level = np.zeros(columns.shape[0], dtype=np.int64)
    seen = np.full(ops.shape[0], -1, dtype=np.int64)
    where = np.zeros(ops.shape[0], dtype=np.int64)
    for i in range(designs.shape[0]):
        if found + min(networks.shape[1], ops.shape[0]) > room:
            return i, found
        for v in range(columns.shape[0]):
            level[v] = 0
            value = designs[i, columns[v]]
            while level[v] < levels.shape[1] - 1 and levels[v, level[v]] != value:
                level[v] += 1
            if levels[v, level[v]] != value:
                return -1, 0
        for slot in range(networks.shape[1]):
            op = networks[number[i], slot]
            if op < 0 or ops[op, Op.ENGINE] == NONE:
                places[i, slot] = -1
                continue
            if seen[op] != i:
                seen[op] = i
                key = op + 1 if columns.shape[0] else op + 1 + i * ops.shape[0]
                for k in range(known.first[op]):
                    v = known.matter[op, k]
                    key += digits[op, v, level[v]]
                where[op] = _place(keys, key)
                if keys[where[op], 0] == 0:
                    keys[where[op], 0] = key
                    new[0, found], new[1, found], new[2, found] = i, op, where[op]
                    found += 1
            places[i, slot] = where[op]
    return designs.shape[0], found


@kernel
def _add_up(designs: FloatArray, table: FloatArray, places: Rows, totals: FloatArray) -> None:
    """Adds up cycles and energies (n, len(Count)) of the pairs of each design, slot by slot."""
    for i in range(places.shape[0]):
        mac_pj, vector_pj = designs[i, Design.MAC_PJ], designs[i, Design.VECTOR_PJ]
        in_pj, weight_pj = designs[i, Design.INPUT_PJ], designs[i, Design.WEIGHT_PJ]
        out_pj, dram_pj = designs[i, Design.OUTPUT_PJ], designs[i, Design.DRAM_PJ]
        cycles = macs = vectors = inputs = weights = outputs = dram = 0.0
        for slot in range(places.shape[1]):
            row = places[i, slot]
            if row >= 0:
                cycles += table[row, 1 + Count.CYCLES]
                macs += table[row, 1 + Count.MAC_OPS] * mac_pj
                vectors += table[row, 1 + Count.VECTOR_OPS] * vector_pj
                inputs += table[row, 1 + Count.INPUT] * in_pj
                weights += table[row, 1 + Count.WEIGHT] * weight_pj
                outputs += table[row, 1 + Count.OUTPUT] * out_pj
                dram += table[row, 1 + Count.DRAM] * dram_pj
        totals[i, Count.CYCLES], totals[i, Count.MAC_OPS] = cycles, macs
        totals[i, Count.VECTOR_OPS], totals[i, Count.INPUT] = vectors, inputs
        totals[i, Count.WEIGHT], totals[i, Count.OUTPUT] = weights, outputs
        totals[i, Count.DRAM] = dram


@kernel
def sum_up(each: FloatArray, networks: Rows, number: IntArray, sums: FloatArray) -> None:
    """Sums of a figure of operators over networks.

    Args:
        each: the figure, (operators,).
        networks: (networks, slots) row of `each`, or -1.
        number: (n,) row of `networks`.
        sums: (n,), written.
    """
    for i in range(number.shape[0]):
        total = 0.0
        for slot in range(networks.shape[1]):
            row = networks[number[i], slot]
            if row >= 0:
                total += each[row]
        sums[i] = total


def batch_totals(
    designs: FloatArray,
    ops: IntArray,
    row_index: Rows,
    *,
    objective: str = "latency",
    mapper: str = "greedy",
) -> FloatArray:
    """Totals of designs (n, len(Design)) as of `PairCosts`, keeping nothing.

    Args:
        designs: rows of `Design` columns.
        ops: rows of `Op` columns, (operators, len(Op)).
        row_index: (n, slots) row of `ops` that each slot of a design's network holds, -1 if none;
            or (slots,), one network for all designs.
        objective: what each tiling minimises: latency, energy or edp.
        mapper: `greedy` or `exhaustive`.
    """
    one = row_index.ndim == 1
    number = np.zeros(len(designs), dtype=np.int64) if one else None
    costs = PairCosts(ops, objective, mapper)
    return costs.totals(designs, row_index[None] if one else row_index, number)


def energy_pj(totals: FloatArray) -> FloatArray:
    """Energy in pJ over all components, (n, len(Count)) -> (n,)."""
    energy: FloatArray = totals[:, Count.MAC_OPS :].sum(axis=1)
    return energy
