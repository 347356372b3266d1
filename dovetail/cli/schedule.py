"""The command that schedules a network's graph into one scratchpad."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dovetail.cli.options import (
    OUTPUT,
    BatchOption,
    DimOption,
    NetworkArgument,
    examples,
    extents,
)
from dovetail.cli.output import check_outputs, console, make_table, save_json, show
from dovetail.cli.plot import check_plot
from dovetail.errors import ProblemError

if TYPE_CHECKING:
    from dovetail.mappers.graph import PeakOrder, Problem, Scheduled

KIB = 1024

EXAMPLES = examples(
    "dovetail schedule resnet50 --with-parameters",
    "dovetail schedule densenet121 --scratchpad-kib 1800 --picture memory.svg",
    "dovetail schedule nasnet_a --scratchpad-kib 2400 --heuristic --time-limit 30 --json plan.json",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("schedule", epilog=EXAMPLES)(schedule_command)


def schedule_command(
    network: NetworkArgument,
    scratchpad: Annotated[
        float | None,
        typer.Option(
            "--scratchpad-kib",
            metavar="N",
            help="Size of the scratchpad.",
            min=0.001,
            max=2**40,
            show_default="what the best order needs at most",
        ),
    ] = None,
    with_parameters: Annotated[
        bool,
        typer.Option("--with-parameters", help="Weights and biases pass the scratchpad, too."),
    ] = False,
    limit: Annotated[
        float, typer.Option("--time-limit", metavar="S", help="Seconds to search.", min=0.001)
    ] = 60.0,
    heuristic: Annotated[
        bool,
        typer.Option(
            "--heuristic",
            help="Reorder within windows alone (divide and conquer), without proof.",
        ),
    ] = False,
    keep_order: Annotated[
        bool, typer.Option("--keep-order", help="Run operators in the network's own order.")
    ] = False,
    batch: BatchOption = None,
    dims: DimOption = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write order, stays and addresses as JSON; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Draw addresses over steps, one colour per tensor (.svg, .png, .pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Schedule a graph into a scratchpad: order, addresses and spills of fewest off-chip bytes.

    Operators are atomic, elements take 8 bits. The first load of inputs and parameters and the
    last store of outputs are compulsory; all other off-chip bytes are counted by a replay.
    """
    from dovetail.mappers.graph import minimum_peak, read_problem
    from dovetail.mappers.graph import schedule as solve
    from dovetail.networks.registry import load_network

    for option, value in (("--scratchpad-kib", scratchpad), ("--time-limit", limit)):
        if value is not None and not math.isfinite(value):
            raise ProblemError(f"{option} {value}: must be a finite number")
    if heuristic and keep_order:
        raise ProblemError("--heuristic: reorders operators; leave it out with --keep-order")
    check_outputs({"--json": json_path, "--picture": picture}, inputs=(network,))
    if picture is not None:
        check_plot(picture)
    net = load_network(network, batch=batch, dims=extents(dims))
    problem = read_problem(net, with_parameters=with_parameters)
    peak = minimum_peak(problem, time_limit_s=limit)
    budget = peak.peak_bytes if scratchpad is None else int(scratchpad * KIB)
    if budget < 1:
        raise ProblemError(f"--scratchpad-kib {scratchpad}: holds less than one byte")
    order = problem.default_order if keep_order else None
    found = solve(problem, budget, time_limit_s=limit, order=order, exact=not heuristic)
    if json_path is not None:
        save_json(json_path, plan_dict(problem, peak, found))
    if picture is not None:
        from dovetail.cli.plot_memory import plot_memory

        plot_memory(problem, found.plan, picture)
    if json_path != "-":
        _print(problem, peak, found, " in this order" if keep_order else "")


def plan_dict(problem: Problem, peak: PeakOrder, found: Scheduled) -> dict[str, Any]:
    """The schedule as JSON: sizes in bytes, steps from 0, operators in the order they run."""
    plan = found.plan
    return {
        "network": problem.name,
        "scratchpad_bytes": plan.budget_bytes,
        "required_bytes": problem.required_bytes,
        "minimum_peak_bytes": peak.peak_bytes,
        "minimum_peak_bound_bytes": peak.bound_bytes,
        "non_compulsory_bytes": found.traffic.bytes,
        "spilled_bytes": found.traffic.spilled_bytes,
        "retrieved_bytes": found.traffic.retrieved_bytes,
        "bound_bytes": found.bound_bytes,
        "proven": found.proven,
        "seconds": found.seconds,
        "order": [problem.operators[op] for op in plan.order],
        "stays": [
            {
                "tensor": problem.items[stay.item].name,
                "bytes": problem.items[stay.item].size,
                "first_step": stay.start,
                "last_step": stay.end,
                "address": address,
            }
            for stay, address in zip(plan.stays, plan.addresses, strict=True)
        ],
    }


def _print(problem: Problem, peak: PeakOrder, found: Scheduled, among: str) -> None:
    out = console()
    traffic = found.traffic
    least = "" if peak.proven else f" (at least {peak.bound_bytes / KIB:,.2f})"
    out.print(
        f"{problem.name}: {len(problem.operators)} operators, {len(problem.items)} tensors; the "
        f"largest operator needs {problem.required_bytes / KIB:,.2f} KiB, the best order "
        f"{peak.peak_bytes / KIB:,.2f} KiB{least}",
        soft_wrap=True,
    )
    verdict = f"proven optimal{among}" if found.proven else (
        f"at most {found.gap_bytes:,} B above the optimum{among}: no proof in the time given"
    )  # fmt: skip
    out.print(
        f"scratchpad {found.plan.budget_bytes / KIB:,.2f} KiB: {traffic.bytes:,} non-compulsory "
        f"off-chip bytes, {verdict}; {found.seconds:.2f} s",
        soft_wrap=True,
    )
    table = _spills(problem, found)
    if table.row_count:
        show(table)


def _spills(problem: Problem, found: Scheduled, most: int = 12) -> Table:
    """Tensors that leave the chip before their last use, largest traffic first."""
    stays = Counter(stay.item for stay in found.plan.stays)
    spilled = [(a, times - 1) for a, times in stays.items() if times > 1]
    spilled.sort(key=lambda row: -problem.items[row[0]].size * (1 + row[1]))
    table = make_table(("spilled tensor", "B", "spills", "retrievals", "B moved"),
                       words=("spilled tensor",))  # fmt: skip
    for a, times in spilled[:most]:
        item = problem.items[a]
        spills = int(not item.backed)
        moved = item.size * (spills + times)
        table.add_row(item.name, f"{item.size:,}", f"{spills}", f"{times}", f"{moved:,}")
    if len(spilled) > most:
        table.add_row(f"… {len(spilled) - most} more", "", "", "", "")
    return table
