"""What a comparison runs: which agents, with which settings and seeds, and for how long."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dovetail.agents.base import check_installed, resolve_settings
from dovetail.agents.ranges import draw_settings, ranges_of
from dovetail.errors import ProblemError
from dovetail.studies.spec import check_budget

MOST_RUNS = 100_000
"""Runs of one comparison."""


@dataclass(frozen=True, slots=True)
class Contender:
    """An agent as the user named it.

    Attributes:
        label: the user's words, `optuna:sampler=tpe`.
        agent: registered name.
        settings: those that no draw changes.
    """

    label: str
    agent: str
    settings: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Contender:
        """Reads `NAME` or `NAME:KEY=VALUE:KEY=VALUE`.

        Raises:
            ProblemError: if the text has another form, or a setting is unknown or out of range.
            UnknownNameError: if no agent has that name.
            MissingExtraError: if the agent needs a package that is not installed.
        """
        name, *assignments = text.strip().split(":")
        settings: dict[str, object] = {}
        for assignment in assignments:
            key, equals, value = (part.strip() for part in assignment.partition("="))
            if not (key and equals and value) or key in settings:
                raise ProblemError(f"agent '{text}': write NAME or NAME:KEY=VALUE:KEY=VALUE")
            settings[key] = value
        resolved = resolve_settings(name, settings)
        check_installed(name)
        return cls(text.strip(), name, {key: resolved[key] for key in settings})


@dataclass(frozen=True, slots=True)
class Limits:
    """When a run ends: once it has made the evaluations and spent the seconds, or at either cap.

    Attributes:
        evaluations: to compare at, >= 1.
        seconds: processor time to compare at, > 0.
        most_evaluations: cap for agents so fast that their record would have no end.
        most_seconds: cap for agents too slow to make the evaluations.
    """

    evaluations: int
    seconds: float
    most_evaluations: int
    most_seconds: float

    def __post_init__(self) -> None:
        check_budget(self.evaluations)
        if not 0 < self.seconds < float("inf"):
            raise ProblemError(f"{self.seconds:g} seconds: must be > 0")
        if self.most_evaluations < self.evaluations:
            raise ProblemError(
                f"at most {self.most_evaluations:,} evaluations, fewer than the "
                f"{self.evaluations:,} that are compared: raise --most-evaluations"
            )
        if not self.most_seconds >= self.seconds:
            raise ProblemError(
                f"at most {self.most_seconds:g} s, fewer than the {self.seconds:g} s that are "
                "compared: raise --most-seconds"
            )

    def ended(self, evaluations: int, seconds: float) -> bool:
        """True if a run of so many evaluations and seconds is over."""
        met = evaluations >= self.evaluations and seconds >= self.seconds
        return met or evaluations >= self.most_evaluations or seconds >= self.most_seconds


@dataclass(frozen=True, slots=True)
class Run:
    """One search.

    Attributes:
        contender: label of the contender.
        agent: registered name.
        draw: number of the hyperparameter draw; 0 has the defaults.
        seed: of the agent.
        settings: all of the agent's settings.
    """

    contender: str
    agent: str
    draw: int
    seed: int
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of its study file, without suffix."""
        return f"{slug(self.contender)}.d{self.draw}.s{self.seed}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All runs of a comparison.

    Attributes:
        contenders: with distinct labels, at least one.
        draws: hyperparameter draws per contender; an agent without ranges has one.
        seeds: seeds per draw.
        first_seed: the seeds count up from here.
        limits: of each run.
    """

    contenders: tuple[Contender, ...]
    draws: int
    seeds: int
    first_seed: int
    limits: Limits

    def __post_init__(self) -> None:
        slugs = [slug(contender.label) for contender in self.contenders]
        for contender, name in zip(self.contenders, slugs, strict=True):
            if slugs.count(name) > 1:
                raise ProblemError(f"agent '{contender.label}' stands twice: name each once")
        if not slugs:
            raise ProblemError("no agents: name at least one, dovetail list agents")
        for what, count in (("draws", self.draws), ("seeds", self.seeds)):
            if count < 1:
                raise ProblemError(f"{count} {what}: must be >= 1")
        if len(slugs) * self.draws * self.seeds > MOST_RUNS:
            raise ProblemError(f"more than {MOST_RUNS:,} runs: take fewer draws or seeds")

    def runs(self) -> list[Run]:
        """All runs: the first draw and seed of every contender first.

        Raises:
            ProblemError: if fixed and drawn settings do not go together.
        """
        return [
            run
            for draw in range(self.draws)
            for seed in range(self.first_seed, self.first_seed + self.seeds)
            for contender in self.contenders
            if (run := _run(contender, draw, seed)) is not None
        ]


def parse_contenders(texts: Sequence[str]) -> tuple[Contender, ...]:
    """Contenders of texts such as `nsga2` and `optuna:sampler=tpe`; raises as `Contender.parse`."""
    return tuple(Contender.parse(text) for text in texts if text.strip())


def slug(label: str) -> str:
    """A label as part of a file's name."""
    return re.sub(r"[^\w.=-]+", "-", label)


def _run(contender: Contender, draw: int, seed: int) -> Run | None:
    """None for a draw of an agent that has nothing to draw."""
    if draw and undrawn(contender):
        return None
    chosen = draw_settings(contender.agent, contender.settings, draw)
    settings = resolve_settings(contender.agent, chosen)
    return Run(contender.label, contender.agent, draw, seed, settings)


def undrawn(contender: Contender) -> bool:
    """True if a contender has no setting to draw."""
    return not set(ranges_of(contender.agent)) - set(contender.settings)
