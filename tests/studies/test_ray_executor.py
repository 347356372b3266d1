"""Evaluation on a Ray cluster: of two nodes in this process, and one that dies with its driver."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.envs.problem import Evaluation
from dovetail.errors import MissingExtraError, ProblemError, StudyError
from dovetail.ir.space import IntArray
from dovetail.studies import ray_executor
from dovetail.studies.executor import check_workers, executor_for
from dovetail.studies.ray_executor import RayExecutor, _imported
from tests.studies.test_executor import Refusing, descendants, designs, is_running, stored
from tests.studies.test_runner import ROOT, assert_same
from tests.studies.toy import Mortal, ToyProblem, search

needs_ray = pytest.mark.skipif(
    not any((Path(path) / "ray").is_dir() for path in sys.path), reason="Ray is not installed"
)

DRIVER = """
import sys
from dovetail.studies.executor import executor_for
from tests.studies.toy import ToyProblem, search
problem = ToyProblem(delay_s=0.02)
with executor_for(problem, "ray:2") as executor:
    search(sys.argv[1], int(sys.argv[2]), resume=True, problem=problem, executor=executor)
"""


@dataclasses.dataclass(frozen=True)
class Writing(ToyProblem):
    """Refuses read-only arrays: compiled kernels would be compiled anew for them."""

    table: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(100_000))

    def evaluate(self, designs: IntArray) -> Evaluation:
        if not (designs.flags.writeable and self.table.flags.writeable):
            raise ProblemError("read-only")
        return super().evaluate(designs)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of two CPUs on this machine; the tests' process joins the first."""
    ray = _imported()
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 10**8}
    made = Cluster(initialize_head=True, head_node_args=node)
    made.add_node(num_cpus=2, object_store_memory=10**8)
    ray.init(address=made.address, log_to_driver=False, configure_logging=False)
    yield made
    ray.shutdown()
    made.shutdown()


def assert_equal(one: Evaluation, two: Evaluation) -> None:
    assert one.objectives.tobytes() == two.objectives.tobytes()
    assert one.violation.tobytes() == two.violation.tobytes()
    for name, values in two.metrics.items():
        assert one.metrics[name].tobytes() == values.tobytes()


@needs_ray
@pytest.mark.parametrize("workers", [1, 2, 8, None])
def test_the_number_of_workers_does_not_change_a_study(
    cluster: Any, workers: int | None, tmp_path: Path
) -> None:
    search(tmp_path / "inline", 60)
    with RayExecutor(ToyProblem(), workers=workers) as executor:
        search(tmp_path / "ray", 60, executor=executor)
    assert_same(tmp_path / "inline", tmp_path / "ray")


@needs_ray
def test_killed_workers_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    problem = Mortal(folder=str(tmp_path), deaths=2)
    with RayExecutor(problem, workers=4) as executor:
        found = executor.evaluate(designs(20))
    assert_equal(found, ToyProblem().evaluate(designs(20)))
    assert {path.name for path in tmp_path.iterdir()} >= {"death0", "death1"}


@needs_ray
def test_a_part_that_kills_every_worker_and_what_a_problem_raises_are_errors(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_executor, "RETRIES", 1)
    deadly = Mortal(folder=str(tmp_path), deaths=2)
    with (
        RayExecutor(deadly, workers=1) as executor,
        pytest.raises(StudyError, match=r"lost a part of a batch .*--resume"),
    ):
        executor.evaluate(designs(3))
    with RayExecutor(Writing()) as executor:
        assert_equal(executor.evaluate(designs(9)), ToyProblem().evaluate(designs(9)))
    with RayExecutor(Refusing()) as executor, pytest.raises(ProblemError, match="no such design"):
        executor.evaluate(designs(3))


@needs_ray
def test_a_killed_node_loses_nothing(cluster: Any, tmp_path: Path) -> None:
    """The second node goes while both evaluate."""
    problem = Mortal(folder=str(tmp_path), delay_s=0.05)
    second = cluster.list_all_nodes()[1]

    def kill() -> None:
        limit = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 3 and time.monotonic() < limit:
            time.sleep(0.02)
        cluster.remove_node(second, allow_graceful=False)

    killer = threading.Thread(target=kill)
    with RayExecutor(problem, workers=12) as executor:
        killer.start()
        found = executor.evaluate(designs(120))
        killer.join()
        assert_equal(found, ToyProblem().evaluate(designs(120)))
        # More than two processes worked, though the first node has two CPUs: both nodes did.
        assert len(list(tmp_path.iterdir())) >= 3
        assert len(cluster.list_all_nodes()) == 1
        assert_equal(executor.evaluate(designs(4)), ToyProblem().evaluate(designs(4)))


@needs_ray
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_killed_driver_leaves_no_worker_and_its_study_resumes(tmp_path: Path) -> None:
    path, budget = tmp_path / "killed", 300
    command = [sys.executable, "-c", DRIVER, str(path), str(budget)]
    with subprocess.Popen(command, cwd=ROOT) as process:
        limit = time.monotonic() + 90
        while process.poll() is None and stored(path) < 10 and time.monotonic() < limit:
            time.sleep(0.05)
        family = [pid for pid in descendants(process.pid) if not is_agent(pid)]
        process.kill()
    kept = stored(path)
    assert 10 <= kept < budget
    assert len(family) >= 4, "Ray's two servers and two workers at least"
    search(path, budget, resume=True)
    search(tmp_path / "whole", budget)
    assert_same(path, tmp_path / "whole")
    limit = time.monotonic() + 20
    while any(map(is_running, family)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not [pid for pid in family if is_running(pid)]


def is_agent(pid: int) -> bool:
    """Whether a process is one of Ray's agents, which give its killed server a minute to return."""
    return b"Agent" in (Path("/proc") / str(pid) / "cmdline").read_bytes()


@needs_ray
def test_a_problem_that_cannot_be_sent_is_an_error() -> None:
    with pytest.raises(ProblemError, match="cannot go to worker processes"):
        RayExecutor(type("Local", (ToyProblem,), {})())


@needs_ray
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster at '127.0.0.1:1': Connection refused"),
        ("ray://127.0.0.1:1", "no Ray cluster at 'ray://127.0.0.1:1'"),
        ("somewhere", "must be HOST:PORT"),
        ("host:99999", "must be HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_there_is_an_error(address: str, words: str) -> None:
    import ray

    ray.shutdown()
    with pytest.raises(ProblemError, match=words), executor_for(ToyProblem(), f"ray:{address}"):
        pass


@pytest.mark.parametrize("workers", ["0", "257", "-1", "many", "", "ray:", "ray:0", "rays", "1.5"])
def test_senseless_workers_are_errors(workers: str) -> None:
    with pytest.raises(ProblemError, match="workers"):
        check_workers(workers)


def test_the_extra_of_a_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    for make in (lambda: check_workers("ray"), lambda: RayExecutor(ToyProblem())):
        with pytest.raises(MissingExtraError, match=r"'ray'.*dovetail\[distributed\]"):
            make()
