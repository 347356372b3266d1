"""The command that lists what there is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from dovetail.cli.options import examples
from dovetail.cli.output import engineering, make_table, printable, show
from dovetail.errors import DovetailError, UnknownNameError

if TYPE_CHECKING:
    from dovetail.arch.accelerator import Accelerator


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    epilog = examples("dovetail list networks", "dovetail list parameters")
    app.command("list", epilog=epilog)(list_command)


def list_command(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="networks, accelerators, parameters (of them), mappers, servers, agents or envs.",
        ),
    ],
) -> None:
    """List networks, accelerators, their parameters, mappers, servers, agents or environments."""
    listings: dict[str, Callable[[], Table | dict[str, Table]]] = {
        "networks": _networks,
        "accelerators": _accelerators,
        "parameters": _parameters,
        "mappers": _mappers,
        "servers": _servers,
        "agents": _agents,
        "envs": _envs,
    }
    if what not in listings:
        raise UnknownNameError("list", what, listings)
    found = listings[what]()
    tables = found if isinstance(found, dict) else {"": found}
    for position, (title, table) in enumerate(tables.items()):
        if position:
            print()
        show(table, title)


def _words(*columns: str) -> Table:
    return make_table(columns, words=columns)


def _networks() -> Table:
    from dovetail.networks.registry import names

    table = _words("network", "what it is")
    for name, text in names():
        table.add_row(name, printable(text))
    return table


def _accelerators() -> dict[str, Table]:
    from dovetail.arch import presets

    columns = ("accelerator", "array", "peak", "SRAM", "DRAM", "clock", "mm2", "what it is")
    tables = {}
    for family in presets.families():
        table = make_table(columns, words=("accelerator", "array", "what it is"))
        for name in presets.names(family):
            a = presets.load(name)
            sram_kib = a.sram_bytes / 1024
            table.add_row(
                name,
                a.array,
                engineering(2e6 * a.peak_macs_per_cycle * a.clock_mhz, "OPS"),
                f"{sram_kib / 1024:.4g} MiB" if sram_kib >= 1024 else f"{sram_kib:.4g} KiB",
                _dram(a),
                f"{a.clock_mhz:g} MHz",
                _area(a.area_mm2),
                presets.title(name),
            )
        if table.row_count:
            tables[f"family: {family}"] = table
    return tables


def _area(mm2: float) -> str:
    """Nothing where the family knows no area."""
    if not mm2:
        return ""
    return f"{mm2:.3g}" if mm2 < 1000 else f"{mm2:,.0f}"


def _dram(a: Accelerator) -> str:
    """Bandwidth off chip, and the kind of memory where the family has one."""
    kind = getattr(a, "dram", "")
    speed = f"{a.dram_bytes_per_cycle * a.clock_mhz / 1e3:.4g} GB/s"
    return f"{speed} {kind}" if isinstance(kind, str) else speed


def _parameters() -> dict[str, Table]:
    from dovetail.arch import presets

    tables = {}
    for name in presets.families():
        table = _words("parameter", "default", "legal", "meaning")
        for row in presets.family_class(name, "list").parameters():
            table.add_row(*row)
        tables[f"family: {name}"] = table
    return tables


def _mappers() -> Table:
    from dovetail.arch import presets
    from dovetail.flows import family_named

    table = _words("family", "mappers, the default first")
    for name in presets.families():
        table.add_row(name, printable(", ".join(family_named(name).mappers())))
    return table


def _servers() -> dict[str, Table]:
    from dovetail.arch.server import SERVERS, Server

    table = make_table(("parameter", *SERVERS, "legal", "meaning"), ("parameter", "meaning"))
    values = [server.to_dict() for server in SERVERS.values()]
    for key, _, legal, meaning in Server.parameters():
        if key != "name":
            table.add_row(key, *(str(value[key]) for value in values), legal, meaning)
    return {"servers of experts (dovetail serve)": table}


def _agents() -> Table:
    from dovetail.agents.base import factory, names

    table = _words("agent", "how it searches")
    for name in names():
        try:
            text = _first_line(factory(name).__doc__)
        except DovetailError as error:
            text = str(error)
        table.add_row(name, printable(text))
    return table


def _envs() -> Table:
    import gymnasium

    import dovetail.envs  # noqa: F401  # registers them
    from dovetail.cli.problem_options import NAMES
    from dovetail.envs.registry import BUILT_IN, names

    table = _words("environment", "--env", "what it is")
    for name, spec in sorted(gymnasium.registry.items()):
        if name.startswith("dovetail/"):
            module, _, function = str(spec.entry_point).partition(":")
            text = _first_line(getattr(import_module(module), function).__doc__)
            table.add_row(name, NAMES.get(name, ""), text)
    for name in names():
        if name not in BUILT_IN:
            table.add_row("", printable(name), "a design problem of another package")
    return table


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]
