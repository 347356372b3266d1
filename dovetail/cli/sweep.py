"""The command that simulates one network on a grid or list of accelerators."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.progress import track
from rich.table import Table

from dovetail.arch import presets
from dovetail.arch.accelerator import Accelerator
from dovetail.arch.systolic import SystolicArray
from dovetail.cli.options import (
    OUTPUT,
    AcceleratorOption,
    BatchOption,
    DimOption,
    FidelityOption,
    MapperOption,
    MappingOption,
    NetworkArgument,
    SetOption,
    assignments,
    examples,
    extents,
    pairs,
    scalar,
)
from dovetail.cli.output import check_outputs, console, make_table, save_rows, show
from dovetail.errors import AcceleratorError, MappingError, ProblemError
from dovetail.ir.report import Report
from dovetail.ir.space import Value

MAX_DESIGNS = 100_000
"""Rows of a table that people read; a search is for more."""

WIDEST = 20
"""Characters of a value in the table; no legal one is longer."""

EXAMPLES = examples(
    "dovetail sweep resnet18 --vary rows=8,16,32 --vary cols=8,16,32",
    "dovetail sweep resnet18 --vary dataflow=ws,os,is --plot sweep.png",
    "dovetail sweep vit_b16 --zip --vary rows=16,64 --vary clock_mhz=900,500 --csv -",
)

Row = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("sweep", epilog=EXAMPLES)(sweep_command)


def sweep_command(
    network: NetworkArgument,
    vary: Annotated[
        list[str],
        typer.Option(
            "--vary",
            metavar="KEY=V1,V2,…",
            help="A parameter's values, repeatable: several parameters span a grid.",
        ),
    ],
    accelerator: AcceleratorOption = "edge",
    overrides: SetOption = None,
    pairwise: Annotated[
        bool, typer.Option("--zip", help="Walk the value lists side by side, not as a grid.")
    ] = False,
    fidelity: FidelityOption = "estimate",
    batch: BatchOption = None,
    dims: DimOption = None,
    mapper: MapperOption = None,
    objective: MappingOption = "latency",
    csv_path: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="F",
            help="Write one row per design as CSV; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Draw latency and energy over the first parameter (.png, .svg, .pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Simulate a network over a grid or list of accelerator parameters.

    An illegal design is a row that says why; the fastest design is bold.
    """
    from dovetail.flow import simulate
    from dovetail.networks.registry import load_network

    check_outputs({"--csv": csv_path, "--plot": plot}, inputs=(network, accelerator))
    if plot is not None:
        from dovetail.cli.plot import check_plot

        check_plot(plot)
    base = presets.load(accelerator).replace(assignments(overrides, "--set"))
    lists = {key: _values(base, key, text) for key, text in pairs(vary, "--vary").items()}
    points = list(_points(lists, pairwise))
    net = load_network(network, batch=batch, dims=extents(dims))

    def cost(design: Accelerator) -> Report:
        return simulate(net, design, fidelity=fidelity, objective=objective, mapper=mapper)

    rows, title = _rows(base, points, cost), f"{net.name} on {base.name}"
    if csv_path is not None:
        save_rows(csv_path, rows)
    if plot is not None:
        from dovetail.cli.plot import plot_sweep

        plot_sweep(rows, list(lists), title, plot)
    if csv_path != "-":
        show(_table(rows, list(lists)), title)


def _rows(base: Accelerator, points: Sequence[Mapping[str, Value]], cost: Any) -> list[Row]:
    terminal = console(stderr=True)
    quiet = not terminal.is_terminal
    return [
        _row(point, base, cost)
        for point in track(points, "sweep", transient=True, console=terminal, disable=quiet)
    ]


def _row(point: Mapping[str, Value], base: Accelerator, cost: Any) -> Row:
    """Knob values, metrics (None if illegal) and the reason why the design is illegal."""
    report: Report | None = None
    reasons: list[str] = []
    try:
        design = _altered(base, point)
        reasons = design.validate()
        report = None if reasons else cost(design)
    except (AcceleratorError, MappingError) as error:
        reasons = [str(error)]
    names = ("cycles", "latency_ms", "energy_pj", "utilization")
    metrics = {name: report.total[name] if report else None for name in names}
    area = report.area_mm2 if report else None
    return {**point, **metrics, "area_mm2": area, "illegal": reasons[0] if reasons else ""}


def _altered(base: Accelerator, point: Mapping[str, Value]) -> Accelerator:
    """The base with a point's values; of a systolic array perhaps out of their ranges."""
    if isinstance(base, SystolicArray):
        return dataclasses.replace(base, **point)  # type: ignore[arg-type]  # _values checks types
    return base.replace(point, "--vary")


def _values(base: Accelerator, key: str, text: str) -> list[Value]:
    """Values of one parameter; of its type, but perhaps out of its range.

    Raises:
        AcceleratorError: if the parameter is unknown or a value has another type.
        ProblemError: if there is no value.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise ProblemError(f"--vary {key}={text}: needs values separated by commas")
    if not isinstance(base, SystolicArray):
        base.replace({key: scalar(parts[0])}, "--vary")  # raises where no value would be legal
        return [scalar(part) for part in parts]
    types = {field.name: field.type for field in dataclasses.fields(SystolicArray)}
    return [_typed(base, key, part, types.get(key)) for part in parts]


def _typed(base: Accelerator, key: str, text: str, wanted: object) -> Value:
    value = text if wanted == "str" else scalar(text)
    if wanted == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    fits = {"str": str, "int": int, "float": int | float}.get(str(wanted))
    if fits is None or not isinstance(value, fits):
        base.replace({key: value}, "--vary")  # raises
    return value


def _points(lists: Mapping[str, Sequence[Value]], pairwise: bool) -> Iterator[dict[str, Value]]:
    if not pairwise:
        count = math.prod(len(values) for values in lists.values())
        if count > MAX_DESIGNS:
            raise ProblemError(
                f"a grid of {count:,} designs: take at most {MAX_DESIGNS:,}, or dovetail search"
            )
    elif len({len(values) for values in lists.values()}) > 1:
        lengths = ", ".join(f"{key} {len(values)}" for key, values in lists.items())
        raise ProblemError(f"--zip needs lists of one length, has {lengths} values")
    rows = zip(*lists.values(), strict=True) if pairwise else itertools.product(*lists.values())
    return (dict(zip(lists, row, strict=True)) for row in rows)


def _table(rows: Sequence[Row], knobs: Sequence[str]) -> Table:
    numbers = ["cycles", "latency ms", "energy mJ", "util", "area mm2"]
    reasons = ["illegal because"] if any(row["illegal"] for row in rows) else []
    table = make_table([*knobs, *numbers, *reasons], words=reasons)
    best = min((row["latency_ms"] for row in rows if not row["illegal"]), default=None)
    for row in rows:
        values = [_short(row[knob]) for knob in knobs]
        if row["illegal"]:
            table.add_row(*values, *[""] * len(numbers), row["illegal"], style="dim")
            continue
        metrics = (
            f"{row['cycles']:,}",
            f"{row['latency_ms']:.4g}",
            f"{row['energy_pj'] * 1e-9:.4g}",
            f"{row['utilization']:.1%}",
            f"{row['area_mm2']:.4g}",
        )
        table.add_row(*values, *metrics, style="bold" if row["latency_ms"] == best else None)
    return table


def _short(value: Value) -> str:
    text = str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
