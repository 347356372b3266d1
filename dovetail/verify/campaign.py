"""Runs many cases in several processes, and keeps a log that a later run goes on from."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dovetail.errors import DovetailError, ProblemError, ToolError
from dovetail.sim.simulators import require_tools
from dovetail.verify.case import Case
from dovetail.verify.check import Gates, Outcome, check
from dovetail.verify.coverage import Point, read_counts
from dovetail.verify.draw import draw_case, draw_prepared
from dovetail.verify.log import LOG, Log, sources_digest
from dovetail.verify.points import POINTS
from dovetail.workers import process_pool

MOST_MISMATCHES = 10
"""A campaign ends early when it has seen so many."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a campaign runs.

    Attributes:
        cases: how many.
        seed: of all of them.
        simulator: "verilator" or "icarus".
        elaborations: designs that the cases share out.
        workers: processes.
        coverage: folder of the cases' coverage files; None for none.
    """

    cases: int
    seed: int = 0
    simulator: str = "verilator"
    elaborations: int = 20
    workers: int = 1
    coverage: Path | None = None

    @property
    def names(self) -> list[str]:
        """Names of all cases."""
        return [f"{self.seed}-{i % self.elaborations}-{i // self.elaborations}"
                for i in range(self.cases)]  # fmt: skip


@dataclass(slots=True)
class Tally:
    """What a campaign has shown so far."""

    cases: int = 0
    resumed: int = 0
    instructions: int = 0
    cycles: int = 0
    timed: int = 0
    elaborations: set[str] = field(default_factory=set)
    points: Counter[str] = field(default_factory=Counter)
    mismatches: list[Outcome] = field(default_factory=list)
    coverage: Counter[Point] = field(default_factory=Counter)
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts a case."""
        self.cases += 1
        self.instructions += outcome.instructions
        self.cycles += outcome.cycles
        self.timed += outcome.cycles > 0
        self.elaborations.add(outcome.case.rsplit("-", 1)[0])
        self.points.update(outcome.points)
        if not outcome.passed:
            self.mismatches.append(outcome)

    def to_dict(self, plan: Plan) -> dict[str, Any]:
        """JSON-able summary."""
        missed = [point for point in POINTS if not self.points[point]]
        return {
            "cases": self.cases,
            "resumed": self.resumed,
            "seed": plan.seed,
            "simulator": plan.simulator,
            "elaborations": len(self.elaborations),
            "instructions": self.instructions,
            "cases_with_exact_cycles": self.timed,
            "cases_with_stalls": self.cases - self.timed,
            "cycles_compared": self.cycles,
            "mismatches": [outcome.to_dict() for outcome in self.mismatches],
            "coverage_points": dict(sorted(self.points.items())),
            "coverage_points_missed": missed,
            "sources": sources_digest(),
            "seconds": round(self.seconds, 1),
        }


def parse_name(name: str) -> tuple[int, int, int]:
    """Seed, elaboration and number of a case's name.

    Raises:
        ProblemError: if it is no name of a case.
    """
    try:
        seed, elaboration, number = (int(part) for part in name.split("-"))
    except ValueError:
        raise ProblemError(
            f"'{name}' names no case: must be SEED-ELABORATION-NUMBER, such as 0-3-17, or a file"
        ) from None
    return seed, elaboration, number


def case_of(name: str) -> Case:
    """The case of a name. Raises as `parse_name` does."""
    return draw_case(*parse_name(name))


def run_case(name: str, gates: Gates) -> Outcome:
    """Draws and runs a case; whatever goes wrong with it is an outcome."""
    try:
        case, work = draw_prepared(*parse_name(name))
        return check(case, gates, work)
    except Exception as error:
        return Outcome(name, "error", f"{type(error).__name__}: {error}", 0, 0)


def run_campaign(
    plan: Plan,
    work: Path | None = None,
    progress: Callable[[str, int, int, int], None] | None = None,
) -> Tally:
    """Runs all cases of a plan that the log in `work` does not hold yet.

    Args:
        plan: what to run.
        work: folder of the log; None keeps none.
        progress: called with "build" or "run", what is done, of how many, and mismatches.

    Raises:
        MissingToolError, ToolError: if the gates cannot be built.
        StudyError: if the log belongs to other sources or to another plan.
    """
    require_tools(plan.simulator)
    begun = time.monotonic()
    log = Log(work / LOG, plan) if work is not None else None
    tally = Tally()
    wanted = plan.names
    if log is not None:
        known = set(wanted)
        for outcome in log.outcomes:
            if outcome.case in known:
                tally.add(outcome)
                known.discard(outcome.case)
        tally.resumed = tally.cases
        wanted = [name for name in wanted if name in known]
    tell = progress or (lambda *_: None)
    with _Inline() if plan.workers == 1 else process_pool(plan.workers) as pool:
        _build(plan, wanted, pool, tell)
        for outcome in _run(plan, wanted, pool):
            tally.add(outcome)
            if log is not None:
                log.append(outcome)
            if plan.coverage is not None:
                _add_coverage(plan.coverage / f"{outcome.case}.dat", tally.coverage)
            tell("run", tally.cases, plan.cases, len(tally.mismatches))
            if len(tally.mismatches) >= MOST_MISMATCHES:
                break
        pool.shutdown(cancel_futures=True)
    tally.seconds = time.monotonic() - begun
    return tally


class _Inline(Executor):
    """Calls in this process, at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """The call's result."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _add_coverage(path: Path, counts: Counter[Point]) -> None:
    """Adds a case's counts and deletes its file: they are large."""
    if path.exists():
        counts.update(read_counts(path))
        path.unlink()


def _build(
    plan: Plan, wanted: Sequence[str], pool: Executor,
    tell: Callable[[str, int, int, int], None],
) -> None:  # fmt: skip
    """Builds all elaborations first, so that no two processes build the same."""
    firsts = {name.rsplit("-", 1)[0]: name for name in reversed(wanted)}
    gates = Gates(plan.simulator, coverage="" if plan.coverage else None)
    futures = [pool.submit(_build_one, name, gates) for name in firsts.values()]
    for count, future in enumerate(futures, start=1):
        if reason := future.result():
            raise ToolError(reason)
        tell("build", count, len(futures), 0)


def _build_one(name: str, gates: Gates) -> str:
    """Builds what a case needs; errors go back as texts, because not all can be sent."""
    try:
        gates.bench(case_of(name))
    except DovetailError as error:
        return str(error)
    return ""


def _run(plan: Plan, wanted: Sequence[str], pool: Executor) -> Iterator[Outcome]:
    """Outcomes as they come; few cases wait at a time, so that an end comes soon."""
    names = iter(wanted)
    most = 4 * plan.workers if plan.workers > 1 else 1
    waiting: set[Future[Outcome]] = set()
    while True:
        while len(waiting) < most and (name := next(names, None)) is not None:
            waiting.add(pool.submit(run_case, name, _gates(plan, name)))
        if not waiting:
            return
        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _gates(plan: Plan, name: str) -> Gates:
    gates = Gates(plan.simulator)
    if plan.coverage is None:
        return gates
    return replace(gates, coverage=str(plan.coverage / f"{name}.dat"))


def default_workers() -> int:
    """One process per core that this one may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
