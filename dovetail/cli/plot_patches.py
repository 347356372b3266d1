"""The picture of a patch schedule: memory over the steps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dovetail.cli.output import printable
from dovetail.ir.files import replaced_file

if TYPE_CHECKING:
    from dovetail.mappers.patches.search import PatchSchedule
    from dovetail.mappers.patches.stage import Step

KB = 1024


def plot_patches(layers: tuple[Step, ...], patches: PatchSchedule, path: str) -> None:
    """Draws a network layer by layer and by patches, one bar a step.

    Args:
        layers: steps of the network layer by layer.
        patches: the schedule.
        path: .png, .svg or .pdf file.

    Raises:
        OutputError: if the figure cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    figure.suptitle(
        printable(f"{patches.network}: activations in memory, step by step"), parse_math=False
    )
    titles = (
        f"layer by layer: {patches.layerwise_bytes / KB:,.1f} kB",
        f"{patches.grid[0]} x {patches.grid[1]} patches up to {patches.cut}: "
        f"{patches.peak_bytes / KB:,.1f} kB, {patches.overhead:+.1%} MACs",
    )
    for axis, steps, title in zip((left, right), (layers, patches.steps), titles, strict=True):
        _bars(axis, steps)
        axis.axhline(max(step.bytes for step in steps) / KB, color="0.4", lw=0.8)
        axis.set_title(printable(title), fontsize=10, parse_math=False)
        axis.set_xlabel("step")
        axis.margins(x=0)
        axis.grid(axis="y", alpha=0.3)
    left.set_ylabel("kB")
    right.legend(fontsize=8)
    with replaced_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:].lower())


def _bars(axis: object, steps: tuple[Step, ...]) -> None:
    groups = (
        ("patches, even", 0, "#3b6fb6"),
        ("patches, odd", 1, "#8db3e2"),
        ("whole layers", -1, "#c98b3a"),
    )
    for label, key, color in groups:
        own = [i for i, s in enumerate(steps) if (s.patch % 2 if s.patch >= 0 else -1) == key]
        if own:
            axis.bar(  # type: ignore[attr-defined]  # matplotlib has no types
                own, [steps[i].bytes / KB for i in own], width=1.0, color=color, label=label
            )
