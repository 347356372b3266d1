"""The command that counts a cascade's passes."""

from __future__ import annotations

from typing import Annotated

import typer

from dovetail.cli.options import examples
from dovetail.cli.output import make_table, printable, show


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    epilog = examples("dovetail cascade attention_1pass", "dovetail cascade softmax --rank m")
    app.command("cascade", epilog=epilog)(cascade_command)


def cascade_command(
    cascade: Annotated[
        str, typer.Argument(metavar="CASCADE", help="A name, or the path of an .einsum file.")
    ],
    rank: Annotated[
        str | None,
        typer.Option(metavar="RANK", help="Rank to walk; the one of most passes by default."),
    ] = None,
) -> None:
    """Count the passes of an Einsum cascade over its data, and say what must live between them."""
    from dovetail.ir.cascade_passes import passes
    from dovetail.networks.cascade_text import load_cascade

    found = load_cascade(cascade)
    every = {name: passes(found, name) for name in found.ranks}
    if rank is None:
        rank = max(every, key=lambda name: every[name].count)
    chosen = every[rank] if rank in every else passes(found, rank)
    table = make_table(("Einsum", "ranks", f"pass over {rank}"), words=("Einsum", "ranks"))
    for einsum in found.steps:
        number = chosen.of_einsums[einsum.name]
        table.add_row(einsum.name, " ".join(einsum.ranks), str(number) if number else "-")
    show(table, f"{printable(found.name)}: {_count(chosen.count)} over {rank}")
    others = ", ".join(f"{name} {one.count}" for name, one in every.items() if name != rank)
    if others:
        print(f"passes over other ranks: {others}")
    extent, parts = rank.upper(), found.parts(rank)
    for kept in chosen.kept:
        size = " x ".join(name.upper() for name in kept.ranks) or "1"
        away = "kept, or read or made again" if kept.whole else "a summary, kept"
        print(f"{kept.tensor} ({size}): {away} from pass {kept.written} to {kept.read}")
    if chosen.grows:
        print(f"live footprint: O({extent}), or the data is read {chosen.count} times")
    elif any(not kept.whole for kept in chosen.kept):
        print(f"live footprint: O({parts[0].upper()}), one summary per tile of {extent}")
    else:
        tile = parts[-1].upper() if len(parts) > 1 else "1"
        print(f"live footprint: O({tile}), whatever {extent} is")


def _count(passes: int) -> str:
    return "1 pass" if passes == 1 else f"{passes} passes"
