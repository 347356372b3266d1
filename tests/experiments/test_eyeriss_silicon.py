"""The comparison with the Eyeriss chip: traffic is the analysis', replay finds a mapping."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from dovetail.sim.nest import analyse

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import eyeriss_silicon
finally:
    sys.path.pop(0)

SMALL: eyeriss_silicon.Shape = (8, 16, 14, 3, 1, 1)
HEADER = ["Layer", "Power", "Total", "Processing Latency (ms)", "MACs (G)", "PEs", "Zeros", "MB"]


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eyeriss_silicon, "NETWORKS", {"Tiny": (2, {"ONE": SMALL})})


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["eyeriss_silicon.py", *arguments])
    return eyeriss_silicon.main()


def write(path: Path, *rows: list[object]) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([HEADER, *rows])
    return str(path)


@pytest.mark.parametrize(
    "choice",
    [
        eyeriss_silicon.Choice(14, 1, 1, 1, 1, 1, 4, 2, 1),
        eyeriss_silicon.Choice(7, 1, 2, 2, 2, 4, 2, 2, 2),
        eyeriss_silicon.Choice(7, 2, 2, 1, 2, 2, 4, 1, 1),
    ],
)
def test_buffer_traffic_is_the_analysis(choice: eyeriss_silicon.Choice) -> None:
    einsum = eyeriss_silicon.einsum_of(SMALL, 2)
    mapping = eyeriss_silicon.mapping_of(einsum, choice)
    cost = analyse(einsum, eyeriss_silicon.chip(), mapping)
    sums, inputs = cost.level("glb", "output"), cost.level("glb", "input")
    words = sums.updates + sums.reads + inputs.reads
    assert eyeriss_silicon.buffer_mb(einsum, choice) == pytest.approx(2e-6 * words)


def test_layouts_fit_the_array_and_the_registers() -> None:
    einsum = eyeriss_silicon.einsum_of(SMALL, 2)
    found = list(eyeriss_silicon.choices(einsum))
    assert len(found) > 100
    for one in found:
        assert one.e * one.wide <= 14
        assert 3 * one.r * one.high * one.folds <= 12
        assert 3 * one.q <= 12
        assert 3 * one.q * one.p <= 224


def test_the_replay_finds_the_mapping_behind_the_traffic(tiny: None) -> None:
    einsum, options, cycles, compute, merit = eyeriss_silicon.studied(SMALL, 2, "edp")
    slow = int(np.argmax(cycles))
    row = eyeriss_silicon.Silicon(
        "ONE", 1.0, einsum.macs / 1e9, einsum.macs / compute[slow],
        eyeriss_silicon.buffer_mb(einsum, options[slow]),
    )  # fmt: skip
    mapper, replay = eyeriss_silicon.both(SMALL, 2, row, "edp")
    assert eyeriss_silicon.buffer_mb(einsum, replay.choice) == pytest.approx(
        row.buffer_mb, rel=0.02
    )
    assert replay.active_pes == pytest.approx(row.active_pes, rel=0.02)
    assert mapper.milliseconds == pytest.approx(cycles[np.argmin(merit)] / 2e5)
    assert mapper.milliseconds < replay.milliseconds


def test_a_table_is_compared(
    tiny: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gmacs = eyeriss_silicon.einsum_of(SMALL, 2).macs / 1e9
    path = write(
        tmp_path / "tiny.csv",
        ["ONE", 1, 1, 0.01, gmacs, 150, "0%", 0.1],
        ["Total", 1, 1, 0.01, gmacs, 150, "0%", 0.1],
    )
    assert run(monkeypatch, path, "--objective", "latency") == 0
    assert "Tiny against silicon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "no file"),
        ([["ONE", 1, 1, 0.01, 9.0, 150, "0%", 0.1]], "the table has 9.0 GMAC"),
        ([["TWO", 1, 1, 0.01, 9.0, 150, "0%", 0.1]], "layers TWO are no network"),
    ],
)
def test_what_is_no_table_is_one_line_and_2(
    rows: list[list[object]] | None,
    message: str,
    tiny: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "table.csv"
    if rows is not None:
        write(path, *rows)
    assert run(monkeypatch, str(path)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "cucapra/fodlam" in error
    assert len(error.splitlines()) == 1


def test_without_tables_it_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    assert "fodlam" in capsys.readouterr().err


def test_maestro_errs_as_its_runs_say(golden: Path) -> None:
    lines = (golden / "maestro_vs_eyeriss_alexnet.csv").read_text().splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    assert len(rows) == len(eyeriss_silicon.MAESTRO)
    for row in rows:
        milliseconds = float(row["maestro_cycles"]) / eyeriss_silicon.CLOCK_PER_MS
        error = 100 * (milliseconds / float(row["silicon_processing_ms"]) - 1)
        assert eyeriss_silicon.MAESTRO[row["layer"]] == pytest.approx(error, abs=0.06)
