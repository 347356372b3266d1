"""The command that serves requests to a composition of experts."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dovetail.arch.server import SERVERS, Server, load_server
from dovetail.cli.options import OUTPUT, SeedOption, assignments, examples
from dovetail.cli.output import check_outputs, console, make_table, save_json, show
from dovetail.cli.plot import check_plot
from dovetail.errors import ProblemError

if TYPE_CHECKING:
    from dovetail.sim.system.experts import Served
    from dovetail.sim.system.workload import Workload

EXAMPLES = examples(
    "dovetail serve",
    "dovetail serve --server sn40l --rate 20 --batch 8 --ahead 2 --requests 100000",
    "dovetail serve --server sn40l --server dgx_h100 --clients 32 --tokens 20-200 --plot cdf.svg",
    "dovetail serve --server mine.yaml --set switch_gb_per_s=500 --skew 1.1 --json -",
)
ALIKE = 0.95
"""Share of the requested rate below which a server counts as overloaded."""

LOAD = "Load"


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("serve", epilog=EXAMPLES)(serve_command)


def serve_command(
    servers: Annotated[
        list[str] | None,
        typer.Option(
            "--server",
            "-s",
            metavar="NAME|FILE",
            help="A server (dovetail list servers) or a .yaml file, repeatable.",
            show_default="all that come with Dovetail",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Override a parameter of every server, repeatable: --set hbm_efficiency=0.5.",
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", help="Most requests that run together.", min=1, max=10**6)
    ] = 1,
    ahead: Annotated[
        int,
        typer.Option(
            metavar="N", help="Batches whose experts are copied while others run.", min=0, max=10**4
        ),
    ] = 0,
    experts: Annotated[
        int, typer.Option(metavar="N", help="Models behind the router.", min=1, max=10**6)
    ] = 150,
    weights: Annotated[
        float,
        typer.Option(
            metavar="N",
            help="Billions of weights of each, two bytes per weight.",
            min=1e-6,
            max=1e6,
        ),
    ] = 6.74,
    requests: Annotated[
        int,
        typer.Option(
            metavar="N", help="How many are served.", min=1, max=10**7, rich_help_panel=LOAD
        ),
    ] = 10_000,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="R",
            help="Requests per second that come at random; without it, clients ask in turn.",
            min=1e-6,
            max=1e9,
            rich_help_panel=LOAD,
        ),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Clients that ask again once they are answered.",
            min=1,
            max=10**6,
            show_default="1",
            rich_help_panel=LOAD,
        ),
    ] = None,
    prompt: Annotated[
        int,
        typer.Option(
            metavar="N", help="Tokens of a prompt.", min=0, max=10**7, rich_help_panel=LOAD
        ),
    ] = 128,
    tokens: Annotated[
        str,
        typer.Option(
            metavar="N|N-M", help="Tokens of an answer, or their range.", rich_help_panel=LOAD
        ),
    ] = "20",
    skew: Annotated[
        float,
        typer.Option(
            metavar="S",
            help="Popularity of experts: 0 alike, S the power of their rank (Zipf).",
            min=0,
            max=100,
            rich_help_panel=LOAD,
        ),
    ] = 0.0,
    router: Annotated[
        bool, typer.Option(help="A model of the same size picks the expert of each prompt.")
    ] = True,
    seed: SeedOption = 0,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write parameters, times and all percentiles as JSON; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="Draw the share of requests over latency (.png, .svg, .pdf).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Serve a composition of experts: many language models behind one router.

    Experts lie in a server's large memory; those used last stay in its fast memory, the others
    are copied when a request needs them. Prints where requests spend their time, per server.
    """
    from dovetail.sim.system.workload import LanguageModel, Workload

    check_outputs({"--json": json_path, "--plot": plot}, inputs=servers or ())
    if plot is not None:
        check_plot(plot)
    if rate is not None and clients is not None:
        raise ProblemError("--rate and --clients exclude each other: give one")
    given = assignments(overrides, "--set")
    chosen = [load_server(spec, given) for spec in servers or SERVERS]
    work = Workload(
        LanguageModel(weights * 1e9), experts=experts, requests=requests, prompt_tokens=prompt,
        output_tokens=_range(tokens), rate=rate, clients=clients or 1, skew=skew,
        router_tokens=int(router), seed=seed,
    )  # fmt: skip
    found = [(server, _run(server, work, batch, ahead)) for server in chosen]
    if json_path is not None:
        save_json(json_path, _as_dict(work, batch, ahead, found))
    if plot is not None:
        from dovetail.cli.plot_latency import plot_latency

        plot_latency({server.name: served.latency for server, served in found}, plot)
    if json_path != "-":
        _print(work, found)


def _range(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    ends = (low, high) if dash else (low, low)
    if not all(end.isascii() and end.isdigit() and len(end) < 9 for end in ends):
        raise ProblemError(f"--tokens '{text}': must be a number or a range, e.g. 20 or 20-200")
    return int(ends[0]), int(ends[1])


def _run(server: Server, work: Workload, batch: int, ahead: int) -> Served:
    from dovetail.sim.system.experts import serve

    with _progress(server.name, work.requests) as tell:
        return serve(server, work, batch=batch, ahead=ahead, progress=tell)


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar on a terminal's error stream; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.update(task, completed=count)


PERCENTILES = (50, 90, 99)


def _print(work: Workload, found: list[tuple[Server, Served]]) -> None:
    parts = ("queue", "router", "switch", "run")
    heads = [f"p{p}" for p in PERCENTILES]
    columns = ["server", "held", "hits", "requests/s", "busy", "mean", *heads, *parts]
    table = make_table(columns, words=("server",))
    for server, served in found:
        mean = served.latency.mean()
        table.add_row(
            server.name,
            str(served.places),
            f"{served.hits / served.batches:.1%}",
            f"{len(served.latency) / served.seconds:.3g}",
            f"{served.engine_seconds / served.seconds:.1%}",
            *(_time(t) for t in (mean, *(served.percentile(p) for p in PERCENTILES))),
            *(f"{max(0.0, part.mean()) / mean:.1%}" for part in _parts(served).values()),
        )
    low, high = work.output_tokens
    tokens = str(low) if low == high else f"{low} to {high}"
    show(table, f"{work.experts} experts, {work.requests:,} requests of {work.prompt_tokens} + "
         f"{tokens} tokens")  # fmt: skip
    out = console()
    out.print("queue, router, switch and run are shares of the mean latency", style="dim")
    for server, served in found:
        reached = len(served.latency) / served.seconds
        if work.rate is not None and reached < ALIKE * work.rate:
            out.print(
                f"{server.name} cannot serve {work.rate:g} requests/s: its latencies grow with "
                "--requests"
            )


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.4g} ms" if seconds < 1 else f"{seconds:.4g} s"


def _parts(served: Served) -> dict[str, Any]:
    return {
        "queue": served.waiting,
        "router": served.routing,
        "switch": served.switching,
        "run": served.running,
    }


def _as_dict(
    work: Workload, batch: int, ahead: int, found: list[tuple[Server, Served]]
) -> dict[str, Any]:
    """Everything in seconds."""
    return {
        "workload": {**dataclasses.asdict(work), "batch": batch, "ahead": ahead},
        "servers": [
            {
                "server": server.to_dict(),
                "experts_held": served.places,
                "batches": served.batches,
                "hits": served.hits,
                "seconds": served.seconds,
                "requests_per_second": len(served.latency) / served.seconds,
                "engine_seconds": served.engine_seconds,
                "copy_seconds": served.copy_seconds,
                "mean_latency": float(served.latency.mean()),
                "mean_parts": {k: float(part.mean()) for k, part in _parts(served).items()},
                "latency_percentiles": [served.percentile(p) for p in range(101)],
            }
            for server, served in found
        ],
    }
