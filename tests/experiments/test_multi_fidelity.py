"""The comparison of fidelities on the synthetic twin, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import multi_fidelity


def test_all_spend_the_same_and_curves_rise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("botorch")
    arguments = ["x", "--seeds", "1", "--worth", "12", "--cases", "npu", "--out", str(tmp_path),
                 "--agents", "bayesian_mf", "random", "--measure"]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    assert multi_fidelity.main() == 0
    out = capsys.readouterr().out
    assert "latencies differ by up to" in out
    assert "cycle costs 5 x estimate" in out
    curves = json.loads((tmp_path / "npu.json").read_text())
    for (curve,) in curves.values():
        costs, values = np.array(curve).T
        assert 11 < costs[-1] <= 12 + 1e-9
        assert (np.diff(costs) > 0).all()
        assert (np.diff(values) >= 0).all()
        assert values[-1] > 0
    # 24 looks at a fifth of the cost come first, and are no result.
    early = np.array(curves["bayesian_mf"][0])
    assert early[early[:, 0] <= 24 / 5, 1].max() == 0
    assert (tmp_path / "npu.svg").stat().st_size > 1000
