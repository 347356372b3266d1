"""When the first tile of a section is where, and how many tiles wait there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.rdu.outline import Outline


class Levels(NamedTuple):
    """In which step, of one interval each, the first tile is where; the next ones follow.

    Attributes:
        stages: enters each stage (s, t).
        wires: enters each edge (e, t).
        stores: is stored (t,): two steps after the last stage, so that no load waits for it.
        held: tiles that wait before an edge's consumer, so that none before waits for it (e, t).
        stored: tiles of each stage that wait for their store (s, t).
    """

    stages: IntArray
    wires: IntArray
    stores: IntArray
    held: IntArray
    stored: IntArray


def levels_of(
    section: Outline, begin: FloatArray, ends: FloatArray, interval: FloatArray
) -> Levels:
    """Levels from when the first tile enters and leaves each stage (s, t)."""
    stages = (begin // interval).astype(np.int64)
    stages[:, 0] = 0  # one tile: there is but one step
    stores = (ends.max(axis=0) // interval).astype(np.int64) + 2
    stores[0] = 1
    p = [edge.producer for edge in section.edges]
    c = [edge.consumer for edge in section.edges]
    wires = np.minimum((ends[p] // interval).astype(np.int64), stages[c])
    wires[:, 0] = 0
    return Levels(stages, wires, stores, stages[c] - wires + 2, stores - stages + 2)


def path(
    section: Outline, stage: FloatArray, wires: FloatArray, ready: FloatArray, streams: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """When the first tile enters and leaves each stage (s, t), not before memories are ready.

    Exchanges take turns on the sockets' links; so do stages on HBM that stream what does not stay,
    from the cycle `streams` on (s, t; -1 where nothing does).
    """
    incoming: dict[int, list[int]] = {}
    for index, edge in enumerate(section.edges):
        incoming.setdefault(edge.consumer, []).append(index)
    begin, ends = np.empty_like(stage), np.empty_like(stage)
    links, memory = np.zeros(stage.shape[1]), np.maximum(streams.max(axis=0), 0)
    for position in range(len(stage)):
        start = ready[position]
        for index in incoming.get(position, ()):
            start = np.maximum(start, ends[section.edges[index].producer] + wires[index])
        streaming = (streams[position] >= 0) & bool(section.kept[position])
        start = np.where(streaming, np.maximum(start, memory), start)
        if not section.computing[position]:
            start = np.maximum(start, links)
            links = start + stage[position]
        begin[position], ends[position] = start, start + stage[position]
        memory = np.where(streaming, ends[position], memory)
    return begin, ends


def room_of(step: FloatArray, loads: FloatArray) -> FloatArray:
    """Cycles of each step that tiles leave a memory for what stays (t,); a quarter at least."""
    room: FloatArray = np.maximum(step - loads.sum(axis=0), np.ceil(step / 4))
    return room


def loaded(
    tiles: IntArray, steps: IntArray, loads: FloatArray, once: FloatArray, room: FloatArray
) -> FloatArray:
    """When a memory has given each stage what its first tile needs (s, t).

    In each step it first serves the tiles that are due, then loads what stays, stage by stage. One
    tile alone takes no steps: stage by stage, all that each needs.
    """
    total = np.cumsum(once, axis=0)
    lasts = np.where(once > 0, total // room, 0)
    steps = np.maximum(steps, lasts)
    kept, tile = total.copy(), np.minimum(total[-1], steps * room)
    for position in np.flatnonzero(loads[:, 0]):
        kept += loads[position] * np.clip(lasts - steps[position] + 1, 0, tiles)
        tile += loads[position] * np.clip(steps - steps[position] + 1, 0, tiles)
    ready: FloatArray = np.maximum(np.where(once > 0, kept, 0), np.where(loads > 0, tile, 0))
    ready[:, 0] = np.cumsum((once + loads)[:, 0])
    return ready
