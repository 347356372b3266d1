"""What a comparison found: its runs on common axes, and the summary that tables and plots show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.ir.space import FloatArray
from dovetail.studies.comparison.plan import Plan, Run
from dovetail.studies.comparison.summary import Standing, standings
from dovetail.studies.comparison.traces import Axes, Trace, checkpoints, trace
from dovetail.studies.comparison.yardstick import Yardstick, best_known
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore


@dataclass(frozen=True, slots=True)
class Column:
    """All contenders at one checkpoint.

    Attributes:
        at: evaluations or seconds.
        standings: in the plan's order.
        stopped: by label, runs that a cap ended before the checkpoint; they stand with what they
            had.
    """

    at: float
    standings: list[Standing]
    stopped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished comparison.

    Attributes:
        spec: of its first run's study: problem, space and objectives are those of all.
        plan: what was run.
        runs: in the plan's order.
        traces: of the runs.
        axes: where traces were taken.
        yardstick: what shares are shares of.
    """

    spec: StudySpec
    plan: Plan
    runs: tuple[Run, ...]
    traces: tuple[Trace, ...]
    axes: Axes
    yardstick: Yardstick

    def columns(self) -> tuple[list[Column], list[Column]]:
        """Tables at equal evaluations and at equal seconds."""
        counts, times = checkpoints(self.plan.limits)
        return (
            [self._column(count, "evaluations") for count in counts],
            [self._column(time, "seconds") for time in times],
        )

    def _column(self, at: float, axis: str) -> Column:
        place = int(np.searchsorted(getattr(self.axes, axis), at))
        shares = {label: self.shares(label, axis)[:, place] for label in self.labels}
        stopped = {label: int((self._ends(label, axis) < at).sum()) for label in self.labels}
        return Column(at, standings(shares), stopped)

    @property
    def labels(self) -> list[str]:
        """The contenders'."""
        return [contender.label for contender in self.plan.contenders]

    def shares(self, label: str, axis: str) -> FloatArray:
        """Shares (runs, points) of a contender along `evaluations` or `seconds`."""
        values = [getattr(self.traces[i], f"by_{axis}") for i in self._of(label)]
        return self.yardstick.shares(np.array(values))

    def _ends(self, label: str, axis: str) -> FloatArray:
        return np.array([getattr(self.traces[i], axis) for i in self._of(label)], dtype=np.float64)

    def _of(self, label: str) -> list[int]:
        return [i for i, run in enumerate(self.runs) if run.contender == label]

    def to_dict(self) -> dict[str, Any]:
        """JSON form: everything that the report shows."""
        by_evaluations, by_seconds = self.columns()
        return {
            "name": self.spec.name,
            "problem": self.spec.problem,
            "objectives": [objective.name for objective in self.spec.objectives],
            "yardstick": {"share_of": self.yardstick.name, **asdict(self.yardstick)},
            "limits": asdict(self.plan.limits),
            "draws": self.plan.draws,
            "seeds": self.plan.seeds,
            "evaluations": self.axes.evaluations.tolist(),
            "seconds": self.axes.seconds.tolist(),
            "contenders": [self._contender(label) for label in self.labels],
            "at_evaluations": [asdict(column) for column in by_evaluations],
            "at_seconds": [asdict(column) for column in by_seconds],
        }

    def _contender(self, label: str) -> dict[str, Any]:
        places = self._of(label)
        counts, times = self.shares(label, "evaluations"), self.shares(label, "seconds")
        return {
            "label": label,
            "agent": self.runs[places[0]].agent,
            "by_evaluations": _bands(counts),
            "by_seconds": _bands(times),
            "runs": [
                {
                    "draw": self.runs[i].draw,
                    "seed": self.runs[i].seed,
                    "settings": dict(self.runs[i].settings),
                    "evaluations": self.traces[i].evaluations,
                    "seconds": self.traces[i].seconds,
                    "share_at_evaluations": float(counts[k, -1]),
                    "share_at_seconds": float(times[k, -1]),
                }
                for k, i in enumerate(places)
            ],
        }


def _bands(shares: FloatArray) -> dict[str, list[float]]:
    """Quartiles (points,) of shares (runs, points)."""
    low, middle, high = np.quantile(shares, (0.25, 0.5, 0.75), axis=0)
    return {"low": low.tolist(), "median": middle.tolist(), "high": high.tolist()}


def gather(folder: Path, plan: Plan, runs: Sequence[Run], yardstick: Yardstick | None) -> Result:
    """Reads the studies of a comparison.

    Args:
        folder: of the study files.
        plan: what was run.
        runs: the plan's.
        yardstick: of the exact front; the front of all runs if None.

    Raises:
        StudyError: if a study is missing or corrupt.
    """
    axes = Axes.of(plan.limits)
    traces = []
    for run in runs:
        with StudyStore.open(folder / f"{run.name}.db", read_only=True) as store:
            spec = store.spec
            traces.append(trace(store.records(), spec, axes))
    known = yardstick or best_known(traces, spec.reference)
    return Result(spec, plan, tuple(runs), tuple(traces), axes, known)
