"""The simulator's and the gates' instructions on parallel tracks, for ui.perfetto.dev.

Two processes with equal tracks: what `sim.cycle` says, and what the RTL did. An instruction of the
gates says how many cycles it started and ended later than simulated; where the simulator is exact,
both are 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dovetail.ir.executable import Executable
from dovetail.ir.isa import Instruction
from dovetail.sim.code import queue_of
from dovetail.sim.cycle import ChainTiming
from dovetail.sim.queues import QUEUES
from dovetail.sim.rtl import RtlRun
from dovetail.sim.trace import (
    MAX_EVENTS,
    OPERATOR_TRACK,
    Event,
    process,
    span,
    title,
    write_events,
)

SIMULATED, GATES = 1, 2
"""Process numbers: the simulator above, the gates below."""


@dataclass(frozen=True, slots=True)
class SegmentSpans:
    """When things happened in one segment; cycles from the start signal.

    Attributes:
        start: its fetch starts.
        run: its queues start.
        end: the next segment starts, or the network is done.
        queues: per queue, (start, end) of every instruction.
    """

    start: int
    run: int
    end: int
    queues: tuple[tuple[tuple[int, int], ...], ...]


def simulated_spans(timing: ChainTiming) -> tuple[SegmentSpans, ...]:
    """What a traced simulation says."""
    spans, begin = [], 0
    for number, (cycles, overhead) in enumerate(
        zip(timing.cycles.tolist(), timing.overhead.tolist(), strict=True)
    ):
        run, end = begin + overhead, begin + cycles
        queues: list[list[tuple[int, int]]] = [[] for _ in range(QUEUES)]
        for queue, _, first, last in timing.history(number):
            queues[queue].append((run + first, run + last))
        spans.append(SegmentSpans(begin, run, end, tuple(tuple(q) for q in queues)))
        begin = end
    return tuple(spans)


def gate_spans(run: RtlRun) -> tuple[SegmentSpans, ...]:
    """What the gates did; instructions that never ended are left out."""
    last = max(
        (end for segment in run.segments for queue in segment.ends for end in queue), default=0
    )
    # done_o rises one cycle after the end of the last segment.
    done = run.cycles - 1 if run.cycles > 0 else last
    ends = [*(segment.start for segment in run.segments[1:]), done]
    return tuple(
        SegmentSpans(
            segment.start,
            segment.run,
            end,
            tuple(
                tuple(zip(starts, lasts, strict=False))
                for starts, lasts in zip(segment.starts, segment.ends, strict=True)
            ),
        )
        for segment, end in zip(run.segments, ends, strict=True)
    )


def write_comparison(
    path: Path | str,
    executable: Executable,
    simulated: ChainTiming,
    gates: RtlRun | None,
    clock_mhz: float,
    *,
    max_events: int = MAX_EVENTS,
) -> None:
    """Writes a trace of both.

    Args:
        path: the file to write.
        executable: what ran.
        simulated: its traced simulation.
        gates: its run on the gates; None shows the simulation alone.
        clock_mhz: clock of the accelerator.
        max_events: instructions to show of each; segments are all shown.

    Raises:
        OutputError: if it cannot be written; nothing is left behind.
    """
    trace = _Comparison(executable, clock_mhz, max_events)
    expected = simulated_spans(simulated)

    def events() -> Iterator[Event]:
        yield from trace.events(SIMULATED, "simulated (sim.cycle)", expected, None)
        if gates is not None:
            yield from trace.events(GATES, "gates (RTL)", gate_spans(gates), expected)

    write_events(path, events(), trace.summary)


@dataclass(slots=True)
class _Comparison:
    """Makes events and counts what differs."""

    executable: Executable
    clock_mhz: float
    max_events: int
    cycles: dict[str, int] = field(default_factory=dict)
    instructions: dict[str, int] = field(default_factory=dict)
    different: int = 0

    def events(
        self, number: int, name: str, spans: tuple[SegmentSpans, ...],
        expected: tuple[SegmentSpans, ...] | None,
    ) -> Iterator[Event]:  # fmt: skip
        yield from process(number, name)
        self.cycles[name] = spans[-1].end if spans else 0
        self.instructions[name] = sum(len(queue) for part in spans for queue in part.queues)
        room = self.max_events
        for i, part in enumerate(spans):
            other = expected[i] if expected is not None and i < len(expected) else None
            yield self._segment(number, i, part, other)
            for queue, found in enumerate(part.queues):
                yield from self._queue(number, i, queue, found[:room], other)
                room -= len(found[:room])

    def _segment(
        self, number: int, index: int, part: SegmentSpans, other: SegmentSpans | None
    ) -> Event:
        name = self.executable.segments[index].program.operator
        facts: Event = {"cycles": part.end - part.start, "fetch_cycles": part.run - part.start}
        if other is not None:
            facts["simulated_cycles"] = other.end - other.start
        cycles = (part.start, part.end)
        return span(number, OPERATOR_TRACK, name, cycles, self.clock_mhz, facts)

    def _queue(
        self, number: int, index: int, queue: int, found: tuple[tuple[int, int], ...],
        other: SegmentSpans | None,
    ) -> Iterator[Event]:  # fmt: skip
        program = self.executable.segments[index].program
        items = (item for item in program.unrolled() if queue_of(item) == queue)
        known: dict[object, Event] = {}
        for place, ((first, last), item) in enumerate(zip(found, items, strict=False)):
            assert isinstance(item, Instruction)
            facts = known.setdefault(item, asdict(item))
            extra: Event = {"operator": program.operator, "cycles": last - first}
            if other is not None:
                extra |= self._lateness((first, last), other.queues[queue], place)
            track = OPERATOR_TRACK + 1 + queue
            yield span(number, track, title(item), (first, last), self.clock_mhz, extra | facts)

    def _lateness(
        self, cycles: tuple[int, int], expected: tuple[tuple[int, int], ...], place: int
    ) -> Event:
        if place >= len(expected):
            self.different += 1
            return {"simulated": "no such instruction"}
        late = cycles[0] - expected[place][0], cycles[1] - expected[place][1]
        self.different += late != (0, 0)
        return {"starts_later_by": late[0], "ends_later_by": late[1]}

    def summary(self) -> Event:
        return {
            "clock_mhz": self.clock_mhz,
            "cycles": self.cycles,
            "instructions": self.instructions,
            "instructions_that_differ": self.different,
        }
