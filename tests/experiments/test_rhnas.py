"""RHNAS and its baselines on the synthetic twin, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import rhnas

SMALL = {"rows": (16, 32), "cols": (32, 64), "dataflow": ("ws", "os"), "input_sram_kib": (4, 64)}


def test_every_method_is_measured_against_the_exact_optimum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rhnas, "KNOBS", SMALL)
    arguments = ["x", "--seeds", "1", "--budget", "120", "--datasets", "cifar10",
                 "--costs", "latency_ms"]  # fmt: skip
    monkeypatch.setattr("sys.argv", [*arguments, "--out", str(tmp_path)])
    assert rhnas.main() == 0
    printed = capsys.readouterr().out
    assert "synthetic twin" in printed
    assert "2.81x" in printed
    rows = json.loads((tmp_path / "rhnas.json").read_text())
    assert [row["cost"] for row in rows] == ["latency_ms"]
    for row in rows:
        assert row["default + NAS"] == [1.0]
        assert row["exact"] >= 1
        for name in rhnas.METHODS:
            # A search may miss the default's best network; none beats the optimum.
            assert 0 <= row[name][0] <= row["exact"] * row["default missed"][0] * (1 + 1e-6)
    assert (tmp_path / "rhnas.svg").stat().st_size > 1000


def test_the_optimum_is_that_of_every_design() -> None:
    case = rhnas.Case.of(None, "cifar10", "edp_mj_ms")
    case.joint = case.problem(SMALL)
    cells = np.stack(np.unravel_index(np.arange(5**6), (5,) * 6), axis=1)
    best = np.inf
    for array in rhnas.every(case.joint):
        designs = np.concatenate([cells, np.tile(array, (len(cells), 1))], axis=1)
        found = case.joint.evaluate(designs)
        best = min(best, found.objectives[found.feasible, 0].min(initial=np.inf))
    assert case.exact()[1] == best <= case.exact()[0]
