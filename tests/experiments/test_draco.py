"""The script that repeats DRACO's numbers, against its authors' simulator."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from dovetail.errors import MappingError
from dovetail.mappers.rows.stationary import RowStationaryArray

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import draco
finally:
    sys.path.pop(0)


def rows(golden: Path, name: str) -> list[dict[str, str]]:
    lines = (golden / name).read_text().splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def test_every_layer_on_16x16_is_exact(golden: Path) -> None:
    found = {one.layer.name: one for one in draco.run(1, draco.SMALL).mappings}
    table = rows(golden, "draco_16x16.csv")
    assert len(table) == 28
    for row in table:
        one = found[row["layer"]]
        assert one.milliseconds(draco.SMALL) == pytest.approx(float(row["milliseconds"]), rel=1e-12)
        assert one.active_pes(draco.SMALL) == int(row["active_pes"])


def test_the_table_on_64x64(golden: Path) -> None:
    for row in rows(golden, "draco_64x64.csv"):
        one = draco.run(int(row["group"]))
        assert one.mmacs == pytest.approx(float(row["mmacs"]), abs=0.1)
        assert one.milliseconds == pytest.approx(float(row["milliseconds"]), abs=0.0005)
        assert one.mean == pytest.approx(float(row["mean"]), abs=0.00005)
        assert one.weighted == pytest.approx(float(row["weighted"]), abs=0.0005)
        assert one.grouped == pytest.approx(float(row["depthwise"]), abs=0.00005)
        if row["cost"]:
            assert one.cost == pytest.approx(float(row["cost"]), rel=0.002)


def test_channels_spread_over_pes(golden: Path) -> None:
    """The authors' second path for depthwise layers takes 0.793 ms."""
    assert draco.run(1, channelwise=True).milliseconds == pytest.approx(0.793, abs=0.0005)


def test_128_ki_words_hold_no_schedule() -> None:
    with pytest.raises(MappingError, match="131072 words"):
        draco.run(1, RowStationaryArray(64, 64, buffer_words=128 * 1024))
    draco.run(1, RowStationaryArray(64, 64, buffer_words=256 * 1024))


def test_more_memory_than_the_tables_changes_nothing() -> None:
    more = RowStationaryArray(64, 64, buffer_words=1024 * 1024)
    for group in (1, 32):
        assert draco.run(group, more).cost == draco.run(group).cost


def test_the_script(capsys: pytest.CaptureFixture[str], tmp_path: Path,
                    monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    figure = tmp_path / "draco.svg"
    monkeypatch.setattr(sys, "argv", ["draco.py", "--figure", str(figure)])
    assert draco.main() == 0
    assert "+41.1" in capsys.readouterr().out
    assert figure.is_file()
