"""Command that simulates a study's front again at a higher fidelity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.table import Table

from dovetail.cli.options import examples
from dovetail.cli.output import console, make_table, show
from dovetail.cli.study import StudyArgument

if TYPE_CHECKING:
    from dovetail.envs.fidelity import Resimulation
    from dovetail.ir.space import IntArray

MOST = 16


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command(
        "resimulate",
        epilog=examples(
            "dovetail resimulate study.db", "dovetail resimulate study.db --fidelity rtl --most 2"
        ),
    )(resimulate_command)


def resimulate_command(
    study: StudyArgument,
    fidelity: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="cycle (simulated event by event), rtl (run on the simulated gates: small "
            "networks on RTL machines), or epochs of nasbench201.",
        ),
    ] = "cycle",
    most: Annotated[
        int, typer.Option(metavar="N", help="Designs, spread over the front.", min=1)
    ] = MOST,
) -> None:
    """Simulate the front of a study at a higher fidelity, and show what changes."""
    from dovetail.cli.running import prepare_problem
    from dovetail.envs.fidelity import resimulate
    from dovetail.studies.front import spread
    from dovetail.studies.store import StudyStore

    with StudyStore.open(study, read_only=True) as store:
        spec, records = store.spec, store.records()
    front = records.front()
    if not len(front):
        print("no feasible design: nothing to simulate again")
        return
    chosen = front[spread(records.evaluation.objectives[front], most)]
    problem = prepare_problem(spec.problem)
    with console(stderr=True).status(f"simulating {len(chosen)} designs at fidelity {fidelity}"):
        found = resimulate(problem, records.designs[chosen], fidelity)
    metrics = [objective.name for objective in spec.objectives]
    show(_table(found, metrics, fidelity, chosen))
    print(f"\n{len(chosen)} of {len(front)} designs of the front, evaluated at {fidelity}")
    for metric in metrics:
        change = 100 * found.change(metric)
        print(f"{metric}: {np.nanmin(change):+.2f} % to {np.nanmax(change):+.2f} %")
    lost = int((found.before.feasible & ~found.after.feasible).sum())
    print(f"{found.survivors().sum()} still on their front, {lost} no longer feasible")


def _table(found: Resimulation, metrics: Sequence[str], fidelity: str, numbers: IntArray) -> Table:
    """Each design's metrics before and after, and the change between them."""
    from dovetail.cli.front import number

    table = make_table(["evaluation", *(h for m in metrics for h in (m, fidelity, "%"))])
    for row, place in enumerate(numbers):
        cells = [str(place)]
        for metric in metrics:
            values = found.before.metrics[metric][row], found.after.metrics[metric][row]
            cells += [*map(number, values), f"{100 * found.change(metric)[row]:+.2f}"]
        table.add_row(*cells)
    return table
