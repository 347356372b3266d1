"""Commands around a search: search, demo, report, export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dovetail.cli.options import AcceleratorOption, SetOption, assignments, load_accelerator
from dovetail.cli.output import check_writable, console
from dovetail.errors import ProblemError, StudyError

if TYPE_CHECKING:
    from dovetail.envs.problem import DesignProblem
    from dovetail.ir.report import Report
    from dovetail.ir.space import IntArray
    from dovetail.studies.runner import StudyResult

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file of a search.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("search")(search_command)
    app.command("demo")(demo_command)
    app.command("report")(report_command)
    app.command("export")(export_command)


def search_command(
    study: Annotated[str, typer.Option(metavar="F", help="Study file, SQLite.")] = "study.db",
    agent: Annotated[str, typer.Option(help="Who searches (dovetail list agents).")] = "nsga2",
    budget: Annotated[int, typer.Option(help="Designs to evaluate.")] = 2000,
    seed: Annotated[int, typer.Option(help="Same seed, same result.", min=0)] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a study that was stopped, or extend it.")
    ] = False,
    env: Annotated[
        str, typer.Option(help="codesign: network and accelerator; accelerator: given network.")
    ] = "codesign",
    network: Annotated[
        str | None, typer.Option(help="Network of --env accelerator: zoo name, .onnx or .csv.")
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="Data of --env codesign: digits, or a CIFAR-10 or .npz folder.")
    ] = "digits",
    accelerator: AcceleratorOption = "edge",
    overrides: SetOption = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="Metric to minimise, repeatable: error, latency_ms, energy_mj, …"),
    ] = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="Bound, repeatable: 'area_mm2<=2' 'error<=0.05'.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--agent-set", metavar="KEY=VALUE", help="A setting of the agent."),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes; the result does not depend on it.")
    ] = 1,
    report: Annotated[
        str | None, typer.Option(metavar="F", help="Write the HTML report when done.")
    ] = None,
) -> None:
    """Search a design space and record every evaluation in a study file.

    Example: dovetail search --agent nsga2 --budget 5000 --constraint 'area_mm2<=1' --report r.html
    """
    check_writable(study, report)
    spec: dict[str, object] = {
        "problem": env,
        "base": load_accelerator(accelerator, overrides).to_dict(),
        "constraints": list(constraint or ()),
    }
    if objective:
        spec["objectives"] = list(objective)
    if env == "codesign":
        if network is not None:
            raise ProblemError("--network goes with --env accelerator; codesign searches networks")
        spec |= {"dataset": dataset, "seed": seed}
    elif network is not None:
        spec["network"] = network
    settings = assignments(setting, "--agent-set")
    run_search(spec, study, agent, settings, budget, seed, resume=resume, workers=workers)
    if report:
        write_study_report(study, report)


def demo_command(
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where results go.")] = "out",
    budget: Annotated[int, typer.Option(help="Joint designs to evaluate.")] = 5000,
    seed: Annotated[int, typer.Option(help="Same seed, same result.", min=0)] = 0,
) -> None:
    """Search networks and accelerators jointly on scikit-learn's digits; writes report.html.

    Trains a weight-sharing supernet (about a minute), searches with NSGA-II, prints the Pareto
    front. Run again, it takes up what is there.
    """
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ProblemError(f"--out {out}: cannot make the folder: {error.strerror}") from None
    study, report = folder / f"demo-seed{seed}.db", folder / "report.html"
    check_writable(str(study), str(report))
    spec: dict[str, object] = {"problem": "codesign", "seed": seed, "cache": str(folder)}
    run_search(spec, str(study), "nsga2", {}, budget, seed, resume=True)
    write_study_report(str(study), str(report), cache=str(folder))


def report_command(
    study: StudyArgument,
    out: Annotated[str, typer.Option("--out", "-o", metavar="F", help="HTML file.")] = "report.html",
) -> None:
    """Write a study as one self-contained HTML file: front, convergence, every front design."""
    check_writable(out)
    write_study_report(study, out)


def export_command(
    study: StudyArgument,
    out: Annotated[str, typer.Argument(metavar="F", help="A .parquet or .csv file.")],
) -> None:
    """Write all evaluations of a study as one table."""
    from dovetail.studies.export import export
    from dovetail.studies.store import StudyStore

    check_writable(out)
    with StudyStore.open(study, read_only=True) as store:
        export(store, out)


def run_search(
    spec: Mapping[str, object],
    path: str,
    agent: str,
    settings: Mapping[str, object],
    budget: int,
    seed: int,
    *,
    resume: bool,
    workers: int = 1,
) -> StudyResult:
    """Runs or resumes a study and prints its front.

    Args:
        spec: of the problem, for `make_problem`.
        path: the study file.
        agent: name of the agent.
        settings: of the agent, by name.
        budget: evaluations.
        seed: of the agent.
        resume: go on with an existing study.
        workers: processes that evaluate.
    """
    from dovetail.agents.base import make_agent, resolve_settings
    from dovetail.studies.executor import InlineExecutor, LocalExecutor
    from dovetail.studies.progress import ProgressBar
    from dovetail.studies.runner import open_study, run_study
    from dovetail.studies.spec import StudySpec

    resolved = resolve_settings(agent, settings)
    if Path(path).exists() and not resume:
        raise StudyError(f"study {path} exists: add --resume to go on with it, or name another")
    problem = prepare_problem(spec)
    study = StudySpec.of(problem, agent, resolved, seed, budget)
    executor = LocalExecutor(problem, workers) if workers > 1 else InlineExecutor(problem)
    with open_study(path, study, resume=resume) as store:
        maker: Callable[..., Any] = lambda p, s: make_agent(agent, p, s, settings)  # noqa: E731
        with ProgressBar(f"{agent} on {problem.name}") as bar:
            result = run_study(
                problem, store, make=maker, budget=budget, executor=executor, progress=bar
            )
        _print_result(problem, result, agent)
    return result


def prepare_problem(spec: Mapping[str, object]) -> DesignProblem:
    """Builds a problem; a co-design one trains its supernet under a progress bar if need be."""
    from dovetail.envs.registry import make_problem

    if spec.get("problem") == "codesign":
        from dovetail.envs import supernet

        _train(supernet, {key: spec[key] for key in supernet.DEFAULTS if key in spec})
    return make_problem(spec)


def _train(supernet: Any, spec: Mapping[str, object]) -> None:
    """Trains the supernet under a progress bar, or finds it in the cache."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("epoch {task.completed}/{task.total}  loss {task.fields[loss]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = None

        def show(state: Any) -> None:
            nonlocal task
            if task is None:
                task = progress.add_task("train supernet", total=state.epochs, loss="")
            progress.update(task, completed=state.epoch, loss=f"{state.loss:.4f}")

        supernet.build_oracle(spec, show)


def _print_result(problem: DesignProblem, result: StudyResult, agent: str) -> None:
    from dovetail.cli.front import front_table

    out = console()
    out.print(front_table(problem, result))
    state = "interrupted" if result.interrupted else "done"
    out.print(
        f"{state}: {result.evaluations:,} designs evaluated by {agent} in {result.seconds:.1f} s, "
        f"{result.feasible:,} feasible, {len(result.designs):,} on the front, "
        f"hypervolume {result.hypervolume:.6g}",
        markup=False,
    )
    out.print(f"study: {result.path}", markup=False)


def write_study_report(study: str, out: str, *, cache: str | None = None) -> None:
    """Writes the HTML report of a study, simulating the designs of its front in detail.

    Args:
        study: the study file.
        out: the HTML file.
        cache: folder of the supernet, by default the user's.
    """
    from dovetail.flow import simulate
    from dovetail.studies.report import write_report
    from dovetail.studies.store import StudyStore

    with StudyStore.open(study, read_only=True) as store:
        spec: dict[str, object] = dict(store.spec.problem)
    if cache is not None:
        spec["cache"] = cache
    problem: Any = prepare_problem(spec)

    def explain(design: IntArray) -> Report:
        work = problem.workload
        return simulate(
            problem.network(design),
            problem.accelerator(design),
            objective=work.mapping,
            mapper=work.mapper,
        )

    write_report(study, out, explain if hasattr(problem, "workload") else None)
    console().print(f"report: {out}", markup=False)
