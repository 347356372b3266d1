"""`dovetail simulate` on attention designs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from tests.cli.driver import run, succeed

SMALL = ("simulate", "bert_base", "-a", "fusemax", "--dim", "layers=1", "--dim", "sequence=256")


def test_attention_runs_as_one_row(tmp_path: Path) -> None:
    out = succeed(*SMALL, "--fidelity", "cycle")
    assert "matmul + softmax + matmul + mul" in out
    assert "1 of 1 softmax operators run in attention" in out
    rows = list(csv.DictReader(io.StringIO(succeed(*SMALL, "--csv", "-"))))
    assert all(
        int(row["cycles"])
        == int(row["compute_cycles"])
        + sum(int(value) for key, value in row.items() if key.startswith("stall_"))
        for row in rows
    )
    assert json.loads(succeed(*SMALL, "--json", "-"))["accelerator"]["binding"] == "fusemax"


def test_a_file_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("family: attention\nname: mine\nbinding: flat\ndim: 64\n")
    assert "on mine" in succeed("simulate", "t5", "--dim", "layers=1", "-a", path)
    path.write_text("family: attention\nbinding: flatt\n")
    assert "binding = 'flatt': must be one of" in run("simulate", "t5", "-a", path).complaint


def test_what_it_has_not_is_said(tmp_path: Path) -> None:
    trace = ("--fidelity", "cycle", "--trace", tmp_path / "t.json")
    assert "--trace shows the instructions of a systolic array" in run(*SMALL, *trace).complaint
    assert "supports estimate, cycle" in run(*SMALL, "--fidelity", "rtl").complaint
    assert "runs operators one by one" in run(*SMALL, "--schedule", "cosma").complaint
