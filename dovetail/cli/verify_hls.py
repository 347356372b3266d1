"""The command that holds the Verilog of kernels to their references."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import OUTPUT, SeedOption, examples
from dovetail.cli.output import check_outputs, console, make_table, save_json, show

if TYPE_CHECKING:
    from dovetail.verify.hls_run import Outcome

EXAMPLES = examples(
    "dovetail verify hls --work runs", "dovetail verify hls --kernel gelu --transactions 10000"
)


def verify_hls_command(
    transactions: Annotated[
        int,
        typer.Option(metavar="N", help="Vectors per form of a kernel.", min=10, max=10**6),
    ] = 1000,
    kernel: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this kernel, repeatable.", show_default="all"),
    ] = None,
    seed: SeedOption = 0,
    work: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Keep finished runs here and leave out those it holds."),
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="F", help="Write a summary; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run the Verilog of kernels under Icarus: values, latency and interval must be as stated.

    Corner vectors come first, then random ones, back to back and with gaps, and of streams with
    random backpressure. From 1000 vectors on, kernels with memories fill them first. Exits with 1
    if a kernel differs.
    """
    from dovetail.hls import find_kernel, names
    from dovetail.verify.hls_cases import find_check
    from dovetail.verify.hls_log import Log
    from dovetail.verify.hls_run import require_tools, verify_kernel

    check_outputs({"--json": json_path})
    checks = {name: find_check(find_kernel(name).name) for name in kernel or names()}
    require_tools()
    jobs = [
        (name, form)
        for name, check in checks.items()
        for form in (*check.forms, *getattr(check, "large", ()))
    ]
    log = Log(Path(work)) if work else None
    outcomes = []
    with _progress(len(jobs)) as tell:
        for name, form in jobs:
            tell(name)
            path = log and log.path(name, form, transactions, seed)
            done = log.find(path) if log and path else None
            if done is None:
                done = verify_kernel(name, form, transactions=transactions, seed=seed)
                if log and path:
                    log.add(path, done)
            outcomes.append(done)
    if json_path is not None:
        save_json(json_path, {"seed": seed, "runs": [outcome.to_dict() for outcome in outcomes]})
    if json_path != "-":
        _print(outcomes)
    raise typer.Exit(1 if any(outcome.faults for outcome in outcomes) else 0)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    if not sys.stderr.isatty():
        yield lambda name: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("verify", total=total, completed=-1)

        def tell(name: str) -> None:
            bar.update(task, description=f"verify {name}", advance=1)

        yield tell


def _print(outcomes: list[Outcome]) -> None:
    words = ("kernel", "parameters", "result")
    table = make_table(
        ("kernel", "parameters", "vectors", "latency", "seen", "II", "seen", "s", "result"),
        words=words,
    )
    for done in outcomes:
        parameters = " ".join(f"{name}={value}" for name, value in done.parameters.items())
        latency, interval = ("-" if n is None else f"{n:,}" for n in done.measured)
        table.add_row(
            done.kernel, parameters, f"{done.transactions:,}", f"{done.latency_cycles:,}", latency,
            f"{done.initiation_interval:,}", interval, f"{done.seconds:.1f}",
            "; ".join(done.faults) or "equal",
        )  # fmt: skip
    show(table)
    wrong = sum(bool(done.faults) for done in outcomes)
    vectors = sum(done.transactions for done in outcomes)
    print(f"{len(outcomes)} runs, {vectors:,} vectors: {wrong} differ")
