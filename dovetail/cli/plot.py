"""Figures that commands draw."""

from __future__ import annotations

from typing import Any

from dovetail.errors import MissingExtraError, OutputError


def plot_sweep(rows: list[dict[str, Any]], knobs: list[str], title: str, path: str) -> None:
    """Draws latency and energy over the first knob, one line per value of the others.

    Args:
        rows: one per design: knob values, `latency_ms`, `energy_pj` (None if illegal).
        knobs: names of the knobs.
        title: heading.
        path: .png, .svg or .pdf file.

    Raises:
        MissingExtraError: if matplotlib is not installed.
        OutputError: if the figure cannot be written.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingExtraError("a plot", "report", "matplotlib") from None
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
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
        axis.set_xlabel(knobs[0])
        axis.set_ylabel(label)
        axis.set_yscale("log")
        axis.grid(alpha=0.3)
    if knobs[1:]:
        axes[1].legend(fontsize=8, title=", ".join(knobs[1:]))
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write the plot {path}: {error}") from None
    finally:
        plt.close(figure)


def _groups(rows: list[dict[str, Any]], knobs: list[str]) -> dict[str, list[dict[str, Any]]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(", ".join(str(row[knob]) for knob in knobs), []).append(row)
    return groups
