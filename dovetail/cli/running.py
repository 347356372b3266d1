"""Runs, resumes and reports searches for the commands."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from dovetail.agents.base import Agent, check_installed, resolve_settings
from dovetail.agents.policy_file import PolicyFile, check_trained, save_policy
from dovetail.cli.front import ROWS, front_columns, tables
from dovetail.cli.output import console, show
from dovetail.devices import torch_device
from dovetail.envs.objectives import constraints_of
from dovetail.envs.problem import DesignProblem
from dovetail.envs.registry import make_problem
from dovetail.errors import MissingExtraError, StudyError
from dovetail.studies.executor import Executor, check_workers, executor_for
from dovetail.studies.policies import agent_of
from dovetail.studies.progress import ProgressBar
from dovetail.studies.records import Records
from dovetail.studies.runner import Status, StudyResult, open_study, run_study
from dovetail.studies.scalars import ScalarLog, check_tensorboard
from dovetail.studies.spec import StudySpec, check_budget
from dovetail.studies.store import StudyStore

if TYPE_CHECKING:
    from dovetail.ir.report import Report
    from dovetail.ir.space import IntArray

INTERRUPTED = 130


@dataclass(frozen=True)
class Search:
    """What a search is.

    Attributes:
        problem: specification, for `make_problem`.
        agent: name.
        settings: of the agent, by name.
        budget: evaluations.
        seed: of the agent.
        policy: what the agent begins from; None for an untrained one.
    """

    problem: Mapping[str, object]
    agent: str
    settings: Mapping[str, object]
    budget: int
    seed: int
    policy: PolicyFile | None = None


def stored_spec(path: str, *, resume: bool) -> StudySpec | None:
    """The specification of the study to go on with; None if there is none yet.

    Raises:
        StudyError: if a study stands there and is not to be resumed, or is corrupt.
    """
    if not os.path.exists(path):
        if resume:
            print(f"there is no study '{path}' yet: it begins now", file=sys.stderr)
        return None
    if not resume:
        raise StudyError(f"study '{path}' exists: go on with it by --resume, or name another")
    with StudyStore.open(path, read_only=True) as store:
        return store.spec


def run(
    search: Search,
    path: str,
    *,
    workers: str = "1",
    scalars: str | None = None,
    save: str | None = None,
) -> DesignProblem:
    """Begins or resumes a study, prints its front, and returns its problem.

    Args:
        search: what to do.
        path: the study file.
        workers: who evaluates, see `check_workers`.
        scalars: folder of TensorBoard's event files; None for none.
        save: file for the agent's policy at the end, however it comes; None for none.

    Raises:
        typer.Exit: if the user interrupted the search; the study holds what was evaluated.
    """
    check_budget(search.budget)
    check_workers(workers)
    if scalars is not None:
        check_tensorboard()
    settings = resolve_settings(search.agent, search.settings)
    check_installed(search.agent)
    if save is not None:
        check_trained(search.agent)
    if "device" in settings:
        torch_device(str(settings["device"]))
    problem = prepare_problem(search.problem)
    file = search.policy
    begun = None if file is None else (str(file.path), file.sha256)
    spec = StudySpec.of(problem, search.agent, settings, search.seed, search.budget, begun)
    # Of `spec`, not of the store: the policy's file may lie elsewhere since the study began.
    agent = agent_of(spec, problem)
    with open_study(path, spec, resume=True) as store, executor_for(problem, workers) as executor:
        result = _run(problem, store, search.budget, executor, scalars, agent)
        print_result(problem, result, search.agent)
        if save is not None:
            save_policy(save, agent, search.agent, settings, problem)
            print(f"policy: {save}")
        if result.evaluations and not result.feasible:
            print_reasons(problem, store.records())
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    return problem


def _run(
    problem: DesignProblem,
    store: StudyStore,
    budget: int,
    executor: Executor,
    scalars: str | None,
    agent: Agent,
) -> StudyResult:
    with ExitStack() as stack:
        watchers: list[Callable[[Status], None]] = []
        if sys.stderr.isatty():
            watchers.append(stack.enter_context(ProgressBar(store.spec.agent)))
        if scalars is not None:
            watchers.append(stack.enter_context(ScalarLog(scalars, store.spec.objectives)))

        def progress(status: Status) -> None:
            for watch in watchers:
                watch(status)

        return run_study(
            problem,
            store,
            make=lambda _problem, _seed: agent,
            budget=budget,
            executor=executor,
            progress=progress,
        )


def prepare_problem(spec: Mapping[str, object]) -> DesignProblem:
    """Builds a problem; a co-design one trains its supernet under a progress bar if need be."""
    if spec.get("problem") == "codesign" and sys.stderr.isatty():
        _train(spec)
    return make_problem(spec)


def _train(spec: Mapping[str, object]) -> None:
    """Trains the supernet under a progress bar, or finds it in the cache."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from dovetail.envs import supernet

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("epoch {task.completed}/{task.total}  loss {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=console(stderr=True),
    ) as bar:
        task = bar.add_task("train supernet", total=None, loss="", visible=False)

        def show(state: Any) -> None:
            loss = f"{state.loss:.4f}"
            bar.update(task, total=state.epochs, completed=state.epoch, loss=loss, visible=True)

        supernet.build_oracle({k: spec[k] for k in supernet.DEFAULTS if k in spec}, show)


def print_result(problem: DesignProblem, result: StudyResult, agent: str) -> None:
    """Prints the front of a study and how the search went."""
    count = len(result.designs)
    if count:
        print(f"Pareto front: {min(ROWS, count)} of {count} designs")
        for table in tables(front_columns(problem, result), console().width):
            show(table)
            print()
    state = "interrupted" if result.interrupted else "done"
    replayed = f" ({result.replayed:,} of them stored before)" if result.replayed else ""
    print(
        f"{state}: {result.evaluations:,} designs{replayed} by {agent} in {result.seconds:.1f} s; "
        f"{result.feasible:,} feasible, {len(result.designs):,} on the front, "
        f"hypervolume {result.hypervolume:.6g}"
    )
    if result.exhausted and result.evaluations:
        print("the agent has nothing more to ask: it has asked every design it can")
    print(f"study: {result.path}")
    if result.interrupted:
        print(f"go on: dovetail search --study {shlex.quote(str(result.path))} --resume")


def print_reasons(problem: DesignProblem, records: Records) -> None:
    """Says how near a search without a feasible design came to each constraint, or to any law."""
    lawful = ~np.isnan(records.evaluation.objectives).any(axis=1)
    for constraint in constraints_of(problem) if lawful.any() else ():
        values = records.evaluation.metrics[constraint.metric][lawful]
        nearest = values.min() if constraint.sense == "<=" else values.max()
        print(f"{constraint}: the nearest of {lawful.sum():,} lawful designs has {nearest:.4g}")
    if not lawful.any():
        reasons = problem.reasons(records.designs[np.argmin(records.evaluation.violation)])
        print(f"no design is lawful; the nearest breaks: {'; '.join(reasons)}")


def check_report() -> None:
    """Fails early if no report could be written.

    Raises:
        MissingExtraError: if plotly is not installed.
    """
    if find_spec("plotly") is None:
        raise MissingExtraError("the HTML report", "report", "plotly")


def write_study_report(study: str, out: str, problem: DesignProblem | None = None) -> None:
    """Writes the HTML report of a study, simulating the designs of its front in detail.

    Args:
        study: the study file.
        out: the HTML file.
        problem: the study's; rebuilt if not given.
    """
    from dovetail.studies.report import write_report

    with StudyStore.open(study, read_only=True) as store:
        known = problem or prepare_problem(store.spec.problem)
        write_report(store, out, _explain(known))
    print(f"report: {out}")


def _explain(problem: Any) -> Any:
    """Simulates one design of a problem that has networks and accelerators; None for others."""
    from dovetail.envs.hardware import HardwareProblem
    from dovetail.flow import simulate

    if not isinstance(problem, HardwareProblem):
        return None
    work = problem.workload

    def explain(design: IntArray) -> Report:
        return simulate(
            problem.network(design),
            problem.accelerator(design),
            objective=work.mapping,
            mapper=work.mapper,
        )

    return explain
