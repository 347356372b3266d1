"""Makes the runs of a comparison in processes of their own, each with one thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children
from pathlib import Path

from dovetail.envs.problem import DesignProblem
from dovetail.errors import ProblemError, StudyError
from dovetail.studies.comparison.plan import Limits, Run
from dovetail.studies.comparison.run import play, warm_up
from dovetail.studies.executor import MOST, pack, unpack
from dovetail.workers import process_pool

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""Read by numerical libraries when a process starts."""

_packed = b""
"""Of a worker process: the problem, unpacked anew for every run."""

_warm: set[str] = set()
"""Of a worker process: agents that it has run."""


def execute(
    problem: DesignProblem,
    runs: Sequence[Run],
    limits: Limits,
    folder: Path,
    workers: int = 1,
    progress: Callable[[Run], None] | None = None,
) -> None:
    """Makes all runs, or what is missing of them; what they find does not depend on `workers`.

    Args:
        problem: what is searched, not evaluated yet.
        runs: to make.
        limits: of each run.
        folder: of the study files.
        workers: processes, >= 1.
        progress: called after each run.

    Raises:
        ProblemError: if `workers` is out of range, or the problem cannot be pickled.
        StudyError: if a study file is of another study, or corrupt, or a worker process died.
        OutputError: if a study file cannot be written.
    """
    if not 1 <= workers <= MOST:
        raise ProblemError(f"{workers} workers: must be within 1 to {MOST}")
    others = set(active_children())
    with _one_thread():
        pool = process_pool(min(workers, len(runs)), _start, pack(problem))
        try:
            waiting = {pool.submit(_play, run, limits, _path(folder, run)): run for run in runs}
            for done in as_completed(waiting):
                done.result()
                if progress:
                    progress(waiting[done])
        except BrokenProcessPool as error:
            raise StudyError(
                "a worker process died, perhaps for want of memory: use fewer workers and --resume"
            ) from error
        except BaseException:
            # A run in flight may take minutes; its study holds every batch that it has made.
            for worker in set(active_children()) - others:
                worker.terminate()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def _path(folder: Path, run: Run) -> Path:
    return folder / f"{run.name}.db"


def _start(packed: bytes) -> None:
    global _packed
    _packed = packed


def _play(run: Run, limits: Limits, path: Path) -> None:
    if run.contender not in _warm:
        warm_up(unpack(_packed), run)
        _warm.add(run.contender)
    play(unpack(_packed), run, limits, path)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start meanwhile keep to one thread, so that processor time is wall time."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
