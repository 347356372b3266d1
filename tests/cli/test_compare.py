"""`dovetail compare`."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.studies import parquet
from tests.cli.driver import COMMAND, assert_same_study, records, run, succeed

pytest.importorskip("plotly")
pytest.importorskip("pyarrow")

PROBLEM = ("--env", "accelerator", "--network", "resnet8")
SMALL = (
    "compare", *PROBLEM, "--agents", "nsga2:population=20,random:batch=20", "--draws", 2,
    "--seeds", 2, "--budget", 60, "--seconds", 0.01, "--most-evaluations", 400, "--elites", 3,
)  # fmt: skip


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A small comparison by one worker, and what it printed."""
    folder = tmp_path_factory.mktemp("compared") / "c"
    return folder, succeed(*SMALL, "--out", folder)


def test_it_prints_standings_and_writes_all(finished: tuple[Path, str]) -> None:
    folder, out = finished
    assert "share of the front of all runs, %" in out
    assert re.search(r"nsga2:population=20 +[\d.]+ \[[\d.]+, [\d.]+\]", out)
    assert "nothing to draw, so only one draw: random:batch=20" in out
    assert re.search(r"latency_ms +3 +0\.000", out)
    data = summary(folder)
    runs = {one["label"]: one["runs"] for one in data["contenders"]}
    assert {label: len(listed) for label, listed in runs.items()} == {
        "nsga2:population=20": 4, "random:batch=20": 2,
    }  # fmt: skip
    for listed in runs.values():
        for one in listed:
            assert one["evaluations"] >= 60
            assert 0 < one["share_at_evaluations"] <= 1
    page = (folder / "report.html").read_text()
    assert "Hyperparameter lottery" in page
    assert "nsga2:population=20" in page


def test_every_evaluation_lands_in_the_data_set(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    studies = sorted((folder / "runs").glob("*.db"))
    assert len(studies) == 6
    count = sum(len(records(study)) for study in studies)
    found = parquet.read(folder / "evaluations.parquet")
    assert len(found) == count + 3
    assert (found.fidelity == "cycle").sum() == 3
    assert found.spec.problem["network"] == "resnet8"


def test_what_is_found_does_not_depend_on_workers(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    folder, _ = finished
    succeed(*SMALL, "--out", tmp_path / "two", "--workers", 2)
    for study in (folder / "runs").glob("*.db"):
        ours, theirs = records(study), records(tmp_path / "two" / "runs" / study.name)
        both = min(len(ours), len(theirs))
        assert both >= 60
        np.testing.assert_array_equal(ours.designs[:both], theirs.designs[:both])
    ours, theirs = summary(folder), summary(tmp_path / "two")
    for one, other in zip(ours["contenders"], theirs["contenders"], strict=True):
        share = ours["yardstick"]["hypervolume"] / theirs["yardstick"]["hypervolume"]
        median = np.array(other["by_evaluations"]["median"])
        np.testing.assert_allclose(np.array(one["by_evaluations"]["median"]) * share, median)


def test_a_killed_comparison_goes_on(tmp_path: Path) -> None:
    """What was recorded stays; the evaluations are those of an uninterrupted comparison."""
    options = [
        "compare", *PROBLEM, "--agents", "nsga2:population=20", "--draws", 1, "--seeds", 1,
        "--budget", 1500, "--seconds", 0.001, "--most-seconds", 100, "--elites", 0,
    ]  # fmt: skip
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = subprocess.Popen(
        [*COMMAND, *map(str, options), "--out", str(killed)], stdout=subprocess.DEVNULL
    )
    first = killed / "runs" / "nsga2-population=20.d0.s0.db"
    deadline = time.monotonic() + 60
    while not (first.exists() and len(records(first)) > 40) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = records(first).designs
    assert len(before) > 40
    time.sleep(0.5)  # its worker sees that it is gone, and ends
    assert "holds a comparison" in run(*options, "--out", killed).complaint
    succeed("compare", "--out", killed, "--resume")
    succeed(*options, "--out", whole)
    np.testing.assert_array_equal(records(first).designs[: len(before)], before)
    for name in os.listdir(whole / "runs"):
        assert_same_study(whole / "runs" / name, killed / "runs" / name)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--agents", "nsga"), "unknown agent 'nsga'"),
        (("--agents", ","), "no agents"),
        (("--agents", "nsga2:population=0"), "population = 0"),
        (("--seconds", "0"), "0 seconds: must be > 0"),
        (("--seconds", "nan"), "seconds"),
        (("--budget", "10", "--most-evaluations", "5"), "raise --most-evaluations"),
        (("--workers", "1000"), "1000 workers"),
        (("--network", "none"), "none"),
        (("--draws", "1000000"), "more than 100,000 runs"),
    ],
)
def test_requests_that_make_no_sense(options: tuple[str, ...], complaint: str) -> None:
    assert complaint in run("compare", "--env", "accelerator", *options).complaint


def test_a_folder_that_holds_something_else(finished: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = finished
    assert "holds a comparison: go on with it by --resume" in run(*SMALL, "--out", folder).complaint
    (tmp_path / "comparison.json").write_text("[")
    assert "unreadable" in run("compare", "--out", tmp_path, "--resume").complaint
    (tmp_path / "file").write_text("")
    assert "cannot make the folder" in run(*SMALL, "--out", tmp_path / "file" / "x").complaint


def test_a_wrong_resume_leaves_the_request_as_it_was(
    finished: tuple[Path, str], tmp_path: Path
) -> None:
    target = tmp_path / "c"
    shutil.copytree(finished[0], target)
    before = (target / "comparison.json").read_bytes()
    wrong = run("compare", "--out", target, "--resume", "--network", "resnet18")
    assert "is another one" in wrong.complaint
    odd = run("compare", "--out", target, "--resume", "--fidelity", "nosuch")
    assert "has no fidelity 'nosuch'" in odd.complaint
    assert (target / "comparison.json").read_bytes() == before
    succeed("compare", "--out", target, "--resume")


@pytest.mark.parametrize(
    "text", ['{"problem": 7}', '{"draws": "x"}', '{"most_seconds": "x"}', '{"agents": 5}', "7"]
)
def test_requests_that_somebody_spoilt(text: str, tmp_path: Path) -> None:
    (tmp_path / "comparison.json").write_text(text)
    complaint = run("compare", "--out", tmp_path, "--resume").complaint
    assert "holds no request of a comparison" in complaint


def test_a_corrupt_study_is_named(finished: tuple[Path, str], tmp_path: Path) -> None:
    target = tmp_path / "c"
    (target / "runs").mkdir(parents=True)
    (target / "comparison.json").write_bytes((finished[0] / "comparison.json").read_bytes())
    (target / "runs" / "random-batch=20.d0.s0.db").write_bytes(b"x" * 5000)
    complaint = run("compare", "--out", target, "--resume").complaint
    assert "random-batch=20.d0.s0.db' is corrupt or not a study" in complaint


@pytest.mark.parametrize("module", ["plotly", "pyarrow"])
def test_missing_extras_are_named(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = {"plotly": "dovetail.studies.pages", "pyarrow": "dovetail.studies.parquet"}[module]
    monkeypatch.setattr(f"{name}.find_spec", lambda _: None)
    complaint = run("compare", "--env", "accelerator").complaint
    assert f"needs the module '{module}'" in complaint
