"""The command that writes a network as a TFLite model."""

from __future__ import annotations

from typing import Annotated

import typer

from dovetail.cli.options import (
    OUTPUT,
    BatchOption,
    DimOption,
    NetworkArgument,
    SeedOption,
    examples,
    extents,
)
from dovetail.cli.output import check_outputs
from dovetail.errors import OutputError

EXAMPLES = examples(
    "dovetail convert resnet8 --output resnet8.tflite",
    "dovetail convert mobilenet_v2 --seed 1 --output mobilenet.tflite",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("convert", epilog=EXAMPLES)(convert_command)


def convert_command(
    network: NetworkArgument,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="F", help="The .tflite file.", rich_help_panel=OUTPUT
        ),
    ],
    seed: SeedOption = 0,
    batch: BatchOption = None,
    dims: DimOption = None,
) -> None:  # fmt: skip
    """Write a network as an int8 TFLite model with random weights, for tools that read those."""
    if not output.lower().endswith(".tflite"):
        raise OutputError(f"cannot write '{output}': the name must end in .tflite")
    from dovetail.ir.files import replaced_file
    from dovetail.networks.registry import load_network
    from dovetail.networks.tflite_export import to_tflite

    check_outputs({"--output": output}, inputs=(network,))
    data = to_tflite(load_network(network, batch=batch, dims=extents(dims)), seed=seed)
    with replaced_file(output) as temporary:
        temporary.write_bytes(data)
    print(f"{output}: {len(data):,} B, int8, random weights (seed {seed})")
