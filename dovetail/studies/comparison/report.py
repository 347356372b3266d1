"""A comparison as one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dovetail
from dovetail.studies.pages import asset, scripts, write_page


def write_comparison(summary: dict[str, Any], out_path: Path | str) -> None:
    """Writes the report of a comparison.

    Args:
        summary: `Result.to_dict`, with `elites` if there are any.
        out_path: the HTML file.

    Raises:
        OutputError: if the report cannot be written.
        MissingExtraError: if plotly is not installed.
    """
    texts = {
        "title": str(summary["name"]),
        "style": asset("report.css"),
        "script": scripts("common.js", "compare.js"),
    }
    data = {"elites": None, **summary, "version": dovetail.__version__}
    write_page(out_path, "compare.html", texts, data)
