"""Lowering: a quantized network becomes an image that the RTL machine runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import MappingError
from dovetail.ir.encoding import ENTRY_BYTES, HEADER, encode, pack
from dovetail.ir.executable import Bytes, Executable, Region, Segment
from dovetail.ir.program import Program
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl_layout import Weights, aligned, machine_of, parameters, place
from dovetail.mappers.rtl_nest import Tiles, nest
from dovetail.mappers.rtl_shape import LayerShape, layer_shape, require_fit
from dovetail.mappers.rtl_steps import ArraySteps, VectorSteps
from dovetail.mappers.rtl_tiling import default_tiling
from dovetail.networks.quantized import Addition, Convolution, Layer, Pooling, QuantizedNetwork

START = 64
"""Address of the first segment; 0 ends a chain of segments."""


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
    _check(network, design)
    shapes = {layer.name: layer_shape(network, layer, design) for layer in network.layers}
    plans = [
        _plan(shapes[layer.name], design, (tilings or {}).get(layer.name), layer)
        for layer in network.layers
    ]
    # Sizes of segments do not depend on addresses: a first pass with tensors at 0 measures them.
    origin = place(network, shapes, design, 0)
    sizes = [len(_image(_program(network, plan, design, origin, 0), plan, 0)) for plan in plans]
    addresses = [START]
    for size in (*sizes, *(len(plan.data) for plan in plans)):
        addresses.append(aligned(addresses[-1] + size))
    regions = place(network, shapes, design, addresses[-1])
    image = np.zeros(addresses[-1], dtype=np.uint8)
    segments = []
    for i, plan in enumerate(plans):
        at, weights = addresses[i], addresses[len(plans) + i]
        program = _program(network, plan, design, regions, weights)
        following = addresses[i + 1] if i + 1 < len(plans) else 0
        content = _image(program, plan, following)
        image[at : at + len(content)] = content
        image[weights : weights + len(plan.data)] = plan.data
        segments.append(Segment(program, at, len(content), _entries(program), plan.parameters))
    size = max(aligned(region.address + region.size) for region in regions)
    return Executable(
        network.name, machine_of(design), image.tobytes(), START, tuple(segments), regions,
        network.input, network.output, size,
    )  # fmt: skip


@dataclass(frozen=True)
class _Plan:
    """A layer with its tiling and its constants."""

    layer: Layer
    shape: LayerShape
    tile: IntArray
    parameters: NDArray[np.uint64]
    data: Bytes


def _plan(shape: LayerShape, design: SystolicArray, tile: IntArray | None, layer: Layer) -> _Plan:
    if tile is None:
        tile = default_tiling(shape, design)
    require_fit(shape, design, tile)
    data = np.zeros(0, dtype=np.uint8)
    if isinstance(layer, Convolution):
        data = Weights(shape, design, tile).pack(layer)
    return _Plan(layer, shape, tile, parameters(shape, design, layer), data)


def _program(
    network: QuantizedNetwork, plan: _Plan, design: SystolicArray, regions: tuple[Region, ...],
    weights: int,
) -> Program:  # fmt: skip
    places = {region.name: region for region in regions}
    layer, tiles = plan.layer, Tiles(plan.shape, plan.tile)
    source, target = places[layer.inputs[0]], places[layer.output]
    pad = network.tensor(layer.inputs[0]).zero_point
    frame = (tiles, design, source, target, layer.requantization)
    if isinstance(layer, Convolution):
        steps = ArraySteps(*frame, Weights(plan.shape, design, plan.tile), weights, pad)
        return nest(layer.name, steps)
    if isinstance(layer, Pooling) and layer.kind == "max":
        pad = -(1 << (network.activation_bits - 1))
    second = places[layer.inputs[-1]]
    return nest(layer.name, VectorSteps(*frame, layer, second, pad))


def _entries(program: Program) -> tuple[int, int, int]:
    load, execute, store = (len(stream) // ENTRY_BYTES for stream in encode(program))
    return load, execute, store


def _image(program: Program, plan: _Plan, following: int) -> Bytes:
    """Header, entries and parameters of a segment."""
    streams = encode(program)
    counts = (len(stream) // ENTRY_BYTES for stream in streams)
    names = [name for name, _ in HEADER]
    values = dict(zip(names, (*counts, len(plan.parameters), following), strict=True))
    header = pack(HEADER, values, f"segment of '{program.operator}'")
    content = b"".join((header.to_bytes(ENTRY_BYTES, "little"), *streams))
    params = np.ascontiguousarray(plan.parameters).astype("<u8").reshape(-1).view(np.uint8)
    return np.concatenate([np.frombuffer(content, dtype=np.uint8), params])


def _check(network: QuantizedNetwork, design: SystolicArray) -> None:
    reasons = list(design.validate())
    if design.machine != "rtl":
        reasons.append("only machine 'rtl' runs an image: set machine: rtl")
    for what, have, need in (
        ("input_bits", design.input_bits, network.activation_bits),
        ("weight_bits", design.weight_bits, network.weight_bits),
    ):
        if have < need:
            reasons.append(f"{what} = {have}: network '{network.name}' needs {need}")
    if design.accumulator_bits != network.accumulator_bits:
        reasons.append(
            f"accumulator_bits = {design.accumulator_bits}: network '{network.name}' wraps at "
            f"{network.accumulator_bits}"
        )
    vectors = [la for la in network.layers if isinstance(la, Addition | Pooling)]
    if any(la.requantization.wide for la in vectors) and (
        design.lanes * design.accumulator_bits % design.bus_bits
    ):
        reasons.append(f"bus_bits = {design.bus_bits} does not divide a wide vector word")
    if reasons:
        raise MappingError(f"design '{design.name}': " + "; ".join(reasons))
