"""A study as one HTML file that needs nothing else: no server, no network, no other file."""

from __future__ import annotations

from pathlib import Path

from dovetail.studies.pages import asset, scripts, write_page
from dovetail.studies.report_data import Explain, payload
from dovetail.studies.store import StudyStore


def write_report(
    study: StudyStore | Path | str, out_path: Path | str, explain: Explain | None = None
) -> None:
    """Writes the report of a study, finished or not.

    Args:
        study: an open store, or the path of a study file.
        out_path: the HTML file.
        explain: simulates one design (knobs,) in detail; called for up to 40 designs spread
            evenly over the front. Without it the report has no operators, energy and roofline.

    Raises:
        StudyError: if the study is missing or corrupt.
        OutputError: if the report cannot be written.
        MissingExtraError: if plotly is not installed.
    """
    if not isinstance(study, StudyStore):
        with StudyStore.open(study, read_only=True) as store:
            write_report(store, out_path, explain)
        return
    texts = {
        "title": study.spec.name,
        "style": asset("report.css"),
        "script": scripts("common.js", "report.js", "charts.js"),
    }
    write_page(out_path, "report.html", texts, payload(study, explain))
