"""The commands that list kernels and compile them to Verilog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dovetail.cli.options import OUTPUT, examples, pairs
from dovetail.cli.output import check_outputs, console, make_table, save, save_json, show
from dovetail.errors import AcceleratorError, OutputError, ProblemError, ToolError

if TYPE_CHECKING:
    from dovetail.arch.kernels import KernelCost
    from dovetail.hls import HlsBuild
    from dovetail.rtl.synthesis import Synthesis

TARGETS = ("gates", "xilinx")

EXAMPLES = examples(
    "dovetail hls build gelu --clock-ps 1500",
    "dovetail hls build lmul --set exponent=4 --set mantissa=3 --set finite=1 --lanes 16",
    "dovetail hls build requantize --stages 4 --delay-model sky130 --no-synth --json -",
)
TABLE_EXAMPLES = examples(
    "dovetail hls table --out kernels.csv", "dovetail hls table --kernel gelu --kernel softmax"
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    group = typer.Typer(help="Compile kernels in DSLX to pipelined Verilog.")
    group.callback()(lambda: None)
    group.command("list")(list_command)
    group.command("build", epilog=EXAMPLES)(build_command)
    group.command("table", epilog=TABLE_EXAMPLES)(table_command)
    app.add_typer(group, name="hls")


def list_command() -> None:
    """List kernels and their parameters."""
    from dovetail.hls import find_kernel, names

    words = ("kernel", "parameter", "meaning")
    table = make_table(("kernel", "parameter", "default", "legal", "meaning"), words=words)
    for name in names():
        try:
            kernel = find_kernel(name)
        except AcceleratorError as error:
            # Another package's: ours are there all the same.
            print(f"dovetail: {error}", file=sys.stderr)
            continue
        table.add_row(kernel.name, "", "", "", kernel.title)
        for p in kernel.parameters:
            table.add_row("", p.name, str(p.default), f"{p.low} to {p.high}", p.meaning)
    show(table)


def build_command(
    kernel: Annotated[
        str, typer.Argument(metavar="KERNEL", help="Its name (dovetail hls list).")
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=N", help="Set a parameter, repeatable: --set fraction=10."
        ),
    ] = None,
    lanes: Annotated[
        int, typer.Option(metavar="N", help="Copies side by side: scalars per cycle.")
    ] = 1,
    clock_ps: Annotated[
        int | None,
        typer.Option(
            metavar="PS", help="Clock period; as few stages as it allows.", min=1,
            max=10**6, show_default="2000, or none with --stages",
        ),
    ] = None,
    stages: Annotated[int | None, typer.Option(metavar="N", help="Pipeline stages.")] = None,
    interval: Annotated[
        int, typer.Option(metavar="N", help="Cycles between two inputs; more than 1 for streams.")
    ] = 1,
    delay_model: Annotated[
        str, typer.Option(metavar="NAME", help="Of the gates: asap7 or sky130.")
    ] = "asap7",
    synth: Annotated[
        bool, typer.Option("--synth/--no-synth", help="Count gates, LUTs and DSPs with Yosys.")
    ] = True,
    limit: Annotated[
        float, typer.Option("--synth-limit", metavar="S", help="Seconds per synthesis.", min=1)
    ] = 600.0,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", rich_help_panel=OUTPUT,
            help="Write MODULE.v and MODULE.json here.",
        ),
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="F", help="Write a summary; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Compile a kernel: Verilog, latency, initiation interval, and what it takes."""
    from dovetail.hls import build

    check_outputs({"--json": json_path})
    if synth:
        _require_yosys()
    parameters = _parameters(overrides)
    made = build(
        kernel,
        parameters,
        lanes=lanes,
        clock_ps=clock_ps,
        stages=stages,
        interval=interval,
        delay_model=delay_model,
    )
    folder = _folder(out)
    if folder is not None:
        # Before synthesis, which may take longer than it may.
        save(str(folder / f"{made.module}.v"), made.verilog)
    targets = TARGETS if synth else ()
    counts = {target: _synthesize(made, target, limit) for target in targets}
    summary = _summary(made, counts)
    if folder is not None:
        save_json(str(folder / f"{made.module}.json"), summary)
    if json_path is not None:
        save_json(json_path, summary)
    if json_path != "-":
        _print(made, counts, folder)


def table_command(
    kernel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this kernel, repeatable.", show_default="all"),
    ] = None,
    limit: Annotated[
        float, typer.Option("--synth-limit", metavar="S", help="Seconds per synthesis.", min=1)
    ] = 1800.0,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", "-o", metavar="F", rich_help_panel=OUTPUT,
            help="Write the table as CSV, a line as soon as it is there; - prints it alone.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Build kernels at the default clock and count what they take on a 7-series FPGA.

    Each at its defaults, pipelines also eight scalars wide, and some in further forms. A line that
    takes Yosys too long is left out and named; the exit code is then 1.
    """
    from dovetail.arch.kernels import write_table
    from dovetail.hls import find_kernel, names
    from dovetail.verify.hls_table import command, measure, points

    check_outputs({"--out": out})
    wanted = [find_kernel(name).name for name in dict.fromkeys(kernel or names())]
    _require_yosys()
    costs, late = [], []
    for point in points(wanted):
        with console(stderr=True).status(command(point)):
            try:
                costs.append(measure(point, limit_s=limit))
            except ToolError as error:
                late.append(f"{command(point)}: {error}")
                continue
        if out not in (None, "-"):
            save(str(out), write_table(costs))
    if out == "-":
        save(out, write_table(costs))
    else:
        _print_table(costs)
    for line in late:
        print(line, file=sys.stderr)
    raise typer.Exit(1 if late else 0)


def _print_table(costs: list[KernelCost]) -> None:
    counts = ("latency", "II", "LUT", "FF", "DSP", "BRAM18")
    table = make_table(("command", *counts), words=("command",))
    for cost in costs:
        numbers = (cost.latency_cycles, cost.initiation_interval, cost.lut, cost.ff, cost.dsp)
        table.add_row(cost.command, *(f"{n:,}" for n in (*numbers, cost.bram18)))
    show(table)


def _parameters(overrides: list[str] | None) -> dict[str, int]:
    found = {}
    for key, text in pairs(overrides, "--set").items():
        try:
            found[key] = int(text)
        except ValueError:
            raise ProblemError(f"--set {key}={text}: must be a whole number") from None
    return found


def _require_yosys() -> None:
    import shutil

    from dovetail.errors import MissingToolError

    if shutil.which("yosys") is None:
        raise MissingToolError(
            "counting cells", "yosys", "apt-get install yosys, or leave it with --no-synth"
        )


def _folder(path: str | None) -> Path | None:
    if path is None:
        return None
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror or error}") from None
    return Path(path)


def _synthesize(made: HlsBuild, target: str, limit: float) -> Synthesis:
    from dovetail.verify.hls_table import synthesize_build

    with console(stderr=True).status(f"synthesize {made.module} to {target}"):
        return synthesize_build(made, target, limit_s=limit)


def _summary(made: HlsBuild, counts: dict[str, Synthesis]) -> dict[str, Any]:
    return {
        "module": made.module,
        "parameters": made.parameters,
        "lanes": made.lanes,
        "ports": dict(made.ports),
        "out": {made.out: made.out_bits},
        "latency_cycles": made.latency_cycles,
        "initiation_interval": made.initiation_interval,
        "provenance": made.provenance,
        "synthesis": {target: done.to_dict() for target, done in counts.items()},
    }


def _print(made: HlsBuild, counts: dict[str, Synthesis], folder: Path | None) -> None:
    ports = ", ".join(f"{name} {bits}" for name, bits in made.ports)
    print(
        f"{made.module}: latency {made.latency_cycles} cycles, "
        f"initiation interval {made.initiation_interval}\nbits: {ports}; {made.out} {made.out_bits}"
    )
    for target, done in counts.items():
        figures = ", ".join(
            f"{value:,.10g} {key.replace('_', ' ')}" for key, value in done.summary().items()
        )
        print(f"yosys, {target}: {figures} ({done.seconds:.0f} s)")
    if folder is not None:
        print(f"written: {folder / made.module}.v and .json")
