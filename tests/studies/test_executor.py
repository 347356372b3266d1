"""Worker processes of this machine: they change no result, and killing them loses nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dovetail.envs.problem import Evaluation
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.space import IntArray
from dovetail.studies import executor as executors
from dovetail.studies.executor import LocalExecutor
from dovetail.studies.runner import Status
from dovetail.studies.store import StudyStore
from tests.studies.test_runner import ROOT, assert_same
from tests.studies.toy import SPACE, Mortal, ToyProblem, search


def designs(count: int) -> IntArray:
    return SPACE.sample(np.random.default_rng(1), count)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_number_of_processes_does_not_change_a_study(workers: int, tmp_path: Path) -> None:
    problem = Mortal(folder=str(tmp_path), delay_s=0.01)
    search(tmp_path / "inline.db", 60)
    with LocalExecutor(problem, workers) as executor:
        search(tmp_path / "pool.db", 60, executor=executor)
    assert_same(tmp_path / "inline.db", tmp_path / "pool.db")
    processes = {path.name for path in tmp_path.iterdir() if path.name.isdecimal()}
    assert str(os.getpid()) not in processes
    assert len(processes) >= min(workers, 2), "processes did the work"


def test_processes_killed_in_their_work_lose_nothing(tmp_path: Path) -> None:
    search(tmp_path / "whole.db", 60)
    with LocalExecutor(Mortal(folder=str(tmp_path), deaths=2), 2) as executor:
        search(tmp_path / "killed.db", 60, executor=executor)
    assert {path.name for path in tmp_path.iterdir()} >= {"death0", "death1"}
    assert_same(tmp_path / "whole.db", tmp_path / "killed.db")


def test_processes_killed_between_batches_lose_nothing(tmp_path: Path) -> None:
    search(tmp_path / "whole.db", 60)
    killed: set[int] = set()
    with LocalExecutor(ToyProblem(), 2) as executor:

        def kill(status: Status) -> None:
            """Kills a process of the pool once in every 20 evaluations."""
            if status.evaluations // 20 > len(killed):
                pid = next(iter(executor._pool._processes))
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

        search(tmp_path / "killed.db", 60, executor=executor, progress=kill)
    assert len(killed) >= 2, "the pool was made anew"
    assert_same(tmp_path / "whole.db", tmp_path / "killed.db")


def test_designs_that_kill_every_process_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "RETRIES", 1)
    with (
        LocalExecutor(Mortal(folder=str(tmp_path), deaths=2), 1) as executor,
        pytest.raises(StudyError, match=r"died 2 times .*fewer workers and --resume"),
    ):
        executor.evaluate(designs(3))


def test_what_a_problem_raises_and_senseless_workers_are_errors() -> None:
    with pytest.raises(ProblemError, match="workers"):
        LocalExecutor(ToyProblem(), 0)
    unpicklable = type("Local", (ToyProblem,), {})()
    with pytest.raises(ProblemError, match="use 1 worker"):
        LocalExecutor(unpicklable, 1)
    with LocalExecutor(Refusing(), 1) as executor, pytest.raises(ProblemError, match="no such"):
        executor.evaluate(designs(3))


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_killed_search_leaves_no_process_and_resumes(tmp_path: Path) -> None:
    """The driver of two workers is killed in its work; the study goes on with two others."""
    path, budget = tmp_path / "killed.db", 200
    command = [sys.executable, "-m", "tests.studies.toy", str(path), str(budget), "0.01", "2"]
    with subprocess.Popen(command, cwd=ROOT) as process:
        limit = time.monotonic() + 60
        while process.poll() is None and stored(path) < 10 and time.monotonic() < limit:
            time.sleep(0.02)
        workers = [pid for pid in descendants(process.pid) if is_worker(pid)]
        process.kill()
    assert len(workers) == 2
    kept = stored(path)
    assert 10 <= kept < budget
    with LocalExecutor(ToyProblem(), 2) as executor:
        assert search(path, budget, resume=True, executor=executor).replayed == kept
    search(tmp_path / "whole.db", budget)
    assert_same(path, tmp_path / "whole.db")
    limit = time.monotonic() + 30
    while any(map(is_running, workers)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


class Refusing(ToyProblem):
    """Raises an error of ours."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        raise ProblemError("no such design")


def stored(path: Path) -> int:
    if not path.exists():
        return 0
    with StudyStore.open(path, read_only=True) as store:
        return len(store)


def is_running(pid: int) -> bool:
    try:
        return " Z " not in f" {Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2]} "
    except FileNotFoundError:
        return False


def is_worker(pid: int) -> bool:
    return b"spawn_main" in (Path("/proc") / str(pid) / "cmdline").read_bytes()


def descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that they started."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(stat[1]), []).append(int(folder.name))
    found = list(children.get(pid, []))
    for child in found:
        found.extend(children.get(child, []))
    return found
