"""The command that simulates one network on one accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

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
    examples,
    extents,
    load_accelerator,
)
from dovetail.cli.output import check_outputs, console, save_json, save_rows, show
from dovetail.cli.reading import deployment, operator_rows, report_table, summary
from dovetail.errors import FidelityError

if TYPE_CHECKING:
    from dovetail.flow import MappedNetwork

EXAMPLES = examples(
    "dovetail simulate resnet50 --accelerator gemmini",
    "dovetail simulate model.onnx -a tpu_v1 --set dataflow=os --top 0",
    "dovetail simulate resnet18 --fidelity cycle --trace trace.json",
    "dovetail simulate bert_base --batch 8 --json - | jq .total.cycles",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("simulate", epilog=EXAMPLES)(simulate_command)


def simulate_command(
    network: NetworkArgument,
    accelerator: AcceleratorOption = "edge",
    overrides: SetOption = None,
    fidelity: FidelityOption = "estimate",
    batch: BatchOption = None,
    dims: DimOption = None,
    mapper: MapperOption = "exhaustive",
    objective: MappingOption = "latency",
    top: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Longest operators to print; 0 prints all, fused ones and views, too.",
            min=0,
            rich_help_panel=OUTPUT,
        ),
    ] = 12,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write the whole report as JSON (docs/report.md); - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    csv_path: Annotated[
        str | None,
        typer.Option(
            "--csv",
            metavar="F",
            help="Write one row per operator as CSV; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Write a trace for ui.perfetto.dev; needs --fidelity cycle.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Simulate a network on an accelerator: cycles, stalls, traffic and energy per operator."""
    from dovetail.flow import map_network, read_report
    from dovetail.networks.registry import load_network

    if trace is not None and fidelity != "cycle":
        raise FidelityError("--trace shows a simulation: add --fidelity cycle")
    outputs = {"--json": json_path, "--csv": csv_path, "--trace": trace}
    check_outputs(outputs, inputs=(network, accelerator))
    chosen = load_accelerator(accelerator, overrides)
    net = load_network(network, batch=batch, dims=extents(dims))
    mapped = map_network(net, chosen, objective=objective, mapper=mapper)
    report = read_report(mapped, fidelity)
    if json_path is not None:
        save_json(json_path, report.to_dict())
    if csv_path is not None:
        save_rows(csv_path, operator_rows(report))
    if trace is not None:
        _write_trace(trace, mapped)
    if "-" not in (json_path, csv_path):
        show(*report_table(report, top, console().width))
        print(f"\n{summary(report)}\n{deployment(net, chosen)}")


def _write_trace(path: str, mapped: MappedNetwork) -> None:
    from dovetail.flow import timings
    from dovetail.sim.trace import write_trace

    names = [placement.operator.name for placement in mapped.plan.placements]
    write_trace(path, names, timings(mapped, trace=True), mapped.accelerator.clock_mhz)
