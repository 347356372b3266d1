"""The command that proves properties of the RTL."""

from __future__ import annotations

from typing import Annotated

import typer

from dovetail.cli.options import examples
from dovetail.cli.output import console, make_table, show

EXAMPLES = examples("dovetail verify formal", "dovetail verify formal fifo burst")


def verify_formal_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Proofs to run; all if none is named."),
    ] = None,
) -> None:
    """Prove properties of the RTL with Yosys and z3, for runs of any length where it says so.

    Exits with 1 if a property fails.
    """
    from dovetail.verify import formal

    table = make_table(formal.HEADER, words=("proof", "result", "claim"))
    failed = 0
    for proof in formal.select(names or ()):
        with console(stderr=True).status(f"prove {proof.name}"):
            outcome = formal.prove(proof)
        failed += bool(outcome.failure)
        table.add_row(*formal.row(outcome))
    show(table)
    raise typer.Exit(1 if failed else 0)
