"""Tables and files that commands write."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from dovetail.errors import OutputError
from dovetail.ir.report import Report
from dovetail.studies.files import write_text

OPERATOR_COLUMNS = (
    "name", "kind", "engine", "fused_into", "macs", "vector_ops", "cycles", "compute_cycles",
    "utilization",
)  # fmt: skip


def console() -> Console:
    """Where results go."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=False)


def save(path: str, text: str) -> None:
    """Writes a file at once, or to the terminal for `-`.

    Raises:
        OutputError: if it cannot be written.
    """
    if path == "-":
        sys.stdout.write(text)
        return
    write_text(path, text)


def save_json(path: str, data: object) -> None:
    """Writes JSON; see `save`."""
    save(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def save_rows(path: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes CSV with the keys of the first row as header; see `save`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    save(path, buffer.getvalue())


def operator_rows(report: Report) -> list[dict[str, object]]:
    """One flat row per operator, for CSV."""
    rows = []
    for op in report.to_dict()["operators"]:
        row = {key: op[key] for key in OPERATOR_COLUMNS}
        row |= {f"stall_{k}": op["stall_cycles"].get(k, 0) for k in _STALLS}
        row |= {f"dram_{k}_bytes": op["dram_bytes"].get(k, 0) for k in _OPERANDS}
        row["energy_pj"] = sum(op["energy_pj"].values())
        rows.append(row)
    return rows


_STALLS = ("tiling", "fill", "drain", "memory")
_OPERANDS = ("input", "weight", "output")


def report_table(report: Report, top: int) -> Table:
    """Operators by cycles, the `top` most expensive in network order."""
    own = [op for op in report.operators if not op.fused_into and op.engine != "none"]
    ranked = sorted(own, key=lambda op: -op.cycles)[: top or len(own)]
    shown = [op for op in own if op in ranked]
    heading = "" if len(shown) == len(own) else f" (the {len(shown)} longest of {len(own)})"
    table = Table(
        "operator", "kind", "engine", title=f"{report.network} on {_name(report)}{heading}"
    )
    for column in ("cycles", "share", "util", "stalls", "DRAM", "energy"):
        table.add_column(column, justify="right")
    for op in shown:
        stalls = {k: v for k, v in op.stall_cycles.items() if v}
        worst = max(stalls, key=lambda cause: stalls[cause]) if stalls else ""
        table.add_row(
            op.name,
            op.kind,
            op.engine,
            f"{op.cycles:,}",
            f"{op.cycles / max(1, report.cycles):.1%}",
            f"{op.utilization:.1%}" if op.macs else "",
            f"{sum(stalls.values()) / max(1, op.cycles):.0%} {worst}",
            engineering(sum(op.dram_bytes.values()), "B"),
            engineering(sum(op.energy_pj.values()) * 1e-12, "J"),
        )
    return table


def summary(report: Report) -> str:
    """Totals in a few lines."""
    total: dict[str, Any] = report.total
    fused = sum(1 for op in report.operators if op.fused_into)
    views = sum(1 for op in report.operators if op.engine == "none")
    energy = total["energy_by_component_pj"]
    shares = ", ".join(
        f"{name} {value / max(report.energy_pj, 1e-30):.0%}"
        for name, value in sorted(energy.items(), key=lambda item: -item[1])
    )
    return (
        f"{total['cycles']:,} cycles = {report.latency_ms:.4g} ms at {report.clock_mhz:g} MHz "
        f"({report.fidelity})\n"
        f"{engineering(report.energy_pj * 1e-12, 'J')}: {shares}\n"
        f"{engineering(total['macs'], 'MAC')}, utilization {total['utilization']:.1%}; "
        f"{engineering(sum(total['dram_bytes'].values()), 'B')} of DRAM traffic; "
        f"{report.area_mm2:.3g} mm2\n"
        f"{len(report.operators)} operators: {fused} fused into others, {views} views"
    )


def engineering(value: float, unit: str) -> str:
    """A number with an SI prefix, three significant digits."""
    if value == 0:
        return f"0 {unit}"
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{value / factor:.3g} {prefix}{unit}"
    factor, prefix = _PREFIXES[-1]
    return f"{value / factor:.3g} {prefix}{unit}"


_PREFIXES = (
    (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"),
    (1e-9, "n"), (1e-12, "p"),
)  # fmt: skip


def _name(report: Report) -> str:
    a = report.accelerator
    return f"{a['name']}: {a['rows']} x {a['cols']} {a['dataflow']}"


def check_writable(*paths: str | None) -> None:
    """Fails early, before long work, if a result could not be written.

    Raises:
        OutputError: naming the folder.
    """
    import os
    from pathlib import Path

    for path in paths:
        if path is None or path == "-":
            continue
        folder = Path(path).absolute().parent
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise OutputError(f"cannot write {path}: {folder} is no writable folder")
        if Path(path).is_dir():
            raise OutputError(f"cannot write {path}: it is a folder")
