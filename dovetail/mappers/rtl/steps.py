"""The steps of convolutions and of vector layers: load, compute, store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dovetail.arch.systolic import SystolicArray
from dovetail.ir import isa
from dovetail.ir.executable import Region
from dovetail.ir.isa import NO_FILL, Fill, Load, Multiply, Scratchpad, Store, Transfer, Vector
from dovetail.ir.program import Program
from dovetail.mappers.rtl.layout import Weights
from dovetail.mappers.rtl.nest import Index, Registers, Tiles, nest
from dovetail.mappers.rtl.shape import FIELD, LayerShape
from dovetail.networks.quantized import Addition, Convolution, Layer, Pooling, Requantization
from dovetail.sim.closed_form import loads_input, loads_weight
from dovetail.sim.tiles import ceil_div


def merged(
    address: int, rows: int, row_stride: int, columns: int, column_stride: int, run: int, beat: int
) -> Transfer:
    """A transfer with the longest runs: whole pixels join to rows, whole rows to images.

    Args:
        address: relative to the register.
        rows: of runs.
        row_stride: bytes from one to the next.
        columns: runs per row.
        column_stride: bytes from one to the next.
        run: bytes of one.
        beat: bytes of a bus word.
    """
    if columns > 1 and column_stride == run and columns * run // beat <= FIELD:
        columns, run = 1, columns * run
    if columns == 1 and rows > 1 and row_stride == run and rows * run // beat <= FIELD:
        rows, run = 1, rows * run
    return Transfer(
        address, rows, row_stride if rows > 1 else 0, columns, column_stride if columns > 1 else 0,
        run // beat,
    )  # fmt: skip


def moves(tiles: Tiles, index: Index) -> tuple[bool, bool]:
    """Whether a step loads its input tile, and its weights."""
    count, order = tiles.count, tiles.order
    if index["C"] > 0:
        return True, True
    pixel = index["P"] + index["Q"]
    return (
        bool(loads_input(order, count["C"], count["P"] * count["Q"], index["K"])),
        bool(loads_weight(order, count["C"], count["K"], pixel)),
    )


@dataclass(frozen=True)
class Frame:
    """What all steps of a layer share: its tiles, where its tensors lie, and the machine."""

    tiles: Tiles
    design: SystolicArray
    source: Region
    target: Region
    law: Requantization

    @property
    def shape(self) -> LayerShape:
        """Of the layer."""
        return self.tiles.shape

    @property
    def beat(self) -> int:
        """Bytes of a bus word."""
        return self.design.bus_bits // 8

    def out_words(self, index: Index) -> int:
        """Words per output pixel."""
        return ceil_div(self.tiles.part("K", index), self.shape.word(self.design, "K"))

    def fill(
        self, index: Index, region: Region, address: int, word: int, words: int, lanes: int
    ) -> Fill:
        """Reads the tile's input: `words` words of `lanes` channels per pixel."""
        rows, columns = (self.tiles.stored(rank, index)[1] for rank in "PQ")
        if rows * columns == 0:
            return NO_FILL
        word_bytes = lanes * self.design.input_bits // 8
        transfer = merged(
            address, rows, self.shape.y.step * region.row_bytes, columns,
            self.shape.x.step * region.pixel_bytes, words * word_bytes, self.beat,
        )  # fmt: skip
        return Fill(transfer, Scratchpad.INPUT, word, word_bytes // self.beat)

    def window(self, index: Index, words: int, pad: int) -> isa.Window:
        """The tile's implicit im2col."""
        _, height, origin_y = self.tiles.stored("P", index)
        _, width, origin_x = self.tiles.stored("Q", index)
        y, x = self.shape.y, self.shape.x
        return isa.Window(
            self.tiles.part("P", index), self.tiles.part("Q", index), y.kernel, x.kernel,
            y.stored_stride, x.stored_stride, y.stored_dilation, x.stored_dilation,
            origin_y, origin_x, height, width, words, pad,
        )  # fmt: skip

    def load_address(self, region: Region, index: Index, channel: int) -> int:
        """Of the tile's first input, from `channel` on, in a tensor."""
        top, left = (self.tiles.stored(rank, index)[0] for rank in "PQ")
        inside = channel * region.bits // 8
        return region.address + top * region.row_bytes + left * region.pixel_bytes + inside

    def store_address(self, index: Index) -> tuple[int, int]:
        """Of the tile's first output, and of its first parameter word."""
        tile, region = self.tiles.tile, self.target
        top, left = index["P"] * tile["P"], index["Q"] * tile["Q"]
        channel = index["G"] * self.shape.outputs + index["K"] * tile["K"]
        address = region.address + top * region.row_bytes + left * region.pixel_bytes
        blocks = ceil_div(self.shape.outputs, self.shape.word(self.design, "K"))
        first = index["K"] * ceil_div(tile["K"], self.shape.word(self.design, "K"))
        return address + channel * region.bits // 8, index["G"] * blocks + first

    def store(self, index: Index, at: Registers, *, param_per_pixel: bool = False) -> Store:
        """Writes the tile."""
        rows, columns = self.tiles.part("P", index), self.tiles.part("Q", index)
        words, law, region = self.out_words(index), self.law, self.target
        word_bytes = self.shape.word(self.design, "K") * region.bits // 8
        transfer = merged(
            at[2], rows, region.row_bytes, columns, region.pixel_bytes, words * word_bytes,
            self.beat,
        )  # fmt: skip
        clipping = (0, 0, 0) if law.wide else (law.zero_point, law.low, law.high)
        return Store(
            transfer, words, rows * columns, word_bytes // self.beat, law.wide, at[3],
            param_per_pixel, *clipping,
        )  # fmt: skip


@dataclass(frozen=True)
class ArraySteps(Frame):
    """Steps of a convolution.

    Attributes:
        weights: their layout.
        weight_address: where they lie.
        pad: code of padding.
    """

    weights: Weights
    weight_address: int
    pad: int

    def addresses(self, index: Index) -> Registers:
        """Of inputs, weights, outputs and parameters."""
        channel = index["G"] * self.shape.depth + index["C"] * self.tiles.tile["C"]
        weights = self.weights.offset(index["G"], index["K"], index["C"])
        return (
            self.load_address(self.source, index, channel),
            self.weight_address + weights,
            *self.store_address(index),
        )

    def step(self, index: Index, at: Registers) -> Iterator[isa.Instruction]:
        """Load, multiply and, after the last depth tile, store."""
        columns, words = self.weights.words(index["K"], index["C"])
        moves_input, moves_weight = moves(self.tiles, index)
        load = Load(
            self.fill(index, self.source, at[0], 0, words, self.design.rows)
            if moves_input
            else NO_FILL,
            self._weight_fill(columns, words, at[1]) if moves_weight else NO_FILL,
        )
        yield load
        last = index["C"] == self.tiles.count["C"] - 1
        yield Multiply(
            self.window(index, words, self.pad), columns, index["C"] == 0, last,
            load.fills(Scratchpad.INPUT), load.fills(Scratchpad.WEIGHT),
        )  # fmt: skip
        if last:
            yield self.store(index, at)

    def _weight_fill(self, columns: int, words: int, address: int) -> Fill:
        word = self.weights.word_bytes
        size = columns * self.weights.taps * words * self.design.rows * word
        if size // self.beat <= FIELD:
            transfer = Transfer(address, 1, 0, 1, 0, size // self.beat)
        else:
            run = size // columns // self.weights.taps // self.beat
            stride = run * self.beat
            transfer = Transfer(
                address, columns, self.weights.taps * stride, self.weights.taps, stride, run
            )
        return Fill(transfer, Scratchpad.WEIGHT, 0, word // self.beat)


@dataclass(frozen=True)
class VectorSteps(Frame):
    """Steps of a pooling, or of an addition, whose second operand lies behind the first.

    Attributes:
        layer: either of them.
        second: where an addition's second operand lies.
        pad: code of padding.
    """

    layer: Pooling | Addition
    second: Region
    pad: int

    def addresses(self, index: Index) -> Registers:
        """Of both operands, outputs and parameters."""
        channel = index["K"] * self.tiles.tile["K"]
        return (
            self.load_address(self.source, index, channel),
            self.load_address(self.second, index, channel),
            *self.store_address(index),
        )

    def step(self, index: Index, at: Registers) -> Iterator[isa.Instruction]:
        """Load, reduce, store."""
        words, lanes = self.out_words(index), self.design.lanes
        window = self.window(index, words, self.pad)
        first = self.fill(index, self.source, at[0], 0, words, lanes)
        if first == NO_FILL:
            first = self._one_word(at[0])
        if isinstance(self.layer, Pooling):
            mode = isa.VectorMode.MAX if self.layer.kind == "max" else isa.VectorMode.SUM
            yield Load(first)
            yield Vector(window, mode, 1, 1)
        else:
            behind = window.height * window.width * words
            yield Load(first, self.fill(index, self.second, at[1], behind, words, lanes))
            yield Vector(
                _stacked(window), isa.VectorMode.SUM, self.layer.weight_a, self.layer.weight_b
            )
        yield self.store(index, at)

    def _one_word(self, address: int) -> Fill:
        """For a tile of padding: vector instructions take a new half of the inputs always."""
        beats = self.design.lanes * self.design.input_bits // self.design.bus_bits
        return Fill(Transfer(address, 1, 0, 1, 0, beats), Scratchpad.INPUT, 0, beats)


def _stacked(window: isa.Window) -> isa.Window:
    """Two tiles of one height, one below the other, as the two taps of a window."""
    return isa.Window(
        window.p, window.q, 2, 1, 1, 1, window.height, 1, 0, 0, 2 * window.height, window.width,
        window.blocks, window.pad,
    )  # fmt: skip


def layer_program(
    layer: Layer,
    tiles: Tiles,
    design: SystolicArray,
    regions: Mapping[str, Region],
    weights: Weights,
    *,
    weight_address: int = 0,
    pad: int = 0,
) -> Program:
    """The Program of a layer.

    Args:
        layer: what it computes.
        tiles: of it.
        design: an RTL machine.
        regions: where tensors lie, by name.
        weights: layout of a convolution's; else not read.
        weight_address: where they lie.
        pad: code of padding.
    """
    source, target = regions[layer.inputs[0]], regions[layer.output]
    frame = (tiles, design, source, target, layer.requantization)
    if isinstance(layer, Convolution):
        return nest(layer.name, ArraySteps(*frame, weights, weight_address, pad))
    return nest(layer.name, VectorSteps(*frame, layer, regions[layer.inputs[-1]], pad))
