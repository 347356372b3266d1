"""Views of a study's record for people: a spread-out choice of its front, and its convergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray
from dovetail.studies.records import Records, take
from dovetail.studies.spec import StudySpec

CHECKPOINTS = 160


@dataclass(frozen=True)
class Convergence:
    """How a study improved, at c checkpoints.

    Attributes:
        evaluations: (c,) evaluations made.
        seconds: (c,) time spent.
        hypervolume: (c,) of the front so far.
        best: by objective name, (c,) least value of its metric among feasible designs so far;
            NaN before the first.
    """

    evaluations: IntArray
    seconds: FloatArray
    hypervolume: FloatArray
    best: dict[str, FloatArray]


def crowding(objectives: FloatArray) -> FloatArray:
    """Crowding distance of each of n points (n, m) -> (n,); infinite at the ends.

    References:
        Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE TEC 6(2),
        2002, section III.B.
    """
    n, m = objectives.shape
    distance = np.zeros(n)
    for axis in range(m):
        order = np.argsort(objectives[:, axis], kind="stable")
        values = objectives[order, axis]
        width = values[-1] - values[0]
        if width > 0:
            distance[order[[0, -1]]] = np.inf
            distance[order[1:-1]] += (values[2:] - values[:-2]) / width
    return distance


def spread(objectives: FloatArray, count: int) -> IntArray:
    """Chooses `count` of n points evenly by dropping the most crowded one at a time.

    Args:
        objectives: (n, m), finite.
        count: how many to keep.

    Returns:
        Ascending indices, at most `count`.
    """
    kept = np.arange(len(objectives), dtype=np.int64)
    while len(kept) > count:
        kept = np.delete(kept, int(np.argmin(crowding(objectives[kept]))))
    return kept


def convergence(records: Records, spec: StudySpec) -> Convergence:
    """Replays a record's front.

    Args:
        records: n evaluations.
        spec: the study's specification.
    """
    ends = _checkpoints(len(records))
    archive = ParetoArchive(spec.reference, len(spec.space.knobs))
    volumes, start = [], 0
    for end in ends:
        part = take(records.evaluation, start, int(end))
        archive.add(records.designs[start:end], part.objectives, part.feasible)
        volumes.append(archive.hypervolume)
        start = int(end)
    return Convergence(
        ends, records.seconds[ends - 1], np.array(volumes), _best(records, spec, ends)
    )


def _checkpoints(n: int) -> IntArray:
    if not n:
        return np.zeros(0, dtype=np.int64)
    early = np.geomspace(1, n, CHECKPOINTS // 2)
    even = np.linspace(1, n, CHECKPOINTS // 2)
    return np.unique(np.concatenate([early, even]).round().astype(np.int64))


def _best(records: Records, spec: StudySpec, ends: IntArray) -> dict[str, FloatArray]:
    evaluation, best = records.evaluation, {}
    for objective in spec.objectives:
        if objective.name in evaluation.metrics:
            values = np.where(evaluation.feasible, evaluation.metrics[objective.name], np.nan)
            best[objective.name] = np.fmin.accumulate(values)[ends - 1]
    return best
