"""The command `dovetail policy`: what a trained policy proposes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from dovetail.cli.options import (
    OUTPUT,
    SeedOption,
    SetOption,
    examples,
    load_accelerator,
)
from dovetail.cli.output import check_outputs, console, save_json, show
from dovetail.cli.problem_options import (
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

if TYPE_CHECKING:
    from dovetail.envs.problem import DesignProblem
    from dovetail.studies.policies import Proposals

EXAMPLES = examples(
    "dovetail policy r18.safetensors",
    "dovetail policy r18.safetensors --network resnet50 --preference latency_ms=1",
    "dovetail policy r18.safetensors --preference latency_ms=0.7,area_mm2=0.3 --samples 1000",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("policy", epilog=EXAMPLES)(policy_command)


def policy_command(
    policy: Annotated[
        str, typer.Argument(metavar="F", help="A file that search --save-policy wrote.")
    ],
    preference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=W,...",
            help="Weights of the objectives, repeatable.",
            show_default="each objective, each pair, all",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(metavar="N", help="Designs to draw per preference.", min=1, max=10**6)
    ] = 64,
    seed: SeedOption = 0,
    env: EnvOption = None,
    objective: ObjectiveOption = None,
    constraint: ConstraintOption = None,
    accelerator: BaseOption = None,
    overrides: SetOption = None,
    network: SearchedNetworkOption = None,
    dataset: DatasetOption = None,
    epochs: EpochsOption = None,
    table: TableOption = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write all proposed designs; - prints them alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Evaluate what a trained policy proposes: the best of its samples under each preference.

    Problem options that are not given are those that it was trained with; another network or
    accelerator may be given if the knobs stay the same. Rewards are minus the weighted sum of the
    normalised objectives; `chance` is the best of as many random designs.
    """
    from dovetail.agents.base import check_installed
    from dovetail.agents.policy_file import check_trained, read_policy
    from dovetail.agents.preferences import preference_set
    from dovetail.cli.running import prepare_problem
    from dovetail.studies.policies import judge, preference_of

    check_outputs({"--json": json_path}, inputs=(policy,))
    file = read_policy(policy)
    check_trained(file.agent)
    check_installed(file.agent)
    spec = problem_spec(
        env or str(file.problem.get("problem")),
        {"network": network, "dataset": dataset, "epochs": epochs, "table": table},
        load_accelerator(accelerator or "edge", overrides) if accelerator or overrides else None,
        objective,
        constraint,
    )
    same = spec["problem"] == file.problem.get("problem")
    # Where supernets are cached is this machine's business, never a file's.
    stored = {key: value for key, value in file.problem.items() if key != "cache"}
    problem = prepare_problem({**stored, **spec} if same else spec)
    weights = (
        np.array([preference_of(text, problem) for text in preference])
        if preference
        else preference_set(len(problem.objectives))
    )
    found = judge(file, problem, weights, samples, seed)
    if json_path != "-":
        print(f"{file.agent} on {problem.name}: {samples} designs per preference, seed {seed}")
        _show(problem, found)
    if json_path is not None:
        save_json(json_path, [_plain(problem, proposals) for proposals in found])


def _show(problem: DesignProblem, found: Sequence[Proposals]) -> None:
    from dovetail.cli.front import Column, knob_columns, metric_column, tables

    names = [objective.name for objective in problem.objectives]
    best = {
        name: np.array([proposals.evaluation.metrics[name][0] for proposals in found])
        for name in found[0].evaluation.metrics
    }
    columns = [
        Column("preference %\n" + "/".join(name.partition("_")[0] for name in names),
               ["/".join(f"{100 * w:.0f}" for w in p.preference) for p in found]),
        Column("best\nreward", [f"{p.rewards[0]:.3f}" for p in found]),
        Column("mean", [f"{p.mean_reward:.3f}" for p in found]),
        Column("chance", [f"{p.chance:.3f}" for p in found]),
        Column("feasible", [f"{100 * p.feasible_share:.0f} %" for p in found]),
        *(metric_column(name, best) for name in names),
        *knob_columns([problem.space.decode(p.designs[0]) for p in found]),
    ]  # fmt: skip
    for table in tables(columns, console().width):
        show(table)
        print()


def _plain(problem: DesignProblem, proposals: Proposals) -> dict[str, object]:
    evaluation, names = proposals.evaluation, [o.name for o in problem.objectives]
    designs = [
        {
            "drawn": int(proposals.counts[row]),
            "reward": float(proposals.rewards[row]),
            "feasible": bool(evaluation.feasible[row]),
            "design": problem.space.decode(design),
            "metrics": {
                name: None if math.isnan(values[row]) else float(values[row])
                for name, values in evaluation.metrics.items()
            },
        }
        for row, design in enumerate(proposals.designs)
    ]
    return {
        "preference": dict(zip(names, proposals.preference.tolist(), strict=True)),
        "best_reward": float(proposals.rewards[0]),
        "mean_reward": proposals.mean_reward,
        "chance_reward": proposals.chance,
        "feasible_share": proposals.feasible_share,
        "designs": designs,
    }
