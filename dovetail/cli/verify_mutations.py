"""The command that plants faults in the RTL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import OUTPUT, SeedOption, examples
from dovetail.cli.output import check_outputs, save_json
from dovetail.errors import ProblemError

if TYPE_CHECKING:
    from dovetail.verify.mutation import Verdict

EXAMPLES = examples(
    "dovetail verify mutations",
    "dovetail verify mutations --only requantize --cases 400",
)


def verify_mutations_command(
    cases: Annotated[
        int, typer.Option(metavar="N", help="Most random cases tried on one fault.", min=1)
    ] = 400,
    seed: SeedOption = 0,
    elaborations: Annotated[
        int, typer.Option(metavar="N", help="Random designs that the cases share out.", min=1)
    ] = 24,
    only: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only faults whose name contains this.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Processes.", min=1, show_default="one per core")
    ] = None,
    json_path: Annotated[
        str | None,
        typer.Option("--json", metavar="F", help="Write all verdicts.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Plant single faults in the RTL: random cases must catch every one.

    A fault is caught when an instruction starts or ends in another cycle than the simulator says,
    a byte differs, or a rule of AXI is broken. Runs under Icarus. Exits with 1 if a fault survives.
    """
    from dovetail.verify.campaign import default_workers
    from dovetail.verify.mutants import MUTANTS
    from dovetail.verify.mutation import run_mutations

    check_outputs({"--json": json_path})
    mutants = [mutant for mutant in MUTANTS if only is None or only in mutant.name]
    if not mutants:
        raise ProblemError(f"no fault's name contains '{only}'; modules: {_modules()}")
    verdicts = run_mutations(
        mutants, cases=cases, seed=seed, elaborations=elaborations,
        workers=workers or default_workers(), progress=_print,
    )  # fmt: skip
    survivors = [verdict for verdict in verdicts if not verdict.caught]
    print(f"{len(verdicts) - len(survivors)} of {len(verdicts)} faults caught")
    if json_path is not None:
        save_json(json_path, [_row(verdict) for verdict in verdicts])
    raise typer.Exit(1 if survivors else 0)


def _print(verdict: Verdict) -> None:
    if verdict.caught:
        kind = verdict.detail.partition(":")[0]
        print(f"caught    {verdict.mutant.name} (case {verdict.cases}, {kind})", flush=True)
    else:
        print(f"SURVIVES  {verdict.mutant.name} ({verdict.cases} cases)", flush=True)


def _row(verdict: Verdict) -> dict[str, object]:
    return {
        "fault": verdict.mutant.name,
        "caught": verdict.caught,
        "case": verdict.case,
        "cases": verdict.cases,
        "detail": verdict.detail,
    }


def _modules() -> str:
    from dovetail.verify.mutants import MUTANTS

    return ", ".join(sorted({mutant.module for mutant in MUTANTS}))
