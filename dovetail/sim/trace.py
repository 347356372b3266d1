"""Traces of the cycle simulator for ui.perfetto.dev, in the Chrome Trace Event format.

One process with a track per queue (load, execute, store) and one that shows which operator runs.
Operators follow each other. Times are microseconds, rounded to the nanosecond, the resolution of
trace viewers; the arguments of an event hold its exact cycles.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dovetail.ir import isa
from dovetail.ir.files import replaced_file
from dovetail.ir.isa import Scratchpad
from dovetail.ir.program import Load, MatrixMultiply, Store
from dovetail.sim.code import Instruction
from dovetail.sim.cycle import Timing

MAX_EVENTS = 500_000
"""Instructions that a trace shows; a viewer takes about 150 bytes for each."""

PROCESS = 1
OPERATOR_TRACK = 1
TRACKS = ("operator", "load", "execute", "store")
"""Tracks in their order on the screen; queue q is number q + 2."""

Event = dict[str, Any]


@dataclass(slots=True)
class _Trace:
    """Walks through timings once and counts what it shows."""

    names: Sequence[str]
    timings: Iterable[Timing | None]
    clock_mhz: float
    max_events: int
    cycles: int = 0
    instructions: int = 0
    shown: int = 0
    _arguments: dict[Instruction, Event] = field(default_factory=dict)

    def events(self) -> Iterator[Event]:
        yield from process(PROCESS, "accelerator")
        for name, timing in zip(self.names, self.timings, strict=True):
            if timing is not None:
                yield from self._operator(name, timing)

    def _operator(self, name: str, timing: Timing) -> Iterator[Event]:
        count = sum(count for _, count in timing.runs)
        begin, self.cycles = self.cycles, self.cycles + timing.cycles
        self.instructions += count
        arguments = {"cycles": timing.cycles, "instructions": count}
        yield self._event(name, OPERATOR_TRACK, begin, self.cycles, arguments)
        self._arguments.clear()
        for item in timing.events[: self.max_events - self.shown]:
            if item.instruction not in self._arguments:
                cycles = {"operator": name, "cycles": item.end - item.start}
                self._arguments[item.instruction] = cycles | asdict(item.instruction)
            self.shown += 1
            yield self._event(
                title(item.instruction),
                OPERATOR_TRACK + 1 + item.queue,
                begin + item.start,
                begin + item.end,
                self._arguments[item.instruction],
            )

    def _event(self, name: str, track: int, start: int, end: int, arguments: Event) -> Event:
        return span(PROCESS, track, name, (start, end), self.clock_mhz, arguments)

    def summary(self) -> Event:
        """What the whole trace holds; complete once `events` has ended."""
        facts: Event = {
            "clock_mhz": self.clock_mhz,
            "cycles": self.cycles,
            "instructions": self.instructions,
            "instructions_shown": self.shown,
        }
        if self.shown < self.instructions:
            facts["note"] = (
                f"truncated: shows {self.shown} of {self.instructions} instructions; operators "
                "without load, execute and store events ran all the same"
            )
        return facts


def chrome_trace(
    names: Sequence[str],
    timings: Iterable[Timing | None],
    clock_mhz: float,
    *,
    max_events: int = MAX_EVENTS,
) -> dict[str, Any]:
    """The trace of operators that run one after the other.

    Args:
        names: of the operators.
        timings: of the same, traced; None for operators that move no data.
        clock_mhz: clock of the accelerator.
        max_events: instructions to show; operators are all shown.

    Returns:
        `traceEvents`, `displayTimeUnit`, and `otherData` with totals, and a note if truncated.
    """
    trace = _Trace(names, timings, clock_mhz, max_events)
    events = list(trace.events())
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": trace.summary()}


def write_trace(
    path: Path | str,
    names: Sequence[str],
    timings: Iterable[Timing | None],
    clock_mhz: float,
    *,
    max_events: int = MAX_EVENTS,
) -> None:
    """Writes `chrome_trace` to a file, event by event: `timings` may be a generator.

    Args:
        path: the file to write.
        names: see `chrome_trace`.
        timings: see `chrome_trace`.
        clock_mhz: see `chrome_trace`.
        max_events: see `chrome_trace`.

    Raises:
        OutputError: if it cannot be written; nothing is left behind.
    """
    trace = _Trace(names, timings, clock_mhz, max_events)
    write_events(path, trace.events(), trace.summary)


def write_events(path: Path | str, events: Iterable[Event], summary: Callable[[], Event]) -> None:
    """Writes a trace file.

    Args:
        path: the file to write.
        events: may be a generator.
        summary: called when all events are written.

    Raises:
        OutputError: if it cannot be written; nothing is left behind.
    """
    with replaced_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"displayTimeUnit": "ns", "traceEvents": [\n')
        for number, event in enumerate(events):
            file.write(",\n" if number else "")
            file.write(json.dumps(event, allow_nan=False))
        file.write(f'\n], "otherData": {json.dumps(summary(), allow_nan=False)}}}\n')


def process(number: int, name: str) -> Iterator[Event]:
    """Names a process and its tracks."""
    yield _metadata("process_name", {"name": name}, number, OPERATOR_TRACK)
    yield _metadata("process_sort_index", {"sort_index": number}, number, OPERATOR_TRACK)
    for track, title_ in enumerate(TRACKS, start=OPERATOR_TRACK):
        yield _metadata("thread_name", {"name": title_}, number, track)
        yield _metadata("thread_sort_index", {"sort_index": track}, number, track)


def span(
    process_number: int, track: int, name: str, cycles: tuple[int, int], clock_mhz: float,
    arguments: Event,
) -> Event:  # fmt: skip
    """An event from one cycle to another."""
    first, last = (round(cycle * 1000 / clock_mhz) for cycle in cycles)
    return {
        "name": name,
        "ph": "X",
        "pid": process_number,
        "tid": track,
        "ts": first / 1000,
        "dur": (last - first) / 1000,
        "args": arguments,
    }


def _metadata(kind: str, arguments: Event, process_number: int, track: int) -> Event:
    return {"name": kind, "ph": "M", "pid": process_number, "tid": track, "args": arguments}


def title(instruction: Instruction) -> str:
    """What an instruction is called on its track."""
    match instruction:
        case Load(input_bytes=inputs, weight_bytes=weights):
            return _load_title(inputs > 0, weights > 0)
        case isa.Load():
            fills = (instruction.fills(target) for target in (Scratchpad.INPUT, Scratchpad.WEIGHT))
            return _load_title(*fills)
        case Store() | isa.Store():
            return "store output"
        case MatrixMultiply() | isa.Multiply():
            return "matrix multiply"
    return "vector"


def _load_title(inputs: bool, weights: bool) -> str:
    parts = ["input"] * inputs + ["weight"] * weights
    return f"load {' + '.join(parts) or 'nothing'}"
