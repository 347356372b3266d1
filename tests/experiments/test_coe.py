"""The script that repeats the Composition-of-Experts numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_it_repeats_the_ratios(root: Path, tmp_path: Path) -> None:
    figure = tmp_path / "cdf.png"
    done = subprocess.run(
        [sys.executable, "experiments/coe.py", "--requests", "300", "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for number in ("15.62x", "31.25x", "19.2x", "6.52x", "3.77x", "simulated in"):
        assert number in done.stdout
    assert figure.stat().st_size > 1000
