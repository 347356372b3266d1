"""Input stationary on the RTL machine: matrix products with exchanged operands.

The array keeps what lies in its weight scratchpad. Here those are activations, and weights stream
past them: output channels take the place of pixels, pixels that of output channels. Tensors lie in
memory as [channel][pixel].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir import isa
from dovetail.ir.executable import Executable, PlanarRegion, Region
from dovetail.ir.isa import NO_FILL, Fill, Load, Multiply, Scratchpad
from dovetail.ir.program import Program
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.image import Part, Places, assemble
from dovetail.mappers.rtl.layout import aligned, lanes_of
from dovetail.mappers.rtl.lower import require_design
from dovetail.mappers.rtl.nest import Index, Registers, Tiles, nest
from dovetail.mappers.rtl.shape import Axis, LayerShape, require_fit
from dovetail.mappers.rtl.steps import Frame, merged, moves
from dovetail.mappers.rtl.tiling import default_tiling
from dovetail.networks.quantized import Activation, Convolution, Layer, QuantizedNetwork
from dovetail.sim.tiles import ceil_div


def lower_exchanged(
    network: QuantizedNetwork,
    design: SystolicArray,
    tilings: Mapping[str, IntArray] | None = None,
) -> Executable:
    """Lowers a network of matrix products so that activations stay in the array.

    Args:
        network: of convolutions with 1 x 1 kernels, stride 1, no padding and one group.
        design: with dataflow 'ws', and equal widths of inputs and weights.
        tilings: rows of `Tile` columns by layer name, extents in the ranks of `exchanged_shape`;
            `default_tiling` where missing.

    Raises:
        MappingError: if a layer is something else, the design does not fit, or a tiling does not.
    """
    bits = max(network.activation_bits, network.weight_bits)
    require_design(network, design, (bits, bits), False)
    if design.input_bits != design.weight_bits or design.dataflow != "ws":
        raise MappingError(
            f"design '{design.name}' with dataflow '{design.dataflow}', {design.input_bits} bit "
            f"inputs and {design.weight_bits} bit weights: exchanged operands need 'ws' and equal "
            "widths"
        )
    given = tilings or {}
    parts = [_part(network, layer, design, given.get(layer.name)) for layer in network.layers]
    return assemble(network, design, parts, lambda at: _place(network, design, at))


def exchanged_shape(network: QuantizedNetwork, layer: Layer) -> LayerShape:
    """Extents of a product: Q are its output channels, K its pixels, C its depth.

    Raises:
        MappingError: if the layer is no matrix product.
    """
    product = (
        isinstance(layer, Convolution)
        and layer.groups == 1
        and layer.window.kernel == layer.window.stride == (1, 1)
        and not any(layer.window.padding)
    )
    if not product:
        raise MappingError(
            f"layer '{layer.name}' cannot run input stationary: only convolutions with kernel "
            "1 x 1, stride 1, no padding and one group can; use dataflow 'ws' or 'os'"
        )
    x, out = network.tensor(layer.inputs[0]), network.tensor(layer.output)
    channels = Axis(out.channels, 1, 1, 1, 0, out.channels)
    pixels, depth = x.height * x.width, x.channels
    single = Axis(1, 1, 1, 1, 0, 1)
    return LayerShape(layer.name, False, 1, 1, 1, pixels, depth, single, channels, out.wide)


def _part(
    network: QuantizedNetwork, layer: Layer, design: SystolicArray, tile: IntArray | None
) -> Part:
    shape = exchanged_shape(network, layer)
    assert isinstance(layer, Convolution)
    if tile is None:
        tile = default_tiling(shape, design)
    require_fit(shape, design, tile)
    tiles = Tiles(shape, tile)
    matrix = layer.weight[:, :, 0, 0].T[:, None, :]
    pitch = ceil_div(shape.depth, design.rows) * design.rows
    moving = Region(layer.name, 0, shape.depth, 1, shape.x.outputs, pitch, design.input_bits)

    def program(places: Places, constants: int) -> Program:
        weights = replace(moving, address=constants)
        source, target = places[layer.input], places[layer.output]
        steps = ExchangedSteps(tiles, design, weights, target, layer.requantization, source)
        return nest(layer.name, steps)

    return Part(program, _parameters(layer, design), moving.pack(matrix))


def _parameters(layer: Convolution, design: SystolicArray) -> NDArray[np.uint64]:
    """(output channels, cols) lanes, all of a word alike."""
    return np.repeat(lanes_of(layer.requantization)[:, None], design.cols, axis=1)


def _place(network: QuantizedNetwork, design: SystolicArray, address: int) -> tuple[Region, ...]:
    regions = []
    for tensor in network.tensors:
        regions.append(_planar(tensor, design, address))
        address = aligned(address + regions[-1].size)
    return tuple(regions)


def _planar(tensor: Activation, design: SystolicArray, address: int) -> PlanarRegion:
    pitch = ceil_div(tensor.height * tensor.width, design.cols) * design.cols
    planes = ceil_div(tensor.channels, design.rows) * design.rows
    bits = design.accumulator_bits if tensor.wide else design.input_bits
    return PlanarRegion(tensor.name, address, *tensor.shape, pitch, bits, planes)


@dataclass(frozen=True)
class ExchangedSteps(Frame):
    """Steps of a matrix product; the frame's source are the weights, moving like pixels.

    Attributes:
        stationary: the activations.
    """

    stationary: Region

    def addresses(self, index: Index) -> Registers:
        """Of weights, activations, outputs and parameters."""
        tile = self.tiles.tile
        depth, pixel = index["C"] * tile["C"], index["K"] * tile["K"]
        first = index["Q"] * tile["Q"]
        return (
            self.load_address(self.source, index, depth),
            self.stationary.address + depth * self.stationary.pixel_bytes
            + pixel * self.stationary.bits // 8,
            self.store_address(index)[0],
            first,
        )  # fmt: skip

    def step(self, index: Index, at: Registers) -> Iterator[isa.Instruction]:
        """Load, multiply and, after the last depth tile, store."""
        columns = self.out_words(index)
        words = ceil_div(self.tiles.part("C", index), self.design.rows)
        moves_weights, moves_pixels = moves(self.tiles, index)
        load = Load(
            self.fill(index, self.source, at[0], 0, words, self.design.rows)
            if moves_weights
            else NO_FILL,
            self._stationary_fill(columns, words, at[1]) if moves_pixels else NO_FILL,
        )
        yield load
        last = index["C"] == self.tiles.count["C"] - 1
        yield Multiply(
            self.window(index, words, 0), columns, index["C"] == 0, last,
            load.fills(Scratchpad.INPUT), load.fills(Scratchpad.WEIGHT),
        )  # fmt: skip
        if last:
            yield self.store(index, at, param_per_pixel=True)

    def _stationary_fill(self, columns: int, words: int, address: int) -> Fill:
        word = self.design.cols * self.design.weight_bits // 8
        transfer = merged(
            address, columns, word, words * self.design.rows, self.stationary.pixel_bytes, word,
            self.beat,
        )  # fmt: skip
        return Fill(transfer, Scratchpad.WEIGHT, 0, word // self.beat)
