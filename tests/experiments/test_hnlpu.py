"""The script that repeats HNLPU's costs and breakdown of time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

LINE = re.compile(r"^(.{40}) *([\d.,e+]+) +([\d.,e+]+) +(\d+\.\d{3})(  .+)?$")


@pytest.fixture(scope="module")
def printed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the script prints; it draws its figure, too."""
    figure = tmp_path_factory.mktemp("hnlpu") / "time.png"
    done = subprocess.run(
        [sys.executable, "experiments/hnlpu.py", "--figure", str(figure)],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert figure.stat().st_size > 1000
    return done.stdout


def test_every_line_that_follows(printed: str) -> None:
    rows = [found for line in printed.splitlines() if (found := LINE.match(line))]
    follow = [row for row in rows if not row[5]]
    assert len(follow) == 53
    assert f"{len(follow)} lines follow" in printed
    for row in follow:
        paper, ours = (float(row[i].replace(",", "")) for i in (2, 3))
        assert abs(ours / paper - 1) <= 0.01, row[0]
    assert len(rows) - len(follow) == 10


def test_shares_of_time_are_within_five_points(printed: str) -> None:
    held = 0
    for line in printed.splitlines():
        if line.startswith(("CXL", "projection", "attention ", "stall")):
            cells = line[12:].replace("*", " ").split()
            for paper, ours in zip(cells[::2], cells[1::2], strict=True):
                if paper != "-":
                    held += 1
                    assert abs(float(ours) - float(paper)) <= 5
    assert held == 22
    assert "   249,960" in printed
