"""The commands that hold simulator, interpreter and gates together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import OUTPUT, SeedOption, examples
from dovetail.cli.output import check_outputs, console, make_table, save_json, show
from dovetail.cli.verify_formal import EXAMPLES as FORMAL_EXAMPLES
from dovetail.cli.verify_formal import verify_formal_command
from dovetail.cli.verify_hls import EXAMPLES as HLS_EXAMPLES
from dovetail.cli.verify_hls import verify_hls_command
from dovetail.cli.verify_mutations import EXAMPLES as MUTATION_EXAMPLES
from dovetail.cli.verify_mutations import verify_mutations_command
from dovetail.cli.verify_network import EXAMPLES as NETWORK_EXAMPLES
from dovetail.cli.verify_network import network_command
from dovetail.errors import ProblemError

if TYPE_CHECKING:
    from dovetail.sim.cycle import ChainTiming
    from dovetail.sim.rtl import RtlRun
    from dovetail.verify.campaign import Plan, Tally
    from dovetail.verify.case import Case
    from dovetail.verify.check import Outcome
    from dovetail.verify.work import Work

EXAMPLES = examples(
    "dovetail verify rtl",
    "dovetail verify rtl --cases 10000 --elaborations 20 --work campaign --json campaign.json",
    "dovetail verify rtl --cases 300 --coverage coverage",
    "dovetail verify rtl --replay 0-3-17 --waves case.fst --trace case.json",
)
REPLAY = "Replay"
MOST_SHRUNK = 3


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    group = typer.Typer(help="Hold simulator, interpreter and gates together.")
    group.callback()(lambda: None)
    group.command("rtl", epilog=EXAMPLES)(verify_rtl_command)
    group.command("network", epilog=NETWORK_EXAMPLES)(network_command)
    group.command("mutations", epilog=MUTATION_EXAMPLES)(verify_mutations_command)
    group.command("formal", epilog=FORMAL_EXAMPLES)(verify_formal_command)
    group.command("hls", epilog=HLS_EXAMPLES)(verify_hls_command)
    app.add_typer(group, name="verify")


def verify_rtl_command(
    cases: Annotated[int, typer.Option(metavar="N", help="Random cases to run.", min=1)] = 200,
    seed: SeedOption = 0,
    simulator: Annotated[
        str, typer.Option(metavar="NAME", help="verilator, or icarus, which builds faster.")
    ] = "verilator",
    elaborations: Annotated[
        int, typer.Option(metavar="N", help="Random designs that the cases share out.", min=1)
    ] = 8,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes.", min=1, show_default="one per core")
    ] = None,
    work: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Log finished cases here and go on from its log."),
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="F", help="Write a summary; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    coverage: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Count lines and toggles of the RTL (Verilator) and write them here.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="CASE", help="Run one case only: its name or its file.", rich_help_panel=REPLAY
        ),
    ] = None,
    waves: Annotated[
        str | None,
        typer.Option(metavar="F", help="Write its waveforms (FST).", rich_help_panel=REPLAY),
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Write simulated and seen instructions for ui.perfetto.dev.",
            rich_help_panel=REPLAY,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run random programs on simulator, interpreter and gates: cycles and bits must be equal.

    Checks start and end of every instruction, the whole memory and the rules of AXI.
    """
    from dovetail.verify.campaign import Plan, default_workers

    check_outputs({"--json": json_path, "--waves": waves, "--trace": trace})
    if replay is not None:
        if json_path or work or coverage:
            raise ProblemError("--json, --work and --coverage are a campaign's: leave --replay")
        raise typer.Exit(_replay(replay, simulator, waves, trace))
    if waves is not None or trace is not None:
        raise ProblemError("--waves and --trace show one case: name it by --replay")
    if coverage is not None and simulator != "verilator":
        raise ProblemError("--coverage is counted by Verilator: leave --simulator away")
    folder = _folder(coverage)
    plan = Plan(cases, seed, simulator, elaborations, workers or default_workers(), folder)
    raise typer.Exit(_campaign(plan, work, json_path))


def _folder(path: str | None) -> Path | None:
    if path is None:
        return None
    Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def _campaign(plan: Plan, work: str | None, json_path: str | None) -> int:
    from dovetail.verify.campaign import run_campaign

    with _progress() as progress:
        tally = run_campaign(plan, Path(work) if work else None, progress)
    if json_path is not None:
        save_json(json_path, tally.to_dict(plan))
    if json_path != "-":
        _print_tally(tally, plan)
    if plan.coverage is not None:
        from dovetail.verify.coverage import write_folder

        write_folder(plan.coverage, tally.coverage)
        _print_coverage(plan.coverage, tally)
    if tally.mismatches:
        _shrink_all(tally, plan.simulator, Path(work) if work else Path())
    return 1 if tally.mismatches else 0


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int, int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("[bold]{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
        TextColumn("{task.fields[mismatches]} mismatches"), TimeRemainingColumn(),
        console=console(stderr=True),
    ) as bar:  # fmt: skip
        task = bar.add_task("build gates", total=None, mismatches=0)

        def tell(stage: str, done: int, of: int, mismatches: int) -> None:
            title = "build gates" if stage == "build" else "verify"
            bar.update(task, description=title, completed=done, total=of, mismatches=mismatches)

        yield tell


def _print_tally(tally: Tally, plan: Plan) -> None:
    from dovetail.verify.points import POINTS

    resumed = f" ({tally.resumed:,} of them before)" if tally.resumed else ""
    hit = sum(1 for point in POINTS if tally.points[point])
    print(
        f"{tally.cases:,} cases{resumed} on {len(tally.elaborations)} designs under "
        f"{plan.simulator} in {tally.seconds:.1f} s: {len(tally.mismatches)} mismatches\n"
        f"{tally.instructions:,} instructions; {tally.cycles:,} cycles of {tally.timed:,} cases "
        f"compared one by one, {tally.cases - tally.timed:,} cases with random stalls\n"
        f"{hit} of {len(POINTS)} functional coverage points hit"
    )
    missed = [point for point in POINTS if not tally.points[point]]
    if missed:
        print(f"not hit: {', '.join(missed)}")


def _print_coverage(folder: Path, tally: Tally) -> None:
    from dovetail.verify.coverage import summary

    table = make_table(("module", "lines", "of", "%", "toggles", "of", "%"), words=("module",))
    for module, kinds in summary(tally.coverage).items():
        cells = [
            cell
            for share in (kinds["line"], kinds["toggle"])
            for cell in (str(share.hit), str(share.of), f"{share.percent:.1f}")
        ]
        table.add_row(module, *cells)
    show(table, "Coverage of the RTL")
    print(f"annotated sources: {folder}")


def _shrink_all(tally: Tally, simulator: str, folder: Path) -> None:
    """Shrinks the first failing case of each kind and writes it."""
    from dovetail.verify.campaign import case_of
    from dovetail.verify.check import Gates
    from dovetail.verify.shrink import attempt_on, shrink

    firsts: dict[str, Outcome] = {}
    for outcome in tally.mismatches:
        firsts.setdefault(outcome.kind, outcome)
    for outcome in list(firsts.values())[:MOST_SHRUNK]:
        print(f"\ncase {outcome.case}: {outcome.kind}: {outcome.detail}")
        if outcome.kind == "error":
            continue
        case, smaller = shrink(case_of(outcome.case), outcome.kind, attempt_on(Gates(simulator)))
        path = folder / f"case-{outcome.case}.json"
        case.save(path)
        print(f"shrunk: {_describe(case)}\n{smaller.kind}: {smaller.detail}")
        print(f"replay: dovetail verify rtl --replay {path} --waves case.fst")


def _describe(case: Case) -> str:
    design = case.elaboration.design
    layers = "; ".join(
        f"{layer.kind} to {layer.outputs}, kernel {layer.kernel}, stride {layer.stride}, padding "
        f"{layer.padding}, dilation {layer.dilation}, {layer.groups} groups"
        for layer in case.layers
    )
    return (
        f"{design['rows']} x {design['cols']} {design['dataflow']}, overlap "
        f"{design['fold_overlap']}, {design['bus_bits']} bit bus; input {case.shape}; {layers}; "
        f"latency {case.latency}, bandwidth {case.bandwidth}/256 B, stalls {case.stalls}"
        + (", parameters by pixel" if case.per_pixel else "")
        + (", operands exchanged" if case.exchanged else "")
        + (f", started {case.rounds} times" if case.rounds > 1 else "")
    )


def _replay(name: str, simulator: str, waves: str | None, trace: str | None) -> int:
    from dovetail.sim.simulators import require_tools
    from dovetail.verify.campaign import case_of
    from dovetail.verify.case import CLOCK_MHZ, load_case
    from dovetail.verify.check import Gates, check

    require_tools(simulator)
    case = load_case(Path(name)) if name.endswith(".json") else case_of(name)
    print(_describe(case))

    def watch(work: Work, timing: ChainTiming, run: RtlRun) -> None:
        if trace is not None:
            from dovetail.sim.trace_rtl import write_comparison

            write_comparison(trace, work.executable, timing, run, CLOCK_MHZ)

    outcome = check(case, Gates(simulator, waves=waves), watch=watch)
    if outcome.passed:
        print(
            f"case {case.name}: simulator, interpreter and gates agree: "
            f"{outcome.instructions} instructions, {outcome.cycles} cycles"
        )
        return 0
    print(f"case {case.name}: {outcome.kind}: {outcome.detail}")
    return 1
