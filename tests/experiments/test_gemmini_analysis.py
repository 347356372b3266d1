"""The analysis on Gemmini's layers: bound by the array, by memory, and spilling partial sums."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import gemmini_analysis
finally:
    sys.path.pop(0)

HEADER = ["mapping.mapping", "target.cycle", *(f"prob.{r}" for r in "CKPQRS"), "prob.Wstride"]
MAPPING = "L3[WIO] {outer} - L2[WI] N1 K16X - L1[O] C{inner} P8 C16X - L0[W] P8"


def write(path: Path, *rows: tuple[str, float]) -> str:
    """Layers of 64 x 64 x 64: matrix products."""
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for mapping, cycles in rows:
            table.writerow([mapping, cycles, 64, 64, 64, 1, 1, 1, 1])
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gemmini_analysis.py", *arguments])
    return gemmini_analysis.main()


def test_the_memory_port_bounds_a_small_product(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", (MAPPING.format(outer="K4", inner=4), 1536.0))
    (row,) = gemmini_analysis.read(Path(path))
    assert row.ours == 3 * 64 * 64 / 8  # each operand once, 8 words a cycle; the array takes 1024
    assert row.equal
    assert row.spill == 0


def test_spilled_sums_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = MAPPING.format(outer="C4 K4", inner=1)
    (row,) = gemmini_analysis.read(Path(write(tmp_path / "spills.csv", (mapping, 1.0))))
    assert row.spill == 3 * 64 * 64 / 16 / 2  # three of four times, 16 columns, 2 words a cycle
    assert run(monkeypatch, write(tmp_path / "once.csv", (mapping, row.ours - row.spill))) == 0
    assert run(monkeypatch, write(tmp_path / "wrong.csv", (mapping, row.ours / 2))) == 1
    kept = write(tmp_path / "kept.csv", (MAPPING.format(outer="K4", inner=4), 1.0))
    assert run(monkeypatch, kept) == 1


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n"])
def test_what_is_no_table_is_one_line_and_2(
    text: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "table.csv"
    if text is not None:
        path.write_text(text)
    assert run(monkeypatch, str(path)) == 2
    error = capsys.readouterr().err
    assert "ucb-bar/dosa" in error
    assert len(error.splitlines()) == 1


def test_a_mapping_that_gemmini_cannot_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = "L3[WIO] K4 - L2[WI] N1 P16X - L1[O] C4 P4 C16X - L0[W] K16"
    assert run(monkeypatch, write(tmp_path / "table.csv", (odd, 1.0))) == 2
    assert "unrolls P" in capsys.readouterr().err


def test_without_tables_it_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    assert "dosa" in capsys.readouterr().err
