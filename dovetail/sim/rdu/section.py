"""What a section costs, for many numbers of tiles at once: its stages run as a pipeline.

    cycles = launch + max(fill + (tiles - 1) x slowest + store, moved)

`fill` is what the first tile takes through the longest path, with the loads before it; `slowest` is
the slowest of all stages, links of the mesh, and exchanges between sockets, for one tile; `moved`
is what HBM takes for all that it moves, and waits for at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dovetail.ir.space import BoolArray, FloatArray, IntArray
from dovetail.sim.rdu.mesh import wires
from dovetail.sim.rdu.outline import Outline
from dovetail.sim.rdu.pipeline import TILES, Works
from dovetail.sim.rdu.timing import Levels, levels_of, loaded, path, room_of

PARTS = 16
"""Parts in which weights stream that do not stay on chip; two of them are there at a time."""


class Traffic(NamedTuple):
    """What one memory moves for a section, in its cycles.

    Attributes:
        loads: of a tile of each stage (s, t).
        once: of what stays on chip (s, t).
        streams: of what every tile needs and does not stay (s, t).
        stores: of a tile (s, t).
    """

    loads: FloatArray
    once: FloatArray
    streams: FloatArray
    stores: FloatArray

    def held(self, stage: FloatArray) -> FloatArray:
        """Cycles per tile (t,); a stage whose weights stream holds the memory while it works."""
        found: FloatArray = (self.loads + self.stores + np.where(self.streams > 0, stage, 0)).sum(
            axis=0
        )
        return found

    @property
    def used(self) -> bool:
        """Whether it loads anything."""
        return bool(self.loads.any() or self.once.any() or self.streams.any())


@dataclass(frozen=True)
class Costs:
    """What sections of one outline cost; cycles of one tile unless said otherwise.

    Attributes:
        tiles: (t,).
        units: PCUs of each stage (s, t).
        pmus: of each stage (s, t).
        resident: whether what every tile needs stays on chip (s, t).
        compute: of each stage's PCUs, or of its exchange (s, t).
        stage: of each stage, what it streams included (s, t).
        wires: of an edge on the mesh (e, t).
        near: HBM's.
        far: DDR's.
        rooms: of a step, in which HBM and DDR load what stays (2, t).
        levels: in which step the first tile is where.
        interval: between two tiles (t,).
        fill: until the first tile leaves its last stage (t,).
        total: of the section, its launch included (t,).
        fits: whether units and scratchpads suffice (t,).
    """

    tiles: IntArray
    units: IntArray
    pmus: IntArray
    resident: BoolArray
    compute: FloatArray
    stage: FloatArray
    wires: FloatArray
    near: Traffic
    far: Traffic
    rooms: FloatArray
    levels: Levels
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
    rdu, tiles = section.pipeline.rdu, TILES[: section.sizes]
    compute, exchanged = _compute(section, table, units)
    way = wires(section, units, order, tiles)
    bounds = [compute.max(axis=0), exchanged, *way]
    nothing = np.zeros_like(compute)
    begun, ended = path(section, compute, way, nothing, nothing - 1)
    early = levels_of(section, begun, ended, np.maximum.reduce(bounds))
    resident = _resident(section, tiles, early)
    near = _traffic(
        tiles, resident, rdu.hbm_bytes_per_cycle, section.streamed, section.fixed, section.stored
    )
    nowhere = np.zeros_like(section.stored)
    far = _traffic(
        tiles, resident, rdu.ddr_bytes_per_cycle, section.far_streamed, section.far_fixed, nowhere
    )
    streams = np.maximum(near.streams, far.streams)
    stage = np.maximum(compute, streams) + np.ceil(streams / PARTS)
    slowest = np.maximum.reduce([*bounds, stage.max(axis=0), far.held(stage)])
    interval = np.maximum(slowest, near.held(stage))
    rooms = np.stack([room_of(interval, memory.loads) for memory in (near, far)])
    ready = loaded(tiles, early.stages, near.loads, near.once, rooms[0])
    if far.used:
        ready = np.maximum(ready, loaded(tiles, early.stages, far.loads, far.once, rooms[1]))
    first = np.maximum(*((memory.loads + memory.once).sum(axis=0) for memory in (near, far)))
    waits = np.where(resident, -1, np.where(tiles == 1, first, 0))
    begin, ends = path(section, stage, way, ready, waits)
    levels, fill = levels_of(section, begin, ends, interval), ends.max(axis=0)
    pmus = _pmus(section, tiles, levels, np.where(resident, 1.0, 2 / PARTS))
    end = fill + (tiles - 1) * slowest + near.stores.sum(axis=0)
    late = np.where(near.loads + near.streams > 0, begun, 0).max(axis=0)
    tail = np.where(near.held(stage) >= slowest, ended.max(axis=0) - late, 0)
    total = rdu.launch_cycles + np.maximum(end, _moved(near, tiles, stage, levels, fill, tail))
    fits = (pmus.sum(axis=0) <= rdu.units) & (units.sum(axis=0) <= rdu.units)
    return Costs(
        tiles, units, pmus, resident, compute, stage, way, near, far, rooms, levels, interval, fill,
        total, fits,
    )  # fmt: skip


def _compute(section: Outline, table: Works, units: IntArray) -> tuple[FloatArray, FloatArray]:
    """Cycles of a tile in each stage (s, t), and of all its exchanges between sockets (t,)."""
    members = list(section.members)
    quanta = table.quanta[section.kind][members, : section.sizes]
    exchanged = table.exchange[members, : section.sizes]
    blocks = -(-quanta // np.maximum(units, 1)) * table.quantum[members, None]
    compute: FloatArray = blocks + table.latency[members, None] + exchanged
    return compute, exchanged.sum(axis=0)


def _traffic(
    tiles: IntArray, resident: BoolArray, rate: float,
    streamed: FloatArray, fixed: FloatArray, stored: FloatArray,
) -> Traffic:  # fmt: skip
    """Cycles of a memory that moves so many bytes per stage (s,) at a rate."""
    kept = np.ceil(fixed[:, None] / rate)
    return Traffic(
        np.ceil(streamed[:, None] / tiles / rate),
        np.where(resident, kept, 0),
        np.where(resident, 0, kept),
        np.ceil(stored[:, None] / tiles / rate),
    )


def _moved(
    near: Traffic, tiles: IntArray, stage: FloatArray, levels: Levels, fill: FloatArray,
    tail: FloatArray,
) -> FloatArray:  # fmt: skip
    """When HBM has moved everything (t,).

    After its last load it waits for that tile's stages (`tail`), unless stores of others are left.
    No store comes before the first tile's end, and what is loaded by then is but a few tiles.
    """
    stores = near.stores.sum(axis=0)
    left = stores * np.minimum(tiles - 1, levels.stores)
    idle = np.where(tiles > 1, np.maximum(tail - left, 0), 0)
    everything = near.once.sum(axis=0) + near.held(stage) * tiles + idle
    rest = np.maximum(tiles - levels.stores, 0) * (near.loads + near.streams).sum(axis=0)
    moved: FloatArray = np.maximum(everything, fill + tiles * stores + rest)
    return moved


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
