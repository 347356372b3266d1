"""The command that runs the first layers of a network patch by patch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

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
from dovetail.errors import MappingError

if TYPE_CHECKING:
    from dovetail.ir.network import Network
    from dovetail.mappers.patches.arena import MemoryRule
    from dovetail.mappers.patches.search import PatchSchedule

KIB = 1024
MAX_SIDE = 8

EXAMPLES = examples(
    "dovetail patches mobilenet_v2 --memory-kib 172",
    "dovetail patches mobilenet_v2 --cut stage3.0.project.norm --grid 4x4 --picture memory.svg",
    "dovetail patches vgg16 --max-side 4 --json plan.json",
)


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("patches", epilog=EXAMPLES)(patches_command)


def patches_command(
    network: NetworkArgument,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory-kib",
            metavar="N",
            help="Memory for activations: find the least recomputed work that fits.",
            min=0.001,
            max=2**40,
            show_default="the least memory",
        ),
    ] = None,
    max_side: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Try up to N x N patches.", min=1, max=64, show_default=str(MAX_SIDE)
        ),
    ] = None,
    cut: Annotated[
        str | None,
        typer.Option(metavar="TENSOR", help="End the patches here, with --grid; no search."),
    ] = None,
    grid: Annotated[
        str | None, typer.Option(metavar="RxC", help="Patches along rows and columns, with --cut.")
    ] = None,
    naive: Annotated[
        bool,
        typer.Option(
            "--naive",
            help="Count all that is alive; depthwise layers do not work in place.",
        ),
    ] = False,
    batch: BatchOption = None,
    dims: DimOption = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write patches, their parts of tensors, and steps as JSON; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Draw memory over steps (.svg, .png, .pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Run the first layers patch by patch: less memory for some work done twice (MCUNetV2).

    Elements take 8 bits. Memory is what the running layer reads and writes, and the buffer of the
    patches' result; depthwise and pointwise layers work in place.
    """
    from dovetail.mappers.patches.arena import NAIVE, MemoryRule
    from dovetail.networks.registry import load_network

    check_outputs({"--json": json_path, "--picture": picture}, inputs=(network,))
    if picture is not None:
        check_plot(picture)
    net = load_network(network, batch=batch, dims=extents(dims))
    rule = NAIVE if naive else MemoryRule()
    found = _found(net, rule, memory, max_side, cut, grid)
    if json_path is not None:
        save_json(json_path, schedule_dict(found))
    if picture is not None:
        from dovetail.cli.plot_patches import plot_patches
        from dovetail.mappers.patches.search import layer_steps

        plot_patches(layer_steps(net, net.operators, rule), found, picture)
    if json_path != "-":
        _print(found)


def _found(
    net: Network, rule: MemoryRule, memory: float | None, max_side: int | None,
    cut: str | None, grid: str | None,
) -> PatchSchedule:  # fmt: skip
    from dovetail.mappers.patches.search import find_patches, patch_schedule

    if (cut is None) != (grid is None):
        raise MappingError("--cut and --grid go together: give both, or neither for a search")
    if cut is None or grid is None:
        limit = None if memory is None else int(memory * KIB)
        return find_patches(net, limit, max_side=max_side or MAX_SIDE, rule=rule)
    for option, value in (("--memory-kib", memory), ("--max-side", max_side)):
        if value is not None:
            raise MappingError(f"{option} is for a search: leave it out, or --cut and --grid")
    rows, _, columns = grid.lower().partition("x")
    if not (rows.isascii() and rows.isdigit() and columns.isascii() and columns.isdigit()):
        raise MappingError(f"--grid '{grid}': must be ROWSxCOLUMNS, e.g. 4x4")
    return patch_schedule(net, cut, (int(rows[:9]), int(columns[:9])), rule)


def schedule_dict(found: PatchSchedule) -> dict[str, Any]:
    """The schedule as JSON: sizes in bytes, half-open intervals of rows and columns."""
    return {
        "network": found.network,
        "cut": found.cut,
        "grid": list(found.grid),
        "peak_bytes": found.peak_bytes,
        "stage_bytes": found.stage_bytes,
        "rest_bytes": found.rest_bytes,
        "layerwise_bytes": found.layerwise_bytes,
        "macs": found.macs,
        "extra_macs": found.extra_macs,
        "patches": [
            {
                name: {"rows": list(patch.rows[name]), "columns": list(patch.columns[name])}
                for name in patch.rows
            }
            for patch in found.patches
        ],
        "steps": [
            {"operator": step.operator, "patch": step.patch, "bytes": step.bytes, "macs": step.macs}
            for step in found.steps
        ],
    }


def _print(found: PatchSchedule) -> None:
    rows, columns = found.grid
    console().print(
        f"{found.network}: {rows} x {columns} patches up to '{found.cut}' need "
        f"{found.peak_bytes / KIB:,.1f} KiB instead of {found.layerwise_bytes / KIB:,.1f} KiB "
        f"layer by layer, {found.layerwise_bytes / found.peak_bytes:.1f}x less, and "
        f"{found.extra_macs:,} more MACs ({found.overhead:+.1%})",
        soft_wrap=True,
    )
    table = make_table(("part", "KiB", "steps", "MACs", "largest step"),
                       words=("part", "largest step"))  # fmt: skip
    stage = [step for step in found.steps if step.patch >= 0]
    rest = [step for step in found.steps if step.patch < 0]
    for name, steps in (("patches", stage), ("rest", rest)):
        if steps:
            largest = max(steps, key=lambda step: step.bytes)
            table.add_row(name, f"{largest.bytes / KIB:,.1f}", f"{len(steps)}",
                          f"{sum(step.macs for step in steps):,}", largest.operator)  # fmt: skip
    show(table)
