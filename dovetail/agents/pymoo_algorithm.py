"""pymoo's evolutionary algorithms as agents: peers to compare with.

References:
    Blank and Deb, "pymoo: Multi-Objective Optimization in Python", IEEE Access 8, 2020.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from dovetail.agents.settings import check_range
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import UnknownNameError
from dovetail.ir.space import IntArray

ALGORITHMS = {
    "nsga2": "nsga2:NSGA2",
    "nsga3": "nsga3:NSGA3",
    "sms_emoa": "sms:SMSEMOA",
    "spea2": "spea2:SPEA2",
    "age_moea": "age:AGEMOEA",
    "age_moea2": "age2:AGEMOEA2",
}
"""Modules and classes below `pymoo.algorithms.moo`."""

DIRECTED = ("nsga3",)
"""Algorithms that want reference directions; U-NSGA-III, whose ties pymoo does not seed, is out."""


@dataclass(frozen=True, slots=True)
class PymooArgs:
    """Settings of pymoo's algorithms; their variation is pymoo's own for whole numbers.

    Attributes:
        population: survivors per generation and children per ask.
        algorithm: nsga2, nsga3, sms_emoa, spea2, age_moea or age_moea2.
    """

    population: int = 100
    algorithm: str = "nsga2"

    def __post_init__(self) -> None:
        check_range("population", self.population, 4)
        if self.algorithm not in ALGORITHMS:
            raise UnknownNameError("algorithm of pymoo", self.algorithm, ALGORITHMS)


class PymooAgent:
    """Asks what pymoo's algorithm wants to know; broken laws are one inequality constraint.

    Its asks end once its variation finds nothing new.
    """

    Args = PymooArgs

    def __init__(self, problem: DesignProblem, seed: int, args: PymooArgs) -> None:
        self._knobs = len(problem.space.knobs)
        self._worst = problem.reference_point
        self._algorithm = _algorithm(problem, seed, args)
        self._asked: Any = None

    def ask(self) -> IntArray:
        """Children of the population, or uniform designs at first, (population, knobs)."""
        self._asked = self._algorithm.infill()
        if self._asked is None or not len(self._asked):
            return np.zeros((0, self._knobs), dtype=np.int64)
        return np.asarray(self._asked.get("X"), dtype=np.int64)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Lets the algorithm go on; designs without objectives count as the reference point."""
        if not len(designs):
            return
        told = self._asked[: len(designs)]
        objectives = evaluation.objectives
        told.set("F", np.where(np.isnan(objectives), self._worst, objectives))
        told.set("G", evaluation.violation[:, None])
        for one in told:
            one.evaluated.update("FG")
        self._algorithm.advance(infills=told)


def _algorithm(problem: DesignProblem, seed: int, args: PymooArgs) -> Any:
    from pymoo.core.problem import Problem
    from pymoo.core.termination import NoTermination
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair
    from pymoo.operators.sampling.rnd import IntegerRandomSampling

    module, _, name = ALGORITHMS[args.algorithm].partition(":")
    made = getattr(import_module(f"pymoo.algorithms.moo.{module}"), name)(
        pop_size=args.population,
        sampling=IntegerRandomSampling(),
        crossover=SBX(vtype=float, repair=RoundingRepair()),
        mutation=PM(vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
        **_directions(args, len(problem.objectives), seed),
    )
    space = Problem(
        n_var=len(problem.space.knobs),
        n_obj=len(problem.objectives),
        n_ieq_constr=1,
        xl=0,
        xu=problem.space.cardinalities - 1,
        vtype=int,
    )
    # The defaults of pymoo's constructors are objects with a state that all algorithms would share.
    return deepcopy(made).setup(space, termination=NoTermination(), seed=seed)


def _directions(args: PymooArgs, objectives: int, seed: int) -> dict[str, Any]:
    """Reference directions, one per survivor, and a tournament, for algorithms that want them."""
    if args.algorithm not in DIRECTED:
        return {}
    from pymoo.operators.selection.tournament import TournamentSelection
    from pymoo.util.ref_dirs import get_reference_directions

    if objectives == 1:
        directions = np.ones((1, 1))
    elif objectives == 2:
        directions = get_reference_directions("uniform", 2, n_points=args.population)
    else:
        directions = get_reference_directions("energy", objectives, args.population, seed=seed)
    return {"ref_dirs": directions, "selection": TournamentSelection(func_comp=_by_violation)}


def _by_violation(pop: Any, pairs: IntArray, random_state: Any = None, **_: Any) -> IntArray:
    """NSGA-III's tournament: the smaller violation, else either one.

    pymoo's own draws equal violations from a generator without a seed.

    Args:
        pop: population.
        pairs: (n, 2) places in it.
        random_state: the algorithm's generator.
        _: what else pymoo passes on.

    Returns:
        Winners, (n, 1).
    """
    first, second = pairs.T
    excess = pop.get("CV")[:, 0]
    gap = excess[first] - excess[second]
    either = np.where(random_state.random(len(pairs)) < 0.5, first, second)
    return np.where(gap < 0, first, np.where(gap > 0, second, either))[:, None]
