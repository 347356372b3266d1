"""The comparison with NVDLA's performance sheet: its rule, and what the preset's array takes."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import nvdla_sheet
finally:
    sys.path.pop(0)

HEADER = [
    "", "Net", "Layer", "Layer attribute", "C", "H", "W", "K", "R", "S", "Zero Padding Z", "sv",
    "sh", "P", "Q", "Winograd?", "MAC cycles",
]  # fmt: skip
FIRST = nvdla_sheet.Row("conv1", "conv", 3, 224, 224, 64, (7, 7), True, (2, 2), False, 76_832)
SECOND = nvdla_sheet.Row("2a", "conv", 64, 56, 56, 256, (1, 1), False, (1, 1), False, 25_088)


def write(path: Path, *rows: nvdla_sheet.Row) -> str:
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerows([["title"], HEADER])
        for row in rows:
            table.writerow(
                ["", "Net", row.name, row.kind, row.inputs, row.height, row.width, row.outputs,
                 *row.kernel, row.padded, *row.stride, row.rows, row.columns, row.winograd,
                 row.mac_cycles]
            )  # fmt: skip
        table.writerow(["", "Net", "total", "", *[""] * 12, "cycles"])
    return str(path)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["nvdla_sheet.py", *arguments])
    return nvdla_sheet.main()


def test_the_rule_gives_the_published_cycles() -> None:
    assert nvdla_sheet.rule(FIRST) == FIRST.mac_cycles
    assert nvdla_sheet.rule(SECOND) == SECOND.mac_cycles


def test_winograd_takes_the_same_share_everywhere() -> None:
    conv = replace(SECOND, kernel=(3, 3), padded=True)
    fast = replace(conv, winograd=True)
    for count in (nvdla_sheet.rule, nvdla_sheet.array_cycles):
        assert count(conv) == pytest.approx(2.25 * count(fast))


def test_the_array_takes_whole_atoms() -> None:
    assert nvdla_sheet.array_cycles(SECOND) == SECOND.mac_cycles
    thin = replace(SECOND, inputs=16, outputs=32)
    assert nvdla_sheet.array_cycles(thin) == 56 * 56
    assert nvdla_sheet.rule(thin) == 56 * 56 / 4


def test_outputs_without_padding_lose_the_border() -> None:
    first = replace(FIRST, kernel=(11, 11), stride=(4, 4), padded=False)
    assert (first.rows, first.columns) == (54, 54)


def test_a_sheet_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "sheet.csv", SECOND, replace(SECOND, name="2b", height=28, width=28,
                                                         mac_cycles=6_272))  # fmt: skip
    assert [row.name for row in nvdla_sheet.read(Path(path))] == ["2a", "2b"]
    assert run(monkeypatch, path) == 0
    assert "sheet" in capsys.readouterr().out


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n"])
def test_what_is_no_sheet_is_one_line_and_2(
    text: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "sheet.csv"
    if text is not None:
        path.write_text(text)
    assert run(monkeypatch, str(path)) == 2
    error = capsys.readouterr().err
    assert "nvdla/hw" in error
    assert len(error.splitlines()) == 1


def test_without_sheets_it_says_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == 2
    assert "nvdla/hw" in capsys.readouterr().err
