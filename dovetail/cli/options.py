"""Options that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer
import yaml

from dovetail.arch import presets
from dovetail.arch.systolic import SystolicArray
from dovetail.errors import ProblemError

NetworkArgument = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK", help="A zoo name (dovetail list networks), an .onnx or a SCALE-Sim .csv."
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
        "--set", metavar="KEY=VALUE", help="Override a parameter: --set rows=32 --set dataflow=os."
    ),
]
BatchOption = Annotated[int | None, typer.Option(help="Batch size of the network.", min=1)]
MapperOption = Annotated[
    str, typer.Option(help="exhaustive over the tilings, or greedy as searches use it.")
]
MappingOption = Annotated[
    str, typer.Option("--objective", help="What each tiling minimises: latency, energy or edp.")
]


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


def scalar(text: str) -> object:
    """A number, truth value or text, as YAML reads it."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def load_accelerator(spec: str, overrides: Sequence[str] | None) -> SystolicArray:
    """A preset or file with `--set` applied."""
    return presets.load(spec).replace(assignments(overrides, "--set"))
