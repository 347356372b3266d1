"""The tile loops of one layer on the RTL machine, and the way of its address registers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from dovetail.ir import isa
from dovetail.ir.program import HardwareLoop, Program
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.shape import Axis, LayerShape
from dovetail.mappers.systolic.lower import ORDERS, RANKS
from dovetail.sim.columns import Tile
from dovetail.sim.tiles import ceil_div, first_clipped

Index = dict[str, int]
Registers = tuple[int, int, int, int]
"""Of the load queue, A and B; of the store queue, A (bytes) and B (parameter words)."""


class Tiles:
    """The tiles of a layer: counts, extents, and which are alike.

    Args:
        shape: of the layer.
        tile: row of `Tile` columns.
    """

    def __init__(self, shape: LayerShape, tile: IntArray) -> None:
        self.shape = shape
        self.size = {rank: shape.extent(rank) for rank in RANKS}
        self.tile = {rank: int(tile[Tile[rank]]) for rank in RANKS}
        self.order = int(tile[Tile.ORDER])
        self.count = {rank: ceil_div(self.size[rank], self.tile[rank]) for rank in RANKS}

    def part(self, rank: str, index: Index) -> int:
        """Extent of a tile."""
        return min(self.tile[rank], self.size[rank] - index[rank] * self.tile[rank])

    def stored(self, rank: str, index: Index) -> tuple[int, int, int]:
        """`Axis.stored` of a tile of P or Q."""
        axis = self.shape.y if rank == "P" else self.shape.x
        return axis.stored(index[rank] * self.tile[rank], self.part(rank, index))

    def runs(self, rank: str) -> Iterator[tuple[int, int]]:
        """(first index, repetitions) of tiles that are alike; index 0 and edges stand alone."""
        count, head, tail = self.count[rank], 1, 1
        if rank in "PQ":
            axis = self.shape.y if rank == "P" else self.shape.x
            head, tail = _clipped(axis, self.tile[rank], count)
        alike = max(0, count - head - tail)
        yield from ((i, 1) for i in range(min(head, count)))
        if alike:
            yield head, alike
        yield from ((i, 1) for i in range(head + alike, count))


def _clipped(axis: Axis, tile: int, count: int) -> tuple[int, int]:
    head = max(1, ceil_div(axis.pad, tile * axis.stride))
    first = first_clipped(tile, axis.kernel, axis.stride, axis.dilation, axis.pad, axis.size)
    return head, max(1, count - int(first))


class Steps(Protocol):
    """What a layer does in one step of its tile loops."""

    @property
    def tiles(self) -> Tiles:
        """Its tiles."""

    def addresses(self, index: Index) -> Registers:
        """Where a step's operands, results and parameters lie."""

    def step(self, index: Index, at: Registers) -> Iterator[isa.Instruction]:
        """Its instructions, with addresses relative to the queues' registers.

        Args:
            index: of the tile.
            at: `addresses`, less what the registers hold, within their fields.
        """


def nest(name: str, steps: Steps) -> Program:
    """The loops around all steps of a layer."""
    emitter = _Emitter(steps)
    body = emitter.body(ORDERS[steps.tiles.order], dict.fromkeys(RANKS, 0))
    return Program(name, tuple(body))


class _Emitter:
    """Emits loops from the outside in, and knows what each register holds at that point."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.held: Registers = (0, 0, 0, 0)

    def body(self, ranks: tuple[str, ...], index: Index) -> list[Any]:
        """Instructions of the loops over `ranks` at fixed outer indices."""
        if not ranks:
            return list(self.steps.step(index, self._relative(index)))
        items: list[Any] = []
        for first, run in self.steps.tiles.runs(ranks[0]):
            inner = {**index, ranks[0]: first}
            before = self.held
            body = self.body(ranks[1:], inner)
            if run == 1:
                items += body
                continue
            stride = self._stride(inner, ranks[0])
            a, b, store, param = _add(stride, before, self.held)
            items.append(HardwareLoop(run, tuple(body), (a, b), (store, param)))
            self.held = _times(self.held, stride, run - 1)
        return items

    def _relative(self, index: Index) -> Registers:
        a, b, store, param = (
            there - held for there, held in zip(self.steps.addresses(index), self.held, strict=True)
        )
        return a % 2**32, b % 2**32, store % 2**32, param % 2**16

    def _stride(self, index: Index, rank: str) -> Registers:
        here = self.steps.addresses(index)
        there = self.steps.addresses({**index, rank: index[rank] + 1})
        return _add(there, here, (0, 0, 0, 0), sign=-1)


def _add(stride: Registers, before: Registers, after: Registers, sign: int = 1) -> Registers:
    """Of each register: stride + sign x before - after."""
    a, b, c, d = (s + sign * x - y for s, x, y in zip(stride, before, after, strict=True))
    return a, b, c, d


def _times(held: Registers, stride: Registers, count: int) -> Registers:
    a, b, c, d = (h + count * s for h, s in zip(held, stride, strict=True))
    return a, b, c, d
