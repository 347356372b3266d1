"""Runs a search and records it; resumes it by asking a fresh agent and telling it the record."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dovetail.agents.base import Agent
from dovetail.envs.problem import DesignProblem, Evaluation, costs_of
from dovetail.errors import ProblemError, StudyError
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray
from dovetail.studies.executor import Executor, InlineExecutor
from dovetail.studies.policies import agent_of
from dovetail.studies.records import Records, checked, join
from dovetail.studies.spec import StudySpec, check_budget
from dovetail.studies.store import StudyStore

AgentMaker = Callable[[DesignProblem, int], Agent]
"""Makes the agent of a study for a problem and a seed."""


@dataclass
class Status:
    """Where a study stands.

    Attributes:
        archive: front of the feasible designs so far.
        budget: what evaluations may cost together: their number, where all cost the same.
        replayed: evaluations taken from the record instead of made.
        evaluations: evaluations told or stored so far, replayed ones included.
        spent: what they cost; their number, unless the problem's fidelities cost differently.
        feasible: how many of them are feasible.
        seconds: spent searching, earlier sessions included, replay excluded.
        interrupted: True if the user stopped the search.
        exhausted: True if the agent had nothing more to ask.
    """

    archive: ParetoArchive
    budget: int
    replayed: int = 0
    evaluations: int = 0
    spent: float = 0.0
    feasible: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    exhausted: bool = False

    def add(self, designs: IntArray, evaluation: Evaluation, costs: FloatArray) -> None:
        """Counts a batch, whose evaluations cost so much each (n,)."""
        self.archive.add(designs, evaluation.objectives, evaluation.feasible)
        self.evaluations += len(designs)
        self.spent += float(costs.sum())
        self.feasible += int(evaluation.feasible.sum())


@dataclass(frozen=True)
class StudyResult:
    """What a search has found.

    Attributes:
        path: the study file.
        evaluations: designs evaluated.
        feasible: how many of them are feasible.
        rows: (k,) numbers of the evaluations on the front.
        designs: (k, knobs) designs on the front.
        objectives: (k, m) their normalised objectives.
        hypervolume: of the front below the problem's reference point.
        seconds: spent searching, all sessions together.
        replayed: evaluations taken from the record.
        interrupted: True if the user stopped the search before its budget was spent.
        exhausted: True if the agent had nothing more to ask.
    """

    path: Path
    evaluations: int
    feasible: int
    rows: IntArray
    designs: IntArray
    objectives: FloatArray
    hypervolume: float
    seconds: float
    replayed: int
    interrupted: bool
    exhausted: bool


def open_study(path: Path | str, spec: StudySpec, *, resume: bool = False) -> StudyStore:
    """Opens the store of a study: a new one, or with `resume` the one that stands there.

    Args:
        path: the study file.
        spec: what is to be searched and how.
        resume: continue an existing study; one that was killed before its file stood begins anew.

    Raises:
        StudyError: if the file exists and `resume` is not set, or is of another study, or corrupt.
        ProblemError: if it holds more evaluations than the budget.
        OutputError: if the file cannot be written.
    """
    path = Path(path)
    if not resume or not os.path.exists(path):
        return StudyStore.create(path, spec)
    store = StudyStore.open(path)
    try:
        check_same(store, spec)
        _check_room(store, spec.budget)
    except BaseException:
        store.close()
        raise
    return store


def check_same(store: StudyStore, spec: StudySpec) -> None:
    """Checks that a store is of one study; its budget may differ.

    Raises:
        StudyError: if not.
    """
    differences = store.spec.differences(spec)
    if differences:
        raise StudyError(
            f"study '{store.path}' is another one: it has {'; '.join(differences[:5])}: "
            "resume with the same problem, agent, settings and seed, or choose another file"
        )


def run_study(
    problem: DesignProblem,
    store: StudyStore,
    *,
    make: AgentMaker | None = None,
    budget: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[Status], None] | None = None,
) -> StudyResult:
    """Searches until the budget is spent; what the store holds already is replayed, not evaluated.

    The last batch is cut to the budget and not told to the agent. The result depends on the
    store's specification and the budget only: not on when the search was stopped and resumed,
    nor on the executor. Ctrl-C ends the search; what is stored stays.

    Args:
        problem: what is searched; the one that `store.spec` describes.
        store: an open study.
        make: makes the agent; by default the registered one that `store.spec` names.
        budget: evaluations, or what they may cost together, those stored included; by default
            the store's.
        executor: evaluates batches; in this process by default.
        progress: called after every batch.

    Raises:
        ProblemError: if the budget is less than the evaluations stored, or an agent's design or a
            problem's evaluation is malformed.
        StudyError: if the agent asks for other designs than those stored.
        OutputError: if the store cannot be written.
    """
    spec = store.spec
    budget = spec.budget if budget is None else budget
    _check_room(store, budget)
    if budget != spec.budget:
        store.set_budget(budget)
    status = _status(spec, budget)
    make = make or (lambda made_for, _: agent_of(spec, made_for))
    loop = _Loop(problem, store, status, executor or InlineExecutor(problem), progress)
    try:
        loop.run(make(problem, spec.seed))
    except KeyboardInterrupt:
        status = _stored_status(problem, store, status.replayed)
    return _result(store, status)


class _Loop:
    def __init__(
        self,
        problem: DesignProblem,
        store: StudyStore,
        status: Status,
        executor: Executor,
        progress: Callable[[Status], None] | None,
    ) -> None:
        self.problem = problem
        self.store = store
        self.status = status
        self.executor = executor
        self.progress = progress
        self.known = store.records()
        self.began: float | None = None

    def run(self, agent: Agent) -> None:
        status, batch = self.status, 0
        while status.spent < status.budget:
            designs = np.asarray(agent.ask(), dtype=np.int64)
            if not len(designs):
                status.exhausted = True
                self._check_replayed()
                return
            self.problem.space.check(designs)
            affordable = designs[: self.affordable(designs)]
            if not len(affordable):
                break
            evaluation = self.step(batch, affordable)
            if self.progress:
                self.progress(status)
            if len(affordable) < len(designs):
                break
            agent.tell(designs, evaluation)
            batch += 1
        if status.evaluations < len(self.known):
            raise ProblemError(
                f"study '{self.store.path}' holds {len(self.known)} evaluations already, which "
                f"cost more than the budget of {status.budget}: give a larger one"
            )

    def affordable(self, designs: IntArray) -> int:
        """How many of a batch the budget allows."""
        left = self.status.budget - self.status.spent
        total = np.cumsum(costs_of(self.problem, designs))
        # What is left of a sum may be too small by rounding.
        return int(np.searchsorted(total, left * (1 + 1e-12), side="right"))

    def step(self, batch: int, designs: IntArray) -> Evaluation:
        """Evaluates what the record does not hold of a batch, and counts all of it."""
        start = self.status.evaluations
        known = self.known.part(start, start + len(designs))
        self.check(batch, designs[: len(known)], known)
        parts = []
        if len(known):
            parts.append(known.evaluation)
            self.status.seconds = float(known.seconds[-1])
        if len(known) < len(designs):
            parts.append(self.evaluate(batch, designs[len(known) :]))
        evaluation = join(parts)
        self.status.replayed += len(known)
        self.status.add(designs, evaluation, costs_of(self.problem, designs))
        return evaluation

    def check(self, batch: int, designs: IntArray, known: Records) -> None:
        if (known.batches != batch).any() or not np.array_equal(known.designs, designs):
            raise StudyError(
                f"study '{self.store.path}' cannot be resumed: the agent now asks for other "
                f"designs than those stored in batch {batch}, so the code or the problem has "
                f"changed since version {self.store.version} began it; resume with that version, "
                "or begin a new study"
            )

    def evaluate(self, batch: int, designs: IntArray) -> Evaluation:
        if self.began is None:
            self.began = time.monotonic() - self.status.seconds
        objectives = len(self.store.spec.objectives)
        evaluation = checked(self.executor.evaluate(designs), len(designs), objectives)
        self.status.seconds = time.monotonic() - self.began
        self.store.append(batch, designs, evaluation, self.status.seconds)
        return evaluation

    def _check_replayed(self) -> None:
        if self.status.evaluations < len(self.known):
            raise StudyError(
                f"study '{self.store.path}' cannot be resumed: the agent now stops after "
                f"{self.status.evaluations} of {len(self.known)} stored evaluations, so the code "
                "or the problem has changed since; begin a new study"
            )


def _status(spec: StudySpec, budget: int) -> Status:
    return Status(ParetoArchive(spec.reference, len(spec.space.knobs)), budget)


def _stored_status(problem: DesignProblem, store: StudyStore, replayed: int) -> Status:
    """What the store holds: an interrupt may fall between storing a batch and counting it."""
    records = store.records()
    status = _status(store.spec, store.spec.budget)
    status.interrupted, status.replayed = True, replayed
    if len(records):
        costs = costs_of(problem, records.designs)
        status.add(records.designs, records.evaluation, costs)
        status.seconds = float(records.seconds[-1])
    return status


def _check_room(store: StudyStore, budget: int) -> None:
    check_budget(budget)
    if len(store) > budget:
        raise ProblemError(
            f"study '{store.path}' holds {len(store)} evaluations already: "
            f"a budget of {budget} must be at least that"
        )


def _result(store: StudyStore, status: Status) -> StudyResult:
    archive = status.archive
    return StudyResult(
        path=store.path,
        evaluations=status.evaluations,
        feasible=status.feasible,
        rows=archive.rows,
        designs=archive.designs,
        objectives=archive.objectives,
        hypervolume=archive.hypervolume,
        seconds=status.seconds,
        replayed=status.replayed,
        interrupted=status.interrupted,
        exhausted=status.exhausted,
    )
