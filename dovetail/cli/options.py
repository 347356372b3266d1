"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from dovetail.arch import presets
from dovetail.arch.accelerator import Accelerator
from dovetail.errors import AcceleratorError, ProblemError

OUTPUT = "Output"
"""Panel of the options that say where results go."""

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK",
        help="A name (dovetail list networks), an .onnx or .tflite file, or a SCALE-Sim .csv.",
    ),
]
AcceleratorOption = Annotated[
    str,
    typer.Option(
        "--accelerator",
        "-a",
        metavar="NAME|FILE",
        help="A preset (dovetail list accelerators) or a .yaml file.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a parameter (dovetail list parameters), repeatable: --set rows=32 or "
        "--set memories.glb.capacity_kib=64.",
    ),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Inputs per inference.", min=1, show_default="the network's own"
    ),
]
DimOption = Annotated[
    list[str] | None,
    typer.Option(
        "--dim",
        metavar="NAME=N",
        help="Open dimension of an .onnx file or size of a zoo network: --dim sequence=128.",
    ),
]
FidelityOption = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="estimate (closed form) or cycle (simulates every load, compute and store).",
    ),
]
MapperOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="How operators are mapped: dovetail list mappers.",
        show_default="the family's first",
    ),
]
MappingOption = Annotated[
    str,
    typer.Option(
        "--objective", metavar="NAME", help="What each mapping minimises: latency, energy or edp."
    ),
]
SeedOption = Annotated[
    int, typer.Option(metavar="N", help="Same seed, same result.", min=0, max=2**32 - 1)
]


def examples(*lines: str) -> str:
    """Example commands below a command's help, one per line."""
    return "\n\n".join(["Examples:", *(f"  {line}" for line in lines)])


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """Texts by key of `KEY=TEXT` arguments.

    Raises:
        ProblemError: if an argument has no `=`, or a key stands twice.
    """
    values: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise ProblemError(f"{option} '{text}': must be KEY=VALUE")
        if key in values:
            raise ProblemError(f"{option} '{text}': '{key}' is set twice")
        values[key] = value
    return values


def assignments(texts: Sequence[str] | None, option: str) -> dict[str, object]:
    """Values by key of `KEY=VALUE` arguments; numbers become numbers. Raises as `pairs` does."""
    return {key: scalar(value) for key, value in pairs(texts, option).items()}


def extents(texts: Sequence[str] | None) -> dict[str, int]:
    """Extents by name of `--dim` arguments.

    Raises:
        ProblemError: if one is not a positive whole number.
    """
    given = assignments(texts, "--dim")
    values = {name: value for name, value in given.items() if isinstance(value, int)}
    for name, value in given.items():
        if values.get(name, 0) < 1:
            raise ProblemError(f"--dim {name}={value}: must be a whole number of at least 1")
    return values


def scalar(text: str) -> int | float | str:
    """A whole number or a number if the text is one, else the text."""
    for kind in (int, float) if "_" not in text else ():  # Python takes 1_000, too
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def load_accelerator(spec: str, overrides: Sequence[str] | None) -> Accelerator:
    """A preset or file with `--set` applied.

    Raises:
        UnknownNameError, AcceleratorError: if it is wrong or breaks a law of its family.
    """
    chosen = presets.load(spec).replace(assignments(overrides, "--set"))
    if reasons := chosen.validate():
        raise AcceleratorError(f"accelerator '{chosen.name}' is illegal: {reasons[0]}")
    return chosen
