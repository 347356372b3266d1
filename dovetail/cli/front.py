"""The Pareto front of a study as a table: its metrics, then its design in compact columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.table import Table

from dovetail.cli.output import make_table
from dovetail.envs.problem import DesignProblem
from dovetail.ir.space import FloatArray, Value
from dovetail.studies.front import spread
from dovetail.studies.runner import StudyResult

ROWS = 16

MANY = 8
"""Knobs of an unknown kind that get columns of their own; more share one."""

GAP = 2
"""Characters between two columns."""

Values = Mapping[str, Value]


class Column(NamedTuple):
    """A heading and a cell per design."""

    heading: str
    cells: list[str]

    @property
    def width(self) -> int:
        """Characters of the longest line."""
        return max(map(len, [*self.heading.split("\n"), *self.cells]))


class Group(NamedTuple):
    """Knobs that read best together."""

    heading: str
    knobs: tuple[str, ...]
    cell: Callable[..., str]


def _slashes(*values: Value) -> str:
    return "/".join(_short(value) for value in values)


GROUPS = (
    Group("px", ("network.resolution",), _slashes),
    Group("w/a\nbits", ("network.weight_bits", "network.activation_bits"), _slashes),
    Group("array", ("rows", "cols", "dataflow"), lambda r, c, flow: f"{r}x{c} {flow}"),
    Group("array", ("rows", "cols"), lambda r, c: f"{r}x{c}"),
    Group("in/w\nbits", ("input_bits", "weight_bits"), _slashes),
    Group("KiB\nin/w/out", tuple(f"{m}_sram_kib" for m in ("input", "weight", "output")), _slashes),
    Group("bus\nbits", ("bus_bits",), _slashes),
    Group("lanes", ("vector_lanes",), _slashes),
    Group("MHz", ("clock_mhz",), _slashes),
)
"""Knobs of the systolic and elastic families; a group shows if a space has all of its knobs."""

SMALLER = {"ms": "us", "mj": "uJ", "s": "ms", "j": "mJ"}
"""Units for metrics that are small in their own, a thousand times as fine."""


def front_columns(problem: DesignProblem, result: StudyResult) -> list[Column]:
    """Designs spread evenly over the front, by the first objective.

    Args:
        problem: evaluates the shown designs again for their metrics.
        result: of the study; its front is not empty.
    """
    shown = spread(result.objectives, ROWS)
    shown = shown[np.argsort(result.objectives[shown, 0], kind="stable")]
    metrics = problem.evaluate(result.designs[shown]).metrics
    columns = [metric_column(objective.name, metrics) for objective in problem.objectives]
    return columns + knob_columns([problem.space.decode(d) for d in result.designs[shown]])


def tables(columns: Sequence[Column], width: int) -> list[Table]:
    """One table, or where a terminal is too narrow several with numbered rows.

    Args:
        columns: at least one, of equal length.
        width: of the terminal, in characters.
    """
    if sum(column.width + GAP for column in columns) - GAP <= width:
        return [_table(columns)]
    rows = [str(row) for row in range(1, len(columns[0].cells) + 1)]
    first = Column("#", rows)
    parts, room = [[first]], width - first.width
    for column in columns:
        room -= column.width + GAP
        if room < 0 and len(parts[-1]) > 1:
            parts.append([first])
            room = width - first.width - column.width - GAP
        parts[-1].append(column)
    return [_table(part) for part in parts]


def _table(columns: Sequence[Column]) -> Table:
    table = make_table([column.heading for column in columns], words=("design",))
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*row)
    return table


def metric_column(name: str, metrics: Mapping[str, FloatArray]) -> Column:
    """A metric of designs by name, in a unit that reads well; errors with their intervals."""
    values = metrics[name]
    if name == "error":
        return _error(values, metrics)
    stem, _, unit = name.rpartition("_")
    if unit in SMALLER and np.median(values) < 0.1:
        return Column(f"{stem}\n{SMALLER[unit]}", [number(value * 1e3) for value in values])
    heading = f"{stem}\n{unit}" if unit in (*SMALLER, "mm2") else name
    return Column(heading, [number(value) for value in values])


def _error(values: FloatArray, metrics: Mapping[str, FloatArray]) -> Column:
    """Measured errors in percent, with their confidence intervals where they are known."""
    cells = [f"{100 * value:.1f}" for value in values]
    if "error_low" in metrics and "error_high" in metrics:
        bounds = zip(cells, metrics["error_low"], metrics["error_high"], strict=True)
        cells = [f"{cell} [{100 * low:.1f}, {100 * high:.1f}]" for cell, low, high in bounds]
        return Column("error %\n[95 % interval]", cells)
    return Column("error %", cells)


def number(value: float) -> str:
    """Three significant digits without an exponent where that is shorter."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e9 else f"{value:.3g}"


def knob_columns(designs: Sequence[Values]) -> list[Column]:
    """Designs in compact columns: known knobs and numbered ones in groups, others alone.

    Args:
        designs: knob values by name, the same knobs in all.
    """
    prefix = "accelerator."
    plain = [{k.removeprefix(prefix): v for k, v in design.items()} for design in designs]
    left = list(plain[0])
    columns: dict[str, Column] = {}
    for group in (*GROUPS, *_numbered(left)):
        if set(group.knobs) <= set(left):
            cells = [group.cell(*(design[knob] for knob in group.knobs)) for design in plain]
            columns[group.knobs[0]] = Column(group.heading, cells)
            left = [knob for knob in left if knob not in group.knobs]
    ordered = [columns[knob] for knob in plain[0] if knob in columns]
    if len(left) <= MANY:
        return ordered + [
            Column(_heading(knob), [_short(design[knob]) for design in plain]) for knob in left
        ]
    texts = (" ".join(f"{_heading(k)}={_short(d[k])}" for k in left) for d in plain)
    return [*ordered, Column("design", list(texts))]


def _numbered(knobs: Sequence[str]) -> list[Group]:
    """`width1`, `width2`, … as one column `width`."""
    stems: dict[str, list[str]] = {}
    for knob in knobs:
        if match := re.fullmatch(r"(.*\D)\d+", knob):
            stems.setdefault(match[1], []).append(knob)
    return [
        Group(_heading(stem), tuple(names), lambda *values: "-".join(map(_short, values)))
        for stem, names in stems.items()
        if len(names) > 1
    ]


def _heading(knob: str) -> str:
    return knob.removeprefix("network.").strip("_")


def _short(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
