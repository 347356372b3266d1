"""The script that repeats GPipe's closed forms."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_it_repeats_the_formula(root: Path, tmp_path: Path) -> None:
    figure = tmp_path / "bubbles.png"
    done = subprocess.run(
        [sys.executable, "experiments/gpipe.py", "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "17.95%     17.95%" in done.stdout
    assert "42.86%     42.86%" in done.stdout
    assert "inferred, not published" in done.stdout
    assert figure.stat().st_size > 1000


def test_a_silly_backward_pass_is_refused(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "experiments/gpipe.py", "--backward", "0"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--backward 0" in done.stderr
