"""Steps of the FPGA engines: rows through stages, weights through two buffers, and their cycles.

Rows of a step pass its stages one after the other, each stage at work on another row, with room for
two rows in between. Weights of a step are loaded before its first row, while the step before it
that has weights may still work: two buffers alternate. A step starts when the one before it has
written its last row, for it reads what that has written.

References:
    The loops of Edge-MoE's published HLS code (`src/moe.cpp`: ping and pong buffers).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Stage:
    """What every row passes.

    Attributes:
        engine: that works: `read`, `write`, or what computes.
        cycles: per row.
    """

    engine: str
    cycles: int


class Traffic(NamedTuple):
    """Bytes that a step moves to and from off-chip memory."""

    input: int
    weight: int
    output: int


NOTHING = Traffic(0, 0, 0)


@dataclass(frozen=True)
class Step:
    """One pass of an operator over its rows.

    Attributes:
        operator: its name.
        rows: that pass, one or more.
        stages: in order; the first reads, the second computes.
        latency: cycles of the pipelines that it goes through, once.
        moved: bytes.
        memory: least cycles that off-chip memory takes for them.
        load: cycles of the weight port before its first row; 0 without weights.
    """

    operator: str
    rows: int
    stages: tuple[Stage, ...]
    latency: int
    moved: Traffic = NOTHING
    memory: int = 0
    load: int = 0

    @property
    def compute(self) -> int:
        """Cycles of its computing stage alone."""
        return self.rows * self.stages[1].cycles

    @cached_property
    def slowest(self) -> int:
        """Cycles per row of its slowest stage."""
        return max(stage.cycles for stage in self.stages)

    @cached_property
    def fill(self) -> int:
        """Cycles of its first row through all stages but the slowest, and of the pipelines."""
        return sum(stage.cycles for stage in self.stages) - self.slowest + self.latency

    @property
    def pipeline(self) -> int:
        """Cycles from its start to its last row's writing, weights and memory apart."""
        return self.fill + self.rows * self.slowest


@dataclass(frozen=True, slots=True)
class Span:
    """When a step ran.

    Attributes:
        start: cycle at which it may read.
        end: cycle at which its results are in memory.
    """

    start: int
    end: int

    @property
    def cycles(self) -> int:
        """From start to end."""
        return self.end - self.start


def spans(steps: Iterable[Step]) -> list[Span]:
    """When each step runs, in closed form.

    Exact where no stage is slower than the computing one; else a step that waits for weights is
    taken to read no row ahead, which is at most two rows too long.
    """
    start = loaded = 0
    freed = (0, 0)  # when the buffers were last left, the one to fill next first
    found = []
    for step in steps:
        done = start + step.pipeline
        if step.load:
            loaded = max(loaded, freed[0]) + step.load
            done += max(0, loaded - start - step.stages[0].cycles)
            freed = freed[1], done - step.latency - sum(s.cycles for s in step.stages[2:])
        found.append(Span(start, max(done, start + step.memory)))
        start = found[-1].end
    return found


def stalls(step: Step, span: Span) -> dict[str, int]:
    """Cycles of a span beyond those of the computing stage, by cause.

    `weights`: the first row waits for them; `memory`: off-chip memory takes longer than all else;
    `ports` and `lanes`: ports, or lanes behind the engine, are slower than it; `fill`: the first
    row's way through all stages.
    """
    slow = max(step.stages, key=lambda stage: stage.cycles)
    port = slow.engine in ("read", "write")
    behind, rest = step.rows * slow.cycles - step.compute, span.cycles - step.pipeline
    return {
        "weights": rest if span.cycles > step.memory else 0,
        "ports": behind if port else 0,
        "lanes": 0 if port else behind,
        "memory": rest if span.cycles <= step.memory else 0,
        "fill": step.fill,
    }
