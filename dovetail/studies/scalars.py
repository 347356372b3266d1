"""Scalars of a running study for TensorBoard, by evaluations made."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from dovetail.envs.problem import Objective
from dovetail.errors import MissingExtraError, OutputError
from dovetail.ir.space import FloatArray
from dovetail.studies.runner import Status

GROWTH = 1.01
"""Evaluations from one point of a curve to the next: a large front's hypervolume takes a while."""


class ScalarLog:
    """Writes `hypervolume`, `feasible_share` and `best/METRIC` (in the metric's unit).

    Pass it to `run_study` as `progress` within a `with` block. In a folder that holds curves
    already, what a resumed study replays is not written again.

    Args:
        folder: where TensorBoard's event files go.
        objectives: of the study.

    Raises:
        MissingExtraError: if TensorBoard is not installed.
        OutputError: if the folder cannot be written.
    """

    def __init__(self, folder: Path | str, objectives: tuple[Objective, ...]) -> None:
        check_tensorboard()
        from tensorboard.summary import Writer

        self._goes_on = any(Path(folder).glob("events.*"))
        self._objectives = objectives
        self._next = 1.0
        try:
            self._writer = Writer(str(folder))
        except OSError as error:
            raise OutputError(f"--tensorboard {folder}: {error.strerror}") from None

    def __call__(self, status: Status) -> None:
        """Takes the state of the study after a batch."""
        step = status.evaluations
        if step < min(self._next, status.budget) or (self._goes_on and step <= status.replayed):
            return
        self._next = step * GROWTH
        self._writer.add_scalar("hypervolume", status.archive.hypervolume, step)
        self._writer.add_scalar("feasible_share", status.feasible / step, step)
        if len(status.archive):
            best = status.archive.objectives.min(axis=0)
            for name, value in _metrics(self._objectives, best).items():
                self._writer.add_scalar(f"best/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()


def check_tensorboard() -> None:
    """Checks before long work that TensorBoard is installed.

    Raises:
        MissingExtraError: if it is not.
    """
    if find_spec("tensorboard") is None:
        raise MissingExtraError("--tensorboard", "tensorboard", "tensorboard")


def _metrics(objectives: tuple[Objective, ...], values: FloatArray) -> dict[str, float]:
    """Metrics by name from normalised objectives (m,)."""
    return {
        one.name: float(one.reference * (10.0**value if one.scale == "log" else value))
        for one, value in zip(objectives, values, strict=True)
    }
