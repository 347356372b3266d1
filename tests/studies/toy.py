"""A small co-design problem and a learning agent, and a study of them as a process to be killed."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dovetail.envs.problem import Evaluation, Objective
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space
from dovetail.studies.executor import Executor, executor_for
from dovetail.studies.runner import Status, StudyResult, open_study, run_study
from dovetail.studies.spec import StudySpec

SPACE = Space(
    (
        Knob("rows", (4, 8, 16, 32, 64)),
        Knob("cols", (4, 8, 16, 32, 64)),
        Knob("width", (0.25, 0.5, 0.75, 1.0)),
        Knob("dataflow", ("ws", "os", "is"), ordered=False),
    )
)


@dataclasses.dataclass(frozen=True)
class ToyProblem:
    """Latency, energy and error of an array of rows x cols; more than 1024 PEs are illegal."""

    work: float = 1e6
    delay_s: float = 0.0

    name = "toy"
    space = SPACE
    objectives = (
        Objective("latency_ms", "log", 1.0),
        Objective("energy_mj", "log", 1.0),
        Objective("error", "linear", 0.1),
    )
    reference_point = np.array([2.0, 2.0, 4.0])

    def evaluate(self, designs: IntArray) -> Evaluation:
        if self.delay_s:
            import time

            time.sleep(self.delay_s * len(designs))
        rows, cols, width = (SPACE.numeric(k, designs) for k in ("rows", "cols", "width"))
        flow = designs[:, 3]
        pes = rows * cols
        legal = pes <= 1024
        latency = self.work * width**2 / (pes * 1e4) * (1 + 0.3 * flow) + rows / 400
        energy = 0.02 * pes**0.7 * width + 0.1 * (3 - flow)
        error = 0.05 + 0.1 / (1 + 4 * width)
        columns: dict[str, FloatArray] = {
            "latency_ms": latency,
            "energy_mj": energy,
            "area_mm2": pes * 0.001,
            "error": error,
            "error_low": error - 0.01,
            "error_high": error + 0.012,
        }
        metrics = {name: np.where(legal, values, np.nan) for name, values in columns.items()}
        objectives = np.stack([o.normalise(metrics[o.name]) for o in self.objectives], axis=1)
        return Evaluation(metrics, objectives, np.where(legal, 0.0, pes / 1024 - 1))

    def reasons(self, design: IntArray) -> list[str]:
        broken = self.evaluate(design[None]).violation[0] > 0
        return ["more than 1024 PEs: reduce rows or cols"] if broken else []

    def masks(self) -> tuple[BoolArray, ...]:
        return tuple(np.ones(len(knob.values), dtype=np.bool_) for knob in SPACE.knobs)

    def describe(self) -> dict[str, object]:
        return {"kind": "toy", "work": self.work}


@dataclasses.dataclass(frozen=True)
class Mortal(ToyProblem):
    """Leaves its process's number in a folder; the first `deaths` evaluations kill theirs."""

    folder: str = ""
    deaths: int = 0

    def evaluate(self, designs: IntArray) -> Evaluation:
        for number in range(self.deaths):
            try:
                (Path(self.folder) / f"death{number}").touch(exist_ok=False)
            except FileExistsError:
                continue
            os.kill(os.getpid(), signal.SIGKILL)
        (Path(self.folder) / str(os.getpid())).touch()
        return super().evaluate(designs)


class ToyAgent:
    """Mutates the best design told; batches of changing size, so that cuts fall anywhere."""

    def __init__(self, problem: ToyProblem, seed: int, largest: int = 9) -> None:
        self._space = problem.space
        self._rng = np.random.default_rng(seed)
        self._best = self._space.sample(self._rng, 1)[0]
        self._score = -np.inf
        self._largest = largest

    def ask(self) -> IntArray:
        count = int(self._rng.integers(1, self._largest + 1))
        fresh = self._space.sample(self._rng, count)
        return np.where(self._rng.random(fresh.shape) < 0.4, fresh, self._best)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        scores = evaluation.scalar(np.array([0.5, 0.3, 0.2]))
        if scores.max() > self._score:
            self._score = float(scores.max())
            self._best = designs[int(scores.argmax())]
        self._rng.random(int(abs(self._score) * 1e6) % 7)  # what is told shapes what is asked


def search(
    path: Path | str,
    budget: int,
    *,
    seed: int = 0,
    resume: bool = False,
    problem: ToyProblem | None = None,
    executor: Executor | None = None,
    progress: Callable[[Status], None] | None = None,
) -> StudyResult:
    """Runs or resumes a study of the toy problem."""
    problem = problem or ToyProblem()
    spec = StudySpec.of(problem, "toy", {"largest": 9}, seed, budget)
    with open_study(path, spec, resume=resume) as store:
        return run_study(
            problem, store, make=ToyAgent, budget=budget, executor=executor, progress=progress
        )


if __name__ == "__main__":
    killable = ToyProblem(delay_s=float(sys.argv[3]))
    with executor_for(killable, sys.argv[4]) as chosen:
        search(sys.argv[1], int(sys.argv[2]), resume=True, problem=killable, executor=chosen)
