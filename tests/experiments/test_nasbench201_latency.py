"""Rank correlation with a table's latencies, on the synthetic twin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dovetail.envs.nasbench201_table import twin, write
from experiments import nasbench201_latency


def test_ties_share_their_rank() -> None:
    assert nasbench201_latency.ranks(np.array([3.0, 1.0, 3.0, 7.0])).tolist() == [2.5, 1, 2.5, 4]
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert nasbench201_latency.spearman(x, np.exp(x)) == pytest.approx(1.0)
    assert nasbench201_latency.spearman(x, -x) == pytest.approx(-1.0)


def test_convolutions_of_the_twin_rank_as_macs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "twin.npz", twin(0))
    arguments = ["x", "--table", str(tmp_path / "twin.npz"), "--cells", "12",
                 "--accelerators", "edge"]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    assert nasbench201_latency.main() == 0
    printed = capsys.readouterr().out
    macs = next(line for line in printed.splitlines() if "MACs" in line)
    assert float(macs.split("│")[2]) > 0.7
    assert "edge, array alone" in printed
