"""The command that lists what there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.table import Table

from dovetail.cli.output import console
from dovetail.errors import UnknownNameError


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("list")(list_command)


def list_command(
    what: Annotated[
        str, typer.Argument(help="networks, accelerators, parameters, agents or envs.")
    ],
) -> None:
    """List networks, accelerators, their parameters, agents or environments."""
    listings: dict[str, Callable[[], Table]] = {
        "networks": _networks,
        "accelerators": _accelerators,
        "parameters": _parameters,
        "agents": _agents,
        "envs": _envs,
    }
    if what not in listings:
        raise UnknownNameError("list", what, listings)
    console().print(listings[what]())


def _networks() -> Table:
    from dovetail.networks.registry import names

    table = Table("network", "what it is")
    for name, text in names():
        table.add_row(name, text)
    return table


def _accelerators() -> Table:
    from dovetail.arch import presets

    table = Table("accelerator", "array", "TOPS", "DRAM", "source")
    for name in presets.names():
        a = presets.load(name)
        tops = 2 * a.peak_macs_per_cycle * a.clock_mhz / 1e6
        shape = f"{a.arrays} x " * (a.arrays > 1) + f"{a.rows} x {a.cols} {a.dataflow}"
        dram = f"{a.dram_gb_per_s:g} GB/s {a.dram}"
        table.add_row(name, shape, f"{tops:.3g}", dram, presets.source_note(name))
    return table


def _parameters() -> Table:
    from dovetail.arch.systolic import SystolicArray

    table = Table("parameter", "default", "legal", "meaning")
    for field in SystolicArray.parameters():
        law = field.metadata
        legal = ", ".join(law.get("choices", ()))
        if "low" in law:
            legal = f"{law['low']:g} to {law['high']:g} {law['unit']}".strip()
        table.add_row(field.name, str(field.default), legal, law["doc"])
    return table


def _agents() -> Table:
    from dovetail.agents.base import factory, names

    table = Table("agent", "how it searches")
    for name in names():
        table.add_row(name, (factory(name).__doc__ or "").strip().splitlines()[0])
    return table


def _envs() -> Table:
    import gymnasium

    import dovetail.envs  # noqa: F401  # registers them

    table = Table("environment", "entry point")
    for name, spec in sorted(gymnasium.registry.items()):
        if name.startswith("dovetail/"):
            table.add_row(name, str(spec.entry_point))
    return table
