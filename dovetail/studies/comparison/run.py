"""One run of a comparison: an agent searches, and a study file records when it knew what.

The seconds that such a study records are processor time of agent and problem together, in a process
that keeps to one thread; storing, and making agent and problem, are not counted.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np

from dovetail.agents.base import Agent, make_agent
from dovetail.envs.problem import DesignProblem
from dovetail.errors import StudyError
from dovetail.studies.comparison.plan import Limits, Run
from dovetail.studies.records import Records, checked
from dovetail.studies.runner import check_same
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore

WARM_BATCHES = 2
"""Batches that a process runs before its clock counts: compilers and imports are no agent's."""


def play(problem: DesignProblem, run: Run, limits: Limits, path: Path) -> None:
    """Makes a run or the rest of it.

    Args:
        problem: what is searched, its caches as empty as for every other run.
        run: who searches.
        limits: how long.
        path: the study file, new or begun.

    Raises:
        StudyError: if the file is of another study, or corrupt, or the agent asks for other designs
            than those stored.
        ProblemError: if the agent refuses the problem.
        OutputError: if the file cannot be written.
    """
    spec = StudySpec.of(problem, run.agent, run.settings, run.seed, limits.evaluations)
    with _opened(path, spec) as store:
        known = store.records()
        if not limits.ended(len(known), _spent(known)):
            agent = make_agent(run.agent, problem, run.seed, run.settings)
            _replay(agent, known, store)
            _go_on(problem, agent, limits, store, known)


def warm_up(problem: DesignProblem, run: Run) -> None:
    """Runs a few batches of an agent that nobody counts."""
    agent = make_agent(run.agent, problem, run.seed, run.settings)
    for _ in range(WARM_BATCHES):
        designs = np.asarray(agent.ask(), dtype=np.int64)
        if not len(designs):
            return
        agent.tell(designs, problem.evaluate(designs))


def _opened(path: Path, spec: StudySpec) -> StudyStore:
    if not os.path.exists(path):
        return StudyStore.create(path, spec)
    store = StudyStore.open(path)
    try:
        check_same(store, spec)
    except BaseException:
        store.close()
        raise
    return store


def _spent(records: Records) -> float:
    return float(records.seconds[-1]) if len(records) else 0.0


def _replay(agent: Agent, known: Records, store: StudyStore) -> None:
    """Asks and tells an agent what the record holds; every batch there is whole."""
    ends = np.flatnonzero(np.diff(known.batches, append=-1)) + 1
    start = 0
    for end in ends.tolist():
        part = known.part(start, end)
        if not np.array_equal(np.asarray(agent.ask(), dtype=np.int64), part.designs):
            raise StudyError(
                f"study '{store.path}' cannot be resumed: the agent now asks for other designs "
                f"than those stored in batch {int(part.batches[0])}; delete the file to run anew"
            )
        agent.tell(part.designs, part.evaluation)
        start = end


def _go_on(
    problem: DesignProblem, agent: Agent, limits: Limits, store: StudyStore, known: Records
) -> None:
    count, spent = len(known), _spent(known)
    batch = int(known.batches[-1]) + 1 if count else 0
    while not limits.ended(count, spent):
        start = time.process_time()
        designs = np.asarray(agent.ask(), dtype=np.int64)
        if not len(designs):
            return
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        spent += time.process_time() - start
        laid_out = checked(evaluation, len(designs), len(problem.objectives))
        store.append(batch, designs, laid_out, spent)
        count, batch = count + len(designs), batch + 1
