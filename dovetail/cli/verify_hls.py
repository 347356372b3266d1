"""The command that holds the Verilog of kernels to their references."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import OUTPUT, SeedOption, examples
from dovetail.cli.output import check_outputs, console, make_table, save_json, show

if TYPE_CHECKING:
    from dovetail.verify.hls_run import Outcome

EXAMPLES = examples("dovetail verify hls", "dovetail verify hls --kernel gelu --transactions 10000")


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
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json", metavar="F", help="Write a summary; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:  # fmt: skip
    """Run the Verilog of kernels under Icarus: values, latency and interval must be as stated.

    Corner vectors come first, then random ones, back to back and with gaps. Exits with 1 if a
    kernel differs.
    """
    from dovetail.hls import find_kernel
    from dovetail.verify.hls_cases import CHECKS
    from dovetail.verify.hls_run import require_tools, verify_kernel

    check_outputs({"--json": json_path})
    names = [find_kernel(name).name for name in dict.fromkeys(kernel or CHECKS)]
    require_tools()
    jobs = [
        (name, form)
        for name in names
        for form in (*CHECKS[name].forms, *getattr(CHECKS[name], "large", ()))
    ]
    outcomes = []
    with _progress(len(jobs)) as tell:
        for name, form in jobs:
            tell(name)
            outcomes.append(verify_kernel(name, form, transactions=transactions, seed=seed))
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
        ("kernel", "parameters", "vectors", "latency", "II", "s", "result"), words=words
    )
    for done in outcomes:
        parameters = " ".join(f"{name}={value}" for name, value in done.parameters.items())
        numbers = (done.transactions, done.latency_cycles, done.initiation_interval)
        table.add_row(
            done.kernel, parameters, *(f"{n:,}" for n in numbers), f"{done.seconds:.1f}",
            "; ".join(done.faults) or "equal",
        )  # fmt: skip
    show(table)
    wrong = sum(bool(done.faults) for done in outcomes)
    vectors = sum(done.transactions for done in outcomes)
    print(f"{len(outcomes)} runs, {vectors:,} vectors: {wrong} differ")
