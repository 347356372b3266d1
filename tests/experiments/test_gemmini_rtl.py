"""The comparison with Gemmini's RTL: it finds back known parameters, and never mixes shapes."""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from dovetail.sim.gemmini import Parameters, TiledMapping, Work, cycles

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import gemmini_rtl
finally:
    sys.path.pop(0)

HEADER = [*gemmini_rtl.COLUMNS, *(f"prob.{rank}" for rank in (*gemmini_rtl.RANKS, "Wstride"))]
TRUE = Parameters(request=1.5, miss=6.0, bank=3.0, issue=9.0, block=6.0, host=300.0, start=1500.0)


def synthetic(path: Path, seed: int) -> Path:
    """Writes layers whose cycles are the model's own, with 2 % of noise."""
    generator = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for i in range(24):
            C, K = (64, 128, 256)[i % 3], (64, 256)[i // 3 % 2]
            side, kernel = (14, 28, 56, 8)[i // 6], (1, 3)[i % 2]
            k, p = generator.choice([1, 2, 4]), generator.choice([1, 2])
            text = (
                f"L3[WIO] Q{2 * p} K{K // 16 // k} - L2[WI] N1 K16X - "
                f"L1[O] K{k} S{kernel} R{kernel} C{C // 16} Q{side // 2 // p} C16X - L0[W] P{side}"
            )
            layer = gemmini_rtl.Layer(C, K, side, side, kernel, kernel)
            one = cycles(Work.of([(layer, TiledMapping.parse(text))]), TRUE)[0]
            measured = one * generator.lognormal(sigma=0.02)
            table.writerow([text, layer.macs / 256, measured, C, K, side, side, kernel, kernel, 1])
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["gemmini_rtl.py", *arguments])
    return gemmini_rtl.main()


def test_known_parameters_are_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = synthetic(tmp_path / "one.csv", 1), synthetic(tmp_path / "other.csv", 2)
    assert run(monkeypatch, str(one), str(other), "--folds", "3", "--rows", "2") == 0
    printed = capsys.readouterr().out
    assert "holds" in printed
    assert "24" in printed
    tables = [gemmini_rtl.read(path) for path in (one, other)]
    folds = gemmini_rtl.deal({shape for table in tables for shape in table.shapes}, 3)
    predicted = gemmini_rtl.predict(tables[0], tables[1], folds)
    mean, median, rank = gemmini_rtl.scores(predicted, tables[1])
    assert mean < 6.0
    assert median <= mean * 2
    assert rank > 0.99


def test_a_shape_is_never_fitted_and_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    table = gemmini_rtl.read(synthetic(tmp_path / "one.csv", 1))
    folds = gemmini_rtl.deal(set(table.shapes), 3)
    fitted: list[set[gemmini_rtl.Layer]] = []

    def spy(work: Work, measured: np.ndarray, rows: np.ndarray) -> Parameters:
        fitted.append({shape for shape, used in zip(table.shapes, rows, strict=True) if used})
        return TRUE

    monkeypatch.setattr(gemmini_rtl, "fit", spy)
    gemmini_rtl.predict(table, table, folds)
    groups = [{shape for shape, fold in folds.items() if fold == i} for i in range(3)]
    assert all(not used & group for used, group in zip(fitted, groups, strict=True))
    assert len(fitted) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no file"), ("a,b\n1,2\n", "no column"), ("", "no column")],
)
def test_what_is_no_table_is_one_line_and_2(
    text: str | None,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "table.csv"
    if text is not None:
        path.write_text(text)
    assert run(monkeypatch, str(path), str(path)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "github.com/ucb-bar/dosa" in error
    assert len(error.splitlines()) == 1


def test_without_tables_it_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    assert "dosa" in capsys.readouterr().err


def test_the_published_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = os.environ.get("DOVETAIL_GEMMINI_TABLES")
    if not folder:
        pytest.skip(f"DOVETAIL_GEMMINI_TABLES names no folder with {gemmini_rtl.SOURCE}")
    tables = sorted(str(path) for path in Path(folder).glob("*.csv") if "train" not in path.name)
    assert run(monkeypatch, *tables) == 0
    assert "holds" in capsys.readouterr().out
