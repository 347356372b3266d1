"""The script that repeats COSMA's table, on a small network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments import cosma


def test_rows_are_kept_and_every_one_is_optimal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "rows"
    monkeypatch.setattr("sys.argv", ["cosma", "--networks", "resnet8", "--out", str(out)])
    assert cosma.main() == 0
    said = capsys.readouterr().out
    assert "earlier runs" not in said
    assert "at M_P: 2 of 2 schedules move no byte" in said
    assert "proven optimal: 6 of 6" in said
    row = json.loads((out / "resnet8-parameters-M_R.json").read_text())
    assert row["bytes"] == row["bound"]
    assert cosma.main() == 0
    again = capsys.readouterr().out
    assert "6 rows" in again
    assert again.endswith(said)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--networks", "resnet9"), "unknown network 'resnet9'; did you mean"),
        (("--time-limit", "-1"), "must be above 0"),
    ],
)
def test_bad_input_is_one_message(
    arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.argv", ["cosma", *arguments])
    with pytest.raises(SystemExit) as left:
        cosma.main()
    assert left.value.code == 2
    assert says in capsys.readouterr().err
