import io
from pathlib import Path

from rich.console import Console

from dovetail.studies.progress import ProgressBar
from tests.studies.toy import search


def test_the_bar_shows_evaluations_feasible_designs_and_hypervolume(tmp_path: Path) -> None:
    stream = io.StringIO()
    with ProgressBar("toy", Console(file=stream, width=140, force_terminal=True)) as bar:
        result = search(tmp_path / "s", 64, progress=bar)
    text = stream.getvalue()
    assert "64/64" in text
    assert "designs/s" in text
    assert f"feasible {result.feasible}" in text
    assert f"{result.hypervolume:.5g}" in text


def test_a_bar_that_is_never_told_anything_closes() -> None:
    with ProgressBar("toy", Console(file=io.StringIO())):
        pass
