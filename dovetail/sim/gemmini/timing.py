"""From the work of tiles to cycles: three streams that overlap, two tiles in flight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from dovetail.sim.gemmini.cache import OPERANDS, bank_conflict, misses
from dovetail.sim.gemmini.layer import Layer, TiledMapping
from dovetail.sim.gemmini.machine import Machine, Parameters
from dovetail.sim.gemmini.tiles import Tile, tiles

SLOTS = 2
"""Tiles that the loop unroller has in flight: a third waits until the first is stored."""

EXPOSED_ENDS = 0.5
"""Share of the hidden streams that the first and the last tile expose: computes of a tile start
when its loads are issued."""

EXPOSED_ENDS_MATMUL = 0.25
"""The same of matrix products, whose computes follow the loads block by block."""


@dataclass(frozen=True, slots=True)
class Work:
    """Work of many layers, one row per kind of tile.

    Attributes:
        columns: name of a field of `Tile` -> (tiles,).
        missed: operand -> lines that miss the cache per tile, (tiles,).
        conflict: operand -> 0 (banks in parallel) to 1 (a single bank), (tiles,).
        matmul: whether the layer is a matrix product, (tiles,).
        layer: index of the layer that a tile belongs to, (tiles,).
        layers: number of layers.
    """

    columns: dict[str, np.ndarray]
    missed: dict[str, np.ndarray]
    conflict: dict[str, np.ndarray]
    matmul: np.ndarray
    layer: np.ndarray
    layers: int

    @classmethod
    def of(
        cls, cases: Sequence[tuple[Layer, TiledMapping]], machine: Machine | None = None
    ) -> Work:
        """Counts the work of layers under their mappings."""
        machine = machine or Machine()
        kinds: list[tuple[object, ...]] = []
        missed: dict[str, list[float]] = {operand: [] for operand in OPERANDS}
        conflict: dict[str, list[float]] = {operand: [] for operand in OPERANDS}
        matmul: list[bool] = []
        index: list[int] = []
        for i, (layer, mapping) in enumerate(cases):
            own = list(tiles(layer, mapping, machine))
            lines = misses(layer, mapping, machine)
            total = sum(tile.count for tile in own)
            strides = {"weight": layer.K, "input": layer.C, "output": layer.K}
            for operand in OPERANDS:
                clash = 0.0 if layer.is_matmul else bank_conflict(strides[operand], machine)
                missed[operand] += [lines[operand] / total] * len(own)
                conflict[operand] += [clash] * len(own)
            kinds += [astuple(tile) for tile in own]
            matmul += [layer.is_matmul] * len(own)
            index += [i] * len(own)
        table = np.array(kinds, dtype=float).reshape(len(kinds), len(fields(Tile)))
        return cls(
            {field.name: table[:, k] for k, field in enumerate(fields(Tile))},
            {operand: np.array(values) for operand, values in missed.items()},
            {operand: np.array(values) for operand, values in conflict.items()},
            np.array(matmul, dtype=bool),
            np.array(index, dtype=int),
            len(cases),
        )


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Cycles of layers, (layers,) each; the streams overlap, so they don't add up to `cycles`.

    Attributes:
        cycles: of the layer.
        load: in which the DMA reads.
        compute: in which the array works.
        store: in which the DMA writes.
        tiles: number of tiles.
    """

    cycles: np.ndarray
    load: np.ndarray
    compute: np.ndarray
    store: np.ndarray
    tiles: np.ndarray


def cycles(work: Work, parameters: Parameters, machine: Machine | None = None) -> np.ndarray:
    """Cycles of every layer, (layers,)."""
    return breakdown(work, parameters, machine).cycles


def breakdown(work: Work, parameters: Parameters, machine: Machine | None = None) -> Breakdown:
    """Cycles of every layer and of its three streams."""
    machine = machine or Machine()
    load = _load(work, parameters, machine)
    compute = _compute(work, parameters, machine)
    store = _store(work, parameters, machine)
    count = work.columns["count"]
    busy = load + compute + store
    longest = np.maximum(np.maximum(load, compute), store)
    # A tile's slot is free when it is stored: in a round of SLOTS tiles one must run through.
    waiting = np.where(work.matmul, longest, np.maximum(longest, busy / SLOTS))
    period = np.maximum(waiting + parameters.exposed * (busy - longest), parameters.host)
    hidden = np.maximum(busy - period, 0.0)
    ends = hidden * np.where(work.matmul, EXPOSED_ENDS_MATMUL, EXPOSED_ENDS)

    def total(per_tile: np.ndarray) -> np.ndarray:
        return np.bincount(work.layer, weights=per_tile * count, minlength=work.layers)

    number = total(np.ones_like(count))
    return Breakdown(
        cycles=total(period) + total(ends) / number + parameters.start,
        load=total(load),
        compute=total(compute),
        store=total(store),
        tiles=number,
    )


def _load(work: Work, p: Parameters, machine: Machine) -> np.ndarray:
    c = work.columns
    missing = sum(
        (p.miss + p.bank * work.conflict[operand]) * work.missed[operand]
        for operand in ("weight", "input")
    )
    return (
        p.request * c["requests"]
        + c["read_bytes"] / machine.bus_bytes_per_cycle
        + p.load_command * c["commands"]
        + p.narrow * c["narrow_reads"]
        + p.zero_row * c["zero_rows"]
        + missing
    )


def _compute(work: Work, p: Parameters, machine: Machine) -> np.ndarray:
    c = work.columns
    streamed = np.maximum(c["block_rows"], p.issue * c["block_commands"])
    # Weights take as many cycles to enter as the array has rows, whatever streams meanwhile.
    return c["blocks"] * (np.maximum(streamed, machine.array) + p.block)


def _store(work: Work, p: Parameters, machine: Machine) -> np.ndarray:
    c = work.columns
    return (
        c["write_bytes"] / machine.bus_bytes_per_cycle
        + p.narrow * c["narrow_writes"]
        + p.write_miss * work.missed["output"]
    )
