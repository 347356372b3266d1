"""The script that repeats Edge-MoE's cycles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def test_it_repeats_the_published_cycles(root: Path, tmp_path: Path) -> None:
    figure = tmp_path / "reads.png"
    done = subprocess.run(
        [sys.executable, "experiments/edge_moe.py", "--draws", "5", "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for number in ("102,168", "18,576", "148,608", "5,126,976"):
        assert number in done.stdout
    assert "not reproduced" in done.stdout
    assert "m3vit on edge_moe_zcu102, 782.7 MMAC at 300 MHz" in done.stdout
    assert "estimate against cycle: +0.0000%" in done.stdout
    assert figure.stat().st_size > 1000


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("edge_moe", ["--accelerator", "gemmini"], "must be of the family engines, e.g. edge_moe"),
        ("edge_moe", ["--accelerator", "nothing"], "unknown accelerator 'nothing'"),
        ("edge_moe", ["--draws", "0"], "must be at least 1 and 0"),
        ("finn_folding", ["--networks", "nothing"], "unknown network 'nothing'"),
        ("finn_folding", ["--networks", "m3vit"], "has no node in a pipeline"),
        ("finn_folding", ["--stream-bits", "0"], "--stream-bits 0: must be at least 1"),
    ],
)
def test_bad_options_are_one_line(
    root: Path, script: str, arguments: list[str], words: str
) -> None:
    done = subprocess.run(
        [sys.executable, f"experiments/{script}.py", *arguments],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr
