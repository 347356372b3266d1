"""`dovetail cascade`."""

from __future__ import annotations

from pathlib import Path

from tests.cli.driver import run, succeed


def test_passes_and_what_lives_between_them() -> None:
    out = succeed("cascade", "attention_3pass")
    assert "3 passes over m" in out
    assert "QK (M x P): kept, or read or made again from pass 1 to 2" in out
    assert "O(M), or the data is read 3 times" in out
    assert "live footprint: O(M0), whatever M is" in succeed("cascade", "attention_1pass")


def test_a_file_and_a_rank(tmp_path: Path) -> None:
    path = tmp_path / "mine.einsum"
    path.write_text("S[p] = X[m,p]\nY[m,p] = X[m,p] / S[p]\n")
    assert "mine: 2 passes over m" in succeed("cascade", str(path))
    assert "mine: 1 pass over p" in succeed("cascade", str(path), "--rank", "p")
    assert "its ranks are p, m" in run("cascade", str(path), "--rank", "q").complaint
    path.write_text("S[p] = = X[m,p]\n")
    assert "mine: line 1" in run("cascade", str(path)).complaint
