from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import MissingExtraError
from dovetail.studies.scalars import ScalarLog
from tests.studies.test_runner import records_of
from tests.studies.toy import ToyProblem, search

pytest.importorskip("tensorboard", reason="TensorBoard is not installed")


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """What TensorBoard reads from all files of a folder: name -> step -> value."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.iterdir()):
        for event in EventFileLoader(str(file)).Load():
            for value in event.summary.value:
                curve = found.setdefault(value.tag, {})
                assert event.step not in curve, "written twice"
                curve[event.step] = float(make_ndarray(value.tensor))
    return found


def watched(path: Path, folder: Path, budget: int) -> Any:
    with ScalarLog(folder, ToyProblem.objectives) as log:
        return search(path, budget, resume=True, progress=log)


def test_curves_end_at_the_result_and_a_resumed_study_goes_on(tmp_path: Path) -> None:
    watched(tmp_path / "s", tmp_path / "tb", 40)
    result = watched(tmp_path / "s", tmp_path / "tb", 90)
    found = curves(tmp_path / "tb")
    names = {"best/latency_ms", "best/energy_mj", "best/error"}
    assert set(found) == {"hypervolume", "feasible_share", *names}
    assert found["hypervolume"][90] == pytest.approx(result.hypervolume)
    assert {40, 90} <= set(found["hypervolume"])
    evaluation = records_of(tmp_path / "s").evaluation
    feasible = evaluation.feasible
    assert found["feasible_share"][90] == pytest.approx(feasible.mean())
    for name in ("latency_ms", "energy_mj", "error"):
        least = evaluation.metrics[name][feasible].min()
        assert found[f"best/{name}"][90] == pytest.approx(least, rel=1e-5)


def test_the_extra_of_a_missing_tensorboard_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"dovetail\[tensorboard\]"):
        ScalarLog(tmp_path, ToyProblem.objectives)
