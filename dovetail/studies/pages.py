"""HTML pages that need nothing else: style, scripts, Plotly and data in one file."""

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


def write_page(
    out_path: Path | str, template: str, texts: Mapping[str, str], data: Mapping[str, object]
) -> None:
    """Writes a page.

    Args:
        out_path: the HTML file.
        template: name of the asset to fill in.
        texts: `title`, `style` and `script`.
        data: what the script shows.

    Raises:
        OutputError: if the page cannot be written.
        MissingExtraError: if plotly is not installed.
    """
    check_plotly()
    from plotly.offline import get_plotlyjs

    page = Template(asset(template)).substitute(
        texts, title=html.escape(texts["title"]), plotly=get_plotlyjs(), data=_embedded(data)
    )
    write_text(out_path, page)


def check_plotly() -> None:
    """Fails early if no page could be written.

    Raises:
        MissingExtraError: if plotly is not installed.
    """
    if find_spec("plotly") is None:
        raise MissingExtraError("the HTML report", "report", "plotly")


def asset(name: str) -> str:
    """Text of a file among this package's assets."""
    return files("dovetail.studies").joinpath("assets", name).read_text(encoding="utf-8")


def scripts(*names: str) -> str:
    """Assets one after the other, as one strict script."""
    strict = '"use strict";\n'
    return strict + "".join(asset(name).removeprefix(strict) for name in names)


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
