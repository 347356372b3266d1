"""Functional coverage: what a campaign has exercised, as names of points."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from dovetail.ir import isa
from dovetail.sim.columns import Tile
from dovetail.verify.case import Case, LayerSpec
from dovetail.verify.work import Work, shape_of

POINTS = (
    "array:rows<cols", "array:rows=cols", "array:rows>cols", "array:one column",
    "overlap:full", "overlap:none", "stationary:is", "stationary:os", "stationary:ws",
    "bus:8", "bus:16", "bus:32", "bus:64", "bus:128",
    "width:input<8", "width:input>8", "width:weight<8", "width:weight>8",
    "width:accumulator<product", "width:accumulator=32",
    "bandwidth:full", "bandwidth:divides the bus", "bandwidth:fractional",
    "latency:0", "latency:1", "latency:2-9", "latency:10-60", "stalls", "started twice",
    "chain:1", "chain:2", "chain:3",
    "layer:convolution", "layer:linear", "layer:max", "layer:sum", "layer:addition",
    "layer:addition of itself", "layer:wide", "layer:grouped", "layer:depthwise",
    "window:1x1", "window:stride", "window:dilation", "window:padding", "window:lopsided padding",
    "window:rows and columns differ", "edge:input channels", "edge:output channels",
    "edge:rows of tiles", "edge:columns of tiles",
    "tiles:one", "tiles:many pixels", "tiles:many outputs", "tiles:many depths",
    "tiles:outputs outside", "tiles:pixels outside", "load:nothing", "load:two parts",
    "load:input only", "load:weight only", "multiply:first and last", "multiply:accumulates",
    "multiply:input stays", "multiply:weight stays", "store:per pixel", "store:several blocks",
    "clip:narrow", "zero point:input", "zero point:output", "burst:crosses 4 KiB",
    "burst:more than 256 beats",
)  # fmt: skip
"""All points; a campaign lists those that it did not hit."""


def points(case: Case, work: Work) -> tuple[str, ...]:
    """Points that a case hits, sorted."""
    found = {*_design(case), *_channel(case), *_instructions(work)}
    found.add(f"chain:{min(len(case.layers), 3)}")
    found |= {"store:per pixel"} if case.per_pixel or case.exchanged else set()
    found |= {"stationary:is"} if case.exchanged else set()
    shape = case.shape[0]
    for i, spec in enumerate(case.layers):
        found |= {*_layer(spec, shape, i), *_tiles(case, work, i)}
        shape = spec.outputs if spec.kind in ("convolution", "linear") else shape
    return tuple(sorted(found))


@lru_cache(maxsize=64)
def _design_of(values: tuple[tuple[str, object], ...]) -> tuple[str, ...]:
    v = dict(values)
    rows, cols = int(str(v["rows"])), int(str(v["cols"]))
    inputs, weights = int(str(v["input_bits"])), int(str(v["weight_bits"]))
    sums = int(str(v["accumulator_bits"]))
    facts = {
        "array:rows<cols": rows < cols, "array:rows=cols": rows == cols,
        "array:rows>cols": rows > cols, "array:one column": cols == 1,
        f"overlap:{v['fold_overlap']}": True, f"stationary:{v['dataflow']}": True,
        f"bus:{v['bus_bits']}": True,
        "width:input<8": inputs < 8, "width:input>8": inputs > 8,
        "width:weight<8": weights < 8, "width:weight>8": weights > 8,
        "width:accumulator<product": sums < inputs + weights, "width:accumulator=32": sums == 32,
    }  # fmt: skip
    return tuple(name for name, holds in facts.items() if holds)


def _design(case: Case) -> tuple[str, ...]:
    return _design_of(tuple(case.elaboration.design.items()))


def _channel(case: Case) -> Iterator[str]:
    full = int(case.elaboration.design["bus_bits"]) * 32
    if case.bandwidth == full:
        yield "bandwidth:full"
    else:
        yield "bandwidth:divides the bus" if full % case.bandwidth == 0 else "bandwidth:fractional"
    if case.latency < 2:
        yield f"latency:{case.latency}"
    else:
        yield "latency:2-9" if case.latency < 10 else "latency:10-60"
    if case.stalls:
        yield "stalls"
    if case.rounds > 1:
        yield "started twice"


def _layer(spec: LayerSpec, channels: int, number: int) -> Iterator[str]:
    itself = spec.kind == "addition" and spec.other == number
    yield f"layer:{spec.kind} of itself" if itself else f"layer:{spec.kind}"
    facts = {
        "layer:wide": spec.wide,
        "layer:grouped": 1 < spec.groups < channels,
        "layer:depthwise": spec.groups == channels > 1,
        "window:1x1": spec.kind == "convolution" and spec.kernel == (1, 1),
        "window:stride": max(spec.stride) > 1,
        "window:dilation": any(d > 1 < k for d, k in zip(spec.dilation, spec.kernel, strict=True)),
        "window:padding": max(spec.padding) > 0,
        "window:lopsided padding": spec.padding[:2] != spec.padding[2:],
        "window:rows and columns differ": spec.kernel[0] != spec.kernel[1],
    }
    yield from (name for name, holds in facts.items() if holds)


def _tiles(case: Case, work: Work, number: int) -> Iterator[str]:
    layer = work.network.layers[number]
    shape, design = shape_of(case, work.network, layer), work.design
    law = layer.requantization
    x = work.network.tensor(layer.inputs[0])
    facts = {
        "edge:output channels": shape.outputs % shape.word(design, "K") != 0,
        "edge:input channels": not shape.vector and shape.depth % design.rows != 0,
        "zero point:input": x.zero_point != 0,
        "zero point:output": not law.wide and law.zero_point != 0,
        "clip:narrow": not law.wide and law.high - law.low < (1 << design.input_bits) - 1,
    }
    tile = work.tilings.get(layer.name)
    if tile is not None:
        extents = {rank: shape.extent(rank) for rank in "PQKC"}
        sizes = {rank: int(tile[Tile[rank]]) for rank in extents}
        many = {rank: sizes[rank] < extents[rank] for rank in extents}
        facts |= {
            "edge:rows of tiles": extents["P"] % sizes["P"] != 0,
            "edge:columns of tiles": extents["Q"] % sizes["Q"] != 0,
            "tiles:one": not any(many.values()),
            "tiles:many pixels": many["P"] or many["Q"],
            "tiles:many outputs": many["K"],
            "tiles:many depths": many["C"],
            "tiles:outputs outside": many["K"] and int(tile[Tile.ORDER]) == 0,
            "tiles:pixels outside": many["P"] and int(tile[Tile.ORDER]) == 1,
        }
    yield from (name for name, holds in facts.items() if holds)


def _instructions(work: Work) -> Iterator[str]:
    bus = work.design.bus_bits // 8
    for segment in work.executable.segments:
        for item in set(_distinct(segment.program.body)):
            yield from _instruction(item, bus)


def _distinct(body: tuple[object, ...]) -> Iterator[isa.Instruction]:
    for item in body:
        if isinstance(item, isa.Instruction):
            yield item
        else:
            yield from _distinct(item.body)  # type: ignore[attr-defined]  # a hardware loop


def _instruction(item: isa.Instruction, bus: int) -> Iterator[str]:
    match item:
        case isa.Load():
            inputs, weights = (item.fills(pad) for pad in isa.Scratchpad)
            facts = {
                "load:nothing": item.beats == 0,
                "load:two parts": item.b.transfer.rows > 0,
                "load:input only": inputs and not weights,
                "load:weight only": weights and not inputs,
            }
            yield from (name for name, holds in facts.items() if holds)
            for part in (item.a.transfer, item.b.transfer):
                yield from _bursts(part, bus)
        case isa.Multiply():
            facts = {
                "multiply:first and last": item.first and item.last,
                "multiply:accumulates": not item.first,
                "multiply:input stays": not item.new_input,
                "multiply:weight stays": not item.new_weight,
            }
            yield from (name for name, holds in facts.items() if holds)
        case isa.Store():
            yield from _bursts(item.transfer, bus)
            if item.blocks > 1:
                yield "store:several blocks"


def _bursts(transfer: isa.Transfer, bus: int) -> Iterator[str]:
    if transfer.rows == 0:
        return
    length = transfer.run_beats * bus
    if transfer.run_beats > 256:
        yield "burst:more than 256 beats"
    rows = np.arange(min(transfer.rows, 64))[:, None] * transfer.row_stride
    columns = np.arange(min(transfer.columns, 64)) * transfer.column_stride
    begin = transfer.address + rows + columns
    if (begin // 4096 != (begin + length - 1) // 4096).any():
        yield "burst:crosses 4 KiB"
