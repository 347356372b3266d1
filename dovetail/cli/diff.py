"""The command that shows two reports side by side."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from dovetail.cli.options import examples
from dovetail.cli.output import make_table, printable, show
from dovetail.errors import ReportError

TOTALS = ("cycles", "latency_ms", "energy_pj", "macs", "utilization", "edp_pj_s")

MAX_FILE_BYTES = 1 << 28

COMPARED = ("A", "B", "B / A")

Change = tuple[str, float | None, float | None]

EXAMPLES = examples(
    "dovetail simulate resnet18 --json ws.json",
    "dovetail simulate resnet18 --set dataflow=os --json os.json",
    "dovetail diff ws.json os.json",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("diff", epilog=EXAMPLES)(diff_command)


def diff_command(
    first: Annotated[str, typer.Argument(metavar="A.json", help="A report that --json wrote.")],
    second: Annotated[str, typer.Argument(metavar="B.json", help="The report to compare.")],
    top: Annotated[
        int, typer.Option(metavar="N", help="Operators to print; 0 prints all.", min=0)
    ] = 15,
) -> None:
    """Show two reports side by side: totals, parameters that differ, operators that changed."""
    a, b = load_report(first), load_report(second)
    show(_totals(a, b), f"A = {first}, B = {second}")
    differing = _settings(a, b)
    if differing.row_count:
        print()
        show(differing)
    changed = _changed(a, b)
    if changed:
        shown = changed[: top or len(changed)]
        print(f"\n{len(changed)} operators changed; the {len(shown)} that changed most, in cycles:")
        show(_operators(shown))


def load_report(path: str) -> dict[str, Any]:
    """Reads what `simulate --json` wrote.

    Raises:
        ReportError: if the file cannot be read or is no report.
    """
    try:
        if os.path.getsize(path) > MAX_FILE_BYTES:
            raise ReportError(f"{path}: larger than 256 MiB, which no report is")
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{path}: is not JSON: {error}") from None
    if not _is_report(data):
        raise ReportError(f"{path}: is no report; write one with dovetail simulate NETWORK --json")
    report: dict[str, Any] = data
    return report


def _is_report(data: object) -> bool:
    if not isinstance(data, dict):
        return False
    total, operators = data.get("total"), data.get("operators")
    return (
        isinstance(total, dict)
        and all(_is_number(total.get(name)) for name in TOTALS)
        and isinstance(data.get("accelerator"), dict)
        and _is_number(data.get("area_mm2"))
        and isinstance(operators, list)
        and all(isinstance(op, dict) and isinstance(op.get("name"), str) for op in operators)
        and all(_is_number(op.get("cycles")) for op in operators)
    )


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 2**1000 and math.isfinite(value)


def _totals(a: Mapping[str, Any], b: Mapping[str, Any]) -> Table:
    table = make_table(("total", *COMPARED), words=("total",))
    for name in TOTALS:
        table.add_row(name, *_compared(a["total"][name], b["total"][name]))
    table.add_row("area_mm2", *_compared(a["area_mm2"], b["area_mm2"]))
    return table


def _settings(a: Mapping[str, Any], b: Mapping[str, Any]) -> Table:
    columns = ("what differs", "A", "B")
    table = make_table(columns, words=columns)
    pairs = {name: (a.get(name), b.get(name)) for name in ("network", "fidelity")}
    ours, theirs = a["accelerator"], b["accelerator"]
    pairs |= {name: (ours.get(name), theirs.get(name)) for name in {**ours, **theirs}}
    for name, values in pairs.items():
        if values[0] != values[1]:
            table.add_row(*(printable(str(text)) for text in (name, *values)))
    return table


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Change]:
    """Operators whose cycles differ, the largest change first; None where one is missing."""
    ours = {op["name"]: op["cycles"] for op in a["operators"]}
    theirs = {op["name"]: op["cycles"] for op in b["operators"]}
    pairs = [(name, ours.get(name), theirs.get(name)) for name in {**ours, **theirs}]
    changed = [change for change in pairs if change[1] != change[2]]
    return sorted(changed, key=lambda change: -abs((change[1] or 0) - (change[2] or 0)))


def _operators(changes: Sequence[Change]) -> Table:
    table = make_table(("operator", *COMPARED), words=("operator",))
    for name, before, after in changes:
        table.add_row(printable(name), *_compared(before, after))
    return table


def _compared(a: float | None, b: float | None) -> tuple[str, str, str]:
    return _text(a), _text(b), f"{b / a:.4g}" if a and b is not None else "-"


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
