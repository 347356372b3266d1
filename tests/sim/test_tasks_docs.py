"""The examples of the pages on task programs and servers run, and print what the pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("page", ["tasks", "serving"])
def test_examples(root: Path, page: str) -> None:
    text = (root / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for printed in re.findall(r"# (\d+)\n", code):
        assert printed in done.stdout.split()
