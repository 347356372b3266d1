"""Runs a comparison for its command, and prints what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dovetail.cli.compare import DEFAULTS, MOST_EVALUATIONS, MOST_SECONDS
from dovetail.cli.output import console, make_table, printable, show
from dovetail.cli.running import prepare_problem
from dovetail.envs.fidelity import at_fidelity
from dovetail.envs.problem import DesignProblem
from dovetail.errors import FidelityError, MissingToolError, ToolError
from dovetail.studies.comparison import elites as elites_module
from dovetail.studies.comparison.elites import Elites
from dovetail.studies.comparison.execute import execute
from dovetail.studies.comparison.folder import DATA, REPORT, SUMMARY, begin, check_same_problem
from dovetail.studies.comparison.plan import Limits, Plan, Run, parse_contenders, undrawn
from dovetail.studies.comparison.report import write_comparison
from dovetail.studies.comparison.result import Column, Result, gather
from dovetail.studies.comparison.yardstick import exact
from dovetail.studies.dataset import Part, write
from dovetail.studies.files import write_text
from dovetail.studies.pages import check_plotly
from dovetail.studies.parquet import check_installed
from dovetail.studies.store import StudyStore


def compare(
    folder: Path, spec: Mapping[str, object], request: Mapping[str, Any], workers: int
) -> None:
    """Makes a comparison or the rest of it.

    Args:
        folder: where all goes.
        spec: of the problem.
        request: values by the names of `dovetail.cli.compare.DEFAULTS`.
        workers: runs at a time.
    """
    check_plotly()
    check_installed()
    plan = _plan(request)
    runs = plan.runs()
    problem = prepare_problem(spec)
    _check_fidelity(problem, request)
    check_same_problem(folder, runs, problem)
    studies = begin(folder, {**request, "problem": problem.describe()})
    with _bar("runs") as bar:
        task = bar.add_task("runs", total=len(runs))
        execute(problem, runs, plan.limits, studies, workers, lambda _: bar.advance(task))
    with _bar("exact front") as bar:
        task = bar.add_task("exact front", total=None)
        yardstick = exact(problem, lambda n, of: bar.update(task, completed=n, total=of))
    result = gather(studies, plan, runs, yardstick)
    _finish(folder, studies, result, _elites(problem, result, request))


def _plan(request: Mapping[str, Any]) -> Plan:
    budget, seconds = int(request["budget"]), float(request["seconds"])
    limits = Limits(
        budget,
        seconds,
        request["most_evaluations"] or MOST_EVALUATIONS * budget,
        request["most_seconds"] or MOST_SECONDS * seconds,
    )
    contenders = parse_contenders(str(request["agents"]).split(","))
    return Plan(contenders, request["draws"], request["seeds"], request["seed"], limits)


def _check_fidelity(problem: DesignProblem, request: Mapping[str, Any]) -> None:
    """Fails before any run if elites cannot be evaluated at a fidelity that was asked for."""
    if request["elites"] and request["fidelity"] != DEFAULTS["fidelity"]:
        at_fidelity(problem, str(request["fidelity"]))


def _elites(problem: DesignProblem, result: Result, request: Mapping[str, Any]) -> Elites | None:
    if not request["elites"]:
        return None
    try:
        return elites_module.choose(problem, result, request["elites"], str(request["fidelity"]))
    except (FidelityError, MissingToolError, ToolError) as error:
        print(f"no elites are evaluated again: {error}")
        return None


def _finish(folder: Path, studies: Path, result: Result, elites: Elites | None) -> None:
    """Writes the data set, the summary and the report, and prints the tables."""
    parts = _parts(studies, result.runs, result, elites)
    rows = write(parts, folder / DATA)
    summary = result.to_dict()
    if elites is not None:
        summary["elites"] = elites.to_dict(result)
    write_text(folder / SUMMARY, json.dumps(_plain(summary), indent=1, allow_nan=False) + "\n")
    write_comparison(summary, folder / REPORT)
    _print(result, elites)
    print(f"{rows:,} evaluations of {len(result.runs)} runs: {folder / DATA}")
    print(f"summary: {folder / SUMMARY}\nreport: {folder / REPORT}")


def _plain(data: Any) -> Any:
    """JSON has no NaN: what is unknown is null."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not np.isfinite(data) else data


def _parts(
    studies: Path, runs: Sequence[Run], result: Result, elites: Elites | None
) -> Iterator[Part]:
    for run in runs:
        with StudyStore.open(studies / f"{run.name}.db", read_only=True) as store:
            # One specification for all: where the data lie may have changed between sessions.
            spec = replace(store.spec, problem=result.spec.problem)
            yield Part(run.name, spec, store.records(), run.contender, run.draw)
    if elites is not None:
        yield from elites_module.parts(elites, result)


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(stderr=True),
        disable=not console(stderr=True).is_terminal,
        transient=what != "runs",
    ) as bar:
        yield bar


def _print(result: Result, elites: Elites | None) -> None:
    by_evaluations, by_seconds = result.columns()
    kind, volume = result.yardstick.name, result.yardstick.hypervolume
    counted = result.yardstick.enumerated
    what = f"{counted:,} designs enumerated, " if counted else ""
    print(f"{result.spec.name}: {what}hypervolume of {kind} {volume:.6g}")
    idle = [c.label for c in result.plan.contenders if undrawn(c)]
    if idle and result.plan.draws > 1:
        print(f"nothing to draw, so only one draw: {printable(', '.join(idle))}")
    for columns, unit in ((by_evaluations, "evaluations"), (by_seconds, "s")):
        heads = [f"{column.at:,g} {unit}" for column in columns]
        print()
        show(_standings(columns, heads), f"share of {kind}, %: median [quartiles] of runs")
    if any(any(c.stopped.values()) for c in (*by_evaluations, *by_seconds)):
        print(
            "* a cap ended some of these runs before; they stand with what they had found by then"
        )
    if elites is not None:
        print()
        show(_resimulated(result, elites), f"elites at fidelity {elites.fidelity}")
    print()


def _standings(columns: Sequence[Column], heads: Sequence[str]) -> Table:
    table = make_table(("agent", *heads, "rank", "wins, %"), words=("agent",))
    last = columns[-1].standings
    for k in sorted(range(len(last)), key=lambda k: last[k].rank):
        cells = [_cell(column, k) for column in columns]
        name, wins = printable(last[k].label), f"{100 * last[k].win_share:.1f}"
        table.add_row(name, *cells, str(last[k].rank), wins)
    return table


def _cell(column: Column, k: int) -> str:
    standing = column.standings[k]
    low, middle, high = (f"{100 * value:.2f}" for value in standing.quartiles)
    return f"{middle} [{low}, {high}]{' *' if column.stopped[standing.label] else ''}"


def _resimulated(result: Result, elites: Elites) -> Table:
    table = make_table(("metric", "designs", "largest change, %", "median, %"), words=("metric",))
    for objective in result.spec.objectives:
        change = elites.resimulation.change(objective.name)
        known = np.abs(change[np.isfinite(change)])
        if len(known):
            largest, middle = 100 * known.max(), 100 * np.median(known)
            table.add_row(objective.name, str(len(known)), f"{largest:.3f}", f"{middle:.3f}")
    return table
