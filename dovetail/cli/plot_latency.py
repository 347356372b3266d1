"""The figure of `dovetail serve`: shares of requests over latency."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dovetail.cli.output import printable
from dovetail.ir.files import replaced_file
from dovetail.ir.space import FloatArray

POINTS = 2000


def plot_latency(latencies: Mapping[str, FloatArray], path: str) -> None:
    """Draws one cumulative distribution per server.

    Args:
        latencies: seconds of every request, by server.
        path: .png, .svg or .pdf file.

    Raises:
        OutputError: if the figure cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    shares = np.linspace(0, 1, POINTS)
    for name, seconds in latencies.items():
        (line,) = axes.plot(np.quantile(seconds, shares), shares)
        line.set_label(printable(name))
    axes.set_xscale("log")
    axes.set_xlabel("latency (s)")
    axes.set_ylabel("share of requests answered")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    for text in axes.legend(frameon=False).get_texts():
        text.set_parse_math(False)
    with replaced_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:].lower())
