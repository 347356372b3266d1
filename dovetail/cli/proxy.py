"""Commands of learnt cost models."""

from __future__ import annotations

from typing import Annotated

import typer

from dovetail.cli.options import OUTPUT, examples
from dovetail.cli.output import check_outputs

EXAMPLES = examples(
    "dovetail proxy train comparison/evaluations.parquet --fidelity cycle --designs 20000",
    "dovetail search --env proxy:proxy.npz --budget 100000 --study fast.db",
    "dovetail resimulate fast.db --fidelity cycle",
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    proxies = typer.Typer(
        help="Learn what designs cost from what searches evaluated.", no_args_is_help=True
    )
    proxies.command("train", epilog=EXAMPLES)(train_command)
    app.add_typer(proxies, name="proxy")


def train_command(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA.parquet", help="What dovetail compare or dovetail export wrote."
        ),
    ],
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="F", help="The proxy's file.", rich_help_panel=OUTPUT),
    ] = "proxy.npz",
    fidelity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Learn from this fidelity. Where the data set has too little of it, its designs "
            "are evaluated anew: cycle, rtl, or epochs of training.",
            show_default="the data set's most frequent",
        ),
    ] = None,
    designs: Annotated[
        int,
        typer.Option(metavar="N", help="Designs to evaluate anew at most.", min=1),
    ] = 5000,
    workers: Annotated[
        str, typer.Option(metavar="N|ray[:N|:ADDRESS]", help="Who evaluates anew.")
    ] = "1",
    members: Annotated[int, typer.Option(metavar="N", help="Networks of the ensemble.", min=1)] = 3,
    width: Annotated[int, typer.Option(metavar="N", help="Units of a layer.", min=1)] = 128,
    steps: Annotated[int, typer.Option(metavar="N", help="Steps of the training.", min=1)] = 8000,
    coverage: Annotated[
        float, typer.Option(metavar="P", help="Share of the truth that intervals cover.")
    ] = 0.9,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Same seed, same proxy.", min=0, max=2**32 - 1)
    ] = 0,
) -> None:
    """Train an ensemble of networks on a data set; print its errors and its speed.

    Designs are split by a hash: 80 % train, 10 % calibrate the intervals, 10 % are scored.
    """
    from dovetail.cli.proxy_training import Request, run
    from dovetail.studies.proxy import TrainingArgs

    check_outputs({"--out": out}, inputs=(data,))
    args = TrainingArgs(members=members, width=width, steps=steps, coverage=coverage, seed=seed)
    run(Request(data, out, fidelity, designs, workers), args)
