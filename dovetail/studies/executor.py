"""Who evaluates a batch: this process, or several that share it out.

A design's evaluation depends on that design alone, so a batch may be cut anywhere: the result is
the same for any number of workers.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import MissingExtraError, ProblemError, StudyError
from dovetail.ir.space import IntArray
from dovetail.studies.records import join
from dovetail.workers import process_pool

_problem: DesignProblem | None = None
"""Of a worker process: the problem that it evaluates."""


class Executor(Protocol):
    """Evaluates batches of one problem."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs), n >= 1, in order."""


class InlineExecutor:
    """Evaluates in the calling process."""

    def __init__(self, problem: DesignProblem) -> None:
        self._problem = problem

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs)."""
        return self._problem.evaluate(designs)


RETRIES = 3
"""Times that lost parts of a batch are evaluated again, by fresh processes."""


class LocalExecutor:
    """Shares batches out over processes of this machine; worth it when evaluation is slow.

    A killed process loses nothing: fresh ones evaluate what it had not answered.

    Args:
        problem: what to evaluate; it is pickled once per worker.
        workers: processes, >= 1.

    Raises:
        ProblemError: if `workers` < 1 or the problem cannot be pickled.
    """

    def __init__(self, problem: DesignProblem, workers: int) -> None:
        if workers < 1:
            raise ProblemError(f"{workers} workers: must be >= 1")
        self.workers = workers
        self._packed = pack(problem)
        self._pool = self._start()

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs) in at most `workers` contiguous parts.

        Raises:
            StudyError: if processes died again and again.
        """
        parts = dict(enumerate(np.array_split(designs, min(self.workers, len(designs)))))
        found = self._attempt(parts)
        for _ in range(RETRIES):
            if len(found) == len(parts):
                break
            self.close()
            self._pool = self._start()
            found |= self._attempt({i: part for i, part in parts.items() if i not in found})
        if len(found) < len(parts):
            raise StudyError(
                f"worker processes died {RETRIES + 1} times on the same designs, perhaps for want "
                "of memory: use fewer workers and --resume"
            )
        return join([found[i] for i in parts])

    def _start(self) -> ProcessPoolExecutor:
        return process_pool(self.workers, _start, self._packed)

    def _attempt(self, parts: dict[int, IntArray]) -> dict[int, Evaluation]:
        """Evaluates parts by number; those whose processes died are left out."""
        tasks: dict[int, Future[Evaluation]] = {}
        found: dict[int, Evaluation] = {}
        with suppress(BrokenProcessPool):  # a process died before all were handed out
            for i, part in parts.items():
                tasks[i] = self._pool.submit(_evaluate, part)
        for i, task in tasks.items():
            with suppress(BrokenProcessPool):
                found[i] = task.result()
        return found

    def close(self) -> None:
        """Ends the workers."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


MOST = 256
"""Worker processes of one machine."""


@contextmanager
def executor_for(problem: DesignProblem, workers: str = "1") -> Iterator[Executor]:
    """The executor that a text names, as long as a `with` block lasts.

    Args:
        problem: what to evaluate.
        workers: see `check_workers`.

    Raises:
        ProblemError: if the problem cannot be sent to workers, or no cluster answers.
    """
    check_workers(workers)
    engine, _, where = workers.partition(":")
    if engine == "ray":
        from dovetail.studies.ray_executor import RayExecutor

        # A number is a cluster of so many processes here; anything else is an address.
        count = int(where) if where.isdecimal() else None
        with RayExecutor(problem, address=None if count else where, workers=count) as far:
            yield far
    elif int(workers) == 1:
        yield InlineExecutor(problem)
    else:
        with LocalExecutor(problem, int(workers)) as near:
            yield near


def check_workers(workers: str) -> None:
    """Checks who is to evaluate, before long work.

    Args:
        workers: `N` processes of this machine, `ray` (a cluster of its cores), `ray:N` (of N
            processes), or `ray:ADDRESS` (one that runs: `auto`, `HOST:PORT`).

    Raises:
        ProblemError: if it is none of these.
        MissingExtraError: if Ray is not installed.
    """
    engine, colon, where = workers.partition(":")
    count = where if engine == "ray" else workers
    if count.isdecimal() and not 1 <= int(count) <= MOST:
        raise ProblemError(f"{count} workers: must be within 1 to {MOST}")
    if engine == "ray" and bool(colon) == bool(where):
        if find_spec("ray") is None:
            raise MissingExtraError("--workers ray", "distributed", "ray")
    elif not workers.isdecimal():
        raise ProblemError(f"workers '{workers}': must be N, ray, ray:N or ray:ADDRESS")


def pack(problem: DesignProblem) -> bytes:
    """A problem as bytes for a worker process.

    Raises:
        ProblemError: if it cannot be pickled.
    """
    try:
        return pickle.dumps(problem)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ProblemError(
            f"problem '{problem.name}' cannot go to worker processes ({error}): use 1 worker"
        ) from error


def unpack(packed: bytes) -> DesignProblem:
    """What `pack` packed in the process that this one works for."""
    problem: DesignProblem = pickle.loads(packed)
    return problem


def _start(packed: bytes) -> None:
    global _problem
    _problem = unpack(packed)


def _evaluate(designs: IntArray) -> Evaluation:
    assert _problem is not None
    return _problem.evaluate(designs)
