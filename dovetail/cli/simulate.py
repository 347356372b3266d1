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
from dovetail.errors import FidelityError, ToolError

if TYPE_CHECKING:
    from dovetail.arch.systolic import SystolicArray
    from dovetail.flow import MappedNetwork

EXAMPLES = examples(
    "dovetail simulate resnet50 --accelerator gemmini",
    "dovetail simulate model.onnx -a tpu_v1 --set dataflow=os --top 0",
    "dovetail simulate resnet18 --fidelity cycle --trace trace.json",
    "dovetail simulate resnet8 --set machine=rtl --fidelity cycle --trace trace.json --gates",
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
    gates: Annotated[
        bool,
        typer.Option(
            "--gates",
            help="Run the RTL under Verilator, too, and show its instructions in the trace; needs "
            "machine = rtl.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
) -> None:
    """Simulate a network on an accelerator: cycles, stalls, traffic and energy per operator."""
    from dovetail.flow import check_fidelity, map_network, read_report
    from dovetail.networks.registry import load_network

    check_fidelity(fidelity)
    if trace is not None and fidelity != "cycle":
        raise FidelityError("--trace shows a simulation: add --fidelity cycle")
    if gates and trace is None:
        raise FidelityError("--gates shows instructions in a trace: add --trace FILE")
    outputs = {"--json": json_path, "--csv": csv_path, "--trace": trace}
    check_outputs(outputs, inputs=(network, accelerator))
    chosen = load_accelerator(accelerator, overrides)
    net = load_network(network, batch=batch, dims=extents(dims))
    if gates:
        _require_gates(chosen)
    mapped = map_network(net, chosen, objective=objective, mapper=mapper)
    report = read_report(mapped, fidelity)
    if json_path is not None:
        save_json(json_path, report.to_dict())
    if csv_path is not None:
        save_rows(csv_path, operator_rows(report))
    if trace is not None:
        _write_trace(trace, mapped, gates)
    if "-" not in (json_path, csv_path):
        show(*report_table(report, top, console().width))
        print(f"\n{summary(report)}\n{deployment(net, chosen)}")


def _require_gates(design: SystolicArray) -> None:
    from dovetail.sim.simulators import require_tools

    if design.machine != "rtl":
        raise FidelityError(
            f"accelerator '{design.name}' has machine = {design.machine}: only machine = rtl has "
            "gates; add --set machine=rtl"
        )
    require_tools("verilator")


def _write_trace(path: str, mapped: MappedNetwork, gates: bool) -> None:
    from dovetail.flow import timings
    from dovetail.sim.trace import write_trace

    if mapped.layers is not None:
        _write_rtl_trace(path, mapped, gates)
        return
    names = [placement.operator.name for placement in mapped.plan.placements]
    write_trace(path, names, timings(mapped, trace=True), mapped.accelerator.clock_mhz)


def _write_rtl_trace(path: str, mapped: MappedNetwork, gates: bool) -> None:
    """A trace of the simulator and, if wanted, of the gates, whose times no value changes."""
    from dovetail.mappers.rtl_lower import lower
    from dovetail.sim.cycle import run_executable
    from dovetail.sim.trace_rtl import write_comparison
    from dovetail.verify.networks import run_gates

    assert mapped.layers is not None
    design = mapped.accelerator
    executable = lower(mapped.layers.network, design, mapped.tilings)
    timing = run_executable(executable, design, trace=True)
    with console(stderr=True).status("running the gates"):
        run = run_gates(executable, design, timing) if gates else None
    write_comparison(path, executable, timing, run, design.clock_mhz)
    if run is not None and run.failure:
        raise ToolError(f"the gates failed, see '{path}': {run.failure}")
