"""Layers as the RTL machine sees them, and which tiles of them fit."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir.space import IntArray
from dovetail.networks.quantized import Addition, Convolution, Layer, QuantizedNetwork
from dovetail.sim.columns import Tile
from dovetail.sim.rtl_closed_form import joined_groups, stored_step
from dovetail.sim.tiles import ceil_div

FIELD = 2**16 - 1
"""Greatest value of a 16-bit field."""
SIGNED_FIELD = 2**15 - 1
BYTE_FIELD = 2**8 - 1
STEP_FIELD = 2**24 - 1
SPAN = 2**17 - 1
"""Greatest position, padding included, that the address generator tells from a stored one."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Rows (or columns) of a window that slides over an image.

    Attributes:
        outputs: windows. kernel: taps. stride, dilation: in rows. pad: rows before the image.
        size: rows of the image.
    """

    outputs: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    size: int

    @property
    def step(self) -> int:
        """Only every so many rows are ever read."""
        return int(stored_step(self.kernel, self.stride, self.dilation))

    @property
    def stored_stride(self) -> int:
        """Stride in stored rows."""
        return self.stride // self.step

    @property
    def stored_dilation(self) -> int:
        """Dilation in stored rows."""
        return self.dilation // self.step if self.kernel > 1 else 1

    def stored(self, first: int, count: int) -> tuple[int, int, int]:
        """Rows that a tile of outputs keeps on chip.

        Args:
            first: its first output.
            count: its outputs.

        Returns:
            First row in the image, number of rows, and the position of output `first`, tap 0
            among them, which is negative in padding.
        """
        low = first * self.stride - self.pad
        high = low + (count - 1) * self.stride + (self.kernel - 1) * self.dilation
        start = low + max(0, ceil_div(-low, self.step)) * self.step
        rows = max(0, (min(high, self.size - 1) - start) // self.step + 1)
        return (start, rows, (low - start) // self.step) if rows else (0, 0, 0)

    def span(self, count: int) -> int:
        """Stored rows and padding that `count` outputs read, or step over."""
        return (count - 1) * self.stored_stride + (self.kernel - 1) * self.stored_dilation + 1

    def most(self, count: int) -> int:
        """Most rows that any tile of `count` outputs keeps."""
        return min(self.span(count), ceil_div(self.size, self.step))


@dataclass(frozen=True, slots=True)
class LayerShape:
    """Extents of a layer in the ranks of a tiling; N is 1.

    A convolution's groups are joined to dense ones that fill whole words. In a vector layer K
    counts the channels, in words of `lanes`, and C is 1.

    Attributes:
        name: of the layer.
        vector: runs on the vector unit.
        operands: tensors that it reads.
        groups: joined groups, G.
        joined: groups of the network in each.
        outputs: channels of a joined group, K.
        depth: input channels of a joined group, C.
        y: rows, P and R. x: columns, Q and S.
        wide: stores accumulators.
    """

    name: str
    vector: bool
    operands: int
    groups: int
    joined: int
    outputs: int
    depth: int
    y: Axis
    x: Axis
    wide: bool

    def extent(self, rank: str) -> int:
        """Extent of G, N, P, Q, K or C."""
        return {
            "G": self.groups, "N": 1, "P": self.y.outputs, "Q": self.x.outputs,
            "K": self.outputs, "C": self.depth,
        }[rank]  # fmt: skip

    def word(self, design: SystolicArray, rank: str) -> int:
        """What a tile of a rank is a multiple of, unless it is all of it."""
        out = min(design.rows, design.cols) if self.vector else design.cols
        return {"K": out, "C": design.rows}.get(rank, 1)

    def out_channels(self, design: SystolicArray) -> int:
        """Channels of the output that are written, padding included."""
        return self.groups * _whole(self.outputs, self.word(design, "K"))

    def in_channels(self, design: SystolicArray) -> int:
        """Channels of the inputs that are read, padding included."""
        if self.vector:
            return self.out_channels(design)
        return self.groups * _whole(self.depth, design.rows)


def layer_shape(network: QuantizedNetwork, layer: Layer, design: SystolicArray) -> LayerShape:
    """The extents of a layer on a design."""
    x, out = network.tensor(layer.inputs[0]), network.tensor(layer.output)
    if isinstance(layer, Addition):
        y_axis, x_axis = (Axis(size, 1, 1, 1, 0, size) for size in (x.height, x.width))
    else:
        window = layer.window
        y_axis, x_axis = (
            Axis(out.shape[1 + i], window.kernel[i], window.stride[i], window.dilation[i],
                 window.padding[i], x.shape[1 + i])
            for i in range(2)
        )  # fmt: skip
    if not isinstance(layer, Convolution):
        operands = len(layer.inputs)
        return LayerShape(
            layer.name, True, operands, 1, 1, out.channels, 1, y_axis, x_axis, out.wide
        )
    depth, outputs = x.channels // layer.groups, out.channels // layer.groups
    joined = int(joined_groups(design.rows, design.cols, layer.groups, outputs, depth))
    return LayerShape(
        layer.name, False, 1, ceil_div(layer.groups, joined), joined, joined * outputs,
        joined * depth, y_axis, x_axis, out.wide,
    )  # fmt: skip


def misfit(shape: LayerShape, design: SystolicArray, tile: IntArray) -> str:
    """Why a tiling row is illegal; empty if it is legal.

    Args:
        shape: of the layer.
        design: an RTL machine.
        tile: row of `Tile` columns, extents in the ranks of `shape`.
    """
    for rank in "GNPQKC":
        size, value, word = shape.extent(rank), int(tile[Tile[rank]]), shape.word(design, rank)
        if not 1 <= value <= size or (value % word and value != size):
            return f"tile {rank} = {value}: must be {size} or a multiple of {word} below"
    if tile[Tile.G] != 1 or tile[Tile.ORDER] not in (0, 1):
        return f"tile G = {tile[Tile.G]} and order {tile[Tile.ORDER]}: must be 1, and 0 or 1"
    needs = _needs(shape, design, tile)
    return "; ".join(f"{need} {what}, at most {most}" for what, need, most in needs if need > most)


def _needs(
    shape: LayerShape, design: SystolicArray, tile: IntArray
) -> tuple[tuple[str, int, int], ...]:
    """(what, how many of them, limit) of memories and fields."""
    p, q = int(tile[Tile.P]), int(tile[Tile.Q])
    out_words = ceil_div(int(tile[Tile.K]), shape.word(design, "K"))
    in_words = out_words if shape.vector else ceil_div(int(tile[Tile.C]), design.rows)
    y, x = shape.y, shape.x
    rows, row_words, taps = y.most(p), x.most(q) * in_words, y.kernel * x.kernel
    return (
        ("input words", shape.operands * rows * row_words, design.half_words("input")),
        ("weight words", 0 if shape.vector else taps * in_words * design.rows * out_words,
         design.half_words("weight")),
        ("accumulator words", p * q * out_words, design.half_words("output")),
        ("output pixels", p * q, FIELD),
        ("beats of a pixel", _pixel_beats(shape, design, max(in_words, out_words)), FIELD),
        ("kernel or stride", max(y.kernel, x.kernel, y.stored_stride, x.stored_stride), BYTE_FIELD),
        ("dilation", max(y.stored_dilation, x.stored_dilation), FIELD),
        ("padding", max(y.pad, x.pad), SIGNED_FIELD),
        ("rows or columns of a tile, padding included", max(y.span(p), x.span(q)), SPAN),
        ("words of a row step", row_words * max(y.stored_stride, y.stored_dilation), STEP_FIELD),
        ("words of a column step", in_words * max(x.stored_stride, x.stored_dilation), STEP_FIELD),
        ("beats of a tap's weights", 0 if shape.vector else in_words * design.rows
         * design.word_bits("weight") // design.bus_bits, FIELD),
    )  # fmt: skip


def _pixel_beats(shape: LayerShape, design: SystolicArray, words: int) -> int:
    bits = design.accumulator_bits if shape.wide else design.input_bits
    return words * max(design.rows, design.cols) * max(bits, design.input_bits) // design.bus_bits


def require_fit(shape: LayerShape, design: SystolicArray, tile: IntArray) -> None:
    """Checks a tiling row.

    Raises:
        MappingError: if it is illegal, naming why.
    """
    reason = misfit(shape, design, tile)
    if reason:
        raise MappingError(
            f"layer '{shape.name}' on '{design.name}': {reason}: choose a smaller tile"
        )


def _whole(count: int, word: int) -> int:
    return ceil_div(count, word) * word
