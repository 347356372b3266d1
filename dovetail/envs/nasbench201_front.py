"""The exact Pareto front of a NAS-Bench-201 problem, by enumeration of all its designs.

A network's cost is the sum of its operators', which are costed once for each accelerator
(`dovetail.mappers.systolic.batch`): all 15,625 networks on it take some hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dovetail.envs.nasbench201 import NasBench201Problem
from dovetail.envs.nasbench201_slots import all_cells
from dovetail.errors import ProblemError
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray

MOST_ACCELERATORS = 20_000
"""Accelerators that are enumerated at most: in some minutes."""


@dataclass(frozen=True)
class ExactFront:
    """All that a search could find.

    Attributes:
        designs: (k, knobs), one for each point of the front.
        objectives: (k, m), normalised.
        hypervolume: below the problem's reference point.
        enumerated: designs that were costed.
        feasible: how many of them are within laws and constraints.
        least: lowest value (m,) of each objective over the feasible designs.
    """

    designs: IntArray
    objectives: FloatArray
    hypervolume: float
    enumerated: int
    feasible: int
    least: FloatArray

    def share(self, archive: ParetoArchive) -> float:
        """Hypervolume of an archive as a share of this front's: 1 is all there is."""
        return archive.hypervolume / self.hypervolume if self.hypervolume else 0.0

    def regret(self, archive: ParetoArchive) -> FloatArray:
        """How far (m,) an archive's best is from the least of each objective; infinite if empty."""
        if not len(archive):
            return np.full(len(self.least), np.inf)
        regret: FloatArray = archive.objectives.min(axis=0) - self.least
        return regret


def can_enumerate(problem: NasBench201Problem) -> bool:
    """Whether `exact_front` takes a problem."""
    return problem.cells is not None and problem.hardware.space.size <= MOST_ACCELERATORS


def exact_front(
    problem: NasBench201Problem, progress: Callable[[int, int], None] | None = None
) -> ExactFront:
    """Enumerates a problem.

    Args:
        problem: on ideal systolic arrays.
        progress: called with accelerators done and in all.

    Raises:
        ProblemError: if its accelerators are not costed in closed form, or too many.
    """
    space = problem.hardware.space
    if problem.cells is None:
        raise ProblemError(f"problem '{problem.name}': only ideal systolic arrays are enumerated")
    if space.size > MOST_ACCELERATORS:
        raise ProblemError(
            f"problem '{problem.name}' has {space.size:,} accelerators: at most "
            f"{MOST_ACCELERATORS:,} are enumerated; give fewer knobs or values"
        )
    choices = all_cells()
    hardware = np.stack(np.unravel_index(np.arange(space.size), tuple(space.cardinalities)), axis=1)
    lawful = hardware[problem.hardware.violations(hardware) <= 0]
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    least = np.full(len(problem.objectives), np.inf)
    feasible = 0
    for done, row in enumerate(lawful, start=1):
        designs = np.concatenate([choices, np.broadcast_to(row, (len(choices), len(row)))], axis=1)
        evaluation = problem.evaluate(designs)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        if evaluation.feasible.any():
            feasible += int(evaluation.feasible.sum())
            least = np.minimum(least, evaluation.objectives[evaluation.feasible].min(axis=0))
        if progress:
            progress(done, len(lawful))
    return ExactFront(
        archive.designs, archive.objectives, archive.hypervolume, len(lawful) * len(choices),
        feasible, least,
    )  # fmt: skip
