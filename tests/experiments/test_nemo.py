"""NEMO's comparison, small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import nemo


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["x", *arguments])
    return nemo.main()


def test_variants_run_at_equal_evaluations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = ("nemo", "direct alone", "nsga2", "ILP alone", "uniform")
    arguments = ["--networks", "resnet8", "--evaluations", "150", "--seeds", "2"]
    arguments += ["--variants", *variants, "--out", str(tmp_path)]
    assert run(monkeypatch, *arguments) == 0
    out = capsys.readouterr().out
    assert "species of seed 0" in out
    assert "not obtainable" in out
    results = json.loads((tmp_path / "mixed-precision-resnet8.json").read_text())
    assert list(results) == list(variants)
    volumes = {name: [r["volumes"][-1][1] for r in runs] for name, runs in results.items()}
    assert [runs[0]["volumes"][-1][0] for runs in results.values()][:3] == [150, 150, 150]
    assert np.median(volumes["nemo"]) > 1.3 * np.median(volumes["nsga2"])
    assert results["uniform"][0]["volumes"][-1][0] == 3
    assert sum(results["nemo"][0]["sizes"][-1].values()) == 100
    assert (tmp_path / "mixed-precision-resnet8.svg").stat().st_size > 1000


def test_an_array_adds_latency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--networks", "resnet8", "--evaluations", "60", "--seeds", "1"]
    arguments += ["--accelerator", "edge", "--set", "weight_bits=4", "--set", "input_bits=4"]
    arguments += ["--objectives", "perturbation", "size_mb", "latency_ms"]
    assert run(monkeypatch, *arguments, "--variants", "nemo", "--out", str(tmp_path)) == 0
    results = json.loads((tmp_path / "mixed-precision-resnet8-edge.json").read_text())
    latency = np.array(results["nemo"][0]["front"])[:, 2]
    assert latency.max() <= 1e-6
    assert latency.min() < -0.1


def test_ill_formed_arguments_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "--networks", "resnet9", "--out", str(tmp_path)) == 2
    assert "unknown network 'resnet9'" in capsys.readouterr().err


def test_compression_is_of_designs_as_good_as_four_bits() -> None:
    problem = nemo.from_spec({"network": "resnet8"})
    uniform = problem.uniform()
    assert nemo.compressions(problem, uniform).tolist() == pytest.approx([8, 64])
    assert np.isnan(nemo.compressions(problem, uniform[:1])).all()
