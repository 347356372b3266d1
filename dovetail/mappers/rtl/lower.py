"""Lowering: a quantized network becomes an image that the RTL machine runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir.executable import Executable
from dovetail.ir.program import Program
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.image import Part, Places, assemble
from dovetail.mappers.rtl.layout import Weights, parameters, place
from dovetail.mappers.rtl.nest import Tiles
from dovetail.mappers.rtl.shape import LayerShape, layer_shape, require_fit
from dovetail.mappers.rtl.steps import layer_program
from dovetail.mappers.rtl.tiling import default_tiling
from dovetail.networks.quantized import Convolution, Layer, Pooling, QuantizedNetwork


def lower(
    network: QuantizedNetwork,
    design: SystolicArray,
    tilings: Mapping[str, IntArray] | None = None,
) -> Executable:
    """Lowers a network, one segment per layer.

    Args:
        network: what to compute.
        design: a design that the RTL builds.
        tilings: rows of `Tile` columns by layer name, extents in the ranks of
            `rtl_shape.layer_shape`; `default_tiling` where missing.

    Raises:
        MappingError: if the design is no RTL machine for the network, or a tiling does not fit.
    """
    widths = network.activation_bits, network.weight_bits
    require_design(network, design, widths, _wide_vectors(network))
    shapes = {layer.name: layer_shape(network, layer, design) for layer in network.layers}
    given = tilings or {}
    parts = [
        _part(network, layer, shapes[layer.name], design, given.get(layer.name))
        for layer in network.layers
    ]
    return assemble(network, design, parts, lambda at: place(network, shapes, design, at))


def _part(
    network: QuantizedNetwork,
    layer: Layer,
    shape: LayerShape,
    design: SystolicArray,
    tile: IntArray | None,
) -> Part:
    if tile is None:
        tile = default_tiling(shape, design)
    require_fit(shape, design, tile)
    tiles = Tiles(shape, tile)
    pad = network.tensor(layer.inputs[0]).zero_point
    if isinstance(layer, Pooling) and layer.kind == "max":
        pad = -(1 << (network.activation_bits - 1))
    weights = Weights(shape, design, tile)

    def program(places: Places, constants: int) -> Program:
        return layer_program(
            layer, tiles, design, places, weights, weight_address=constants, pad=pad
        )

    empty = np.zeros(0, dtype=np.uint8)
    data = weights.pack(layer) if isinstance(layer, Convolution) else empty
    return Part(program, parameters(shape, design, layer), data)


def require_design(
    network: QuantizedNetwork, design: SystolicArray, widths: tuple[int, int], wide_vectors: bool
) -> None:
    """Checks that a design can run a network.

    Args:
        network: what is to run.
        design: on what.
        widths: bits that the moving and the stationary operand need.
        wide_vectors: whether a vector layer stores accumulators.

    Raises:
        MappingError: saying why not.
    """
    reasons = list(design.validate())
    if design.machine != "rtl":
        reasons.append("only machine 'rtl' runs an image: set machine: rtl")
    have = ("input_bits", design.input_bits), ("weight_bits", design.weight_bits)
    reasons += [
        f"{what} = {bits}: network '{network.name}' needs {need}"
        for (what, bits), need in zip(have, widths, strict=True)
        if bits < need
    ]
    if design.accumulator_bits != network.accumulator_bits:
        reasons.append(
            f"accumulator_bits = {design.accumulator_bits}: network '{network.name}' wraps at "
            f"{network.accumulator_bits}"
        )
    if wide_vectors and design.lanes * design.accumulator_bits % design.bus_bits:
        reasons.append(
            f"bus_bits = {design.bus_bits} must divide a wide vector word of "
            f"{design.lanes * design.accumulator_bits} bit"
        )
    if reasons:
        raise MappingError(f"design '{design.name}': " + "; ".join(reasons))


def _wide_vectors(network: QuantizedNetwork) -> bool:
    vectors = (layer for layer in network.layers if not isinstance(layer, Convolution))
    return any(layer.requantization.wide for layer in vectors)
