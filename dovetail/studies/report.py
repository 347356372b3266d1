"""A study as one HTML file that needs nothing else: no server, no network, no other file."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

import numpy as np

from dovetail.errors import MissingExtraError
from dovetail.studies.files import write_text
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
    if find_spec("plotly") is None:
        raise MissingExtraError("the HTML report", "report", "plotly")
    from plotly.offline import get_plotlyjs

    page = Template(_asset("report.html")).substitute(
        title=html.escape(study.spec.name),
        style=_asset("report.css"),
        script=_asset("report.js") + _asset("charts.js").removeprefix('"use strict";\n'),
        plotly=get_plotlyjs(),
        data=_embedded(payload(study, explain)),
    )
    write_text(out_path, page)


def _asset(name: str) -> str:
    return files("dovetail.studies").joinpath("assets", name).read_text(encoding="utf-8")


def _embedded(data: object) -> str:
    """JSON that cannot end the script element it stands in, whatever names it holds."""
    text = json.dumps(_finite(data), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _finite(data: object) -> object:
    """Plain values; null for numbers that JSON does not have."""
    if isinstance(data, Mapping):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, np.generic):
        data = data.item()
    return None if isinstance(data, float) and not math.isfinite(data) else data
