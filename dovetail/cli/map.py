"""The command that lays operators onto a spatial accelerator, and replays mappings of files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import (
    OUTPUT,
    BatchOption,
    DimOption,
    SeedOption,
    SetOption,
    examples,
    extents,
    load_accelerator,
    pairs,
)
from dovetail.cli.output import check_outputs, printable, save, save_json, show
from dovetail.errors import AcceleratorError, ProblemError

if TYPE_CHECKING:
    from dovetail.arch.spatial import SpatialArray
    from dovetail.cli.map_operators import Work
    from dovetail.cli.map_work import Line

INTERRUPTED = 130

EXAMPLES = examples(
    "dovetail map resnet18 -a eyeriss_v1 -o resnet18.yaml",
    "dovetail map alexnet -a simba --operator conv2 --objective energy --picture conv2.svg",
    'dovetail map --op "K=64,C=64,P=56,Q=56,R=3,S=3" -a nvdla_small --mapper genetic',
    "dovetail map resnet18 -a eyeriss_v1 --check resnet18.yaml",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("map", epilog=EXAMPLES)(map_command)


def map_command(
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="[NETWORK]",
            help="A name (dovetail list networks), an .onnx or .tflite file, or a SCALE-Sim .csv.",
            show_default=False,
        ),
    ] = None,
    accelerator: Annotated[
        str,
        typer.Option(
            "--accelerator", "-a", metavar="NAME|FILE", help="A spatial preset or a .yaml file."
        ),
    ] = "eyeriss_v1",
    overrides: SetOption = None,
    op: Annotated[
        str | None,
        typer.Option(
            metavar="RANKS",
            help="A convolution in place of a network: K=64,C=64,P=56,Q=56,R=3,S=3,stride=1 "
            "(also N, G, dilation); a matrix product has P, C and K.",
        ),
    ] = None,
    operator: Annotated[
        str | None, typer.Option(metavar="NAME", help="Map only this operator of the network.")
    ] = None,
    batch: BatchOption = None,
    dims: DimOption = None,
    objective: Annotated[
        str, typer.Option(metavar="NAME", help="What is minimised: latency, energy or edp.")
    ] = "latency",
    mapper: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="optimal (proves it), milp, genetic, random, or that of an installed package.",
        ),
    ] = "optimal",
    seed: SeedOption = 0,
    time_limit: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Seconds for each distinct operator; then the best so far is taken.",
            show_default="none",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            metavar="F",
            help="Write the mappings; simulate --mapping and --check read them. One operator to "
            "F.timeloop.yaml is written as Timeloop reads it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    check: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Replay the mappings of a file in place of finding them: Dovetail's, or for one "
            "operator Timeloop's or ZigZag's. Says everything that is wrong with them.",
        ),
    ] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option(
            "--level",
            metavar="THEIRS=OURS",
            help="Our memory for a target of a Timeloop file, or several joined by +, repeatable: "
            "--level RegisterFile=rf_i+rf_w+rf_o. Of --check.",
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Draw the loop nest of one operator (.svg, .png, .pdf), or of all (.html).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write costs per level, proofs and loop nests; - prints them alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Lay the operators of a network onto a spatial accelerator: which loops run where."""
    from dovetail.cli.map_operators import read_work
    from dovetail.cli.map_picture import check_picture
    from dovetail.cli.map_reading import as_json
    from dovetail.cli.map_work import Question, find_all, replay
    from dovetail.mappers.found import check_objective
    from dovetail.mappers.spatial.mapper import check_mapper

    question = Question(check_objective(objective), check_mapper(mapper), seed, time_limit)
    if time_limit is not None and not time_limit > 0:
        raise ProblemError(f"--time-limit {time_limit:g}: must be above 0 seconds")
    if levels and check is None:
        raise ProblemError("--level names memories of a file that is read: add --check FILE")
    outputs = {"-o": output, "--picture": picture, "--json": json_path}
    check_outputs(outputs, inputs=[path for path in (network, accelerator, check) if path])
    chosen = _spatial(accelerator, overrides)
    work = read_work(network, op, operator, batch, extents(dims))
    if picture is not None:
        check_picture(picture, len(work.einsums))
    _check_output(output, work)
    stopped = False
    if check is not None:
        lines, wrong = replay(check, work, chosen, _levels(levels))
        if wrong:
            for fault in _joined(check, wrong, chosen):
                print(f"dovetail: {printable(' '.join(fault.split()))}", file=sys.stderr)
            raise typer.Exit(2)
    else:
        lines, stopped = find_all(work, chosen, question)
    if json_path is not None:
        save_json(json_path, as_json(lines, work, chosen, None if check else question))
    _write(lines, work, chosen, output, picture)
    if json_path != "-":
        _show(lines, work, chosen)
    if stopped:
        print("dovetail: interrupted: what was left has quick mappings", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)


def _spatial(spec: str, overrides: list[str] | None) -> SpatialArray:
    from dovetail.arch import presets
    from dovetail.arch.spatial import SpatialArray

    chosen = load_accelerator(spec, overrides)
    if not isinstance(chosen, SpatialArray):
        names = ", ".join(presets.names("spatial"))
        raise AcceleratorError(
            f"accelerator '{chosen.name}' is of family '{chosen.family}': loop nests are mapped "
            f"onto one spatial array; name a file or one of {names}"
        )
    return chosen


def _joined(path: str, wrong: list[str], accelerator: SpatialArray) -> list[str]:
    """Every fault; one line if all come of a file that was made for another accelerator."""
    from dovetail.mappers.formats import made_for

    other = made_for(path)
    if other in ("", accelerator.name):
        return wrong
    more = f"; {len(wrong) - 1} more faults" if len(wrong) > 1 else ""
    first = wrong[0].removeprefix(f"{path}: ")
    return [f"{path}: was made for '{other}', not for '{accelerator.name}': {first}{more}"]


def _levels(texts: list[str] | None) -> dict[str, tuple[str, ...]]:
    """Our memories by the target that stands for them."""
    given = pairs(texts, "--level")
    return {theirs: tuple(ours.split("+")) for theirs, ours in given.items()}


def _check_output(output: str | None, work: Work) -> None:
    if _is_timeloop(output) and len(work.einsums) > 1:
        raise ProblemError(
            f"-o {output}: Timeloop's form holds one operator: choose it by --operator NAME"
        )


def _is_timeloop(path: str | None) -> bool:
    return path is not None and path.lower().endswith((".timeloop.yaml", ".timeloop.yml"))


def _write(
    lines: list[Line], work: Work, accelerator: SpatialArray, output: str | None,
    picture: str | None,
) -> None:  # fmt: skip
    from dataclasses import replace

    from dovetail.cli.map_picture import draw
    from dovetail.mappers.formats.own import to_text
    from dovetail.mappers.formats.timeloop_write import to_timeloop

    if output is not None and _is_timeloop(output):
        save(output, to_timeloop(lines[0].mapping, accelerator))
    elif output is not None:
        mapped = {
            name: replace(line.mapping, operator=name) if line.mapping.operator else line.mapping
            for line in lines
            for name in line.operators
        }
        ordered = {name: mapped[name] for name in work.einsums if name in mapped}
        save(output, to_text(ordered, accelerator.name))
    if picture is not None:
        draw(picture, lines, work, accelerator)


def _show(lines: list[Line], work: Work, accelerator: SpatialArray) -> None:
    from dovetail.cli.map_reading import line_table, nest_text, summary

    show(line_table(lines), f"{work.title} on {accelerator.name}")
    print(f"\n{summary(lines, work, accelerator)}")
    if len(lines) == 1 and lines[0].mapping.operator:
        print(f"\n{nest_text(lines[0], accelerator)}")
    elif len(work.einsums) > 1:
        print("--operator NAME shows the loop nest of one of them")
