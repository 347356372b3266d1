"""The script that repeats MCUNetV2's numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_it_repeats_the_paper(root: Path, tmp_path: Path) -> None:
    figure = tmp_path / "memory.png"
    done = subprocess.run(
        [sys.executable, "experiments/mcunetv2.py", "--networks", "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1372.00" in done.stdout
    assert "171.50" in done.stdout
    assert figure.stat().st_size > 1000
