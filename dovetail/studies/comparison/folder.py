"""The folder of a comparison: what was asked, a study file per run, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dovetail.envs.problem import DesignProblem
from dovetail.errors import OutputError, StudyError
from dovetail.studies.comparison.plan import Run
from dovetail.studies.files import write_text
from dovetail.studies.runner import check_same
from dovetail.studies.spec import StudySpec
from dovetail.studies.store import StudyStore

REQUEST, RUNS = "comparison.json", "runs"
SUMMARY, REPORT, DATA = "summary.json", "report.html", "evaluations.parquet"


def stored_request(folder: Path, *, resume: bool) -> dict[str, Any]:
    """What the comparison in a folder was asked; nothing if there is none yet.

    Raises:
        StudyError: if one stands there and is not to be resumed, or what it says is unreadable.
    """
    path = folder / REQUEST
    if not path.exists():
        return {}
    if not resume:
        raise StudyError(
            f"'{folder}' holds a comparison: go on with it by --resume, or name another"
        )
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"'{path}' is unreadable ({error}): name another folder") from None
    if not isinstance(stored, dict) or not isinstance(stored.get("problem", {}), dict):
        raise StudyError(f"'{path}' holds no request of a comparison: name another folder")
    return stored


def check_same_problem(folder: Path, runs: Sequence[Run], problem: DesignProblem) -> None:
    """Checks that runs which stand in a folder searched the same problem.

    Raises:
        StudyError: if not; the folder's request is not replaced yet and can still be resumed.
    """
    for run in runs:
        path = folder / RUNS / f"{run.name}.db"
        if path.exists():
            with StudyStore.open(path, read_only=True) as store:
                known = store.spec
                spec = StudySpec.of(problem, known.agent, known.settings, known.seed, known.budget)
                check_same(store, spec)
            return


def begin(folder: Path, request: Mapping[str, object]) -> Path:
    """Writes what a comparison is asked; returns the folder of its studies.

    Raises:
        OutputError: if it cannot be written.
    """
    runs = folder / RUNS
    try:
        runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{runs}': {error.strerror}") from None
    write_text(folder / REQUEST, json.dumps(request, indent=1) + "\n")
    return runs
