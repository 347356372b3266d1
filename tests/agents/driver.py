"""Runs an agent on a problem for a budget, as a study does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.base import make_agent
from dovetail.agents.preferences import preference_set
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray


@dataclass(frozen=True)
class Trace:
    """What a run left: all designs, their front, best reward per fixed preference."""

    designs: IntArray
    archive: ParetoArchive
    best: FloatArray


def run(
    problem: DesignProblem,
    name: str,
    seed: int,
    budget: int,
    settings: dict[str, object] | None = None,
) -> Trace:
    agent = make_agent(name, problem, seed, settings)
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    preferences = preference_set(len(problem.objectives))
    best = np.full(len(preferences), -np.inf)
    batches: list[IntArray] = []
    while archive.count < budget:
        designs = agent.ask()[: budget - archive.count]
        evaluation = problem.evaluate(designs)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        best = np.maximum(best, best_rewards(evaluation, preferences))
        batches.append(designs)
        agent.tell(designs, evaluation)
    return Trace(np.concatenate(batches), archive, best)


def best_rewards(evaluation: Evaluation, preferences: FloatArray) -> FloatArray:
    """Best reward (p,) of a batch under each preference (p, m)."""
    return np.array([evaluation.scalar(weights).max() for weights in preferences])
