"""What there is to find: the hypervolume that those of the runs are shares of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.envs.nasbench201 import NasBench201Problem
from dovetail.envs.nasbench201_front import can_enumerate, exact_front
from dovetail.envs.problem import DesignProblem
from dovetail.ir.pareto import ParetoArchive, hypervolume, non_dominated
from dovetail.ir.space import FloatArray
from dovetail.studies.comparison.traces import Trace

MOST = 20_000
"""Designs of a space that is enumerated one by one."""

CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Yardstick:
    """A hypervolume to measure by.

    Attributes:
        hypervolume: > 0 unless nothing feasible is known.
        enumerated: designs of the whole space if it was enumerated: the front is exact; 0 if this
            is the front of all runs together, which a run can reach but not pass.
    """

    hypervolume: float
    enumerated: int

    @property
    def name(self) -> str:
        """What a share is a share of."""
        return "the exact front" if self.enumerated else "the front of all runs"

    def shares(self, volumes: FloatArray) -> FloatArray:
        """Hypervolumes of any shape as shares of this one."""
        return volumes / self.hypervolume if self.hypervolume else np.zeros_like(volumes)


def exact(
    problem: DesignProblem, progress: Callable[[int, int], None] | None = None
) -> Yardstick | None:
    """Enumerates a problem that is small, or whose structure allows it; None for others.

    Args:
        problem: NAS-Bench-201 on few ideal systolic arrays, or of at most `MOST` designs.
        progress: called with what is done and what there is to do.
    """
    if isinstance(problem, NasBench201Problem) and can_enumerate(problem):
        front = exact_front(problem, progress)
        return Yardstick(front.hypervolume, front.enumerated)
    space = problem.space
    if space.size > MOST:
        return None
    archive = ParetoArchive(problem.reference_point, len(space.knobs))
    for start in range(0, space.size, CHUNK):
        numbers = np.arange(start, min(start + CHUNK, space.size))
        designs = np.stack(np.unravel_index(numbers, tuple(space.cardinalities)), axis=1)
        evaluation = problem.evaluate(designs)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        if progress:
            progress(start + len(numbers), space.size)
    return Yardstick(archive.hypervolume, space.size)


def best_known(traces: Sequence[Trace], reference: FloatArray) -> Yardstick:
    """The front of all runs together.

    Args:
        traces: of all runs.
        reference: (m,) corner of the hypervolume.
    """
    points = np.concatenate([trace.objectives for trace in traces])
    return Yardstick(hypervolume(points[non_dominated(points)], reference), 0)
