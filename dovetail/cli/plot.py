"""Figures that commands draw."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dovetail.cli.output import printable
from dovetail.errors import MissingExtraError, OutputError
from dovetail.ir.files import replaced_file

SUFFIXES = (".png", ".svg", ".pdf")


def check_plot(path: str) -> None:
    """Fails early if a figure could not be drawn.

    Raises:
        OutputError: if the suffix names no format of figures.
        MissingExtraError: if matplotlib is not installed.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise OutputError(f"cannot draw '{path}': the name must end in {', '.join(SUFFIXES)}")
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a plot", "report", "matplotlib")


def plot_sweep(rows: Sequence[dict[str, Any]], knobs: Sequence[str], title: str, path: str) -> None:
    """Draws latency and energy over the first knob, one line per value of the others.

    Args:
        rows: one per design: knob values, `latency_ms`, `energy_pj` (None if illegal).
        knobs: names of the knobs.
        title: heading.
        path: .png, .svg or .pdf file.

    Raises:
        OutputError: if the figure cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(printable(title), parse_math=False)
    axes = figure.subplots(1, 2)
    ticks = list(dict.fromkeys(row[knobs[0]] for row in rows))
    for axis, metric, scale, label in (
        (axes[0], "latency_ms", 1.0, "latency (ms)"),
        (axes[1], "energy_pj", 1e-9, "energy (mJ)"),
    ):
        for name, group in _groups(rows, knobs[1:]).items():
            legal = [row for row in group if row[metric] is not None]
            axis.plot(
                [ticks.index(row[knobs[0]]) for row in legal],
                [row[metric] * scale for row in legal],
                marker="o",
                label=name,
            )
        axis.set_xticks(range(len(ticks)), [str(tick) for tick in ticks])
        axis.set(xlabel=knobs[0], ylabel=label)
        if any(row[metric] for row in rows):
            axis.set_yscale("log")
        axis.grid(alpha=0.3)
    if knobs[1:]:
        axes[1].legend(fontsize=8, title=", ".join(knobs[1:]))
    with replaced_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:].lower())


def _groups(
    rows: Sequence[dict[str, Any]], knobs: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(", ".join(str(row[knob]) for knob in knobs), []).append(row)
    return groups
