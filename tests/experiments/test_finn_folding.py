"""The script that compares foldings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_fit_is_never_slower(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "experiments/finn_folding.py", "--networks", "resnet8", "resnet18"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 9
    assert "the budget has" in done.stdout  # ResNet-18's weights on the smaller board
