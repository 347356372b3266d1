"""What a section of an RDU holds and moves, before its units are shared out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dovetail.ir.space import BoolArray, FloatArray
from dovetail.sim.rdu.pipeline import COLLECTIVES, TILES, Pipeline, Stage


class Edge(NamedTuple):
    """Data between two stages of a section: positions of both in it, and bytes."""

    producer: int
    consumer: int
    size: int


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
