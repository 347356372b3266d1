"""Task programs of attention: 2D array, 1D PEs and off-chip memory side by side.

Times are in ticks of 1 / `TICKS` cycle, because memory moves fractions of a tile in a cycle.

A cascade walks blocks of resident query tiles; within a block all key tiles pass by, each meeting
every query tile. Keys and values are double-buffered where the buffer has room. The product of
queries and keys runs `ahead` tiles before the rest, so that the maxima of one tile drain from the
array while it works on others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeAlias

from dovetail.arch.attention import AttentionArray
from dovetail.ir.tasks import Body, Task, TaskLoop, TaskProgram
from dovetail.sim.attention.bindings import ON_ARRAY, PER_SCORE
from dovetail.sim.attention.estimate import tile_cycles, tiles_behind
from dovetail.sim.attention.work import AttentionWork, Resident, tiles

TICKS = 1024
"""Of a cycle."""

WORDS_OF_A_TILE = 3
"""Registers that a tile in flight takes in each 2D PE: score, exponential and running sum."""

ARRAY, VECTOR, DRAM = "array", "vector", "dram"

Tokens: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A tile of scores within its block, as far as tasks differ by it.

    Attributes:
        first_row: it meets its group's first keys.
        last_row: it meets the last keys.
        begins: it is the first tile of a row.
        ends: it is the last one.
        first: it is the first query tile to meet these keys.
        last: it is the last one.
        last_keys: no keys follow these.
        last_block: no block follows.
    """

    first_row: bool
    last_row: bool
    begins: bool
    ends: bool
    first: bool
    last: bool
    last_keys: bool
    last_block: bool


@dataclass(frozen=True)
class CascadeProgram:
    """The 1-pass cascade of one design and workload.

    Attributes:
        a: the design.
        work: what is computed.
        mapping: query tiles at once.
        buffers: of keys and of values, 1 or 2.
        query_buffers: blocks of queries that fit, 1 or 2.
        memory: False for memory that takes no time.
    """

    a: AttentionArray
    work: AttentionWork
    mapping: Resident
    buffers: int = 1
    query_buffers: int = 1
    memory: bool = True

    @property
    def rows(self) -> int:
        """Key tiles, M1."""
        return tiles(self.work.keys, self.a.dim)

    @property
    def width(self) -> int:
        """Query tiles at once, of all groups that take turns."""
        return self.mapping.query_tiles * self.mapping.groups

    @property
    def blocks(self) -> int:
        """Blocks of query tiles."""
        of_group = -(-tiles(self.work.queries, self.a.dim) // self.mapping.query_tiles)
        return self.work.groups // self.mapping.groups * of_group

    @property
    def ahead(self) -> int:
        """Tiles between a product and its exponentials: enough to hide the drain, if they fit."""
        if self.a.binding == "architecture":
            return 0
        per_tile, _ = tile_cycles(self.a, self.work)
        busy = sum(per_tile[name] for name in ON_ARRAY[self.a.binding])
        wanted = -(-(self.a.dim + per_tile["RM"]) // busy)
        in_flight = max(1, self.a.rf_words // WORDS_OF_A_TILE)
        return min(wanted, in_flight - 1, self.rows * self.width)

    @property
    def behind(self) -> int:
        """Tiles between values and the addition of their sums, which take as long to drain.

        A query tile needs its sums when it meets the next keys, `width` tiles later.
        """
        return min(tiles_behind(self.a, self.work), self.width - 1)

    def program(self) -> TaskProgram:
        """The tasks."""
        start = [self._load("Q")] if self.query_buffers > 1 else []
        start += [self._load("K"), self._load("V")] if self.buffers > 1 else []
        start += [self._load("B")] if self.work.score_reads else []
        ahead = [t for i in range(self.ahead) for t in self._early(self._spot(i, self.blocks == 1))]
        blocks: list[Task | TaskLoop] = []
        ends = {0, 1, self.blocks - 2, self.blocks - 1, self.blocks}
        for block, end in pairwise(sorted(ends - {-1})):
            left = self.blocks - 1 - block
            tasks = self._block(block == 0, left == 0, left <= 1)
            blocks += [TaskLoop(end - block, tasks)] if end - block > 1 else tasks
        blocks += [task for _ in range(self.behind) for task in self._merge(ends=True)]
        free = {"K": self.buffers, "V": self.buffers, "Q": self.query_buffers, "B": 2}
        tokens = {f"{name} free": count for name, count in free.items()}
        return TaskProgram((*start, *ahead, *blocks), {**tokens, "turn": 1})

    def _spot(self, tile: int, last_block: bool) -> Spot:
        row, column = divmod(tile, self.width)
        of_group, last_row = self.mapping.query_tiles, row == self.rows - 1
        last_group = column >= self.width - of_group
        return Spot(
            first_row=row == 0,
            last_row=last_row,
            begins=column == 0,
            ends=column == self.width - 1,
            first=column % of_group == 0,
            last=column % of_group == of_group - 1,
            last_keys=last_row and last_group and last_block,
            last_block=last_block,
        )

    def _block(self, first: bool, last: bool, next_last: bool) -> Body:
        """All tiles of a block; it reaches into the next one, and finishes the one before."""
        rows: list[Task | TaskLoop] = []
        for alike, run in groupby(range(self.rows), self._alike):
            count = len(list(run))
            body = self._row(alike, first, last, next_last)
            rows += [TaskLoop(count, body)] if count > 1 else body
        return tuple(rows)

    def _alike(self, row: int) -> int:
        """The first row with the same tasks."""
        reach = -(-self.ahead // self.width)
        return 1 if 0 < row and row + reach < self.rows - 1 else row

    def _row(self, row: int, first: bool, last: bool, next_last: bool) -> Body:
        """The tiles that meet one tile of keys."""
        spots = [
            (
                self._later(tile, last, next_last),
                self._spot(tile, last),
                self._earlier(tile, first),
            )
            for tile in range(row * self.width, (row + 1) * self.width)
        ]
        body: list[Task | TaskLoop] = []
        for (early, late, merge), run in groupby(spots):
            tasks = (*(self._early(early) if early else ()), *self._late(late))
            tasks += () if merge is None else tuple(self._merge(ends=merge))
            count = len(list(run))
            body += [TaskLoop(count, tasks)] if count > 1 else tasks
        return tuple(body)

    def _earlier(self, tile: int, first: bool) -> bool | None:
        """Whether the tile whose sums are added beside a tile meets the last keys; None before."""
        tile -= self.behind
        if tile < 0:
            return None if first else True
        return tile >= (self.rows - 1) * self.width

    def _later(self, tile: int, last: bool, next_last: bool) -> Spot | None:
        """The tile whose product runs beside the rest of a tile; None after the last one."""
        tile += self.ahead
        if tile < self.rows * self.width:
            return self._spot(tile, last)
        return None if last else self._spot(tile - self.rows * self.width, next_last)

    def _early(self, at: Spot) -> Iterator[Task]:
        """The product of queries and keys, and its maxima where the array finds them."""
        begins = at.begins and at.first_row
        if begins and (self.query_buffers == 1 or not at.last_block):
            yield self._load("Q")
        if at.first and self._more(at):
            yield self._load("K")
        waits = ("turn",) * (self.a.binding == "architecture")
        waits += ("Q",) * begins + ("K",) * at.first
        signals = ("K free",) * at.last + ("Q free",) * (at.ends and at.last_row)
        if self.work.score_reads:
            if not (at.last_keys and at.ends):  # those of the next tile, before results are stored
                yield self._load("B")
            waits, signals = (*waits, "B"), (*signals, "B free")
        yield self._task("scores", ARRAY, ["QK"], waits, signals)
        maxima = ["LM"] if "LM" in ON_ARRAY[self.a.binding] else []
        leaves = self.a.dim * TICKS
        yield self._task("maxima", ARRAY, maxima, signals=("scores",), delay=leaves)

    def _more(self, at: Spot) -> bool:
        """Whether keys and values are to be loaded: these, or with two buffers the next ones."""
        return self.buffers == 1 or not at.last_keys

    def _late(self, at: Spot) -> Iterator[Task]:
        """All else of a tile, by the design's binding."""
        if at.first and self._more(at):
            yield self._load("V")
        yield from {
            "fusemax": self._interleaved,
            "architecture": self._stepwise,
            "cascade": self._vectorized,
        }[self.a.binding](("V",) * at.first, ("V free",) * at.last)

    def _merge(self, *, ends: bool) -> Iterator[Task]:
        """The sums of a tile added to the running ones; divided and stored after the last keys."""
        if self.a.binding != "architecture":
            yield self._task("sums", VECTOR, ["RD", "RNV"], ("sums",))
        if ends:
            yield self._task("divide", VECTOR, ["AV"], signals=("AV",))
            yield Task("store", DRAM, self._moving("AV"), ("AV",))

    def _interleaved(self, waits: Tokens, signals: Tokens) -> Iterator[Task]:
        """1D PEs work without a break; the array follows them."""
        yield self._task("maximum", VECTOR, ["RM"], ("scores",), ("maximum",))
        yield self._task("exponentials", ARRAY, ["SLN", "SLD"], ("maximum",))
        yield self._task("correction", VECTOR, ["PRM", "SPD", "SPNV"])
        yield self._task("values", ARRAY, ["SLNV"], waits, signals)
        yield self._task("results", ARRAY, [], signals=("sums",), delay=self.a.dim * TICKS)

    def _stepwise(self, waits: Tokens, signals: Tokens) -> Iterator[Task]:
        """Each phase begins when both sides have ended the one before; sums are added as made."""
        yield self._task("maximum", VECTOR, ["RM"], ("scores",), ("maximum",))
        yield self._task("exponentials", ARRAY, ["SLN", "SLD"], ("maximum",), ("weights",))
        yield self._task("correction", VECTOR, ["PRM", "SPD"], (), ("corrected",))
        yield self._task("values", ARRAY, ["SLNV"], ("corrected", *waits), signals)
        yield self._task("sums", VECTOR, ["SPNV", "RNV"], ("weights",), ("turn",))
        yield self._task("denominator", VECTOR, ["RD"])

    def _vectorized(self, waits: Tokens, signals: Tokens) -> Iterator[Task]:
        """The array multiplies only."""
        names = ["LM", "RM", "SLN"]
        yield self._task("exponentials", VECTOR, names, ("scores",), ("weights",))
        yield self._task("values", ARRAY, ["SLNV"], ("weights", *waits), ("sums", *signals))
        yield self._task("correction", VECTOR, ["SLD", "PRM", "SPD", "SPNV"])

    def _task(
        self, name: str, engine: str, einsums: Sequence[str], waits: Tokens = (),
        signals: Tokens = (), *, delay: int = 0,
    ) -> Task:  # fmt: skip
        """Einsums of a tile, one after the other; a score per PE, so `dim` of them per 1D PE."""
        per_tile, final = tile_cycles(self.a, self.work)
        cycles = {**per_tile, "AV": final}
        count = sum(
            cycles[one] * (self.a.dim if engine == VECTOR and one in PER_SCORE else 1)
            for one in einsums
        )
        return Task(name, engine, count * TICKS, waits, signals, delay)

    def _load(self, operand: str) -> Task:
        return Task("load", DRAM, self._moving(operand), (f"{operand} free",), (operand,))

    def _moving(self, operand: str) -> int:
        """Ticks of memory for a block of queries, or a tile of anything else."""
        if not self.memory:
            return 0
        query_tiles = tiles(self.work.queries, self.a.dim)
        parts = {
            "Q": self.blocks, "K": self.work.groups * self.rows, "V": self.work.groups * self.rows,
            "AV": self.work.groups * query_tiles,
            "B": self.work.groups * self.rows * query_tiles,
        }  # fmt: skip
        whole = {**self.work.words, "B": self.work.score_reads * self.work.scores}
        words = -(-whole[operand] // parts[operand])
        return math.ceil(words * self.a.word_bytes / self.a.dram_bytes_per_cycle * TICKS)
