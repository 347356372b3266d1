"""The loop nest as a drawing: memories as boxes, loops between them, how full each memory is."""

from __future__ import annotations

import html
import io
import math
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.cli.output import engineering, printable
from dovetail.errors import MissingExtraError, OutputError
from dovetail.ir.files import replaced_file, write_text
from dovetail.ir.mapping import Temporal
from dovetail.mappers.spatial.nest_view import NestView, Tile, byte_text, nest_view

if TYPE_CHECKING:
    from dovetail.arch.spatial import SpatialArray
    from dovetail.cli.map_operators import Work
    from dovetail.cli.map_work import Line

SUFFIXES = (".svg", ".png", ".pdf", ".html")

COLOURS = {"input": "#4477aa", "weight": "#ccbb44", "output": "#aa3377"}
"""P. Tol's bright scheme, distinct for colour-blind eyes."""

STEP_INCHES = 0.34
MAX_STEPS = 200
"""Steps of a nest that one figure shows; found mappings have some dozens."""


def check_picture(path: str, operators: int) -> None:
    """Fails early if a nest could not be drawn.

    Raises:
        OutputError: if the suffix names no format, or holds one nest and there are several.
        MissingExtraError: if matplotlib is not installed.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"cannot draw '{path}': the name must end in {', '.join(SUFFIXES)}")
    if operators > 1 and suffix != ".html":
        raise OutputError(
            f"cannot draw {operators} loop nests in '{path}': name an .html file, or choose one "
            "by --operator NAME"
        )
    if find_spec("matplotlib") is None:
        raise MissingExtraError("a picture", "report", "matplotlib")


def draw(path: str, lines: Sequence[Line], work: Work, accelerator: SpatialArray) -> None:
    """Draws one loop nest as a figure, or all as a page.

    Args:
        path: .svg, .png, .pdf or .html file.
        lines: what to draw; fused operators are left out.
        work: where they come from.
        accelerator: what they lie on.

    Raises:
        OutputError: if it cannot be written.
    """
    alone = [line for line in lines if line.mapping.operator]
    if not alone:
        raise OutputError(f"cannot draw '{path}': pictures show operators that are not fused")
    if Path(path).suffix.lower() == ".html":
        write_text(path, _page(alone, work, accelerator))
        return
    suffix = Path(path).suffix.lower().removeprefix(".")
    with replaced_file(path) as temporary:
        _figure(alone[0], accelerator).savefig(temporary, format=suffix, dpi=150)


def _page(lines: Sequence[Line], work: Work, accelerator: SpatialArray) -> str:
    title = html.escape(printable(f"{work.title} on {accelerator.name}"))
    figures = []
    for line in lines:
        buffer = io.StringIO()
        _figure(line, accelerator).savefig(buffer, format="svg")
        text = buffer.getvalue()
        figures.append(text[text.index("<svg") :])
    body = "\n".join(f"<figure>{figure}</figure>" for figure in figures)
    return (
        f"<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>{title}</title>\n"
        "<style>body{font-family:sans-serif;margin:2em}figure{margin:1em 0}"
        "svg{max-width:100%;height:auto}</style>\n"
        f"<h1>{title}</h1>\n{body}\n</html>\n"
    )


def _figure(line: Line, accelerator: SpatialArray) -> Any:
    from matplotlib.figure import Figure

    view = nest_view(line.einsum, accelerator, line.mapping)
    steps = view.steps[:MAX_STEPS]
    height = (len(steps) + 1) * STEP_INCHES + 1.0
    figure = Figure(figsize=(9, height), layout="constrained")
    others = f" and {len(line.operators) - 1} like it" if len(line.operators) > 1 else ""
    figure.suptitle(
        printable(f"{line.operators[0]}{others} on {accelerator.name}: {_headline(view)}"),
        parse_math=False, fontsize=10,
    )  # fmt: skip
    axis = figure.subplots()
    axis.set_axis_off()
    axis.set_xlim(0, 100)
    axis.set_ylim(len(steps) + 1, 0)
    depth = 0
    for row, step in enumerate(steps):
        left = 1.5 * min(depth, 30)
        if isinstance(step, Tile):
            _box(axis, step, row, left)
            continue
        text = (
            f"for {step.rank} in {step.count}"
            if isinstance(step, Temporal)
            else "spread " + ", ".join(f"{s.rank} {s.count} along {s.dimension}" for s in step)
        )
        style = "normal" if isinstance(step, Temporal) else "italic"
        _say(axis, left, row, text, family="monospace", style=style)
        depth += 1
    _say(axis, 1.5 * min(depth, 30), len(steps), "multiply, accumulate", family="monospace")
    _legend(axis)
    return figure


def _say(axis: Any, x: float, row: int, text: str, **style: object) -> None:
    axis.text(
        x + 0.5, row + 0.5, printable(text), va="center", fontsize=8, parse_math=False, **style
    )


def _headline(view: NestView) -> str:
    cost = view.cost
    return (
        f"{math.ceil(cost.cycles):,} cycles, {engineering(cost.energy_pj * 1e-12, 'J')}, "
        f"utilization {cost.utilization:.0%}"
    )


def _box(axis: Any, tile: Tile, row: int, left: float) -> None:
    """A memory with its name, its tiles, and a bar of how full they make it."""
    from matplotlib.patches import Rectangle

    axis.add_patch(
        Rectangle((left, row + 0.06), 99 - left, 0.88, facecolor="#eeeeee", edgecolor="#888888")
    )
    count = f" x{tile.instances}" if tile.instances > 1 else ""
    kept = ", ".join(f"{role} {byte_text(size)}" for role, size in tile.operands)
    _say(axis, left, row, f"{tile.store}{count}: {kept}", weight="bold")
    if tile.share <= 0:
        return
    start, width = 74.0, 18.0
    axis.add_patch(
        Rectangle((start, row + 0.25), width, 0.5, facecolor="white", edgecolor="#888888")
    )
    for role, size in tile.operands:
        part = width * size / tile.room_bytes
        axis.add_patch(Rectangle((start, row + 0.25), part, 0.5, facecolor=COLOURS[role]))
        start += part
    _say(axis, 92.5, row, f"{tile.share:.0%}")


def _legend(axis: Any) -> None:
    from matplotlib.patches import Patch

    axis.legend(
        handles=[Patch(facecolor=colour, label=role) for role, colour in COLOURS.items()],
        loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, frameon=False, fontsize=8,
    )  # fmt: skip
