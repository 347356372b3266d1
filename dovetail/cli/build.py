"""The command that writes a design as RTL with the program of a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import OUTPUT, SetOption, examples

if TYPE_CHECKING:
    from dovetail.building.twin import Twin
    from dovetail.rtl.synthesis import Synthesis

NETWORK = "resnet8"
"""What a design runs where nothing is given."""

TARGETS = ("gates", "xilinx")
SIMULATORS = ("icarus", "verilator")

EXAMPLES = examples(
    "dovetail build chip.yaml --network resnet8 --verify icarus",
    "dovetail build edge --set rows=8 --set cols=8 --adapt --synth gates",
    "dovetail build 'study.db#412' --adapt --verify verilator",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("build", epilog=EXAMPLES)(build_command)


def build_command(
    design: Annotated[
        str,
        typer.Argument(
            metavar="DESIGN",
            help="A .yaml file, a preset, or STUDY#N: evaluation N of a study, with its network.",
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NETWORK",
            help="Whose program it runs, with random weights: a name, .onnx or .csv.",
            show_default=f"{NETWORK}; of a study its own",
        ),
    ] = None,
    overrides: SetOption = None,
    adapt: Annotated[
        bool,
        typer.Option("--adapt", help="Build the nearest design where this one cannot be built."),
    ] = False,
    images: Annotated[int, typer.Option(metavar="N", help="Test images.", min=1, max=100)] = 2,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of random weights and images.", min=0, max=2**32 - 1)
    ] = 0,
    verify: Annotated[
        str | None,
        typer.Option(metavar="SIMULATOR", help="Run the images in the gates: icarus or verilator."),
    ] = None,
    synth: Annotated[
        list[str] | None,
        typer.Option(metavar="TARGET", help="Count cells with Yosys, repeatable: gates or xilinx."),
    ] = None,
    limit: Annotated[
        float, typer.Option("--synth-limit", metavar="S", help="Seconds per synthesis.", min=1)
    ] = 600.0,
    out: Annotated[
        str,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="What to write.", rich_help_panel=OUTPUT
        ),
    ] = "build",
) -> None:
    """Build a design: RTL, program, test bench and a script that checks it, in one folder."""
    from dovetail.building.folder import check_folder, write_folder
    from dovetail.cli.jobs import check_tools, job_of

    check_tools(verify, synth or ())
    check_folder(out)
    job = job_of(design, network, overrides, images=images, seed=seed)
    twin = job.twin(adapt=adapt)
    print(job.describe(twin))
    counts = {target: _synthesize(twin, target, limit) for target in dict.fromkeys(synth or ())}
    write_folder(twin, out, counts)
    print(f"folder: {out} (run.sh checks it)")
    if verify is not None:
        _verify(twin, verify)


def _synthesize(twin: Twin, target: str, limit: float) -> Synthesis:
    from dovetail.cli.jobs import synthesis_of

    done = synthesis_of(twin, target, limit)
    figures = ", ".join(
        f"{value:,.10g} {key.replace('_', ' ')}" for key, value in done.summary().items()
    )
    print(f"yosys, {target}: {figures} ({done.seconds:.0f} s)")
    return done


def _verify(twin: Twin, simulator: str) -> None:
    from dovetail.cli.jobs import verdict_of

    passed, text = verdict_of(twin, simulator)
    print(text)
    if not passed:
        raise typer.Exit(1)
