"""The script on SambaNova's SN40L: Table I, and one benchmark."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))
try:
    from experiments import sn40l
finally:
    sys.path.pop(0)


def test_table_one_of_the_paper() -> None:
    """arXiv 2405.07518, Table I: 39.5, 102.6 and 410.4; its shapes are ours."""
    none, three, fused = (
        sn40l.intensity(bounds) for bounds in ((0, 1, 2, 3, 4), (0, 3, 4), (0, 4))
    )
    assert fused / three == pytest.approx(410.4 / 102.6, rel=0.01)
    assert fused / none == pytest.approx(410.4 / 39.5, rel=0.05)
    assert none < three < sn40l.RIDGE < fused


def test_the_convolution_gains_most_and_within_the_papers_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    figure = tmp_path / "sn40l.svg"
    monkeypatch.setattr(
        "sys.argv", ["sn40l", "--networks", "Flash", "--fidelity", "cycle", "--figure", str(figure)]
    )
    assert sn40l.main() == 0
    said = capsys.readouterr().out
    assert "outside: none" in said
    assert "17        1  17.0x" in said
    assert figure.is_file()


def test_bad_input_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["sn40l", "--networks", "llama9"])
    with pytest.raises(SystemExit) as left:
        sn40l.main()
    assert left.value.code == 2
    assert "the benchmarks are llama2-7B prefill" in capsys.readouterr().err
