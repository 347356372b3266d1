"""The command that runs whole networks on the gates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dovetail.arch import presets
from dovetail.cli.options import (
    OUTPUT,
    SeedOption,
    SetOption,
    assignments,
    examples,
    load_accelerator,
)
from dovetail.cli.output import check_outputs, console
from dovetail.errors import AcceleratorError, ProblemError, UnknownNameError

if TYPE_CHECKING:
    from dovetail.arch.systolic import SystolicArray
    from dovetail.verify.networks import ImageResult, Subject, Verdict

EXAMPLES = examples(
    "dovetail verify network resnet8 --images 2",
    "dovetail verify network digits",
    "dovetail verify network model.tflite --images 4",
    "dovetail verify network ds_cnn --set rows=16 --set cols=16 --set dataflow=os",
    "dovetail verify network resnet8 --images 1 --trace trace.json",
)
DIGITS = "digits"
RANDOM_IMAGES = 1
"""Images of a network with random weights, where one tells as much as many."""


def network_command(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="Zoo network or .onnx file, with random weights; a .tflite file, with its own; or "
            "`digits`: a sub-network of the demo's supernet on scikit-learn's held-out images.",
        ),
    ],
    images: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Images; all of digits, otherwise 1 by default."
        ),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            "--accelerator", "-a", metavar="NAME",
            help="Preset or .yaml file, taken as an RTL machine; 8 x 8 by default.",
        ),
    ] = None,
    overrides: SetOption = None,
    choice: Annotated[
        str | None,
        typer.Option(
            metavar="I,I,…", help="Knobs of the sub-network of digits; the largest by default."
        ),
    ] = None,
    simulator: Annotated[
        str, typer.Option(metavar="NAME", help="verilator, or icarus (slow).")
    ] = "verilator",
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Images at a time; one per core.")
    ] = None,
    seed: SeedOption = 0,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Write a trace of the first image, simulated and of the gates, for "
            "ui.perfetto.dev.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run a whole network on the RTL: every byte against the interpreter, every cycle simulated."""
    from dovetail.sim.simulators import SIMULATORS, require_tools
    from dovetail.verify.networks import verify_network

    check_outputs({"--trace": trace}, inputs=(network, accelerator or ""))
    design = _design(accelerator, overrides)
    if simulator not in SIMULATORS:
        raise UnknownNameError("simulator", simulator, SIMULATORS)
    require_tools(simulator)
    subject = _subject(network, design, images, choice, seed)
    count = len(subject.images)

    def show(result: ImageResult) -> None:
        status.update(f"image {result.image + 1} of {count}")

    with console(stderr=True).status("building the gates") as status:
        workers = jobs or min(count, os.cpu_count() or 1)
        verdict = verify_network(subject, design, simulator, jobs=workers, progress=show)
    print(summary(verdict, design, simulator))
    if trace is not None:
        _write_trace(trace, verdict, design)
    if verdict.failures:
        raise typer.Exit(1)


def _design(accelerator: str | None, overrides: list[str] | None) -> SystolicArray:
    """The accelerator as an RTL machine."""
    from dovetail.verify.networks import MICRO

    if accelerator is not None:
        presets.as_systolic(presets.load(accelerator), "the RTL")
        chosen = load_accelerator(accelerator, ["machine=rtl", *(overrides or ())])
        return presets.as_systolic(chosen, "the RTL")
    chosen = MICRO.replace(assignments(overrides, "--set"))
    if reasons := chosen.validate():
        raise AcceleratorError(f"accelerator '{chosen.name}' is illegal: {reasons[0]}")
    return chosen


def _subject(
    network: str, design: SystolicArray, images: int | None, choice: str | None, seed: int
) -> Subject:
    from dovetail.networks.registry import load_network
    from dovetail.networks.tflite_codes import load_codes
    from dovetail.verify.networks import imported_subject, random_subject

    if network == DIGITS and not Path(network).exists():
        return _digits(design, images, choice, seed)
    if choice is not None:
        raise ProblemError(f"--choice {choice}: '{network}' has no sub-networks; '{DIGITS}' has")
    net, count = load_network(network), images or RANDOM_IMAGES
    if network.lower().endswith(".tflite"):
        return imported_subject(net, load_codes(network, net), design, count, seed)
    return random_subject(net, design, count, seed)


def _digits(design: SystolicArray, images: int | None, choice: str | None, seed: int) -> Subject:
    """A sub-network of the supernet that the demo trains."""
    from dovetail.envs.supernet import build_oracle
    from dovetail.verify.networks import trained_subject

    with console(stderr=True).status("training the supernet of digits (once)") as status:

        def show(state: Any) -> None:
            status.update(f"training the supernet: epoch {state.epoch} of {state.epochs}")

        cached, _ = build_oracle({"dataset": DIGITS, "seed": seed}, show)
    oracle = cached.oracle
    knobs = _knobs(choice) if choice else (oracle.family.space.cardinalities - 1).tolist()
    return trained_subject(oracle, knobs, design, images)


def _knobs(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"--choice '{text}': must be whole numbers with commas") from None


def summary(verdict: Verdict, design: SystolicArray, simulator: str) -> str:
    """What the images showed, in a few lines."""
    count, failed = len(verdict.results), len(verdict.failures)
    name = verdict.executable.name
    cycles, instructions = verdict.timing.total, len(verdict.timing.trace)
    seconds = sum(result.seconds for result in verdict.results) / max(1, count)
    lines = [
        f"{name} on {design.name} ({design.rows} x {design.cols} {design.dataflow}): "
        f"{len(verdict.executable.segments)} layers, {instructions:,} instructions, "
        f"{cycles:,} cycles per image",
        f"{count - failed} of {count} images agree in every byte of memory ("
        f"{verdict.executable.size:,} B), every instruction's cycles, and all {cycles:,} cycles",
    ]
    for result in verdict.failures[:3]:
        lines.append(f"image {result.image}: {result.kind}: {result.detail}")
    if verdict.labels is not None:
        lines.append(
            f"the gates classify {verdict.correct} of {count} images correctly "
            f"({(verdict.correct or 0) / count:.2%}); the accuracy oracle promised "
            f"{verdict.promised} ({(verdict.promised or 0) / count:.2%})"
        )
    lines.append(
        f"wall time per image: {simulator} {seconds:.2g} s with its start, sim.cycle "
        f"{verdict.simulate_seconds * 1e3:.2g} ms"
    )
    return "\n".join(lines)


def _write_trace(path: str, verdict: Verdict, design: SystolicArray) -> None:
    from dovetail.sim.trace_rtl import write_comparison

    run = verdict.results[0].run
    write_comparison(path, verdict.executable, verdict.timing, run, design.clock_mhz)
