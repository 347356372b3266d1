"""Runs a case on the simulator, the interpreter and the gates, and compares all that they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.executable import Bytes, Executable, PlanarRegion
from dovetail.sim import interpreter, rtl
from dovetail.sim.code import queue_of
from dovetail.sim.cycle import ChainTiming, run_executable
from dovetail.sim.simulators import Bench, build
from dovetail.sim.values_network import reference
from dovetail.verify.case import Case
from dovetail.verify.points import points
from dovetail.verify.work import Work, prepare

Watch = Callable[[Work, ChainTiming, rtl.RtlRun], None]
QUEUE_NAMES = ("load", "execute", "store")
MEMORY_BYTES = 2**20
DONE = 1
"""done_o rises in the cycle after the end of the last segment."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a case showed.

    Attributes:
        case: its name.
        kind: "" if all agree; else "cycles", "events", "memory", "reference", "rule" or
            "error".
        detail: what disagrees, for people.
        instructions: executed by the gates.
        cycles: of the gates; 0 for a case with stalls, whose cycles mean nothing.
        points: functional coverage points that it hit.
    """

    case: str
    kind: str
    detail: str
    instructions: int
    cycles: int
    points: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        """Whether all agree."""
        return not self.kind

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Outcome:
        """Inverse of `to_dict`.

        Raises:
            TypeError, KeyError: if the values are none of an outcome.
        """
        outcome = cls(**{**values, "points": tuple(values["points"])})
        texts = (outcome.case, outcome.kind, outcome.detail, *outcome.points)
        counts = (outcome.instructions, outcome.cycles)
        if {*map(type, texts)} != {str} or {*map(type, counts)} != {int}:
            raise TypeError("values of wrong types")
        return outcome


@dataclass(frozen=True, slots=True)
class Gates:
    """How the gates are simulated.

    Attributes:
        simulator: "verilator" or "icarus".
        coverage: file of line and toggle counts to write; None for none.
        waves: FST file to write; None for none.
        sources: of the accelerator; None for the package's own.
    """

    simulator: str = "verilator"
    coverage: str | None = None
    waves: str | None = None
    sources: tuple[Path, ...] | None = None

    def bench(self, case: Case) -> Bench:
        """The test bench for a case, built or from the cache."""
        gates = case.elaboration
        values = rtl.parameters(
            gates.base(), param_depth=gates.param_depth, program_depth=gates.program_depth
        )
        options = (self.waves is not None, self.coverage is not None)
        return _bench(tuple(values.items()), self.simulator, *options, self.sources)


@lru_cache(maxsize=64)
def _bench(
    values: tuple[tuple[str, int], ...], simulator: str, waves: bool, coverage: bool,
    sources: tuple[Path, ...] | None,
) -> Bench:  # fmt: skip
    return build(
        dict(values), simulator, sources=sources, memory_bytes=MEMORY_BYTES, waves=waves,
        coverage=coverage,
    )  # fmt: skip


def check(
    case: Case, gates: Gates, work: Work | None = None, watch: Watch | None = None
) -> Outcome:
    """Runs a case and compares.

    Args:
        case: what to run.
        gates: how to simulate the gates.
        work: what the case runs, if known.
        watch: called with what ran, the simulation and the run of the gates.

    Raises:
        DovetailError: if the case is illegal, or the gates cannot be built.
    """
    work = work or prepare(case)
    if not work.fits(case.elaboration) or len(work.memory) > MEMORY_BYTES:
        raise MappingError(
            f"the program of case '{case.name}' needs {work.executable.param_depth} parameter "
            f"words, {work.executable.program_depth} entries and {len(work.memory):,} B: the gates "
            f"have {case.elaboration.param_depth}, {case.elaboration.program_depth} and "
            f"{MEMORY_BYTES:,}"
        )
    timing = run_executable(work.executable, work.design, trace=True)
    expected = work.memory.copy()
    interpreter.execute(work.executable, expected)
    seen = rtl.run(
        gates.bench(case),
        work.memory,
        rtl.Channel(case.latency, case.bandwidth, case.stalls),
        address=work.executable.start,
        limit=(20 if case.stalls else 2) * timing.total + 1_000,
        rounds=case.rounds,
        waves=gates.waves,
        coverage=gates.coverage,
    )
    if watch is not None:
        watch(work, timing, seen)
    reason = "" if case.per_pixel else _against_reference(work, expected)
    if reason:
        return Outcome(case.name, "reference", reason, 0, 0)
    kind, detail = compare(work, timing, expected, seen, timed=case.stalls == 0)
    count = sum(len(queue) for segment in seen.segments for queue in segment.starts)
    cycles = max(seen.cycles, 0) if case.stalls == 0 else 0
    return Outcome(case.name, kind, detail, count, cycles, points(case, work))


def compare(
    work: Work, timing: ChainTiming, expected: Bytes, seen: rtl.RtlRun, *, timed: bool
) -> tuple[str, str]:
    """Kind and description of the first disagreement; empty texts if there is none.

    Args:
        work: what ran.
        timing: the simulator's, traced.
        expected: the interpreter's memory after the run.
        seen: of the gates.
        timed: whether cycles count.
    """
    if timed and (reason := _events(work.executable, timing, seen)):
        return "events", reason
    if seen.failure:
        return "rule", seen.failure
    if timed and seen.cycles != timing.total + DONE:
        return "cycles", f"done in cycle {seen.cycles}, expected {timing.total + DONE}"
    if not np.array_equal(expected, seen.memory):
        return "memory", _first_byte(work.executable, expected, seen.memory)
    return "", ""


def _against_reference(work: Work, memory: Bytes) -> str:
    """Whether the interpreter's tensors are those of plain arithmetic."""
    for name, values in reference(work.network, work.image).items():
        found = work.executable.region(name).unpack(memory)
        if not np.array_equal(found, values):
            at = tuple(int(i) for i in np.argwhere(found != values)[0])
            return (
                f"tensor '{name}' at {at}: interpreter {found[at]}, arithmetic {values[at]}; "
                f"{np.count_nonzero(found != values)} of {values.size} values differ"
            )
    return ""


def _events(executable: Executable, timing: ChainTiming, seen: rtl.RtlRun) -> str:
    """The first instruction, in order of expected starts, that starts or ends otherwise."""
    start = 0
    for number, segment in enumerate(executable.segments):
        run = start + int(timing.overhead[number])
        where = f"segment {number} ('{segment.program.operator}')"
        if number >= len(seen.segments):
            return f"{where} never starts; expected in cycle {start}. {seen.failure}"
        trace = seen.segments[number]
        if trace.start != start or trace.run != run:
            return (
                f"{where}: fetch starts in {trace.start}, queues in {trace.run}; "
                f"expected {start} and {run}. {seen.failure}"
            )
        for queue, index, first, last in timing.history(number):
            found = (_at(trace.starts[queue], index), _at(trace.ends[queue], index))
            if found != (run + first, run + last):
                return (
                    f"{where}: {QUEUE_NAMES[queue]} instruction {index} runs from "
                    f"{_relative(found[0], run)} to {_relative(found[1], run)}, expected "
                    f"{first} to {last} (since the queues started in {run}). {seen.failure}\n"
                    f"{instruction_at(segment.program, queue, index)}"
                )
        counts = [sum(1 for event in timing.history(number) if event[0] == q) for q in range(3)]
        if [len(queue) for queue in trace.starts] != counts:
            return f"{where}: {[len(q) for q in trace.starts]} instructions, expected {counts}"
        start += int(timing.cycles[number])
    return ""


def _at(cycles: tuple[int, ...], index: int) -> int | None:
    return cycles[index] if index < len(cycles) else None


def _relative(cycle: int | None, run: int) -> str:
    return "never" if cycle is None else str(cycle - run)


def instruction_at(program: Any, queue: int, index: int) -> str:
    """The instruction that a queue executes as its `index`-th, decoded."""
    count = 0
    for item in program.unrolled():
        if queue_of(item) == queue:
            if count == index:
                return str(item)
            count += 1
    return "no such instruction"


def _first_byte(executable: Executable, expected: Bytes, seen: Bytes) -> str:
    wrong = np.flatnonzero(expected != seen)
    at = int(wrong[0])
    place = f"{_place(executable, at)}: "
    return (
        f"{len(wrong)} bytes differ, the first at {at:#x} {place}gates {seen[at]:#04x}, "
        f"expected {expected[at]:#04x}; the last at {int(wrong[-1]):#x}"
    )


def _place(executable: Executable, address: int) -> str:
    """Tensor and pixel that lie at an address."""
    for region in executable.regions:
        offset = address - region.address
        if 0 <= offset < region.size and isinstance(region, PlanarRegion):
            channel, byte = divmod(offset, region.pixel_bytes)
            pixel = byte * 8 // region.bits
            return f"in tensor '{region.name}', channel {channel}, pixel {pixel}"
        if 0 <= offset < region.size:
            row, rest = divmod(offset, region.row_bytes)
            column, byte = divmod(rest, region.pixel_bytes)
            lane = byte * 8 // region.bits
            return f"in tensor '{region.name}', row {row}, column {column}, channel {lane}"
    return "outside of all tensors"
