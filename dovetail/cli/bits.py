"""The command that chooses bits for every layer of a network within limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dovetail.cli.options import (
    OUTPUT,
    BatchOption,
    DimOption,
    NetworkArgument,
    SetOption,
    examples,
    extents,
    load_accelerator,
)
from dovetail.cli.output import check_outputs, make_table, save_json, show
from dovetail.errors import ProblemError, UnknownNameError

if TYPE_CHECKING:
    from dovetail.arch.accelerator import Accelerator
    from dovetail.ir.network import Network
    from dovetail.ir.space import FloatArray, IntArray
    from dovetail.networks.bits.layers import LayerGraph, Option

EXAMPLES = examples(
    "dovetail bits resnet50 --limit 'size_mb<=16'",
    "dovetail bits mobilenet_v2 -a edge --set weight_bits=4 --set input_bits=4 "
    "--limit 'latency_ms<=10'",
    "dovetail bits resnet18 --together --bits 4,8 --limit 'gbops<=60' --json bits.json",
)

_LIMIT = re.compile(r"\s*(\w+)\s*<=\s*([0-9.eE+-]+)\s*")

UNITS = {"size_mb": "MB", "gbops": "10^9 bit operations", "latency_ms": "ms", "energy_mj": "mJ"}


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("bits", epilog=EXAMPLES)(bits_command)


def bits_command(
    network: NetworkArgument,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BOUND",
            help="Keep to it, repeatable: 'size_mb<=4' (10^6 B of weights), 'gbops<=20' (10^9 MACs "
            "x bits x bits), and on an accelerator 'latency_ms<=5', 'energy_mj<=2'.",
        ),
    ] = None,
    bits: Annotated[
        str, typer.Option(metavar="N,N,…", help="Widths to choose from, ascending.")
    ] = "2,4,8",
    together: Annotated[
        bool, typer.Option("--together", help="A layer's weights and inputs have one width.")
    ] = False,
    sensitivity: Annotated[
        str | None,
        typer.Option(
            metavar="F",
            help="JSON: loss per relative squared error by layer, e.g. the Hessian's trace times "
            "the squared norm of the weights.",
            show_default="a proxy",
        ),
    ] = None,
    accelerator: Annotated[
        str | None,
        typer.Option(
            "--accelerator",
            "-a",
            metavar="NAME|FILE",
            help="A systolic array: adds latency and energy. Operands wider than its own take "
            "several passes.",
        ),
    ] = None,
    overrides: SetOption = None,
    batch: BatchOption = None,
    dims: DimOption = None,
    json_path: Annotated[
        str | None,
        typer.Option(
            "--json",
            metavar="F",
            help="Write bits and costs of every layer as JSON; - prints it alone.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Choose the bits of every layer that perturb a network least within limits (HAWQ-V3).

    Solves an integer program exactly. Without --sensitivity a proxy ranks the layers: normal
    weights of He's variance, and every output equally important.
    """
    from dovetail.mappers.bits.assign import assign_bits
    from dovetail.networks.bits.layers import layer_graph
    from dovetail.networks.bits.sensitivity import given, perturbations, proxy
    from dovetail.networks.registry import load_network

    inputs = [network] + ([sensitivity] if sensitivity else [])
    check_outputs({"--json": json_path}, inputs=inputs)
    options = _options(bits, together=together)
    array = load_accelerator(accelerator or "edge", overrides) if accelerator or overrides else None
    model = load_network(network, batch=batch, dims=extents(dims))
    graph = layer_graph(model)
    costs, rest = _costs(model, graph, options, array)
    limits = _limits(limit, costs)
    share = proxy(graph) if sensitivity is None else given(graph, _read(sensitivity))
    perturbation = perturbations(share, share, options)
    # What the other operators take is spread over the layers, so that limits hold for all.
    spread = {name: cost + rest[name] / len(graph) for name, cost in costs.items()}
    chosen = assign_bits(perturbation, spread, limits)
    if json_path is not None:
        save_json(json_path, _data(graph, options, chosen, costs, rest, perturbation))
    if json_path != "-":
        _print(graph, options, chosen, costs, rest, perturbation)


def _options(text: str, *, together: bool) -> tuple[Option, ...]:
    from dovetail.envs.mixed_precision import check_bits

    try:
        widths, pairs = check_bits([int(part) for part in text.split(",")])
    except ValueError:
        raise ProblemError(f"--bits {text}: must be whole numbers, e.g. 2,4,8") from None
    return tuple((width, width) for width in widths) if together else pairs


def _costs(
    model: Network, graph: LayerGraph, options: Sequence[Option], array: Accelerator | None
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Costs (layers, options) by name, and what other operators cost."""
    from dovetail.arch.systolic import SystolicArray
    from dovetail.mappers.bits.costs import bit_costs

    costs = {"size_mb": graph.size_mb(options), "gbops": graph.gbops(options)}
    rest = dict.fromkeys(costs, 0.0)
    if array is None:
        return costs, rest
    if not isinstance(array, SystolicArray):
        raise ProblemError(
            f"accelerator '{array.name}' of family '{array.family}': bits per layer are costed on "
            "systolic arrays"
        )
    found = bit_costs(model, graph, array, options)
    costs |= {"latency_ms": found.latency_ms, "energy_mj": found.energy_mj}
    return costs, {**rest, "latency_ms": found.rest_ms, "energy_mj": found.rest_mj}


def _limits(texts: Sequence[str] | None, costs: Mapping[str, FloatArray]) -> dict[str, float]:
    """Bounds by name."""
    limits: dict[str, float] = {}
    for text in texts or ():
        match = _LIMIT.fullmatch(text)
        try:
            name, bound = (match[1], float(match[2])) if match else ("", 0.0)
        except ValueError:
            name, bound = "", 0.0
        if not name or not 0 < bound < float("inf"):
            raise ProblemError(f"--limit '{text}': must be NAME<=NUMBER, the number > 0")
        if name in UNITS and name not in costs:
            raise ProblemError(f"--limit '{text}': needs --accelerator")
        if name not in costs:
            raise UnknownNameError("limit", name, costs)
        if name in limits:
            raise ProblemError(f"--limit '{text}': '{name}' is bounded twice")
        limits[name] = bound
    return limits


def _read(path: str) -> object:
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProblemError(f"--sensitivity {path}: cannot be read: {reason}") from None


def _total(table: FloatArray, chosen: IntArray) -> float:
    return float(table[range(len(chosen)), chosen].sum())


def _print(
    graph: LayerGraph, options: Sequence[Option], chosen: IntArray,
    costs: Mapping[str, FloatArray], rest: Mapping[str, float], perturbation: FloatArray,
) -> None:  # fmt: skip
    """Bits of every layer, and totals against all layers at the most bits."""
    table = make_table(("layer", "weights", "inputs", "MACs", "parameters", "perturbation %"),
                       words=("layer",))  # fmt: skip
    total = max(_total(perturbation, chosen), 1e-300)
    for row, layer in enumerate(graph.layers):
        weights, inputs = options[chosen[row]]
        table.add_row(
            layer.name, str(weights), str(inputs), f"{layer.macs:,}", f"{layer.parameters:,}",
            f"{100 * perturbation[row, chosen[row]] / total:.1f}",
        )  # fmt: skip
    show(table, f"{graph.network}: bits of least perturbation")
    most = max(range(len(options)), key=lambda k: options[k])
    sums = make_table(("total", "unit", "chosen", f"all at {options[most][0]} bits", "share"),
                      words=("total", "unit"))  # fmt: skip
    for name, cost in costs.items():
        now, full = _total(cost, chosen) + rest[name], float(cost[:, most].sum()) + rest[name]
        sums.add_row(name, UNITS[name], f"{now:.4g}", f"{full:.4g}", f"{now / full:.3f}")
    show(sums)


def _data(
    graph: LayerGraph, options: Sequence[Option], chosen: IntArray,
    costs: Mapping[str, FloatArray], rest: Mapping[str, float], perturbation: FloatArray,
) -> dict[str, object]:  # fmt: skip
    """What `_print` shows, for programs."""
    layers = [
        {"name": layer.name, "weight_bits": options[k][0], "input_bits": options[k][1],
         "perturbation": float(perturbation[row, k]),
         **{name: float(cost[row, k]) for name, cost in costs.items()}}
        for row, (layer, k) in enumerate(zip(graph.layers, chosen.tolist(), strict=True))
    ]  # fmt: skip
    total = {name: _total(cost, chosen) + rest[name] for name, cost in costs.items()}
    return {"network": graph.network, "total": total, "layers": layers}
