"""Commands that simulate given designs: simulate, sweep, diff."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from dovetail.cli.options import (
    AcceleratorOption,
    BatchOption,
    MapperOption,
    MappingOption,
    NetworkArgument,
    SetOption,
    load_accelerator,
    pairs,
    scalar,
)
from dovetail.cli.output import (
    check_writable,
    console,
    operator_rows,
    report_table,
    save_json,
    save_rows,
    summary,
)
from dovetail.errors import DovetailError, FidelityError, OutputError, ProblemError

JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="F", help="Write the report as JSON (- prints it).")
]
CsvOption = Annotated[
    str | None, typer.Option("--csv", metavar="F", help="Write one row per line as CSV.")
]
FidelityOption = Annotated[
    str, typer.Option(help="estimate (closed form) or cycle (event-driven simulation).")
]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("simulate")(simulate_command)
    app.command("sweep")(sweep_command)
    app.command("diff")(diff_command)


def simulate_command(
    network: NetworkArgument,
    accelerator: AcceleratorOption = "edge",
    fidelity: FidelityOption = "estimate",
    overrides: SetOption = None,
    batch: BatchOption = None,
    mapper: MapperOption = "exhaustive",
    objective: MappingOption = "latency",
    top: Annotated[int, typer.Option(help="Longest operators to print; 0 prints all.")] = 12,
    json_path: JsonOption = None,
    csv_path: CsvOption = None,
    trace: Annotated[
        str | None,
        typer.Option(metavar="F", help="Write a trace for ui.perfetto.dev (needs cycle fidelity)."),
    ] = None,
) -> None:
    """Simulate a network on an accelerator.

    Example: dovetail simulate resnet50 --accelerator gemmini --set dataflow=os --fidelity cycle
    """
    from dovetail.flow import map_network, read_report, timings
    from dovetail.networks.registry import load_network

    if trace and fidelity != "cycle":
        raise FidelityError("--trace shows a simulation: add --fidelity cycle")
    check_writable(json_path, csv_path, trace)
    chosen = load_accelerator(accelerator, overrides)
    net = load_network(network, batch=batch)
    mapped = map_network(net, chosen, objective=objective, mapper=mapper)
    report = read_report(mapped, fidelity)
    if json_path:
        save_json(json_path, report.to_dict())
    if csv_path:
        save_rows(csv_path, operator_rows(report))
    if trace:
        from dovetail.sim.trace import write_trace

        names = [placement.operator.name for placement in mapped.plan.placements]
        write_trace(trace, names, timings(mapped, trace=True), chosen.clock_mhz)
    if "-" not in (json_path, csv_path):
        out = console()
        out.print(report_table(report, top))
        out.print(summary(report), markup=False)


def sweep_command(
    network: NetworkArgument,
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary", metavar="KEY=V1,V2,…", help="A parameter's values; several span a grid."
        ),
    ],
    accelerator: AcceleratorOption = "edge",
    overrides: SetOption = None,
    pairwise: Annotated[
        bool, typer.Option("--zip", help="Walk the value lists side by side, not as a grid.")
    ] = False,
    fidelity: FidelityOption = "estimate",
    batch: BatchOption = None,
    mapper: MapperOption = "exhaustive",
    objective: MappingOption = "latency",
    csv_path: CsvOption = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="F", help="Draw latency and energy over the first knob (.png, .svg)."),
    ] = None,
) -> None:
    """Simulate a network over a grid or list of accelerator parameters.

    Example: dovetail sweep resnet18 --vary rows=8,16,32,64 --vary dataflow=ws,os --plot sweep.png
    """
    from dovetail.flow import simulate
    from dovetail.networks.registry import load_network

    check_writable(csv_path, plot)
    base = load_accelerator(accelerator, overrides)
    net = load_network(network, batch=batch)
    lists = {key: _values(text, key) for key, text in pairs(vary, "--vary").items()}
    rows: list[dict[str, Any]] = []
    for point in track(_points(lists, pairwise), "sweep", transient=True, console=_stderr()):
        row: dict[str, Any] = dict(point)
        design = base.replace(point, "--vary")
        reasons = design.validate()
        report = None
        if not reasons:
            try:
                report = simulate(
                    net, design, fidelity=fidelity, objective=objective, mapper=mapper
                )
            except DovetailError as error:
                reasons = [str(error)]
        for name in ("cycles", "latency_ms", "energy_pj", "utilization"):
            row[name] = report.total[name] if report else None
        row["area_mm2"] = design.area_mm2
        row["illegal"] = reasons[0] if reasons else ""
        rows.append(row)
    if csv_path:
        save_rows(csv_path, rows)
    if csv_path != "-":
        console().print(_sweep_table(rows, list(lists)))
    if plot:
        from dovetail.cli.plot import plot_sweep

        plot_sweep(rows, list(lists), f"{net.name} on {base.name}", plot)


def diff_command(
    first: Annotated[str, typer.Argument(metavar="A.json", help="Report written by --json.")],
    second: Annotated[str, typer.Argument(metavar="B.json", help="Report to compare with it.")],
    top: Annotated[int, typer.Option(help="Operators with the largest change to print.")] = 15,
) -> None:
    """Show two reports side by side: totals, parameters that differ, operators that changed."""
    a, b = _load_report(first), _load_report(second)
    out = console()
    table = Table("total", title=f"A = {first}, B = {second}")
    for column in ("A", "B", "B / A"):
        table.add_column(column, justify="right")
    for name in ("cycles", "latency_ms", "energy_pj", "macs", "utilization", "edp_pj_s"):
        table.add_row(name, *_compared(a["total"][name], b["total"][name]))
    table.add_row("area_mm2", *_compared(a["area_mm2"], b["area_mm2"]))
    out.print(table)
    settings = Table("parameter", "A", "B", title="parameters that differ")
    for name in sorted({*a["accelerator"], *b["accelerator"]}):
        values = a["accelerator"].get(name), b["accelerator"].get(name)
        if values[0] != values[1]:
            settings.add_row(name, str(values[0]), str(values[1]))
    if settings.row_count:
        out.print(settings)
    out.print(_operator_diff(a, b, top))


def _operator_diff(a: dict[str, Any], b: dict[str, Any], top: int) -> Table:
    ours = {op["name"]: op["cycles"] for op in a["operators"]}
    theirs = {op["name"]: op["cycles"] for op in b["operators"]}
    names = [*ours, *(name for name in theirs if name not in ours)]
    names.sort(key=lambda name: -abs(ours.get(name, 0) - theirs.get(name, 0)))
    table = Table("operator", title="cycles of the operators that changed most")
    for column in ("A", "B", "B / A"):
        table.add_column(column, justify="right")
    for name in names[:top]:
        if ours.get(name) != theirs.get(name):
            table.add_row(name, *_compared(ours.get(name), theirs.get(name)))
    return table


def _compared(a: float | None, b: float | None) -> tuple[str, str, str]:
    def text(value: float | None) -> str:
        if value is None:
            return "-"
        return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"

    return text(a), text(b), f"{b / a:.4g}" if a and b is not None else "-"


def _load_report(path: str) -> dict[str, Any]:
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path}: cannot be read as a report: {error}") from None
    total = data.get("total") if isinstance(data, dict) else None
    names = ("cycles", "latency_ms", "energy_pj", "macs", "utilization", "edp_pj_s")
    sound = (
        isinstance(total, dict)
        and all(isinstance(total.get(name), int | float) for name in names)
        and isinstance(data.get("accelerator"), dict)
        and isinstance(data.get("area_mm2"), int | float)
        and isinstance(data.get("operators"), list)
        and all(isinstance(op, dict) and {"name", "cycles"} <= op.keys() for op in data["operators"])
    )
    if not sound:
        raise OutputError(f"{path}: is no report; write one with dovetail simulate … --json F")
    report: dict[str, Any] = data
    return report


def _values(text: str, key: str) -> list[object]:
    values = [scalar(part.strip()) for part in text.split(",") if part.strip()]
    if not values:
        raise ProblemError(f"--vary {key}={text}: needs values separated by commas")
    return values


def _points(lists: dict[str, list[object]], pairwise: bool) -> list[dict[str, object]]:
    if pairwise:
        if len({len(values) for values in lists.values()}) > 1:
            lengths = {key: len(values) for key, values in lists.items()}
            raise ProblemError(f"--zip needs value lists of one length, has {lengths}")
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    grid = itertools.product(*lists.values())
    return [dict(zip(lists, row, strict=True)) for row in grid]


def _sweep_table(rows: list[dict[str, Any]], knobs: list[str]) -> Table:
    table = Table(*knobs)
    for column in ("cycles", "latency ms", "energy mJ", "util", "area mm2"):
        table.add_column(column, justify="right")
    best = min((row["latency_ms"] for row in rows if row["latency_ms"]), default=None)
    for row in rows:
        values = [str(row[knob]) for knob in knobs]
        if row["illegal"]:
            table.add_row(*values, "illegal", "", "", "", f"{row['area_mm2']:.4g}", style="dim")
            continue
        table.add_row(
            *values,
            f"{row['cycles']:,}",
            f"{row['latency_ms']:.4g}",
            f"{row['energy_pj'] * 1e-9:.4g}",
            f"{row['utilization']:.1%}",
            f"{row['area_mm2']:.4g}",
            style="bold" if row["latency_ms"] == best else None,
        )
    return table


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)
