"""What a section costs, for many numbers of tiles at once: its stages run as a pipeline.

    cycles = launch + max(fill + (tiles - 1) x slowest + store, moved)

`fill` is what the first tile takes through the longest path, with the loads before it; `slowest` is
the slowest of all stages, links of the mesh, and exchanges between sockets, for one tile; `moved`
is what HBM takes for all that it moves, and waits for at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dovetail.arch.rdu import Rdu
from dovetail.ir.space import BoolArray, FloatArray, IntArray
from dovetail.sim.rdu.pipeline import COLLECTIVES, Pipeline, Stage, exchange, work

TILES = 2 ** np.arange(15)
"""Numbers of tiles that a section may be cut into (t,)."""

PARTS = 16
"""Parts in which weights stream that do not stay on chip; two of them are there at a time."""


class Edge(NamedTuple):
    """Data between two stages of a section: positions of both in it, and bytes."""

    producer: int
    consumer: int
    size: int


@dataclass(frozen=True)
class Works:
    """What tiles take, of all stages of a pipeline.

    Attributes:
        quanta: for each kind of tiles (stages, t).
        quantum: cycles of one (stages,).
        latency: cycles (stages,).
        exchange: cycles of collectives (stages, t).
    """

    quanta: tuple[IntArray, IntArray]
    quantum: IntArray
    latency: IntArray
    exchange: FloatArray


def works(pipeline: Pipeline) -> Works:
    """What tiles take of every stage; equal stages are computed once."""
    index: dict[Stage, int] = {}
    place = np.array([index.setdefault(stage, len(index)) for stage in pipeline.stages])
    parts = [[work(stage, pipeline.rdu, kind, TILES) for stage in index] for kind in (0, 1)]
    first = parts[0]
    return Works(
        (np.stack([p[0] for p in first])[place], np.stack([p[0] for p in parts[1]])[place]),
        np.array([p[1] for p in first])[place],
        np.array([p[2] for p in first])[place],
        np.stack([exchange(stage, pipeline.rdu, TILES) for stage in index])[place],
    )


@dataclass(frozen=True)
class Outline:
    """A section before its units are shared out.

    Attributes:
        pipeline: whose stages these are.
        members: their indices, ascending.
        kind: of its tiles, an index of `STREAMS`.
        edges: between its stages.
        streamed, far_streamed: bytes that its stages read tile by tile from HBM, and from DDR (s,).
        fixed, far_fixed: the same of what every tile needs (s,).
        weights: part of all these that are parameters (s,).
        stored: bytes that they write to HBM (s,).
        most_tiles: into which the section can be cut.
    """

    pipeline: Pipeline
    members: tuple[int, ...]
    kind: int
    edges: tuple[Edge, ...]
    streamed: FloatArray
    far_streamed: FloatArray
    fixed: FloatArray
    far_fixed: FloatArray
    weights: FloatArray
    stored: FloatArray
    most_tiles: int

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """Its stages."""
        return tuple(self.pipeline.stages[index] for index in self.members)

    @cached_property
    def kept(self) -> FloatArray:
        """Bytes that every tile of each stage needs (s,)."""
        return self.fixed + self.far_fixed

    @property
    def sizes(self) -> int:
        """How many of `TILES` are worth a look."""
        return self.most_tiles.bit_length()

    @cached_property
    def computing(self) -> BoolArray:
        """Which of them take PCUs (s,)."""
        return np.array([stage.kind not in COLLECTIVES for stage in self.stages])


def outline(pipeline: Pipeline, members: Sequence[int], kind: int) -> Outline:
    """The section of some stages of a pipeline.

    Args:
        pipeline: all stages.
        members: indices, ascending.
        kind: of tiles.
    """
    place = {index: position for position, index in enumerate(members)}
    count = len(members)
    moved = np.zeros((4, count))
    weights, stored = np.zeros(count), np.zeros(count)
    edges: dict[tuple[int, int], int] = {}
    most = int(TILES[-1])
    for position, index in enumerate(members):
        stage = pipeline.stages[index]
        most = min(most, stage.extents[kind])
        if stage.returned or any(index + ahead not in place for ahead in stage.consumers):
            stored[position] = stage.output
        for read in stage.reads:
            source = place.get(index - read.producer) if read.producer else None
            if source is None:
                moved[2 * read.fixed[kind] + read.far, position] += read.size
                weights[position] += read.size * read.weight
                continue
            edges[source, position] = edges.get((source, position), 0) + read.size
            if read.fixed[kind]:
                most = 1
    listed = tuple(Edge(p, c, size) for (p, c), size in edges.items())
    near, far, fixed, far_fixed = moved
    return Outline(
        pipeline, tuple(members), kind, listed, near, far, fixed, far_fixed, weights, stored, most
    )  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """What sections of one outline cost; cycles of one tile unless said otherwise.

    Attributes:
        tiles: (t,).
        units: PCUs of each stage (s, t).
        pmus: of each stage (s, t).
        resident: whether what every tile needs stays on chip (s, t).
        stage: cycles of a stage, exchanges included (s, t).
        compute: cycles of its PCUs alone (s, t).
        wires: cycles of an edge on the mesh (e, t).
        loads, far_loads: of HBM and DDR for a stage's tile (s, t).
        once, far_once: to load, once, what stays (s, t).
        streams, far_streams: of HBM and DDR for what does not stay (s, t).
        stores: of HBM (s, t).
        levels: in which step the first tile is where.
        rooms: cycles of a step in which HBM and DDR load what stays (2, t).
        interval: between two tiles (t,).
        fill: until the first tile leaves its last stage (t,).
        total: of the section, its launch included (t,).
        fits: whether units and scratchpads suffice (t,).
    """

    tiles: IntArray
    units: IntArray
    pmus: IntArray
    resident: BoolArray
    stage: FloatArray
    compute: FloatArray
    wires: FloatArray
    loads: FloatArray
    far_loads: FloatArray
    once: FloatArray
    far_once: FloatArray
    streams: FloatArray
    far_streams: FloatArray
    stores: FloatArray
    levels: Levels
    rooms: FloatArray
    interval: FloatArray
    fill: FloatArray
    total: FloatArray
    fits: BoolArray


def costs(section: Outline, table: Works, units: IntArray, order: Sequence[int]) -> Costs:
    """Costs of a section, for every number of tiles.

    Args:
        section: its stages.
        table: what tiles of the pipeline's stages take.
        units: PCUs of each stage (s, t), t of the section's `sizes`; 0 of collectives.
        order: positions of the stages along the path on which they are placed.
    """
    rdu, members, tiles = section.pipeline.rdu, list(section.members), TILES[: section.sizes]
    near, far = rdu.hbm_bytes_per_cycle, rdu.ddr_bytes_per_cycle
    quanta = table.quanta[section.kind][members, : section.sizes]
    exchanged = table.exchange[members, : section.sizes]
    blocks = -(-quanta // np.maximum(units, 1)) * table.quantum[members, None]
    compute: FloatArray = blocks + table.latency[members, None] + exchanged
    wires = _wires(section, units, order, tiles)
    bounds = [compute.max(axis=0), exchanged.sum(axis=0), *wires]
    step = np.maximum.reduce(bounds)
    nothing = np.zeros_like(compute)
    begin, ends = _path(section, compute, wires, nothing, nothing - 1)
    early, begun, latency = _levels(section, begin, ends, step), begin, ends.max(axis=0)
    resident = _resident(section, tiles, early)
    streams = np.where(resident, 0, np.ceil(section.fixed[:, None] / near))
    far_streams = np.where(resident, 0, np.ceil(section.far_fixed[:, None] / far))
    longer = np.maximum(streams, far_streams)
    stage = np.maximum(compute, longer) + np.ceil(longer / PARTS)
    loads = np.ceil(section.streamed[:, None] / tiles / near)
    far_loads = np.ceil(section.far_streamed[:, None] / tiles / far)
    stores = np.ceil(section.stored[:, None] / tiles / near)
    once = np.where(resident, np.ceil(section.fixed[:, None] / near), 0)
    far_once = np.where(resident, np.ceil(section.far_fixed[:, None] / far), 0)
    # A stage whose weights stream holds their memory for as long as it takes, part by part.
    memory = (loads + stores + np.where(streams > 0, stage, 0)).sum(axis=0)
    far_memory = (far_loads + np.where(far_streams > 0, stage, 0)).sum(axis=0)
    bounds += [stage.max(axis=0), far_memory]
    slowest = np.maximum.reduce(bounds)
    interval = np.maximum(slowest, memory)
    rooms = np.stack([_room(interval, loads), _room(interval, far_loads)])
    ready = _loaded(tiles, early.stages, loads, once, rooms[0])
    if section.far_streamed.any() or section.far_fixed.any():
        ready = np.maximum(ready, _loaded(tiles, early.stages, far_loads, far_once, rooms[1]))
    first = np.maximum((loads + once).sum(axis=0), (far_loads + far_once).sum(axis=0))
    first = np.where(tiles == 1, first, 0)
    begin, ends = _path(section, stage, wires, ready, np.where(resident, -1, first))
    levels = _levels(section, begin, ends, interval)
    pmus = _pmus(section, tiles, levels, np.where(resident, 1.0, 2 / PARTS))
    end = ends.max(axis=0) + (tiles - 1) * slowest + stores.sum(axis=0)
    # After its last load HBM waits for that tile's stages, unless stores of others are left.
    late = np.where(loads + streams > 0, begun, 0).max(axis=0)
    left = stores.sum(axis=0) * np.minimum(tiles - 1, levels.stores)
    bound = (tiles > 1) & (memory >= slowest)
    tail = np.where(bound, np.maximum(latency - late - left, 0), 0)
    moved = once.sum(axis=0) + memory * tiles + tail
    # No store comes before the first tile's end, and what is loaded by then is but a few tiles.
    rest = np.maximum(tiles - levels.stores, 0) * (loads + streams).sum(axis=0)
    moved = np.maximum(moved, ends.max(axis=0) + tiles * stores.sum(axis=0) + rest)
    total = rdu.launch_cycles + np.maximum(end, moved)
    fits = (pmus.sum(axis=0) <= rdu.units) & (units.sum(axis=0) <= rdu.units)
    return Costs(
        tiles, units, pmus, resident, stage, compute, wires, loads, far_loads, once, far_once,
        streams, far_streams, stores, levels, rooms, interval, ends.max(axis=0), total, fits,
    )  # fmt: skip


def _resident(section: Outline, tiles: IntArray, levels: Levels) -> BoolArray:
    """Whether what every tile needs stays on chip (s, t): the largest first, if there is room."""
    least = _pmus(section, tiles, levels, 2 / PARTS)
    most = _pmus(section, tiles, levels, 1.0)
    resident = np.zeros(least.shape, dtype=np.bool_)
    room = section.pipeline.rdu.units - least.sum(axis=0)
    for position in np.argsort(-section.kept, kind="stable"):
        extra = most[position] - least[position]
        resident[position] = extra <= np.maximum(room, 0)
        room = room - np.where(resident[position], extra, 0)
    return resident


def _pmus(section: Outline, tiles: IntArray, levels: Levels, share: FloatArray | float) -> IntArray:
    """PMUs of each stage (s, t) that hold a share of what every tile needs, and tiles.

    Those that are read or passed on lie twice; those that wait, for stages between or for their
    store, as often as `Levels` says.
    """
    twice = np.minimum(2, tiles)
    read = section.streamed + section.far_streamed + _sent(section)
    size = read[:, None] * twice + section.stored[:, None] * np.minimum(levels.stored, tiles)
    for index, edge in enumerate(section.edges):
        size[edge.consumer] += edge.size * np.minimum(levels.held[index], tiles)
    held = size / tiles + section.kept[:, None] * share
    found: IntArray = np.ceil(held / section.pipeline.rdu.pmu_bytes).astype(np.int64)
    return np.maximum(found, 1)


def _sent(section: Outline) -> FloatArray:
    """Bytes that stages pass on within a section (s,)."""
    sent = np.zeros(len(section.members))
    for edge in section.edges:
        sent[edge.producer] = section.stages[edge.producer].output
    return sent


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


def _levels(section: Outline, begin: FloatArray, ends: FloatArray, interval: FloatArray) -> Levels:
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


def _wires(section: Outline, units: IntArray, order: Sequence[int], tiles: IntArray) -> FloatArray:
    """Cycles of edges (e, t): the mesh's links between two stages side by side, and the way."""
    rdu = section.pipeline.rdu
    if not section.edges:
        return np.zeros((0, len(tiles)))
    row, column = places(rdu, units, order)
    p = [edge.producer for edge in section.edges]
    c = [edge.consumer for edge in section.edges]
    ways = np.minimum(*(np.where(units[e] > 0, units[e], rdu.units) for e in (p, c)))
    size = np.array([[edge.size] for edge in section.edges])
    hops = np.abs(row[p] - row[c]) + np.abs(column[p] - column[c])
    cycles: FloatArray = np.ceil(size / tiles / (ways * rdu.link_bytes)) + hops * rdu.hop_cycles
    return cycles


def places(rdu: Rdu, units: IntArray, order: Sequence[int]) -> tuple[IntArray, IntArray]:
    """Row and column of the middle unit of each stage (s, t).

    Stages lie one after the other on a path that goes down one column of the mesh and up the next.
    """
    height = rdu.mesh[0]
    along = np.empty_like(units)
    along[list(order)] = np.cumsum(units[list(order)], axis=0)
    middle = np.maximum(along - (units + 1) // 2, 0)
    column, step = middle // height, middle % height
    return np.where(column % 2 == 0, step, height - 1 - step), column


def _path(
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


def _room(step: FloatArray, loads: FloatArray) -> FloatArray:
    """Cycles of each step that tiles leave a memory for what stays (t,); a quarter at least."""
    room: FloatArray = np.maximum(step - loads.sum(axis=0), np.ceil(step / 4))
    return room


def _loaded(
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
