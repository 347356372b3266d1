"""The picture of a scratchpad over time: addresses against steps, one colour per tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dovetail.cli.output import printable
from dovetail.ir.files import replaced_file

if TYPE_CHECKING:
    from dovetail.mappers.graph import Plan, Problem

KIB = 1024
LABELS = 60
"""Largest stays that carry their tensor's name, if it is not wider than they are."""

LETTERS_PER_STEP = 2.5


def plot_memory(problem: Problem, plan: Plan, path: str) -> None:
    """Draws every stay as a rectangle; hatched ones begin by a retrieval.

    Args:
        problem: tensors and operators.
        plan: schedule.
        path: .png, .svg or .pdf file.

    Raises:
        OutputError: if the figure cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(min(40.0, 6 + len(plan.order) / 12), 6), layout="constrained")
    axes = figure.subplots()
    # Steps of the golden angle: neighbours in the list differ in hue.
    hues = np.arange(len(problem.items)) * 0.618034 % 1.0
    colours = colormaps["hsv"](hues)
    first: dict[int, int] = {}
    for stay in plan.stays:
        first[stay.item] = min(stay.start, first.get(stay.item, stay.start))
    rows = list(zip(plan.stays, plan.addresses, strict=True))
    for stay, address in rows:
        again = stay.start > first[stay.item]
        axes.add_patch(
            Rectangle(
                (stay.start, address / KIB),
                stay.end - stay.start + 1,
                problem.items[stay.item].size / KIB,
                facecolor=(*colours[stay.item][:3], 0.55),
                edgecolor="black",
                linewidth=0.4,
                hatch="///" if again else None,
            )
        )
    rows.sort(key=lambda row: -problem.items[row[0].item].size * (row[0].end - row[0].start + 1))
    for stay, address in rows[:LABELS]:
        item = problem.items[stay.item]
        if len(item.name) > LETTERS_PER_STEP * (stay.end - stay.start + 1):
            continue
        axes.text(
            (stay.start + stay.end + 1) / 2,
            (address + item.size / 2) / KIB,
            printable(item.name),
            ha="center",
            va="center",
            fontsize=5,
            clip_on=True,
            parse_math=False,
        )
    budget = plan.budget_bytes / KIB
    axes.axhline(budget, color="red", linewidth=1)
    axes.set(
        xlim=(0, len(plan.order)),
        ylim=(0, budget * 1.03),
        xlabel="step (one operator each)",
        ylabel="address (KiB)",
    )
    axes.set_title(
        printable(f"{problem.name} in {budget:,.1f} KiB; hatched: retrieved"), parse_math=False
    )
    with replaced_file(path) as temporary:
        figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:].lower())
