"""The exact-front comparison on the synthetic twin, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import nasbench201_agents


def test_shares_of_every_agent_are_between_none_and_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"rows": (8, 64), "cols": (16,)}
    monkeypatch.setattr("dovetail.envs.nasbench201.KNOBS", small)
    arguments = ["x", "--seeds", "2", "--evaluations", "50", "400", "--seconds", "0.05",
                 "--agents", "random", "cem", "pymoo", "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    assert nasbench201_agents.main() == 0
    assert "31,250 designs enumerated" in capsys.readouterr().out
    results = json.loads((tmp_path / "nasbench201-cifar10-edge.json").read_text())
    shares = {name: np.array([run["shares"] for run in runs]) for name, runs in results.items()}
    for values in shares.values():
        assert values.shape == (2, 3)
        assert (values > 0).all()
        assert (values <= 1 + 1e-9).all()
        assert (values[:, 1] > values[:, 0]).all()
    assert shares["cem"][:, 1].mean() > shares["random"][:, 1].mean()
    assert (tmp_path / "nasbench201-cifar10-edge.svg").stat().st_size > 1000
