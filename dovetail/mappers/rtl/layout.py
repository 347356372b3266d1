"""Where a network lies in the RTL machine's memory, and how weights and parameters are packed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.ir.executable import Bytes, Machine, Region, pack_lanes
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.shape import LayerShape
from dovetail.networks.quantized import (
    Activation,
    Convolution,
    Layer,
    QuantizedNetwork,
    Requantization,
)
from dovetail.sim.columns import Tile
from dovetail.sim.tiles import ceil_div

ALIGN = 64
"""Everything starts at a multiple of the widest bus word."""


def machine_of(design: SystolicArray) -> Machine:
    """The RTL parameters of a design."""
    halves = (design.half_words(operand) for operand in ("input", "weight", "output"))
    return Machine(
        design.rows, design.cols, design.input_bits, design.weight_bits, design.accumulator_bits,
        design.bus_bits, *halves,
    )  # fmt: skip


def aligned(address: int) -> int:
    """The next legal start."""
    return ceil_div(address, ALIGN) * ALIGN


def place(
    network: QuantizedNetwork, shapes: dict[str, LayerShape], design: SystolicArray, address: int
) -> tuple[Region, ...]:
    """Regions of all tensors from `address` on, pixels wide enough for all who write or read."""
    regions = []
    for tensor in network.tensors:
        pitch = _pitch(network, tensor, shapes, design)
        bits = design.accumulator_bits if tensor.wide else design.input_bits
        region = Region(tensor.name, address, *tensor.shape, pitch, bits)
        regions.append(region)
        address = aligned(address + region.size)
    return tuple(regions)


def _pitch(
    network: QuantizedNetwork, tensor: Activation, shapes: dict[str, LayerShape],
    design: SystolicArray,
) -> int:  # fmt: skip
    words = (design.cols,) if tensor.wide else (design.rows, design.cols)
    wanted = [ceil_div(tensor.channels, word) * word for word in words]
    for layer in network.layers:
        if layer.output == tensor.name:
            wanted.append(shapes[layer.name].out_channels(design))
        if tensor.name in layer.inputs:
            wanted.append(shapes[layer.name].in_channels(design))
    return max(wanted)


class Weights:
    """Weights of a layer, tile by tile in the order in which the array reads them.

    Args:
        shape: of the layer.
        design: gives word sizes.
        tile: row of `Tile` columns.
    """

    def __init__(self, shape: LayerShape, design: SystolicArray, tile: IntArray) -> None:
        self.shape, self.design = shape, design
        self.taps = shape.y.kernel * shape.x.kernel
        self.tile_k, self.tile_c = int(tile[Tile.K]), int(tile[Tile.C])
        self.blocks = ceil_div(shape.depth, design.rows)
        self.columns = ceil_div(shape.outputs, design.cols)
        self.word_bytes = design.cols * design.weight_bits // 8

    def words(self, k: int, c: int) -> tuple[int, int]:
        """(blocks of output channels, blocks of input channels) of tile (k, c)."""
        outputs = min(self.tile_k, self.shape.outputs - k * self.tile_k)
        depth = min(self.tile_c, self.shape.depth - c * self.tile_c)
        return ceil_div(outputs, self.design.cols), ceil_div(depth, self.design.rows)

    def offset(self, g: int, k: int, c: int) -> int:
        """First byte of tile (k, c) of joined group g."""
        block = self.taps * self.design.rows
        before = g * self.columns * self.blocks
        before += k * ceil_div(self.tile_k, self.design.cols) * self.blocks
        before += self.words(k, c)[0] * c * ceil_div(self.tile_c, self.design.rows)
        return before * block * self.word_bytes

    def pack(self, layer: Convolution) -> Bytes:
        """All tiles, zeros between the groups that are joined."""
        dense = self._dense(layer)
        rows, cols = self.design.rows, self.design.cols
        parts = []
        for group in dense.reshape(
            self.shape.groups, self.columns, cols, self.blocks, rows, self.taps
        ):
            words = group.transpose(0, 4, 2, 3, 1)  # column block, tap, block, row, column
            for k in range(0, self.columns, ceil_div(self.tile_k, cols)):
                part = words[k : k + ceil_div(self.tile_k, cols)]
                for c in range(0, self.blocks, ceil_div(self.tile_c, rows)):
                    parts.append(part[:, :, c : c + ceil_div(self.tile_c, rows)].reshape(-1))
        return pack_lanes(np.concatenate(parts), self.design.weight_bits)

    def _dense(self, layer: Convolution) -> IntArray:
        """(joined groups, output lanes, input lanes, taps)."""
        shape, joined = self.shape, self.shape.joined
        outputs, depth = shape.outputs // joined, shape.depth // joined
        size = (self.columns * self.design.cols, self.blocks * self.design.rows, self.taps)
        dense = np.zeros((shape.groups, *size), dtype=np.int64)
        weight = layer.weight.reshape(layer.groups, outputs, depth, self.taps)
        for group in range(layer.groups):
            k, c = group % joined * outputs, group % joined * depth
            dense[group // joined, k : k + outputs, c : c + depth] = weight[group]
        return dense


def parameters(shape: LayerShape, design: SystolicArray, layer: Layer) -> NDArray[np.uint64]:
    """(words, cols) parameter lanes, one word per block of output channels of a joined group."""
    law, lanes = layer.requantization, shape.word(design, "K")
    blocks = ceil_div(shape.outputs, lanes)
    padded = np.zeros((shape.groups, blocks, design.cols), dtype=np.uint64)
    packed = np.zeros(shape.groups * shape.outputs, dtype=np.uint64)
    packed[: len(law.bias)] = lanes_of(law)
    room = np.zeros((shape.groups, blocks * lanes), dtype=np.uint64)
    room[:, : shape.outputs] = packed.reshape(shape.groups, shape.outputs)
    padded[:, :, :lanes] = room.reshape(shape.groups, blocks, lanes)
    return padded.reshape(-1, design.cols)


def lanes_of(law: Requantization) -> NDArray[np.uint64]:
    """(K,) parameter lanes."""
    bias = law.bias.astype(np.int64) & 0xFFFFFFFF
    fields = bias.astype(np.uint64), law.multiplier.astype(np.uint64), law.shift.astype(np.uint64)
    return fields[0] | fields[1] << np.uint64(32) | fields[2] << np.uint64(58)
