"""The script that repeats the overheads of a vision server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_shares_follow_from_the_calibration(root: Path, tmp_path: Path) -> None:
    figure = tmp_path / "shares.png"
    done = subprocess.run(
        [sys.executable, "experiments/beyond_inference.py", "--requests", "3000",
         "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if "ms" in line[:30]}
    assert "56.0%" in done.stdout
    assert "98." in done.stdout
    assert rows["large"]
    assert "MB/s: inferred" in done.stdout
    assert figure.stat().st_size > 1000
