"""The exact Pareto front of a NAS-Bench-201 problem, by enumeration of all its designs.

A network's cost is the sum of its operators'. So each accelerator costs each distinct operator
once, and one matrix product gives the costs of all 15,625 networks on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dovetail.envs.nasbench201 import NasBench201Problem
from dovetail.envs.nasbench201_slots import all_cells
from dovetail.envs.objectives import assess
from dovetail.envs.problem import Evaluation
from dovetail.envs.tabulated import MOST_CELLS, TabulatedWork
from dovetail.errors import ProblemError
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray


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
    work, space = problem.work, problem.hardware.space
    if problem.cells is None:
        raise ProblemError(f"problem '{problem.name}': only ideal systolic arrays are enumerated")
    if not isinstance(work, TabulatedWork):
        most = MOST_CELLS // len(problem.cells.operators)
        raise ProblemError(
            f"problem '{problem.name}' has {space.size:,} accelerators: at most {most:,} are "
            "enumerated; give fewer knobs or values"
        )
    choices = all_cells()
    hardware = np.stack(np.unravel_index(np.arange(space.size), tuple(space.cardinalities)), axis=1)
    lawful = hardware[problem.hardware.violations(hardware) <= 0]
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    least = np.full(len(problem.objectives), np.inf)
    feasible = 0
    for done, row in enumerate(lawful, start=1):
        designs = np.concatenate([choices, np.broadcast_to(row, (len(choices), len(row)))], axis=1)
        evaluation = _evaluate(problem, work, choices, row)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        if evaluation.feasible.any():
            feasible += int(evaluation.feasible.sum())
            least = np.minimum(least, evaluation.objectives[evaluation.feasible].min(axis=0))
        if progress:
            progress(done, len(lawful))
    return _exact(problem, archive, len(lawful) * len(choices), feasible, least)


def _evaluate(
    problem: NasBench201Problem, work: TabulatedWork, choices: IntArray, row: IntArray
) -> Evaluation:
    """All cells (15625, 6) on one accelerator (knobs,)."""
    design = work.hardware.rows(row[None])
    costs = work.costs(design)
    metrics = work.totals(
        np.repeat(design, len(choices), axis=0),
        np.broadcast_to(costs, (len(choices), *costs.shape[1:])),
        work.counts,
    )
    metrics |= problem.measured(choices)
    unmappable = np.isnan(metrics["latency_ms"])
    metrics = {name: np.where(unmappable, np.nan, values) for name, values in metrics.items()}
    return assess(metrics, unmappable.astype(np.float64), problem.objectives, problem.constraints)


def _exact(
    problem: NasBench201Problem, found: ParetoArchive, enumerated: int, feasible: int,
    least: FloatArray,
) -> ExactFront:  # fmt: skip
    """The front with its objectives as the problem itself adds them up, to the last bit."""
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    if len(found):
        evaluation = problem.evaluate(found.designs)
        archive.add(found.designs, evaluation.objectives, evaluation.feasible)
    return ExactFront(
        archive.designs, archive.objectives, archive.hypervolume, enumerated, feasible, least
    )
