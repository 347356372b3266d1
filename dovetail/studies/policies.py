"""Trained policies in studies: agents that begin from one, and what one proposes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dovetail.agents.base import Agent, Trained, make_agent
from dovetail.agents.policy_file import PolicyFile, check_fits, read_policy, restore
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.studies.spec import StudySpec


def agent_of(spec: StudySpec, problem: DesignProblem) -> Agent:
    """The agent of a study, as it was when the study began.

    Raises:
        StudyError: if the policy that it began from is not there, another one, or does not fit.
    """
    if spec.policy is None:
        return make_agent(spec.agent, problem, spec.seed, spec.settings)
    path, digest = spec.policy
    file = read_policy(path)
    if file.sha256 != digest:
        raise StudyError(
            f"policy '{path}' has SHA-256 {file.sha256[:12]}…, but the study began from "
            f"{digest[:12]}…: give that file by --policy"
        )
    check_fits(file, spec.agent, problem)
    agent = make_agent(spec.agent, problem, spec.seed, spec.settings)
    restore(agent, file)
    return agent


@dataclass(frozen=True)
class Proposals:
    """What a policy proposes under one preference.

    Attributes:
        preference: (m,) weights of the objectives, sum 1.
        designs: (n, knobs) distinct designs, best first.
        evaluation: of these.
        rewards: (n,) of these, under the preference.
        counts: (n,) how often each was drawn.
        chance: best reward of as many uniformly drawn designs.
    """

    preference: FloatArray
    designs: IntArray
    evaluation: Evaluation
    rewards: FloatArray
    counts: IntArray
    chance: float

    @property
    def feasible_share(self) -> float:
        """Share of the samples that break no law and no constraint."""
        return float(self.counts[self.evaluation.feasible].sum() / self.counts.sum())

    @property
    def mean_reward(self) -> float:
        """Mean reward of the samples."""
        return float((self.rewards * self.counts).sum() / self.counts.sum())


def judge(
    file: PolicyFile, problem: DesignProblem, preferences: FloatArray, samples: int, seed: int
) -> list[Proposals]:
    """Samples a policy under each preference and evaluates what it proposes.

    Args:
        file: the policy.
        problem: what its designs are evaluated on.
        preferences: (p, m) weights, rows sum to 1.
        samples: designs drawn per preference, >= 1.
        seed: of the samples.

    Returns:
        p results, in order.

    Raises:
        StudyError: if the policy does not fit the problem.
    """
    check_fits(file, file.agent, problem)
    agent = make_agent(file.agent, problem, seed, file.settings)
    restore(agent, file)
    assert isinstance(agent, Trained)
    rng = np.random.default_rng(seed)
    found = []
    for preference in preferences:
        drawn = agent.propose(np.tile(preference, (samples, 1)))
        uniform = problem.evaluate(problem.space.sample(rng, samples))
        chance = float(uniform.scalar(preference).max())
        found.append(_proposals(problem, preference, drawn, chance))
    return found


def _proposals(
    problem: DesignProblem, preference: FloatArray, drawn: IntArray, chance: float
) -> Proposals:
    designs, counts = np.unique(drawn, axis=0, return_counts=True)
    order = np.argsort(-problem.evaluate(designs).scalar(preference), kind="stable")
    designs, counts = designs[order], counts[order]
    evaluation = problem.evaluate(designs)
    rewards = evaluation.scalar(preference)
    return Proposals(preference, designs, evaluation, rewards, counts, chance)


def preference_of(text: str, problem: DesignProblem) -> FloatArray:
    """Weights (m,) of `error=0.5,latency_ms=0.5`: scaled to sum 1, 0 where not named.

    Raises:
        ProblemError: if a name is no objective or stands twice, a weight no number >= 0, or all
            are 0.
    """
    names = [objective.name for objective in problem.objectives]
    weights = np.zeros(len(names))
    seen: set[str] = set()
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in names:
            raise ProblemError(
                f"preference '{text}': '{name}' is none of the objectives {', '.join(names)}"
            )
        if name in seen:
            raise ProblemError(f"preference '{text}': '{name}' stands twice")
        seen.add(name)
        try:
            weights[names.index(name)] = float(value)
        except ValueError:
            raise ProblemError(f"preference '{text}': weight '{value}' must be a number") from None
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise ProblemError(f"preference '{text}': weights must be finite, >= 0, and not all 0")
    weights = weights / weights.max()  # the sum of huge weights would overflow
    return weights / weights.sum()
