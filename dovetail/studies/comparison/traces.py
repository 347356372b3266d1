"""How the hypervolume of a run grew, over evaluations and over processor seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray
from dovetail.studies.comparison.plan import Limits
from dovetail.studies.records import Records, take
from dovetail.studies.spec import StudySpec

POINTS = 48
"""Points of a curve."""


@dataclass(frozen=True, slots=True)
class Trace:
    """One run at the points of two axes.

    A run that ended before a point stands there with what it had: a lower bound if a cap ended it.

    Attributes:
        by_evaluations: (e,) hypervolume after each number of evaluations.
        by_seconds: (s,) hypervolume after each time.
        evaluations: made in all.
        seconds: processor time spent in all.
        objectives: (k, m) the run's front.
        designs: (k, knobs) the designs of that front.
    """

    by_evaluations: FloatArray
    by_seconds: FloatArray
    evaluations: int
    seconds: float
    objectives: FloatArray
    designs: IntArray


@dataclass(frozen=True, slots=True)
class Axes:
    """Where traces are taken.

    Attributes:
        evaluations: (e,) ascending numbers of evaluations, the last the limit.
        seconds: (s,) ascending times, the last the limit.
    """

    evaluations: IntArray
    seconds: FloatArray

    @classmethod
    def of(cls, limits: Limits) -> Axes:
        """Points at even ratios, and the checkpoints of tables."""
        counts, times = checkpoints(limits)
        early = np.geomspace(1, limits.evaluations, POINTS).round().astype(np.int64)
        late = np.geomspace(limits.seconds / 1000, limits.seconds, POINTS)
        return cls(np.union1d(early, counts), np.union1d(late, times))


def checkpoints(limits: Limits) -> tuple[list[int], list[float]]:
    """Evaluations and seconds of the tables: a hundredth, a tenth and all of the limits."""
    counts = [limits.evaluations // part for part in (100, 10) if limits.evaluations // part >= 10]
    return [*counts, limits.evaluations], [limits.seconds / part for part in (100, 10, 1)]


def trace(records: Records, spec: StudySpec, axes: Axes) -> Trace:
    """Replays a record.

    Args:
        records: n evaluations, their seconds being processor time at the end of their batch.
        spec: of the study.
        axes: where to take the hypervolume.
    """
    counts = np.minimum(axes.evaluations, len(records))
    known = np.searchsorted(records.seconds, axes.seconds, side="right")
    cuts = np.unique(np.concatenate([counts, known, [len(records)]]))
    archive = ParetoArchive(spec.reference, len(spec.space.knobs))
    volumes, start = np.zeros(len(cuts)), 0
    for place, end in enumerate(cuts.tolist()):
        part = take(records.evaluation, start, end)
        archive.add(records.designs[start:end], part.objectives, part.feasible)
        volumes[place], start = archive.hypervolume, end
    return Trace(
        volumes[np.searchsorted(cuts, counts)],
        volumes[np.searchsorted(cuts, known)],
        len(records),
        float(records.seconds[-1]) if len(records) else 0.0,
        archive.objectives,
        archive.designs,
    )
