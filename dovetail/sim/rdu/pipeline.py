"""The stages that an RDU can run a network in, per socket, and what each reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dovetail.arch.rdu import Rdu
from dovetail.ir.space import FloatArray, IntArray

STREAMS = ("batch", "row")
"""Kinds of tiles: of the first axis, or of tokens or rows of an image. A section has one kind."""

DEPTH = 64
"""Terms of a sum that a PCU adds at least before another may take over."""

TILES = 2 ** np.arange(15)
"""Numbers of tiles that a section may be cut into (t,)."""

COLLECTIVES = ("all_reduce", "all_gather")


class Read(NamedTuple):
    """What a stage reads.

    Attributes:
        producer: stages back where it is made; 0 if it lies off chip.
        size: bytes per socket.
        fixed: whether every tile needs all of it, as of weights, for each kind of tiles.
        weight: whether it is a parameter.
        far: whether it lies in DDR.
    """

    producer: int
    size: int
    fixed: tuple[bool, bool]
    weight: bool
    far: bool


class Stage(NamedTuple):
    """A stage, described relative to its place: equal stages of equal layers are equal.

    Attributes:
        kind: `matrix`, `vector`, or one of `COLLECTIVES`.
        work: (groups, rows, columns, depth) of products, (elements, operations) of others,
            (bytes,) of collectives; per socket.
        grouped: for each kind of tiles, whether they cut the groups of a product, not its rows.
        extents: for each kind of tiles, into how many the output can be cut.
        reads: what it reads.
        output: bytes that it writes, per socket.
        consumers: stages ahead that read them.
        returned: whether the network returns them.
    """

    kind: str
    work: tuple[int, ...]
    grouped: tuple[bool, bool]
    extents: tuple[int, int]
    reads: tuple[Read, ...]
    output: int
    consumers: tuple[int, ...]
    returned: bool


@dataclass(frozen=True)
class Pipeline:
    """All stages of a network on an RDU, in its order.

    Attributes:
        stages: what each does.
        operators: name of the operator that each belongs to.
        rdu: what runs them.
    """

    stages: tuple[Stage, ...]
    operators: tuple[str, ...]
    rdu: Rdu


def work(stage: Stage, rdu: Rdu, kind: int, tiles: IntArray) -> tuple[IntArray, int, int]:
    """What one tile takes of PCUs.

    A product is cut into blocks of `lanes` x `stages` outputs, either way round, and their sums
    into parts of `DEPTH` terms. n PCUs take ceil(quanta / n) x cycles + latency.

    Args:
        stage: the work.
        rdu: whose PCUs.
        kind: index of `STREAMS`.
        tiles: numbers of tiles (t,).

    Returns:
        Quanta of a tile (t,), cycles of one, and cycles until the first result; none of either
        for collectives, which take no PCU.
    """
    if stage.kind in COLLECTIVES:
        return np.zeros_like(tiles), 1, 0
    latency = rdu.lanes + rdu.stages
    if stage.kind == "vector":
        elements, operations = stage.work
        vectors = np.maximum(
            -(-elements // (tiles * rdu.lanes)),
            -(-operations // (tiles * rdu.lanes * rdu.stages)),
        )
        return np.maximum(vectors, 1), 1, latency
    groups, rows, columns, depth = stage.work
    g, m = np.full_like(tiles, groups), np.full_like(tiles, rows)
    if stage.grouped[kind]:
        g = -(-g // tiles)
    else:
        m = -(-m // tiles)
    blocks = np.minimum(
        -(-m // rdu.lanes) * -(-columns // rdu.stages),
        -(-m // rdu.stages) * -(-columns // rdu.lanes),
    )
    parts = -(-depth // DEPTH)
    return g * blocks * parts, min(depth, DEPTH), latency


def exchange(stage: Stage, rdu: Rdu, tiles: IntArray) -> FloatArray:
    """Cycles of a collective's tile on the links between sockets (t,); 0 of other stages.

    Sockets send to all others at once: reduce-scatter, then all-gather; each step moves
    (sockets - 1) / sockets of the data at the rate that a socket sends.
    """
    if stage.kind not in COLLECTIVES:
        return np.zeros(len(tiles))
    steps = 2 if stage.kind == "all_reduce" else 1
    moved = stage.work[0] * (rdu.sockets - 1) / rdu.sockets / tiles
    cycles: FloatArray = steps * (np.ceil(moved / rdu.socket_bytes_per_cycle) + rdu.socket_cycles)
    return cycles


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
