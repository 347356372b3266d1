"""Shares batches out over a Ray cluster: many machines, some of which may die on the way.

Ray starts the processes, notices dead ones and runs their tasks again; a design's evaluation
depends on that design alone, so neither the cut of a batch nor a repetition changes the result.

References:
    Moritz et al., "Ray: A Distributed Framework for Emerging AI Applications", OSDI 2018.
"""

from __future__ import annotations

import logging
import os
import socket
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

import numpy as np

from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import DovetailError, MissingExtraError, ProblemError, StudyError
from dovetail.ir.space import IntArray
from dovetail.studies.executor import pack, unpack
from dovetail.studies.records import join

RETRIES = 8
"""Times that Ray runs a task again whose worker or node died."""

PARTS_PER_WORKER = 2
"""Tasks per worker and batch: an early finisher takes another."""

ANSWER_SECONDS = 5
"""Longest that a cluster may take to accept a connection."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
"""Nothing is sent home, and Ray's notice of a coming default is not printed."""

_problems: dict[str, DesignProblem] = {}
"""Of a worker process: the problem that it evaluates, by its object in the cluster."""


class RayExecutor:
    """Evaluates on a Ray cluster; a killed worker or node loses nothing.

    The machines of a cluster need this package. A cluster that this process has joined before is
    used and stays joined.

    Args:
        problem: what to evaluate; it goes to each worker once.
        address: of a running cluster (`HOST:PORT`, `ray://HOST:PORT`, or `auto` for the one of
            this machine); None starts one on this machine that ends with the executor.
        workers: parts that a batch is cut into, and processes of a cluster that starts here;
            None for as many as the cluster has CPUs.

    Raises:
        MissingExtraError: if Ray is not installed.
        ProblemError: if `workers` < 1, no cluster answers, or the problem cannot be sent.
    """

    def __init__(
        self, problem: DesignProblem, *, address: str | None = None, workers: int | None = None
    ) -> None:
        if find_spec("ray") is None:
            raise MissingExtraError("--workers ray", "distributed", "ray")
        if workers is not None and workers < 1:
            raise ProblemError(f"{workers} workers: must be >= 1")
        packed = pack(problem)
        self.workers = workers
        self._ray = _imported()
        self._joined = not self._ray.is_initialized()
        if self._joined:
            _join(self._ray, address, workers)
        # Bytes: arrays that Ray unpacks are read-only, for which kernels would be compiled anew.
        # A list around the reference: Ray would else fetch it anew for every task.
        self._problem = [self._ray.put(packed)]
        self._task = self._ray.remote(max_retries=RETRIES)(_evaluate)

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, knobs) in contiguous parts.

        Raises:
            StudyError: if a part took down every worker that tried it, or the cluster is gone.
            DovetailError: what the problem raises.
        """
        ray = self._ray
        try:
            tasks = [self._task.remote(self._problem, part) for part in self._cut(designs)]
            return self._gather(tasks)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, DovetailError):
                raise error.cause from None
            raise
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise StudyError(
                f"the Ray cluster lost a part of a batch for good ({type(error).__name__}), "
                "perhaps for want of memory: mend the cluster and --resume"
            ) from error

    def close(self) -> None:
        """Leaves the cluster, and ends it if it was started here."""
        if self._joined:
            self._joined = False
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cut(self, designs: IntArray) -> list[IntArray]:
        # Machines come and go, so their CPUs are counted for every batch.
        parts = self.workers or PARTS_PER_WORKER * int(self._ray.cluster_resources().get("CPU", 1))
        return np.array_split(designs, max(1, min(parts, len(designs))))

    def _gather(self, tasks: list[Any]) -> Evaluation:
        try:
            return join(self._ray.get(tasks))
        except BaseException:
            # Ctrl-C, or a part that failed: the cluster may have other users.
            for task in tasks:
                self._ray.cancel(task, force=True)
            raise


def _imported() -> Any:
    """Ray, silenced: what goes wrong is said by our errors."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    return ray


def _join(ray: Any, address: str | None, workers: int | None) -> None:
    """Joins the cluster at an address, or starts one on this machine."""
    if address and address != "auto":
        _check_answers(address)
    own: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False}
    try:
        ray.init(
            # "local" even where the environment names a cluster: None would join that one.
            address=address or "local",
            log_to_driver=False,
            configure_logging=False,
            **({} if address else own),
        )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        where = f"Ray cluster '{address}'" if address else "Ray does not start"
        why = str(error).partition("\n")[0]
        raise ProblemError(f"{where}: {why[:120]}") from error


def _check_answers(address: str) -> None:
    """Checks that something listens there: Ray itself would try for ten minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal() and int(port) < 2**16):
        raise ProblemError(f"Ray cluster '{address}': must be HOST:PORT, ray://HOST:PORT or auto")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise ProblemError(f"no Ray cluster at '{address}': {why}") from None


def _evaluate(problem: list[Any], designs: IntArray) -> Evaluation:
    """The task: evaluates designs (n, knobs) in a worker process."""
    key = problem[0].hex()
    if key not in _problems:
        import ray

        _problems.clear()
        _problems[key] = unpack(ray.get(problem[0]))
    return _problems[key].evaluate(designs.copy())
