"""Tiles of fused operators: what every operator of a run computes and holds for a tile of the last.

A run is a row of operators that hand one tensor on. Its result is cut into tiles; for each tile all
operators run one after the other, depth first, and what passes between them stays on the chip.
Neighbouring tiles need overlapping parts of what comes before (the halo):

* `recompute`: every tile computes its halo again and forgets it. Tiles cut rows and columns.
* `retain`: what the next tile needs again stays in line buffers. Tiles are strips of whole rows.

The images of a batch follow one another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.schedule import Placement
from dovetail.mappers.patches.arena import Arena, MemoryRule
from dovetail.mappers.patches.receptive import (
    COLUMNS,
    ROWS,
    Ints,
    activations,
    is_patchable,
    spans,
    split,
)

MODES = ("recompute", "retain")


@dataclass(frozen=True)
class Run:
    """Consecutive operators of a network with one result.

    Attributes:
        network: that they belong to.
        placements: in order.
    """

    network: Network
    placements: tuple[Placement, ...]

    @cached_property
    def operators(self) -> tuple[Operator, ...]:
        """All of them, those fused into others included, in topological order."""
        own = {op.name for p in self.placements for op in (p.operator, *p.fused)}
        return tuple(op for op in self.network.operators if op.name in own)

    @property
    def result(self) -> str:
        """The tensor that leaves the run."""
        last = self.placements[-1]
        return (last.fused[-1] if last.fused else last.operator).outputs[0]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Activations that come from outside."""
        written = {name for op in self.operators for name in op.outputs}
        reads = (name for op in self.operators for name in activations(self.network, op))
        return tuple(dict.fromkeys(name for name in reads if name not in written))

    @cached_property
    def weights(self) -> int:
        """Elements of all weights."""
        return sum(self.weights_of(placement) for placement in self.placements)

    def weights_of(self, placement: Placement) -> int:
        """Elements of a placement's weights.

        Parameters in the output path of an Einsum ride along, as they do where nothing is fused.
        """
        op, tensor = placement.operator, self.network.tensor
        names = {n for rider in (op, *placement.fused) for n in rider.inputs}
        if op.einsum:
            names = {access.tensor for access in op.einsum.operands}
        return sum(tensor[name].elements for name in names if tensor[name].is_parameter)

    @property
    def is_fusible(self) -> bool:
        """Whether all operators are local in rows and columns, and nothing else leaves the run."""
        if not all(is_patchable(self.network, op) for op in self.operators):
            return False
        tensors = [
            n for op in self.operators for n in (*activations(self.network, op), *op.outputs)
        ]
        if len({self.network.tensor[name].shape[0] for name in tensors}) > 1:
            return False
        own = {op.name for op in self.operators}
        leaving = [
            name
            for op in self.operators
            for name in op.outputs
            if name in self.network.outputs
            or any(reader.name not in own for reader in self.network.consumers[name])
        ]
        return leaving == [self.result]

    def extent(self, tensor: str, axis: int) -> int:
        """Rows or columns of a tensor."""
        return self.network.tensor[tensor].shape[axis]

    @property
    def images(self) -> int:
        """Images of the batch."""
        return self.network.tensor[self.result].shape[0]

    def depth(self, tensor: str) -> int:
        """Elements of a tensor per pixel of an image: its channels."""
        return self.network.tensor[tensor].shape[1]

    def pixels(self, tensor: str) -> int:
        """Pixels of a tensor over all images."""
        return self.images * self.extent(tensor, ROWS) * self.extent(tensor, COLUMNS)

    def spans(self, axis: int, low: Ints, high: Ints) -> dict[str, tuple[Ints, Ints]]:
        """Begin and end of every tensor's part for parts of the result, one element a part."""
        return spans(self.network, self.operators, axis, {self.result: (low, high)})


@dataclass(frozen=True, slots=True)
class Tile:
    """Tiles of a run that need the same work.

    Attributes:
        count: how many there are, over all images.
        computed: rows and columns of every tensor that are computed, or read from outside.
        held: rows and columns of every tensor that are on the chip.
    """

    count: int
    computed: dict[str, tuple[int, int]]
    held: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Tiling:
    """A way to cut a run into tiles.

    Attributes:
        run: the operators.
        mode: one of `MODES`.
        grid: tiles along rows and columns of the result.
        tiles: in order of first appearance.
    """

    run: Run
    mode: str
    grid: tuple[int, int]
    tiles: tuple[Tile, ...]

    @property
    def count(self) -> int:
        """Tiles of all images."""
        return self.run.images * self.grid[0] * self.grid[1]

    @cached_property
    def computed(self) -> dict[str, int]:
        """Pixels of every tensor that are computed or read from outside, over tiles and images."""
        totals: dict[str, int] = {}
        for tile in self.tiles:
            for name, (rows, columns) in tile.computed.items():
                totals[name] = totals.get(name, 0) + tile.count * rows * columns
        return totals

    def repeated(self, op: Operator) -> float:
        """How often each output of an operator is computed on average."""
        return self.computed[op.outputs[0]] / self.run.pixels(op.outputs[0])

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates, those done again included."""
        return sum(
            op.macs // self.run.pixels(op.outputs[0]) * self.computed[op.outputs[0]]
            for op in self.run.operators
        )

    @property
    def read(self) -> int:
        """Elements of activations that come from outside."""
        return sum(self.run.depth(name) * self.computed[name] for name in self.run.inputs)

    @property
    def written(self) -> int:
        """Elements of the result."""
        return self.run.network.tensor[self.run.result].elements

    @cached_property
    def held(self) -> int:
        """Most elements on the chip at any time, weights left aside."""
        arena = Arena(self.run.network, self.run.operators, MemoryRule(depthwise_in_place=False,
                                                                       held=True))  # fmt: skip
        if self.mode == "retain":
            return max(_lines(self.run, arena, tile) for tile in self.tiles)
        return max(_alive(arena, tile) for tile in self.tiles) // self.run.images


def _alive(arena: Arena, tile: Tile) -> int:
    """Most elements of a tile that are alive together, images times (a byte is an element)."""
    sizes = {name: rows * columns for name, (rows, columns) in tile.held.items()}
    return max(int(arena.bytes(step, sizes.__getitem__)) for step, _ in arena.steps())


def _lines(run: Run, arena: Arena, tile: Tile) -> int:
    """Elements of all line buffers: every tensor has one, tensors written in place share."""
    buffers: dict[str, int] = {}
    for name, (rows, columns) in tile.held.items():
        root = arena.buffers[name]
        buffers[root] = max(buffers.get(root, 0), run.depth(name) * rows * columns)
    return sum(buffers.values())


def tilings(run: Run, sides: Sequence[int] = (1, 2, 4, 8, 16, 32, 64)) -> Iterator[Tiling]:
    """Tilings of a run whose tiles have about so many rows and columns, and the whole."""
    rows, columns = run.extent(run.result, ROWS), run.extent(run.result, COLUMNS)
    high = sorted({-(-rows // min(side, rows)) for side in (*sides, rows)})
    wide = sorted({-(-columns // min(side, columns)) for side in (*sides, columns)})
    for count in high:
        yield tiling(run, "retain", (count, 1))
    parts = {ROWS: {n: _parts(run, ROWS, n) for n in high},
             COLUMNS: {n: _parts(run, COLUMNS, n) for n in wide}}  # fmt: skip
    for a in high:
        for b in wide:
            if (a, b) != (1, 1):
                yield _recomputed(run, (a, b), parts[ROWS][a], parts[COLUMNS][b])


def tiling(run: Run, mode: str, grid: tuple[int, int]) -> Tiling:
    """One tiling.

    Args:
        run: fusible operators.
        mode: one of `MODES`; `retain` takes strips, grids of one column.
        grid: tiles along rows and columns of the result.
    """
    if mode == "retain":
        return _retained(run, grid[0])
    return _recomputed(run, grid, _parts(run, ROWS, grid[0]), _parts(run, COLUMNS, grid[1]))


Parts = list[tuple[int, dict[str, int]]]
"""How often, and the length of every tensor's part along one axis."""


def _bounds(run: Run, axis: int, count: int) -> tuple[Ints, Ints]:
    parts = np.array(split(run.extent(run.result, axis), count), dtype=np.int64)
    return parts[:, 0], parts[:, 1]


def _parts(run: Run, axis: int, count: int) -> Parts:
    found = run.spans(axis, *_bounds(run, axis, count))
    lengths = np.stack([high - low for low, high in found.values()], axis=1)
    kinds, counts = np.unique(lengths, axis=0, return_counts=True)
    return [
        (int(n), dict(zip(found, map(int, kind), strict=True)))
        for kind, n in zip(kinds, counts, strict=True)
    ]


def _recomputed(run: Run, grid: tuple[int, int], rows: Parts, columns: Parts) -> Tiling:
    tiles = []
    for a, high in rows:
        for b, wide in columns:
            shape = {name: (high[name], wide[name]) for name in high}
            tiles.append(Tile(a * b * run.images, shape, shape))
    return Tiling(run, "recompute", grid, tuple(tiles))


def _retained(run: Run, count: int) -> Tiling:
    """Strips from top to bottom: each computes the rows that no strip before it computed."""
    found = run.spans(ROWS, *_bounds(run, ROWS, count))
    new, kept = [], []
    for low, high in found.values():
        reached = np.maximum.accumulate(high)
        # From the first row that this strip or a later one needs; a stride may skip some.
        first = np.minimum.accumulate(low[::-1])[::-1]
        before = np.maximum(np.concatenate([[0], reached[:-1]]), first)
        new.append(reached - np.minimum(before, reached))
        kept.append(reached - np.minimum(first, reached))
    lengths = np.stack([*new, *kept], axis=1)
    kinds, order, counts = np.unique(lengths, axis=0, return_index=True, return_counts=True)
    names = list(found)
    wide = {name: run.extent(name, COLUMNS) for name in names}
    tiles = []
    for i in np.argsort(order):
        own = [int(n) for n in kinds[i]]
        computed = {name: (own[j], wide[name]) for j, name in enumerate(names)}
        held = {name: (own[len(names) + j], wide[name]) for j, name in enumerate(names)}
        tiles.append(Tile(int(counts[i]) * run.images, computed, held))
    return Tiling(run, "retain", (count, 1), tuple(tiles))
