"""Runs the command line as users do: in this process, or as a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from dovetail.cli import main
from dovetail.studies.records import Records
from dovetail.studies.store import StudyStore

COMMAND = [sys.executable, "-m", "dovetail"]


@dataclass(frozen=True)
class Run:
    """Exit code and what was printed."""

    code: int | str | None
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of a refusal."""
        assert self.code == 2, self
        assert self.err.startswith("dovetail: "), self
        assert self.err.count("\n") == 1, self
        assert self.err.endswith("\n"), self
        assert "Traceback" not in self.err
        return self.err.removeprefix("dovetail: ").rstrip("\n")


def run(*arguments: object) -> Run:
    """`dovetail ARGUMENTS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: int | str | None = None
    argv = patch.object(sys, "argv", ["dovetail", *map(str, arguments)])
    with argv, redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    return Run(code, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> str:
    """What a command prints that must succeed, and without a word of complaint."""
    done = run(*arguments)
    assert done.code == 0, done
    assert not done.err, done
    return done.out


def spawn(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """`dovetail ARGUMENTS` as a process."""
    settings: dict[str, object] = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=os.environ | {"PYTHONWARNINGS": "error"},
        check=False,
        **(settings | options),
    )


def records(study: Path) -> Records:
    """All that a study holds."""
    with StudyStore.open(study, read_only=True) as store:
        return store.records()


def assert_same_study(first: Path, second: Path) -> None:
    """Two studies hold the same evaluations in the same batches; times may differ."""
    ours, theirs = records(first), records(second)
    np.testing.assert_array_equal(ours.designs, theirs.designs)
    np.testing.assert_array_equal(ours.batches, theirs.batches)
    np.testing.assert_array_equal(ours.evaluation.violation, theirs.evaluation.violation)
    np.testing.assert_array_equal(ours.evaluation.objectives, theirs.evaluation.objectives)
    assert list(ours.evaluation.metrics) == list(theirs.evaluation.metrics)
    for name, values in ours.evaluation.metrics.items():
        np.testing.assert_array_equal(values, theirs.evaluation.metrics[name])
