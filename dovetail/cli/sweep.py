"""The command that simulates one network over accelerators' parameters, batches and lengths."""

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
from dovetail.cli.output import check_outputs, console, make_table, save_json, save_rows, show
from dovetail.errors import AcceleratorError, MappingError, ProblemError
from dovetail.ir.network import Network
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
    "dovetail sweep llama2_7b_decode -a sn40l_node --lengths 1024,4095 --batches 1,8",
)

Row = dict[str, Any]


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("sweep", epilog=EXAMPLES)(sweep_command)


def sweep_command(
    network: NetworkArgument,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="KEY=V1,V2,…",
            help="A parameter's values, repeatable: several parameters span a grid.",
        ),
    ] = None,
    lengths: Annotated[
        str | None,
        typer.Option(
            metavar="N1,N2,…",
            help="Tokens of a language model: its prompt, or those whose keys and values are "
            "cached.",
        ),
    ] = None,
    batches: Annotated[
        str | None, typer.Option(metavar="N1,N2,…", help="Inputs per inference.")
    ] = None,
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
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write one object per design as JSON; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
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
    """Simulate a network over accelerator parameters, batches and sequence lengths.

    An illegal design is a row that says why; the fastest design is bold.
    """
    from dovetail.flow import simulate

    outputs = {"--json": json_path, "--csv": csv_path, "--plot": plot}
    check_outputs(outputs, inputs=(network, accelerator))
    if plot is not None:
        from dovetail.cli.plot import check_plot

        check_plot(plot)
    base = presets.load(accelerator).replace(assignments(overrides, "--set"))
    lists: dict[str, list[Value]] = {
        key: list(_whole(values, option))
        for key, values, option in (
            ("length", lengths, "--lengths"),
            ("batch", batches, "--batches"),
        )
        if values is not None
    }
    lists |= {key: _values(base, key, text) for key, text in pairs(vary, "--vary").items()}
    if not lists:
        raise ProblemError("nothing to sweep over: give --vary, --lengths or --batches")
    points = list(_points(lists, pairwise))
    networks = Networks(network, batch, extents(dims))
    for point in points:
        networks.of(point)  # before any is simulated

    def cost(point: Mapping[str, Value], design: Accelerator) -> Report:
        net = networks.of(point)
        return simulate(net, design, fidelity=fidelity, objective=objective, mapper=mapper)

    rows, title = _rows(base, points, cost), f"{networks.of(points[0]).name} on {base.name}"
    if json_path is not None:
        save_json(json_path, rows)
    if csv_path is not None:
        save_rows(csv_path, rows)
    if plot is not None:
        from dovetail.cli.plot import plot_sweep

        plot_sweep(rows, list(lists), title, plot)
    if "-" not in (json_path, csv_path):
        show(_table(rows, list(lists)), title)


@dataclasses.dataclass
class Networks:
    """Networks of points, each made once.

    Attributes:
        spec: name or file.
        batch: of points that have none.
        dims: other extents.
    """

    spec: str
    batch: int | None
    dims: Mapping[str, int]
    _made: dict[tuple[int | None, int | None], Network] = dataclasses.field(default_factory=dict)

    def of(self, point: Mapping[str, Value]) -> Network:
        """The network of a point's `length` and `batch`.

        Raises:
            NetworkError: if it takes no length, or not this one.
        """
        from dovetail.networks.registry import length_name, load_network

        length, batch = (_int(point.get(name)) for name in ("length", "batch"))
        key = (length, self.batch if batch is None else batch)
        if key not in self._made:
            dims = dict(self.dims)
            if length is not None:
                dims[length_name(self.spec)] = length
            self._made[key] = load_network(self.spec, batch=key[1], dims=dims)
        return self._made[key]


def _int(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None


def _whole(text: str, option: str) -> list[int]:
    """Whole numbers of at least 1, separated by commas."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise ProblemError(f"{option} {text}: needs whole numbers >= 1 separated by commas")
    return [int(part) for part in parts]


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
        report = None if reasons else cost(point, design)
    except (AcceleratorError, MappingError) as error:
        reasons = [str(error)]
    names = ("cycles", "latency_ms", "energy_pj", "utilization")
    metrics = {name: report.total[name] if report else None for name in names}
    area = report.area_mm2 if report else None
    if (batch := _int(point.get("batch"))) is not None:
        metrics["inputs_per_s"] = 1e3 * batch / report.latency_ms if report else None
    return {**point, **metrics, "area_mm2": area, "illegal": reasons[0] if reasons else ""}


def _altered(base: Accelerator, point: Mapping[str, Value]) -> Accelerator:
    """The base with a point's values; of a systolic array perhaps out of their ranges."""
    point = {key: value for key, value in point.items() if key not in ("length", "batch")}
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
    rates = ["inputs/s"] if "batch" in knobs else []
    reasons = ["illegal because"] if any(row["illegal"] for row in rows) else []
    table = make_table([*knobs, *numbers, *rates, *reasons], words=reasons)
    best = min((row["latency_ms"] for row in rows if not row["illegal"]), default=None)
    for row in rows:
        values = [_short(row[knob]) for knob in knobs]
        if row["illegal"]:
            blank = [""] * (len(numbers) + len(rates))
            table.add_row(*values, *blank, row["illegal"], style="dim")
            continue
        metrics = (
            f"{row['cycles']:,}",
            f"{row['latency_ms']:.4g}",
            f"{row['energy_pj'] * 1e-9:.4g}",
            f"{row['utilization']:.1%}",
            f"{row['area_mm2']:.4g}",
        )
        per_second = [f"{row['inputs_per_s']:.4g}"] if rates else []
        table.add_row(
            *values, *metrics, *per_second, style="bold" if row["latency_ms"] == best else None
        )
    return table


def _short(value: Value) -> str:
    text = str(value)
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
