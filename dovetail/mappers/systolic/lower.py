"""Lowering: a tiled operator becomes a Program with hardware loops.

Tiles that are alike become one loop; edge tiles, and first tiles that load what later ones keep,
stand before and after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.ir.program import (
    HardwareLoop,
    Instruction,
    Load,
    MatrixMultiply,
    Program,
    Store,
    VectorOperate,
)
from dovetail.ir.schedule import TileLoop, Tiling
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import loads_input, loads_weight, operand_bits, operand_passes
from dovetail.sim.columns import Op, Tile
from dovetail.sim.streaming import best_chunks, chunk, chunks_alike_until, vector_bits
from dovetail.sim.tiles import first_clipped, span

Body = tuple[Instruction | HardwareLoop, ...]
RANKS = ("G", "N", "P", "Q", "K", "C")
ORDERS = (("G", "N", "P", "Q", "K", "C"), ("G", "K", "N", "P", "Q", "C"))
SPATIAL = {"ws": ("C", "K"), "os": ("P", "K"), "is": ("C", "P")}
"""Ranks on rows and columns; C stands for C R S, P for N P Q."""


def mapping_of(operator: str, op: IntArray, tile: IntArray, accelerator: SystolicArray) -> Tiling:
    """The loop nest of a tiling row.

    Args:
        operator: its name.
        op: row of `Op` columns.
        tile: row of `Tile` columns.
        accelerator: gives the spatial loops.
    """
    loops = [
        TileLoop(
            rank, -(-int(op[Op[rank]]) // int(tile[Tile[rank]])), int(tile[Tile[rank]]), "dram"
        )
        for rank in ORDERS[int(tile[Tile.ORDER])]
    ]
    row_rank, col_rank = SPATIAL[accelerator.dataflow]
    loops.append(TileLoop(row_rank, accelerator.rows, 1, "rows"))
    loops.append(TileLoop(col_rank, accelerator.cols, 1, "cols"))
    return Tiling(operator, tuple(loops))


def tile_of(mapping: Tiling) -> IntArray:
    """The tiling row of a mapping, inverse of `mapping_of`.

    Raises:
        MappingError: if the loops stand in an order that the engine does not run.
    """
    order = tuple(loop.rank for loop in mapping.loops if not loop.spatial)
    if order not in ORDERS:
        raise MappingError(
            f"mapping of '{mapping.operator}' has tile loops {''.join(order)}: must be "
            + " or ".join("".join(legal) for legal in ORDERS)
        )
    tile = np.zeros(len(Tile), dtype=np.int64)
    for rank in RANKS:
        tile[Tile[rank]] = mapping.temporal(rank).tile
    tile[Tile.ORDER] = ORDERS.index(order)
    return tile


def lower_array(accelerator: SystolicArray, op: IntArray, mapping: Tiling) -> Program:
    """Lowers a tiled Einsum.

    Args:
        accelerator: gives the operand widths.
        op: row of `Op` columns with engine ARRAY.
        mapping: its tiling.
    """
    tile = tile_of(mapping)
    nest = _Nest(design_row(accelerator), op, tile)
    return Program(mapping.operator, nest.body(ORDERS[int(tile[Tile.ORDER])], {}))


def lower_vector(accelerator: SystolicArray, op: IntArray, name: str) -> Program:
    """Lowers an operator that streams through the vector unit in chunks."""
    design = design_row(accelerator)
    bits_in, bits_out = vector_bits(design, op)
    chunks = int(best_chunks(design, op))

    def step(index: int) -> Body:
        inputs, outputs, ops = (
            int(chunk(total, -(-total // chunks), index))
            for total in (int(op[c]) for c in (Op.IN_ELEMENTS, Op.OUT_ELEMENTS, Op.VECTOR_OPS))
        )
        return (
            Load(_packed(inputs, bits_in), 0),
            VectorOperate(ops),
            Store(_packed(outputs, bits_out), 0),
        )

    body: list[Instruction | HardwareLoop] = []
    first = 0
    while first < chunks:
        end = int(chunks_alike_until(op, chunks, first))
        body += _loop(end - first, step(first))
        first = end
    return Program(name, tuple(body))


class _Nest:
    """Emits the tile loops of one operator from the outside in."""

    def __init__(self, design: FloatArray, op: IntArray, tile: IntArray) -> None:
        self.size = {rank: int(op[Op[rank]]) for rank in (*RANKS, "R", "S")}
        self.tile = {rank: int(tile[Tile[rank]]) for rank in RANKS}
        self.order = int(tile[Tile.ORDER])
        self.count = {rank: -(-self.size[rank] // self.tile[rank]) for rank in RANKS}
        self.bits = tuple(int(bits) for bits in operand_bits(design, op))
        self.passes = int(operand_passes(design, self.bits[0], self.bits[1]))
        self.epilogue = int(op[Op.EPILOGUE_OPS]) // (
            self.size["G"] * self.size["N"] * self.size["K"] * self.size["P"] * self.size["Q"]
        )
        names = ("P", "R", "H", "TOP", "HEIGHT"), ("Q", "S", "W", "LEFT", "WIDTH")
        self.window = {
            output: tuple(
                int(op[Op[column]])
                for column in (kernel, f"STRIDE_{axis}", f"DILATION_{axis}", f"PAD_{pad}", size)
            )
            for output, kernel, axis, pad, size in names
        }

    def body(self, ranks: tuple[str, ...], index: dict[str, int]) -> Body:
        """Instructions of the loops over `ranks` at fixed outer indices."""
        if not ranks:
            return tuple(self.step(index))
        items: list[Instruction | HardwareLoop] = []
        for first, run in self.runs(ranks[0]):
            items += _loop(run, self.body(ranks[1:], {**index, ranks[0]: first}))
        return tuple(items)

    def runs(self, rank: str) -> Iterator[tuple[int, int]]:
        """(first index, repetitions) of tiles that are alike; index 0 and edges stand alone."""
        count = self.count[rank]
        head, tail = 1, 1
        if rank in self.window:
            kernel, stride, dilation, pad, size = self.window[rank]
            tile = self.tile[rank]
            head = max(1, -(-pad // (tile * stride)))
            tail = max(1, count - int(first_clipped(tile, kernel, stride, dilation, pad, size)))
        alike = max(0, count - head - tail)
        yield from ((i, 1) for i in range(min(head, count)))
        if alike:
            yield head, alike
        yield from ((i, 1) for i in range(head + alike, count))

    def part(self, rank: str, index: dict[str, int]) -> int:
        """Extent of a tile."""
        return min(self.tile[rank], self.size[rank] - index[rank] * self.tile[rank])

    def step(self, index: dict[str, int]) -> Iterator[Instruction]:
        """Load, multiply and, after the last depth tile, store."""
        g, b, p, q, n, c = (self.part(rank, index) for rank in RANKS)
        depth_tiles, pixel_tiles = self.count["C"], self._product(("N", "P", "Q"), self.count.get)
        pixel = index["N"] + index["P"] + index["Q"]
        starts = index["C"] == 0
        kernel = self.size["R"] * self.size["S"]
        moves_in = not starts or loads_input(self.order, depth_tiles, pixel_tiles, index["K"])
        moves_w = not starts or loads_weight(self.order, depth_tiles, self.count["K"], pixel)
        pixels = b * self._span("P", index, p) * self._span("Q", index, q)
        yield Load(
            _packed(g * c * pixels, self.bits[0]) if moves_in else 0,
            _packed(g * c * kernel * n, self.bits[1]) if moves_w else 0,
        )
        last = index["C"] == depth_tiles - 1
        yield MatrixMultiply(g, b * p * q, n, c * kernel, self.passes, starts, last)
        if last:
            outputs = g * b * p * q * n
            yield Store(_packed(outputs, self.bits[2]), outputs * self.epilogue)

    def _span(self, rank: str, index: dict[str, int], count: int) -> int:
        return int(span(index[rank] * self.tile[rank], count, *self.window[rank]))

    @staticmethod
    def _product(ranks: tuple[str, ...], value: Callable[[str, int], int]) -> int:
        product = 1
        for rank in ranks:
            product *= value(rank, 1)
        return product


def _loop(count: int, body: Body) -> Body:
    return (HardwareLoop(count, body),) if count > 1 else body


def _packed(elements: int, bits: int) -> int:
    return -(-int(elements) * int(bits) // 8)
