"""What identifies a study: problem, agent, settings, seed, and the budget it was given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dovetail.envs.problem import DesignProblem, Objective
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.space import FloatArray, Knob, Space

MISSING = "(absent)"

POLICY = ("policy", "policy_sha256")
"""Fields of a study that began from a trained policy."""

MAX_BUDGET = 10**9
"""Evaluations of one study; its file would hold 200 GB."""


@dataclass(frozen=True)
class StudySpec:
    """Everything that decides a study's result, and what is needed to read it without its problem.

    Attributes:
        problem: `DesignProblem.describe()`.
        name: name of the problem.
        agent: registered name of the agent.
        settings: the agent's settings by name.
        seed: seed of the agent, >= 0.
        budget: evaluations to spend, >= 1; it alone may change when a study is resumed.
        space: knobs of the designs.
        objectives: the m objectives.
        reference_point: corner of the hypervolume, m normalised values.
        policy: file that the agent begins from and its SHA-256; None for an untrained agent.
    """

    problem: dict[str, Any]
    name: str
    agent: str
    settings: dict[str, Any]
    seed: int
    budget: int
    space: Space
    objectives: tuple[Objective, ...]
    reference_point: tuple[float, ...]
    policy: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        check_budget(self.budget)
        if self.seed < 0:
            raise ProblemError(f"seed {self.seed}: must be >= 0")

    @classmethod
    def of(
        cls,
        problem: DesignProblem,
        agent: str,
        settings: Mapping[str, object],
        seed: int,
        budget: int,
        policy: tuple[str, str] | None = None,
    ) -> StudySpec:
        """Describes a study of `problem`.

        Args:
            problem: what is searched.
            agent: registered name of the agent.
            settings: the agent's settings, JSON-able.
            seed: seed of the agent, >= 0.
            budget: evaluations, >= 1.
            policy: file and SHA-256 of the policy that the agent begins from.

        Raises:
            ProblemError: if the budget or seed is out of range, or a setting is not JSON-able.
        """
        return cls(
            problem=_plain("problem", problem.describe()),
            name=problem.name,
            agent=agent,
            settings=_plain("settings", dict(settings)),
            seed=int(seed),
            budget=int(budget),
            space=problem.space,
            objectives=tuple(problem.objectives),
            reference_point=tuple(float(value) for value in problem.reference_point),
            policy=policy,
        )

    @property
    def reference(self) -> FloatArray:
        """Reference point as an array (m,)."""
        return np.array(self.reference_point, dtype=np.float64)

    def with_budget(self, budget: int) -> StudySpec:
        """The same study with another budget."""
        return replace(self, budget=int(budget))

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "problem": self.problem,
            "name": self.name,
            "agent": self.agent,
            "settings": self.settings,
            "seed": self.seed,
            "budget": self.budget,
            "knobs": [[k.name, list(k.values), k.ordered] for k in self.space.knobs],
            "objectives": [[o.name, o.scale, o.reference] for o in self.objectives],
            "reference_point": list(self.reference_point),
            **(dict(zip(POLICY, self.policy, strict=True)) if self.policy else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> StudySpec:
        """Rebuilds a specification from its JSON form.

        Raises:
            StudyError: if a field is missing or malformed.
        """
        try:
            knobs = tuple(Knob(name, tuple(vals), bool(o)) for name, vals, o in data["knobs"])
            return cls(
                problem=dict(data["problem"]),
                name=str(data["name"]),
                agent=str(data["agent"]),
                settings=dict(data["settings"]),
                seed=int(data["seed"]),
                budget=int(data["budget"]),
                space=Space(knobs),
                objectives=tuple(Objective(n, s, float(r)) for n, s, r in data["objectives"]),
                reference_point=tuple(float(value) for value in data["reference_point"]),
                policy=(str(data[POLICY[0]]), str(data[POLICY[1]])) if POLICY[0] in data else None,
            )
        except (KeyError, TypeError, ValueError, ProblemError) as error:
            raise StudyError(f"the study's specification is malformed: {error!r}") from error

    def differences(self, other: StudySpec) -> list[str]:
        """Fields that differ: `path: this value, not the other value`.

        The budget may differ, and so may `x` beside an equal `x_sha256`: where the same data lie.
        """
        mine, theirs = self.to_dict(), other.to_dict()
        del mine["budget"], theirs["budget"]
        return [f"{path}: {_short(a)}, not {_short(b)}" for path, a, b in _differ("", mine, theirs)]


def check_budget(budget: int) -> None:
    """Checks a number of evaluations.

    Raises:
        ProblemError: if it is not within 1 to `MAX_BUDGET`.
    """
    if not 1 <= budget <= MAX_BUDGET:
        raise ProblemError(f"budget of {budget} evaluations: must be within 1 to {MAX_BUDGET:,}")


def _plain(what: str, data: dict[str, object]) -> dict[str, Any]:
    try:
        plain: dict[str, Any] = json.loads(json.dumps(data))
    except (TypeError, ValueError) as error:
        raise ProblemError(f"{what} of the study cannot be written as JSON: {error}") from error
    return plain


def _differ(path: str, mine: Any, theirs: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in [*mine, *(key for key in theirs if key not in mine)]:
            digest = mine.get(f"{key}_sha256")
            if digest is not None and digest == theirs.get(f"{key}_sha256"):
                continue
            inner = f"{path}.{key}" if path else str(key)
            yield from _differ(inner, mine.get(key, MISSING), theirs.get(key, MISSING))
    elif mine != theirs and not (mine is MISSING and theirs is MISSING):
        yield path, mine, theirs


def _short(value: Any) -> str:
    text = value if value is MISSING else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
