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
    SeedOption,
    SetOption,
    examples,
    extents,
    load_accelerator,
)
from dovetail.cli.output import check_outputs, console, save_json, save_rows, show
from dovetail.cli.reading import deployment, operator_rows, report_table, summary
from dovetail.errors import FidelityError, MappingError, ToolError

if TYPE_CHECKING:
    from dovetail.arch.accelerator import Accelerator
    from dovetail.flow import Mapped, MappedNetwork
    from dovetail.ir.mapping import Mapping
    from dovetail.ir.network import Network

EXAMPLES = examples(
    "dovetail simulate resnet50 --accelerator gemmini",
    "dovetail simulate model.onnx -a tpu_v1 --set dataflow=os --top 0",
    "dovetail simulate resnet18 --fidelity cycle --trace trace.json",
    "dovetail simulate resnet8 --set machine=rtl --fidelity cycle --trace trace.json --gates",
    "dovetail simulate bert_base --batch 8 --json - | jq .total.cycles",
    "dovetail simulate alexnet -a eyeriss_v1 --objective energy",
    "dovetail simulate mobilenet_v2 -a tpu_like --schedule fused --objective energy",
    "dovetail simulate resnet8 -a simba --set memories.global_buffer.capacity_kib=128",
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
    mapper: MapperOption = None,
    objective: MappingOption = "latency",
    mapping: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Replay the mappings of a file that dovetail map wrote; operators that it does "
            "not name are mapped as usual. Of spatial arrays.",
        ),
    ] = None,
    schedule: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="serial: operator by operator; fused: groups of operators tile by tile; cosma: "
            "activations stay in a scratchpad.",
        ),
    ] = "serial",
    scratchpad: Annotated[
        float | None,
        typer.Option(
            "--scratchpad-kib",
            metavar="KIB",
            help="Of --schedule cosma: what holds activations, beside the accelerator's memories.",
            min=0.001,
            max=2.0**40,
            show_default="as the largest of these",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            "--time-limit",
            metavar="S",
            help="Seconds of the mapper for each distinct operator. Of spatial arrays.",
            min=0.001,
            show_default="30",
        ),
    ] = None,
    seed: SeedOption = 0,
    workers: Annotated[
        int,
        typer.Option(metavar="N", min=1, max=256, help="Processes that map. Of spatial arrays."),
    ] = 1,
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
    from dovetail.flow import Request, check_fidelity, family_of, map_scheduled
    from dovetail.networks.registry import load_network

    if trace is not None and fidelity != "cycle":
        raise FidelityError("--trace shows a simulation: add --fidelity cycle")
    if trace is not None and schedule != "serial":
        raise FidelityError("--trace shows operators one by one: leave out --schedule")
    if gates and trace is None:
        raise FidelityError("--gates shows instructions in a trace: add --trace FILE")
    outputs = {"--json": json_path, "--csv": csv_path, "--trace": trace}
    check_outputs(outputs, inputs=(network, accelerator, *([mapping] if mapping else [])))
    chosen = load_accelerator(accelerator, overrides)
    check_fidelity(fidelity, family_of(chosen))
    net = load_network(network, batch=batch, dims=extents(dims))
    if gates:
        _require_gates(chosen)
    given = _mappings(mapping, net, chosen) if mapping is not None else {}
    request = Request(objective, mapper, seed, limit, given, workers, schedule, scratchpad)
    mapped = map_scheduled(net, chosen, request)
    report = mapped.report(fidelity)
    if json_path is not None:
        save_json(json_path, report.to_dict())
    if csv_path is not None:
        save_rows(csv_path, operator_rows(report))
    if trace is not None:
        _write_trace(trace, mapped, gates)
    if "-" not in (json_path, csv_path):
        show(*report_table(report, top, console().width))
        print(f"\n{summary(report)}")
        if formats := deployment(net, chosen):
            print(formats)
        if note := getattr(mapped, "note", None):
            print(note())


def _mappings(path: str, network: Network, accelerator: Accelerator) -> dict[str, Mapping]:
    """Loop nests by operator of a file."""
    from dovetail.arch.spatial import SpatialArray
    from dovetail.mappers.formats import read_mappings
    from dovetail.sim.nest import faults

    if not isinstance(accelerator, SpatialArray):
        raise MappingError(
            f"--mapping {path}: accelerator '{accelerator.name}' is of family "
            f"'{accelerator.family}'; mappings of files are loop nests of spatial arrays"
        )
    einsums = {op.name: op.einsum for op in network.operators if op.einsum is not None}
    # A file of another tool holds one mapping, so it is read for a network of one operator.
    found = read_mappings(path, einsums if len(einsums) == 1 else None, accelerator)
    if not found:
        raise MappingError(f"{path}: holds no mapping: leave out --mapping")
    for name, mapping in found.items():
        if name not in einsums:
            raise MappingError(f"{path}: network '{network.name}' has no Einsum called '{name}'")
        if wrong := faults(einsums[name], accelerator, mapping):
            raise MappingError(f"{path}: operator '{name}': {wrong[0]}")
    return found


def _require_gates(chosen: Accelerator) -> None:
    from dovetail.arch.presets import as_systolic
    from dovetail.sim.simulators import require_tools

    design = as_systolic(chosen, "--gates")
    if design.machine != "rtl":
        raise FidelityError(
            f"accelerator '{design.name}' has machine = {design.machine}: only machine = rtl has "
            "gates; add --set machine=rtl"
        )
    require_tools("verilator")


def _write_trace(path: str, mapped: Mapped, gates: bool) -> None:
    from dovetail.flow import MappedNetwork, timings
    from dovetail.sim.trace import write_trace

    if not isinstance(mapped, MappedNetwork):
        raise FidelityError(
            "--trace shows the instructions of a systolic array: take one, e.g. edge"
        )
    if mapped.layers is not None:
        _write_rtl_trace(path, mapped, gates)
        return
    names = [placement.operator.name for placement in mapped.plan.placements]
    write_trace(path, names, timings(mapped, trace=True), mapped.accelerator.clock_mhz)


def _write_rtl_trace(path: str, mapped: MappedNetwork, gates: bool) -> None:
    """A trace of the simulator and, if wanted, of the gates, whose times no value changes."""
    from dovetail.mappers.rtl.lower import lower
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
