"""Answers of `dovetail map` as a table, as text and as JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from dovetail.arch.spatial import SpatialArray
from dovetail.cli.map_operators import Work
from dovetail.cli.map_work import Line, Question
from dovetail.cli.output import engineering, make_table, printable
from dovetail.mappers.formats.own import fields_of
from dovetail.mappers.spatial.nest_view import nest_lines, nest_view

COLUMNS = ("operator", "times", "cycles", "energy", "util", "optimum", "seconds")


def line_table(lines: Sequence[Line]) -> Table:
    """One row per distinct operator."""
    found = any(line.found for line in lines)
    headings = COLUMNS if found else COLUMNS[:-2]
    table = make_table(headings, words=("operator",))
    for line in lines:
        cells = (
            printable(line.operators[0]),
            str(len(line.operators)),
            f"{math.ceil(line.cost.cycles):,}",
            engineering(line.cost.energy_pj * 1e-12, "J"),
            f"{line.cost.utilization:.1%}",
            _proof(line),
            f"{line.seconds:.2f}",
        )
        table.add_row(*cells[: len(headings)])
    return table


def _proof(line: Line) -> str:
    """`proven`, or by how much the value may lie above the best."""
    if line.found is None:
        return ""
    if line.found.proven:
        return "proven"
    gap = f"gap <= {line.found.gap:.1%}"
    return f"{gap}, cut short" if line.found.interrupted else gap


def totals(lines: Sequence[Line]) -> dict[str, float]:
    """Sums over all operators, identical ones counted each."""
    counts = [len(line.operators) for line in lines]
    pairs = list(zip(counts, lines, strict=True))
    return {
        "operators": sum(counts),
        "distinct": len(lines),
        "macs": sum(n * line.cost.macs for n, line in pairs),
        "cycles": sum(n * line.cost.cycles for n, line in pairs),
        "energy_pj": sum(n * line.cost.energy_pj for n, line in pairs),
        "seconds": sum(line.seconds for line in lines),
    }


def summary(lines: Sequence[Line], work: Work, accelerator: SpatialArray) -> str:
    """Totals in two lines."""
    total = totals(lines)
    cycles = sum(len(line.operators) * math.ceil(line.cost.cycles) for line in lines)
    peak = accelerator.peak_macs_per_cycle * cycles
    text = (
        f"{cycles:,} cycles = "
        f"{cycles / accelerator.clock_mhz / 1e3:.4g} ms at {accelerator.clock_mhz:g} MHz, "
        f"{engineering(total['energy_pj'] * 1e-12, 'J')}, utilization {total['macs'] / peak:.1%}\n"
        f"{_count(int(total['operators']))}, {total['distinct']} of them distinct"
    )
    if any(line.found for line in lines):
        proven = sum(1 for line in lines if line.found and line.found.proven)
        text += f", {proven} of these proven optimal in the mapspace, in {total['seconds']:.2f} s"
    missing = len(work.einsums) - int(total["operators"])
    if missing:
        text += f"; {_count(missing)} not in the file"
    if work.skipped:
        text += f"; {work.skipped} operators without an Einsum are not counted"
    return text


def _count(einsums: int) -> str:
    return "1 Einsum" if einsums == 1 else f"{einsums} Einsums"


def nest_text(line: Line, accelerator: SpatialArray) -> str:
    """The loop nest of an answer, indented."""
    view = nest_view(line.einsum, accelerator, line.mapping)
    return "\n".join(printable(text) for text in nest_lines(view, line.operators[0]))


def as_json(
    lines: Sequence[Line], work: Work, accelerator: SpatialArray, question: Question | None
) -> dict[str, Any]:
    """Everything, with the mapping in the form of the file."""
    asked = (
        {"objective": question.objective, "mapper": question.mapper, "seed": question.seed}
        if question
        else {}
    )
    return {
        "network": work.title,
        "accelerator": accelerator.name,
        **asked,
        "operators": [_json_line(line) for line in lines],
        "total": totals(lines),
    }


def _json_line(line: Line) -> Mapping[str, Any]:
    found = line.found
    known = (
        {
            "value": found.value,
            "bound": found.bound,
            "gap": found.gap,
            "proven": found.proven,
            "interrupted": found.interrupted,
            "looked_at": found.nodes,
            "seconds": line.seconds,
        }
        if found
        else {}
    )
    return {
        "operators": list(line.operators),
        "ranks": dict(line.einsum.ranks),
        **asdict(line.cost),
        **known,
        "nest": [fields_of(node) for _, nodes in line.mapping.paths() for node in nodes],
    }
