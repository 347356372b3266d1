"""Commands that search: search and demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dovetail.cli.options import (
    OUTPUT,
    SeedOption,
    SetOption,
    assignments,
    examples,
    load_accelerator,
)
from dovetail.cli.output import check_outputs
from dovetail.cli.problem_options import (
    ENV,
    BaseOption,
    ConstraintOption,
    DatasetOption,
    EnvOption,
    EpochsOption,
    FidelitiesOption,
    ObjectiveOption,
    SearchedNetworkOption,
    TableOption,
    fidelity_spec,
    problem_spec,
)
from dovetail.errors import OutputError, ProblemError

if TYPE_CHECKING:
    from dovetail.agents.policy_file import PolicyFile
    from dovetail.studies.spec import StudySpec

AGENT, BUDGET, SEED = "nsga2", 2000, 0
"""What a new study takes where nothing is given."""

SCRATCHPADS = (2, 4, 8, 16, 32, 64)

DEMO: dict[str, object] = {
    "problem": "codesign",
    "base": {
        "name": "demo", "machine": "rtl", "fold_overlap": "full", "rows": 16, "cols": 16,
        "bus_bits": 64,
    },
    "knobs": [
        ["rows", [4, 8, 16]],
        ["cols", [4, 8, 16]],
        ["dataflow", ["ws", "os"]],
        ["input_bits", [4, 8]],
        ["weight_bits", [2, 4, 8]],
        ["bus_bits", [8, 16, 32, 64, 128]],
        ["input_sram_kib", SCRATCHPADS],
        ["weight_sram_kib", SCRATCHPADS],
        ["output_sram_kib", SCRATCHPADS],
        ["clock_mhz", [125, 250, 500, 1000]],
    ],
}  # fmt: skip
"""The problem that the demo searches: designs that the RTL builds as they are, and that a simulator
runs in seconds to minutes."""

EXAMPLES = examples(
    "dovetail search --budget 5000 --constraint 'area_mm2<=1' --report r.html",
    "dovetail search --agent ppo --objective error --objective energy_mj",
    "dovetail search --env accelerator --network resnet18 --study r18.db",
    "dovetail search --study r18.db --resume --budget 20000",
    "dovetail search --env nasbench201 --fidelities 12,200:16.7 --agent bayesian_mf --budget 1000",
    "dovetail search --env accelerator --agent reinforce --save-policy r18.safetensors",
)

BudgetOption = Annotated[int, typer.Option(metavar="N", help="Designs to evaluate.", min=1)]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("search", epilog=EXAMPLES)(search_command)
    app.command("demo", epilog=examples("dovetail demo --out results"))(demo_command)


def search_command(
    study: Annotated[
        str, typer.Option(metavar="F", help="The study file (SQLite) that records all.")
    ] = "study.db",
    agent: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who searches: dovetail list agents.", show_default=AGENT
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Designs to evaluate in all.", min=1, show_default=str(BUDGET)
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Of the agent. Same seed, same result.",
            min=0,
            max=2**32 - 1,
            show_default=str(SEED),
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--agent-set", metavar="KEY=VALUE", help="A setting of the agent, repeatable."
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the study: after a kill, or with a larger budget. What is not given "
            "is taken from the study; the result is that of one uninterrupted run.",
        ),
    ] = False,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N|ray[:N|:ADDRESS]",
            help="Processes here, or on a Ray cluster (its own, or the one at HOST:PORT or "
            "'auto'); the result does not depend on it.",
        ),
    ] = "1",
    tensorboard: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Write TensorBoard scalars there: hypervolume, best objectives, feasible share.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            metavar="F", help="Begin from a trained policy; its agent and settings are taken."
        ),
    ] = None,
    save_policy: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Write what the agent has learnt there (.safetensors), at the end or on Ctrl-C.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where torch computes, for agents and for the training of a supernet: cpu, cuda, "
            "cuda:N or auto.",
            show_default="cpu",
        ),
    ] = None,
    env: EnvOption = None,
    objective: ObjectiveOption = None,
    constraint: ConstraintOption = None,
    accelerator: BaseOption = None,
    overrides: SetOption = None,
    network: SearchedNetworkOption = None,
    dataset: DatasetOption = None,
    epochs: EpochsOption = None,
    table: TableOption = None,
    fidelities: FidelitiesOption = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="F", help="Write the HTML report when done.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Search a design space and record every evaluation in a study file.

    Ctrl-C, a crash or a kill loses at most the batch in flight.
    """
    from dovetail.cli.running import Search, check_report, run, stored_spec, write_study_report

    outputs = {"--study": study, "--report": report, "--save-policy": save_policy}
    check_outputs(outputs, inputs=[] if policy is None else [policy])
    if report is not None:
        check_report()
    before = stored_spec(study, resume=resume)
    trained = _policy(policy, before)
    spec = problem_spec(
        env or (str(before.problem["problem"]) if before else ENV),
        {"network": network, "dataset": dataset, "epochs": epochs, "table": table},
        load_accelerator(accelerator or "edge", overrides) if accelerator or overrides else None,
        objective,
        constraint,
    )
    spec = fidelity_spec(spec, fidelities)
    settings = assignments(setting, "--agent-set")
    placed = _placed(device, agent, trained, before, spec)
    if before is None:
        if trained and agent in (None, trained.agent):
            agent, settings = trained.agent, {**trained.settings, **settings}
        settings = {**settings, **placed}
        chosen = agent or AGENT
        search = Search(spec, chosen, settings, _or(budget, BUDGET), _or(seed, SEED), trained)
    else:
        kept = before.settings if agent in (None, before.agent) and not settings else settings
        kept = {**kept, **placed}
        search = Search(
            {**before.problem, **spec} if spec["problem"] == before.problem["problem"] else spec,
            agent or before.agent,
            kept,
            _or(budget, before.budget),
            _or(seed, before.seed),
            trained,
        )
    problem = run(search, study, workers=workers, scalars=tensorboard, save=save_policy)
    if report is not None:
        write_study_report(study, report, problem)


def demo_command(
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where results go.", rich_help_panel=OUTPUT)
    ] = "out",
    budget: BudgetOption = 5000,
    seed: SeedOption = 0,
) -> None:
    """Search networks and accelerators jointly on scikit-learn's digits; writes report.html.

    Trains a weight-sharing supernet (about a minute), searches with NSGA-II, prints the Pareto
    front, builds the best design as RTL and runs images in its gates. Run again, it takes up what
    is there.
    """
    from dovetail.cli.running import Search, check_report, run, write_study_report
    from dovetail.cli.winner import build_winner

    folder = Path(out)
    study, report = str(folder / f"demo-seed{seed}.db"), str(folder / "report.html")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--out {out}: cannot make the folder: {error.strerror}") from None
    check_outputs({"--out": study, "the report": report})
    check_report()
    problem = run(Search({**DEMO, "cache": str(folder)}, AGENT, {}, budget, seed), study)
    write_study_report(study, report, problem)
    if not build_winner(study, folder / "winner", problem):
        raise typer.Exit(1)


def _placed(
    device: str | None,
    agent: str | None,
    trained: PolicyFile | None,
    before: StudySpec | None,
    spec: dict[str, object],
) -> dict[str, object]:
    """Puts `--device` where it belongs: into `spec` for a supernet, and the agent's settings.

    Raises:
        ProblemError: if neither computes in torch.
    """
    from dovetail.agents.base import factory, require
    from dovetail.devices import torch_device

    if device is None:
        return {}
    known = agent or (before.agent if before else trained.agent if trained else AGENT)
    has = "device" in factory(known).Args.__dataclass_fields__
    inner = spec.get("of", spec)  # of a search over fidelities
    assert isinstance(inner, dict)
    supernet = inner["problem"] == "codesign"
    if not (has or supernet):
        raise ProblemError(f"--device {device}: neither agent '{known}' nor the problem has one")
    require("--device", "torch", "torch")
    chosen = str(torch_device(device))  # not `auto`: a study says where it was computed
    if supernet:
        stored = before.problem if before else {}
        kept = stored.get("of", stored).get("training")
        inner["training"] = {**(kept or {}), "device": chosen}
    return {"device": chosen} if has else {}


def _policy(path: str | None, before: StudySpec | None) -> PolicyFile | None:
    """The policy that a search begins from: the one given, else the one that its study names."""
    from dovetail.agents.policy_file import read_policy

    if path is None and before is not None and before.policy is not None:
        path = before.policy[0]
    return None if path is None else read_policy(path)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
