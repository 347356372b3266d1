"""The best designs of all runs, evaluated again at a higher fidelity."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dovetail.envs.fidelity import Resimulation, resimulate
from dovetail.envs.problem import DesignProblem
from dovetail.ir.pareto import non_dominated
from dovetail.ir.space import IntArray
from dovetail.studies.comparison.result import Result
from dovetail.studies.dataset import Part
from dovetail.studies.front import spread
from dovetail.studies.records import Records, checked, pick


@dataclass(frozen=True, slots=True)
class Elites:
    """Designs of the front of all runs, seen at two fidelities.

    Attributes:
        found: (n,) number of the run that found each.
        fidelity: the higher one.
        resimulation: what both say.
    """

    found: IntArray
    fidelity: str
    resimulation: Resimulation

    def to_dict(self, result: Result) -> dict[str, Any]:
        """JSON form."""
        names = [objective.name for objective in result.spec.objectives]
        return {
            "fidelity": self.fidelity,
            "found_by": [result.runs[place].name for place in self.found.tolist()],
            "metrics": {
                name: {
                    "searched": self.resimulation.before.metrics[name].tolist(),
                    "resimulated": self.resimulation.after.metrics[name].tolist(),
                }
                for name in names
            },
        }


def choose(problem: DesignProblem, result: Result, count: int, fidelity: str) -> Elites:
    """Evaluates a spread-out choice of the front of all runs again.

    Args:
        problem: what was searched.
        result: of the comparison.
        count: designs at most.
        fidelity: see `dovetail.envs.fidelity.at_fidelity`.

    Raises:
        FidelityError: if the problem has no such fidelity.
    """
    points = np.concatenate([trace.objectives for trace in result.traces])
    designs = np.concatenate([trace.designs for trace in result.traces])
    owner = np.repeat(np.arange(len(result.traces)), [len(t.designs) for t in result.traces])
    front = np.flatnonzero(non_dominated(points, keep_equal=False))
    chosen = front[spread(points[front], count)]
    return Elites(owner[chosen], fidelity, resimulate(problem, designs[chosen], fidelity))


def parts(elites: Elites, result: Result) -> Iterator[Part]:
    """The higher evaluations as rows of the data set, under the runs that found the designs."""
    after = elites.resimulation.after
    sound = checked(after, len(elites.found), len(result.spec.objectives))
    for place in np.unique(elites.found).tolist():
        rows, run = np.flatnonzero(elites.found == place), result.runs[place]
        spec = replace(result.spec, agent=run.agent, settings=dict(run.settings), seed=run.seed)
        zeros = np.zeros(len(rows))
        records = Records(
            elites.resimulation.designs[rows], zeros.astype(np.int64), pick(sound, rows), zeros
        )
        yield Part(run.name, spec, records, run.contender, run.draw, elites.fidelity)
