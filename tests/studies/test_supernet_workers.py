"""Accuracy of a trained supernet, measured by worker processes: of this machine and of Ray."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dovetail.envs.problem import DesignProblem
from dovetail.envs.registry import make_problem
from dovetail.studies.executor import executor_for
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec
from tests.studies.test_runner import assert_same, records_of

SPEC: dict[str, object] = {
    "problem": "codesign",
    "epochs": 1,
    "training": {"batch": 256},
    "objectives": ["error", "latency_ms"],
}
BUDGET = 24


def search(problem: DesignProblem, path: Path, workers: str) -> None:
    spec = StudySpec.of(problem, "random", {"batch": BUDGET // 2}, 0, BUDGET)
    with open_study(path, spec) as store, executor_for(problem, workers) as executor:
        run_study(problem, store, executor=executor)


def test_errors_measured_by_workers_are_the_same(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    problem = make_problem({**SPEC, "cache": str(tmp_path)})
    oracle = problem.oracle.oracle  # type: ignore[attr-defined]  # co-design problems have one
    has_ray = any((Path(path) / "ray").is_dir() for path in sys.path)
    studies = {workers: tmp_path / f"{workers}.db" for workers in ("2", "ray:2")[: 1 + has_ray]}
    for workers, study in studies.items():
        search(problem, study, workers)
    assert oracle.measured == 0, "the workers measured, not this process"
    search(problem, tmp_path / "inline.db", "1")
    assert oracle.measured > 0
    for study in studies.values():
        assert_same(tmp_path / "inline.db", study)
    errors = records_of(tmp_path / "inline.db").evaluation.metrics["error"]
    assert len(np.unique(errors[~np.isnan(errors)])) > 8
