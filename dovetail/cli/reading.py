"""A report as people and spreadsheets read it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from dovetail.arch.accelerator import Accelerator
from dovetail.cli.output import engineering, make_table, printable
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport, Report

OPERANDS = ("input", "weight", "output")

COLUMNS = ("operator", "kind", "engine", "cycles", "share", "util", "stalls", "DRAM", "energy")
"""Headings of the table of operators."""

WIDE = ("kind", "share")
"""Columns that a terminal narrower than `WIDE_TERMINAL` does without."""

WIDE_TERMINAL = 100


def operator_rows(report: Report) -> list[dict[str, object]]:
    """One flat row per operator, for CSV; a column for every stall cause that the family has."""
    causes = tuple(dict.fromkeys(cause for op in report.operators for cause in op.stall_cycles))
    return [_flat(op, causes) for op in report.operators]


def _flat(op: OperatorReport, causes: Sequence[str]) -> dict[str, object]:
    return {
        "name": op.name,
        "kind": op.kind,
        "engine": op.engine,
        "fused_into": op.fused_into,
        "macs": op.macs,
        "vector_ops": op.vector_ops,
        "cycles": op.cycles,
        "compute_cycles": op.compute_cycles,
        "utilization": op.utilization,
        **{f"stall_{cause}": op.stall_cycles.get(cause, 0) for cause in causes},
        **{f"dram_{operand}_bytes": op.dram_bytes.get(operand, 0) for operand in OPERANDS},
        "energy_pj": sum(op.energy_pj.values()),
    }


def report_table(report: Report, top: int, width: int) -> tuple[Table, str]:
    """Operators in the order of the network, and a title.

    Args:
        report: what to show.
        top: how many of those that take time, the longest; 0 for every operator.
        width: columns of the terminal.
    """
    own = [op for op in report.operators if not op.fused_into and op.engine != "none"]
    if top:
        ranked = sorted(own, key=lambda op: -op.cycles)[:top]
        ids = {id(op) for op in ranked}
        shown: Sequence[OperatorReport] = [op for op in own if id(op) in ids]
    else:
        shown = report.operators
    title = f"{report.network} on {_machine(report)}"
    if top and len(shown) < len(own):
        title += f" (the {len(shown)} longest of {len(own)} operators; --top 0 shows all)"
    headings = [name for name in COLUMNS if width >= WIDE_TERMINAL or name not in WIDE]
    if not report.energy_pj:  # unknown to some families
        headings.remove("energy")
    table = make_table(headings, words=("operator", "kind", "engine"))
    fused = _fused_kinds(report) if top else {}
    for op in shown:
        cells = _cells(op, report.cycles, fused.get(op.name, ""))
        table.add_row(*(cells[name] for name in headings))
    return table, title


def _fused_kinds(report: Report) -> dict[str, str]:
    """` + relu` and the like, by the operator that hosts them."""
    kinds: dict[str, str] = {}
    for op in report.operators:
        if op.fused_into:
            kinds[op.fused_into] = f"{kinds.get(op.fused_into, '')} + {op.kind}"
    return kinds


def _cells(op: OperatorReport, cycles: int, fused: str) -> dict[str, str]:
    cells = dict.fromkeys(COLUMNS, "")
    cells |= {"operator": printable(op.name), "kind": op.kind + fused, "engine": op.engine}
    if op.fused_into:
        # It stands right below its host, whose cycles and traffic include it.
        cells |= {"operator": f"\N{BOX DRAWINGS LIGHT UP AND RIGHT} {cells['operator']}"}
        return cells | {"engine": "fused", "energy": _energy(op)}
    if op.engine in ("none", "host"):
        return cells
    stalls = {cause: count for cause, count in op.stall_cycles.items() if count}
    worst = max(stalls, key=lambda cause: stalls[cause], default="")
    return cells | {
        "cycles": f"{op.cycles:,}",
        "share": f"{op.cycles / max(1, cycles):.1%}",
        "util": f"{op.utilization:.1%}" if op.macs else "",
        "stalls": f"{sum(stalls.values()) / max(1, op.cycles):.0%} {worst}".rstrip(),
        "DRAM": engineering(sum(op.dram_bytes.values()), "B"),
        "energy": _energy(op),
    }


def _energy(op: OperatorReport) -> str:
    return engineering(sum(op.energy_pj.values()) * 1e-12, "J")


def summary(report: Report) -> str:
    """Totals in a few lines."""
    total = report.total
    shares = ", ".join(
        f"{name} {value / max(report.energy_pj, 1e-30):.0%}"
        for name, value in sorted(
            total["energy_by_component_pj"].items(), key=lambda item: -item[1]
        )
    )
    # Of operators that overlap, their own cycles count, not the shorter time of all.
    spent = sum(op.cycles for op in report.operators)
    stalls = sum(total["stall_cycles"].values())
    traffic = sum(total["dram_bytes"].values())
    # FPGA designs state neither energy nor area.
    energy = f"{engineering(report.energy_pj * 1e-12, 'J')}: {shares}\n" if shares else ""
    area = f"; {report.area_mm2:.3g} mm2" if report.area_mm2 else ""
    return (
        f"{report.cycles:,} cycles = {report.latency_ms:.4g} ms at {report.clock_mhz:g} MHz "
        f"({report.fidelity}), {stalls / max(1, spent):.0%} of them stalls\n"
        f"{energy}"
        f"{engineering(report.macs, 'MAC')}, utilization {total['utilization']:.1%}; "
        f"{engineering(traffic, 'B')} of DRAM traffic{area}\n"
        f"{_engines(report)}"
    )


def _engines(report: Report) -> str:
    fused = sum(1 for op in report.operators if op.fused_into)
    own = [op.engine for op in report.operators if not op.fused_into]
    cores = sorted(set(own) - {"array", "vector", "none", "host"})
    if cores:
        placed = ", ".join(f"{own.count(core)} on {core}" for core in cores)
        return (
            f"{len(report.operators)} operators: {placed}, {fused} fused into others, "
            f"{own.count('none')} views that move no data"
        )
    left = f", {own.count('host')} left to the host" if "host" in own else ""
    return (
        f"{len(report.operators)} operators: {own.count('array')} on the array, "
        f"{own.count('vector')} on the vector unit, {fused} fused into others, "
        f"{own.count('none')} views that move no data{left}"
    )


def deployment(network: Network, accelerator: Accelerator) -> str:
    """A line on the number formats that tensors run in, of families with operand widths; or ""."""
    widths = accelerator.to_dict()
    if accelerator.family == "system":
        return "every core runs tensors at its own operand widths"
    if "input_bits" not in widths:
        return ""
    kept = sorted({str(t.format) for t in network.tensors if t.format.kind == "int"})
    floating = sorted({str(t.format) for t in network.tensors if t.format.kind != "int"})
    sums = widths.get("accumulator_bits", widths.get("sum_bits"))
    parts = []
    if floating:
        parts.append(
            f"{', '.join(floating)} tensors deployed as {widths['weight_bits']}-bit weights and "
            f"{widths['input_bits']}-bit activations, {sums}-bit sums"
        )
    if kept:
        fits = "kept as they are" if accelerator.family == "systolic" else "in the PEs' width"
        parts.append(f"{', '.join(kept)} tensors {fits}")
    return "; ".join(parts)


def _machine(report: Report) -> str:
    a = report.accelerator
    if a.get("family", "systolic") != "systolic":
        sizes = [str(size) for key, size in a.items() if key.startswith("array.")]
        return f"{a['name']}: {' x '.join(sizes)}" if sizes else str(a["name"])
    arrays = f"{a['arrays']} x " if a["arrays"] != 1 else ""
    return f"{a['name']}: {arrays}{a['rows']} x {a['cols']} {a['dataflow']}"
