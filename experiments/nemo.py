"""NEMO against its parts: species, graph, integer programs, NSGA-II, at equal evaluations.

    python experiments/nemo.py [--networks digits_cnn mobilenet_v2 resnet50] [--evaluations 1000]
        [--seeds 5] [--accelerator edge --set weight_bits=4 --set input_bits=4]
        [--objectives error size_mb latency_ms] [--out out/nemo]

Bits in {2, 4, 8} for every layer's weights and inputs. `digits_cnn` is trained on scikit-learn's
digits (once, then kept) and its error after quantization is measured on 450 held-out images. The
zoo has no weights: there the perturbation of the loss stands for the error, by a proxy
(`dovetail.networks.bits.sensitivity`), which the integer program knows exactly and which no search
can beat where the program is asked often enough.

Hypervolumes are of decades of compression against 32 bits, times tenths of error or decades of
perturbation; medians over seeds, quartiles in brackets. `ILP alone` asks as many programs, with
limits spread over the range, as the others evaluate designs; `ILP's seeds` are the programs that
NEMO begins with; they and `uniform` draw nothing. The last columns are the most compression of
designs about as good as uniform 4 bits (their error plus one image in a hundred, or their
perturbation).

The paper's tables were not obtainable, so none of its numbers is printed. What its abstract claims
is that memory compression is competitive and compute compression superior to the state of the art;
its networks are MobileNet-V2, ResNet50 and ResNeXt-101 on ImageNet.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dovetail.agents.base import make_agent
from dovetail.agents.nemo import NEMOAgent, NEMOArgs
from dovetail.cli.options import assignments
from dovetail.envs.mixed_precision import MixedPrecisionProblem
from dovetail.envs.mixed_precision_spec import from_spec
from dovetail.errors import DovetailError
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray

VARIANTS: dict[str, tuple[str, dict[str, object]]] = {
    "nemo": ("nemo", {}),
    "nemo, sizes equal": ("nemo", {"resize": False}),
    "nemo, no graph": ("nemo", {"messages": 0}),
    "nemo, no ILP": ("nemo", {"seeds": 0}),
    "graph alone": ("nemo", {"species": "graph"}),
    "graph alone, deaf": ("nemo", {"species": "graph", "messages": 0}),
    "boltzmann alone": ("nemo", {"species": "boltzmann"}),
    "direct alone": ("nemo", {"species": "direct"}),
    "nsga2": ("nsga2", {}),
    "random": ("random", {}),
}
ALONE = ("ILP alone", "ILP's seeds", "uniform")
SLACK = 0.01
"""Error above that of uniform 4 bits that still counts as good."""

LINES = {"ILP alone": ":", "ILP's seeds": "--", "uniform": "-."}
DRAWN = ("nemo", "graph alone", "nsga2", "ILP alone", "uniform")


@dataclass
class Run:
    """What one search left.

    Attributes:
        volumes: hypervolume after each batch, with the evaluations until then.
        archive: its front.
        seconds: processor time.
        sizes: of the species after each batch; empty for others than NEMO.
    """

    volumes: list[tuple[int, float]]
    archive: ParetoArchive
    seconds: float
    sizes: list[dict[str, int]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["digits_cnn", "mobilenet_v2", "resnet50"])
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--variants", nargs="+", default=[*VARIANTS, *ALONE])
    parser.add_argument("--objectives", nargs="+")
    parser.add_argument("--accelerator", help="a preset that runs the network")
    parser.add_argument("--set", action="append", help="one of its parameters, KEY=VALUE")
    parser.add_argument("--epochs", type=int, default=30, help="of digits_cnn's training")
    parser.add_argument("--cache", help="folder of trained weights")
    parser.add_argument("--out", type=Path, default=Path("out/nemo"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        for network in args.networks:
            problem = from_spec(specification(network, args))
            results = search(problem, args.variants, args.evaluations, args.seeds)
            Console(width=150).print(tabulated(problem, results, args.evaluations))
            tell_sizes(results)
            save(args.out / problem.name, problem, results)
    except DovetailError as error:
        print(f"nemo: {error}", file=sys.stderr)
        return 2
    print("The paper's tables were not obtainable: no number of its own stands here.")
    return 0


def specification(network: str, args: argparse.Namespace) -> dict[str, object]:
    """The problem of a network."""
    base: object = None
    if args.accelerator is not None:
        from dovetail.arch import presets

        chosen = presets.load(args.accelerator).replace(assignments(args.set, "--set"))
        base = {"family": chosen.family, **chosen.to_dict()}
    return {
        "network": network, "base": base, "objectives": args.objectives, "epochs": args.epochs,
        "cache": args.cache,
    }  # fmt: skip


def search(
    problem: MixedPrecisionProblem, variants: list[str], evaluations: int, seeds: int
) -> dict[str, list[Run]]:
    """Runs by variant."""
    results: dict[str, list[Run]] = {}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(problem.name, total=len(variants) * seeds)
        for name in variants:
            results[name] = []
            for seed in range(1 if name in ALONE else seeds):
                bar.update(task, description=f"{problem.name}: {name}, seed {seed}")
                if name in ALONE:
                    results[name].append(asked_once(problem, name, evaluations))
                else:
                    results[name].append(run(problem, *VARIANTS[name], seed, evaluations))
                bar.advance(task, seeds if name in ALONE else 1)
    return results


def run(
    problem: MixedPrecisionProblem, agent: str, settings: dict[str, object], seed: int, count: int
) -> Run:
    """One search."""
    start = time.process_time()
    made = make_agent(agent, problem, seed, settings)
    found = Run([], ParetoArchive(problem.reference_point, len(problem.space.knobs)), 0.0, [])
    while found.archive.count < count:
        designs = made.ask()[: count - found.archive.count]
        evaluation = problem.evaluate(designs)
        made.tell(designs, evaluation)
        found.archive.add(designs, evaluation.objectives, evaluation.feasible)
        found.volumes.append((found.archive.count, found.archive.hypervolume))
        if isinstance(made, NEMOAgent):
            found.sizes.append({name: p.size for name, p in made.populations.items()})
    found.seconds = time.process_time() - start
    return found


def asked_once(problem: MixedPrecisionProblem, name: str, count: int) -> Run:
    """Designs of the integer program, or of one width everywhere."""
    start = time.process_time()
    if name == "uniform":
        designs = problem.uniform()
    else:
        designs = problem.solved(count if name == "ILP alone" else NEMOArgs().seeds)
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    evaluation = problem.evaluate(designs)
    archive.add(designs, evaluation.objectives, evaluation.feasible)
    seconds = time.process_time() - start
    return Run([(len(designs), archive.hypervolume)], archive, seconds, [])


def tabulated(
    problem: MixedPrecisionProblem, results: dict[str, list[Run]], evaluations: int
) -> Table:
    """Hypervolumes, fronts, time, and compression at about uniform 4 bits' quality."""
    names = ", ".join(objective.name for objective in problem.objectives)
    table = Table("variant", title=f"{problem.name}, {evaluations} evaluations: {names}")
    for column in ("hypervolume", "front", "asked", "processor s", "memory x", "compute x"):
        table.add_column(column, justify="right")
    for name, runs in results.items():
        volumes = [run.volumes[-1][1] for run in runs]
        best = np.median([compressions(problem, run.archive.designs) for run in runs], axis=0)
        table.add_row(
            name, spread(volumes), f"{np.median([len(run.archive) for run in runs]):.0f}",
            str(runs[0].volumes[-1][0]), f"{np.median([run.seconds for run in runs]):.1f}",
            *(f"{value:.2f}" for value in best),
        )  # fmt: skip
    return table


def spread(values: list[float]) -> str:
    """Median, and quartiles where there are several values."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:.3f}" if len(values) == 1 else f"{middle:.3f} [{low:.3f}, {high:.3f}]"


def compressions(problem: MixedPrecisionProblem, designs: IntArray) -> FloatArray:
    """Most compression of memory and of compute (2,) of designs as good as uniform 4 bits."""
    quality = "error" if "error" in problem.metrics else "perturbation"
    metrics = problem.evaluate(designs).metrics
    uniform = problem.evaluate(problem.uniform()).metrics
    middle = len(problem.bits) // 2
    limit = uniform[quality][middle] + (SLACK if quality == "error" else 0)
    good = metrics[quality] <= limit * (1 + 1e-9)
    if not good.any():
        return np.full(2, np.nan)
    full = (32, 32)
    graph = problem.graph
    return np.array([
        graph.size_mb([full]).sum() / metrics["size_mb"][good].min(),
        graph.gbops([full]).sum() / metrics["gbops"][good].min(),
    ])  # fmt: skip


def tell_sizes(results: dict[str, list[Run]]) -> None:
    """Prints how the species of NEMO's first seed changed."""
    sizes = results["nemo"][0].sizes if "nemo" in results else []
    if sizes:
        rows = [sizes[place] for place in sorted({0, len(sizes) // 2, len(sizes) - 1})]
        told = "; ".join(", ".join(f"{name} {size}" for name, size in row.items()) for row in rows)
        print(f"species of seed 0, first, middle and last generation: {told}")


def save(path: Path, problem: MixedPrecisionProblem, results: dict[str, list[Run]]) -> None:
    """Numbers as JSON, fronts and growth as a figure."""
    data = {
        name: [
            {"volumes": run.volumes, "seconds": run.seconds, "sizes": run.sizes,
             "front": run.archive.objectives.tolist()}
            for run in runs
        ]
        for name, runs in results.items()
    }  # fmt: skip
    path.with_name(f"{path.name}.json").write_text(json.dumps(data, indent=1))
    draw(path.with_name(f"{path.name}.svg"), problem, results)


def draw(path: Path, problem: MixedPrecisionProblem, results: dict[str, list[Run]]) -> None:
    """Fronts of the first seeds over memory and compute, and hypervolume over evaluations."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    quality = "error" if "error" in problem.metrics else "perturbation"
    for name in (name for name in DRAWN if name in results):
        metrics = problem.evaluate(results[name][0].archive.designs).metrics
        for axis, cost, full in (
            (axes[0], "size_mb", problem.graph.size_mb([(32, 32)]).sum()),
            (axes[1], "gbops", problem.graph.gbops([(32, 32)]).sum()),
        ):
            marker = "s" if name == "uniform" else "o"
            axis.plot(full / metrics[cost], metrics[quality], marker, markersize=3, label=name)
    for name, runs in results.items():
        if name not in ALONE:
            counts = [count for count, _ in runs[0].volumes]
            middle = np.median([[v for _, v in run.volumes] for run in runs], axis=0)
            axes[2].plot(counts, middle, label=name)
        else:
            axes[2].axhline(runs[0].volumes[-1][1], linestyle=LINES[name], color="grey", label=name)
    for axis, what in ((axes[0], "memory"), (axes[1], "compute")):
        axis.set(xlabel=f"{what} compression against 32 bits", ylabel=quality)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_yscale("log" if quality == "perturbation" else "linear")
    axes[2].set(xlabel="evaluations", ylabel="hypervolume, median")
    for axis in axes:
        axis.legend(fontsize=6)
    figure.suptitle(problem.name)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
