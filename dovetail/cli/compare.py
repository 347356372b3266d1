"""The command that compares agents."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dovetail.cli.options import OUTPUT, SetOption, examples, load_accelerator
from dovetail.cli.problem_options import (
    ENV,
    BaseOption,
    ConstraintOption,
    DatasetOption,
    EnvOption,
    EpochsOption,
    ObjectiveOption,
    SearchedNetworkOption,
    TableOption,
    problem_spec,
)
from dovetail.errors import StudyError

DEFAULTS: dict[str, Any] = {
    "agents": "nsga2,genetic,random",
    "draws": 4,
    "seeds": 3,
    "seed": 0,
    "budget": 1000,
    "seconds": 10.0,
    "most_evaluations": None,
    "most_seconds": None,
    "elites": 16,
    "fidelity": "cycle",
}
"""What a new comparison takes where nothing is given."""

MOST_EVALUATIONS, MOST_SECONDS = 100, 10
"""Caps, in multiples of the budget and of the seconds."""

EXAMPLES = examples(
    "dovetail compare --env accelerator --agents nsga2,genetic,optuna:sampler=tpe --workers 2",
    "dovetail compare --env nasbench201 --agents nsga2,cem:batch=64 --draws 8 --seeds 5 --out nb",
    "dovetail compare --out nb --resume --seeds 10",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("compare", epilog=EXAMPLES)(compare_command)


def compare_command(
    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Where report.html, evaluations.parquet, summary.json and the studies of all "
            "runs go.",
            rich_help_panel=OUTPUT,
        ),
    ] = "comparison",
    agents: Annotated[
        str | None,
        typer.Option(
            metavar="A,B:KEY=VALUE,...",
            help="Who competes (dovetail list agents); settings after a colon hold for all draws.",
            show_default=DEFAULTS["agents"],
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Draws of each agent's settings from their ranges; the first has the defaults.",
            min=1,
            show_default=str(DEFAULTS["draws"]),
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Seeds per draw.", min=1, show_default=str(DEFAULTS["seeds"])
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(metavar="N", help="The first seed.", min=0, max=2**31, show_default="0"),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Evaluations to compare at.",
            min=1,
            show_default=str(DEFAULTS["budget"]),
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="Processor time to compare at, of agent and problem in one thread.",
            show_default="10",
        ),
    ] = None,
    most_evaluations: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="End runs of fast agents here, all of whose evaluations are recorded.",
            min=1,
            show_default=f"{MOST_EVALUATIONS} x --budget",
        ),
    ] = None,
    most_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S",
            help="End runs of slow agents here, though evaluations are left.",
            show_default=f"{MOST_SECONDS} x --seconds",
        ),
    ] = None,
    elites: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Designs of the front of all runs to evaluate again at --fidelity; 0 for none.",
            min=0,
            show_default=str(DEFAULTS["elites"]),
        ),
    ] = None,
    fidelity: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of the elites: cycle, rtl; or epochs of training for nasbench201.",
            show_default=DEFAULTS["fidelity"],
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            metavar="N", help="Runs at a time; what they find does not depend on it.", min=1
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with FOLDER: after a kill, or with more agents, draws, seeds or budget. "
            "What is not given is taken from it.",
        ),
    ] = False,
    env: EnvOption = None,
    objective: ObjectiveOption = None,
    constraint: ConstraintOption = None,
    accelerator: BaseOption = None,
    overrides: SetOption = None,
    network: SearchedNetworkOption = None,
    dataset: DatasetOption = None,
    epochs: EpochsOption = None,
    table: TableOption = None,
) -> None:
    """Compare agents at equal evaluations and at equal seconds, over draws and seeds.

    Prints quartiles, ranks and odds of winning as shares of the exact front where the problem can
    be enumerated, else of the front of all runs. A kill loses at most the batches in flight.
    """
    from dovetail.cli.comparing import compare
    from dovetail.studies.comparison.folder import stored_request

    given = {
        "agents": agents, "draws": draws, "seeds": seeds, "seed": seed, "budget": budget,
        "seconds": seconds, "most_evaluations": most_evaluations, "most_seconds": most_seconds,
        "elites": elites, "fidelity": fidelity,
    }  # fmt: skip
    stored = stored_request(Path(out), resume=resume)
    _check_stored(out, stored)
    known = stored.get("problem", {})
    spec = problem_spec(
        env or known.get("problem", ENV),
        {"network": network, "dataset": dataset, "epochs": epochs, "table": table},
        load_accelerator(accelerator or "edge", overrides) if accelerator or overrides else None,
        objective,
        constraint,
    )
    request = {**DEFAULTS, **{key: stored[key] for key in DEFAULTS if key in stored}}
    request |= {key: value for key, value in given.items() if value is not None}
    same = spec["problem"] == known.get("problem")
    compare(Path(out), {**known, **spec} if same else spec, request, workers)


def _check_stored(out: str, stored: dict[str, Any]) -> None:
    """Checks the kinds of what a folder's file says, which somebody may have edited."""
    nothing = type(None)
    kinds: dict[type, tuple[type, ...]] = {
        int: (int,), float: (int, float), str: (str,), nothing: (int, float, nothing)
    }  # fmt: skip
    for key, default in DEFAULTS.items():
        if not isinstance(stored.get(key, default), kinds[type(default)]):
            raise StudyError(
                f"'{out}' holds no request of a comparison ({key} = {stored[key]!r}): "
                "name another folder"
            )
