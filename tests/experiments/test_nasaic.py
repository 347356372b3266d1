"""NASAIC's comparison, small, on the synthetic twin; and the arithmetic of the paper's own row."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from dovetail.envs.multitask import MultitaskProblem, from_spec
from dovetail.ir.space import Knob
from experiments import nasaic

SMALL = (
    Knob("template", ("nvdla",), ordered=False),
    Knob("pes", (64, 256)),
    Knob("gb_per_s", (8, 32)),
)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four sub-accelerators."""
    monkeypatch.setattr("dovetail.envs.multitask_space.HARDWARE", SMALL)


@pytest.fixture
def problem(few: None) -> MultitaskProblem:
    bounds = ["latency_ms<=2.5", "energy_mj<=0.9", "area_mm2<=1.5"]
    return from_spec({"dataset": "cifar10+cifar10", "constraints": bounds})


def test_the_papers_row_gives_the_papers_abstract() -> None:
    """W1's rows: 17.77 % latency, 2.49x energy and 2.32x area at a loss of 0.76 % accuracy."""
    latency, energy, area, loss = nasaic.gains(
        nasaic.PAPER["NAS -> ASIC"], nasaic.PAPER["NASAIC"], ("cycles", "nj", "um2")
    )
    assert latency == pytest.approx(100 * (9.45 - 7.77) / 9.45)
    assert latency == pytest.approx(17.77, abs=0.01)
    assert energy == pytest.approx(2.49, abs=0.005)
    assert area == pytest.approx(2.32, abs=0.005)
    assert loss == pytest.approx(0.76, abs=1e-9)


def test_pairs_come_by_rising_sum() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random(7), rng.random(5)
    found = np.concatenate(list(nasaic.pairs_by_sum(a, b, 0.07)))
    assert sorted(map(tuple, found.tolist())) == list(itertools.product(range(7), range(5)))
    sums = a[found[:, 0]] + b[found[:, 1]]
    assert (np.diff(sums) >= 0).all()


def test_nas_then_asic_has_the_nearest_chip_of_all(problem: MultitaskProblem) -> None:
    row = nasaic.nas_then_asic(problem)
    chips = nasaic.every_chip(problem)
    assert len(chips) == 4 * 5 / 2
    cells = np.tile(nasaic.best_cells(problem), (len(chips), 1))
    every = problem.evaluate(np.concatenate([cells, chips], axis=1))
    assert row["violation"] == pytest.approx(every.violation.min())
    assert row["violation"] > 0
    assert row["broken"]
    assert row["a"] == 100 * (1 - problem.table.errors["cifar10", 200].min())


def test_no_networks_on_a_chip_are_more_accurate(problem: MultitaskProblem) -> None:
    chip = np.array([0, 0, 0, 0, 1, 1])
    best = nasaic.most_accurate(problem, chip)
    assert best[-6:].tolist() == chip.tolist()
    assert problem.evaluate(best[None]).feasible[0]
    drawn = problem.space.sample(np.random.default_rng(0), 600)
    drawn[:, -6:] = chip
    others = problem.evaluate(drawn)
    assert others.feasible.any()
    assert problem.errors(best[None])["error"][0] <= others.metrics["error"][others.feasible].min()


@pytest.mark.usefixtures("few")
def test_the_comparison_runs_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["x", "--mix", "cifar10+cifar10", "--seeds", "2", "--evaluations", "110",
                 "--random", "60", "--agents", "nasaic", "random", "--workers", "1",
                 "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    assert nasaic.main() == 0
    out = capsys.readouterr().out
    assert "paper (W1)" in out
    assert "17.78 %   2.49x   2.32x   0.760 pt" in out
    stored = json.loads((tmp_path / "cifar10+cifar10.json").read_text())
    assert stored["rows"]["ASIC -> NAS"]["violation"] == 0
    for row in (row for runs in stored["agents"].values() for row in runs if "a" in row):
        assert all(row[name] <= limit for name, limit in stored["specs"].items())
    assert [run["looked_at"] + run["pruned"] for run in stored["agents"]["nasaic"]] == [10, 10]
    assert (tmp_path / "cifar10+cifar10.svg").stat().st_size > 1000
