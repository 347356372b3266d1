"""Co-search over a supernet with learned predictors of accuracy and costs.

    python experiments/supernet_search.py [--seeds 3] [--evaluations 5000] [--most 1500]
        [--cache FOLDER] [--out out/supernet_search]

The digits supernet (31,104 sub-networks whose accuracy is measured in integer arithmetic, trained
first if it is not in the cache, some minutes) times 3.1 million systolic arrays. Printed:

1. Rank correlation (Kendall's tau, Spearman's rho) of predictions with the truth, on 1,000 designs
   that predictors have not seen, after 100, 300 and 1,000 samples: the error from the knobs of the
   network, latency and energy from all knobs; beside gradient-boosted trees on the same samples.
2. Transfer between precisions (the idea of APQ): a predictor of 8-bit errors knows 300 networks;
   errors at 4 bits are predicted from its prediction and few 4-bit samples, or from these alone.
3. Evaluations that the agent `predictor` (train, search the predictions with NSGA-II, evaluate
   their front, train again) needs to reach the hypervolume of NSGA-II after --evaluations, and that
   of the other agents named; medians over the seeds.

The papers (Once-for-All, ICLR 2020; APQ, CVPR 2020; LINAS, 2022; SimQ-NAS, 2023) search ImageNet's
and language networks; their figures are not compared with these.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from scipy.stats import kendalltau, spearmanr

from dovetail.agents.base import make_agent
from dovetail.agents.predictors import knobs_of
from dovetail.agents.product_gp import ProductGP
from dovetail.cli.running import prepare_problem
from dovetail.envs.codesign import CoDesignProblem
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import FloatArray, IntArray, Space

SAMPLES = (100, 300, 1000)
METRICS = ("error", "latency_ms", "energy_mj")
FEW = (0, 10, 20, 40, 80)
KNOWN = 300
AGENTS = ("nsga2", "genetic", "ego", "predictor")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evaluations", type=int, default=5000)
    parser.add_argument("--most", type=int, default=1500)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS))
    parser.add_argument("--cache", help="folder of trained supernets")
    parser.add_argument("--out", type=Path, default=Path("out/supernet_search"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    problem = prepare_problem(
        {"problem": "codesign", **({"cache": args.cache} if args.cache else {})}
    )
    assert isinstance(problem, CoDesignProblem)
    console = Console(width=110)
    ranks = correlations(problem, args.seeds)
    console.print(rank_table(ranks))
    moved = transfers(problem, args.seeds)
    console.print(transfer_table(moved))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("searches", total=len(args.agents) * args.seeds)
        curves: dict[str, list[FloatArray]] = {name: [] for name in args.agents}
        for seed in range(args.seeds):
            for name in args.agents:
                budget = args.evaluations if name == "nsga2" else args.most
                curves[name].append(curve(problem, name, seed, budget))
                progress.advance(task)
    console.print(search_table(curves))
    listed = {name: [one.tolist() for one in found] for name, found in curves.items()}
    results = {"ranks": ranks, "transfer": moved, "curves": listed}
    (args.out / "supernet_search.json").write_text(json.dumps(results))
    draw(args.out / "supernet_search.svg", ranks, moved, curves)
    print(f"figure: {args.out / 'supernet_search.svg'}")
    return 0


def feasible(problem: CoDesignProblem, rng: np.random.Generator, count: int) -> IntArray:
    """Lawful designs (count, knobs), drawn uniformly."""
    found = problem.space.sample(rng, 4 * count)
    return found[problem.evaluate(found).feasible][:count]


def correlations(problem: CoDesignProblem, seeds: int) -> list[dict[str, object]]:
    """Tau and rho of the process and of trees, by metric and number of samples, over seeds."""
    rows = []
    for metric in METRICS:
        knobs = knobs_of(problem, metric)
        space = Space(tuple(problem.space.knobs[knob] for knob in knobs))
        for count in SAMPLES:
            found = [_correlation(problem, metric, knobs, space, count, s) for s in range(seeds)]
            for place, model in enumerate(("process", "trees")):
                tau, rho = np.median([pair[place] for pair in found], axis=0)
                row = {"metric": metric, "samples": count, "model": model, "tau": tau, "rho": rho}
                rows.append(row)
    return rows


def _correlation(
    problem: CoDesignProblem, metric: str, knobs: IntArray, space: Space, count: int, seed: int
) -> list[tuple[float, float]]:
    rng = np.random.default_rng(seed)
    designs = feasible(problem, rng, count + 1000)
    values = np.log(np.maximum(problem.evaluate(designs).metrics[metric], 1e-3))
    learnt, asked = designs[:count, knobs], designs[count:, knobs]
    process = ProductGP(space)
    process.fit(learnt, values[:count])
    return [
        correlation(predicted, values[count:])
        for predicted in (process.mean(asked), trees(learnt, values[:count], seed)(asked))
    ]


def trees(designs: IntArray, values: FloatArray, seed: int) -> Callable[[IntArray], FloatArray]:
    """Gradient-boosted trees of scikit-learn with their defaults."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(random_state=seed, min_samples_leaf=5)
    return model.fit(designs, values).predict


def correlation(predicted: FloatArray, truth: FloatArray) -> tuple[float, float]:
    """Kendall's tau and Spearman's rho."""
    return float(kendalltau(predicted, truth)[0]), float(spearmanr(predicted, truth)[0])


def transfers(problem: CoDesignProblem, seeds: int) -> list[dict[str, object]]:
    """Tau of 4-bit errors from few 4-bit samples, with and without the 8-bit predictor."""
    rows = []
    for few in FEW:
        found = np.array([_transfer(problem, few, seed) for seed in range(seeds)])
        tau = np.median(found, axis=0)
        rows.append({"samples": few, "transferred": tau[0], "alone": tau[1], "eight": tau[2]})
    return rows


def _transfer(problem: CoDesignProblem, few: int, seed: int) -> tuple[float, float, float]:
    """Tau on 500 4-bit networks: 8-bit prior and samples; samples alone; the 8-bit prior alone."""
    rng = np.random.default_rng(seed)
    space = problem.family.space
    names, values = space.names, {k.name: k.values for k in space.knobs}
    columns = [names.index(name) for name in ("weight_bits", "activation_bits")]

    def at(bits: int, count: int) -> IntArray:
        choices = space.sample(rng, count)
        for column in columns:
            choices[:, column] = values[names[column]].index(bits)
        choices = np.unique(choices, axis=0)
        return rng.permutation(choices)

    eight = at(8, KNOWN)
    four = at(4, 500 + max(FEW) + 100)
    prior = ProductGP(space)
    prior.fit(eight, logs(problem, eight))
    samples, asked = four[:few], four[max(FEW) : max(FEW) + 500]
    truth = logs(problem, asked)

    def guess(choices: IntArray) -> FloatArray:
        moved = choices.copy()
        for column in columns:
            moved[:, column] = values[names[column]].index(8)
        return prior.mean(moved)

    before = guess(asked)
    if not few:
        return kendalltau(before, truth)[0], float("nan"), kendalltau(before, truth)[0]
    measured = logs(problem, samples)
    slope, offset = np.polyfit(guess(samples), measured, 1)
    rest, alone = ProductGP(space), ProductGP(space)
    rest.fit(samples, measured - slope * guess(samples) - offset)
    alone.fit(samples, measured)
    corrected = slope * before + offset + rest.mean(asked)
    return (
        kendalltau(corrected, truth)[0],
        kendalltau(alone.mean(asked), truth)[0],
        kendalltau(before, truth)[0],
    )


def logs(problem: CoDesignProblem, choices: IntArray) -> FloatArray:
    """Logarithms (n,) of the errors of networks (n, knobs)."""
    return np.log(np.maximum(problem.oracle.errors(choices), 1e-3))


def curve(problem: CoDesignProblem, name: str, seed: int, budget: int) -> FloatArray:
    """Evaluations and hypervolume after each batch, (batches, 2)."""
    agent = make_agent(name, problem, seed)
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    points = []
    while archive.count < budget:
        designs = agent.ask()[: budget - archive.count]
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        archive.add(designs, evaluation.objectives, evaluation.feasible)
        if not points or archive.count >= points[-1][0] + 25 or archive.count == budget:
            points.append((archive.count, archive.hypervolume))
    return np.array(points)


def reached(found: FloatArray, target: float) -> float:
    """Evaluations until a hypervolume; infinite if it was not reached."""
    there = found[found[:, 1] >= target]
    return float(there[0, 0]) if len(there) else float("inf")


def rank_table(rows: list[dict[str, object]]) -> Table:
    """Correlations by metric and samples."""
    table = Table("metric", "samples", title="rank correlation on 1,000 unseen designs, medians")
    for column in ("process: tau", "rho", "trees: tau", "rho"):
        table.add_column(column, justify="right")
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        cells = [f"{row[key]:.3f}" for row in (first, second) for key in ("tau", "rho")]
        table.add_row(str(first["metric"]), str(first["samples"]), *cells)
    return table


def transfer_table(rows: list[dict[str, object]]) -> Table:
    """Correlations at 4 bits."""
    table = Table("4-bit samples", title="Kendall's tau of predicted errors at 4 bits, medians")
    for column in (f"8-bit predictor of {KNOWN} + samples", "samples alone", "8-bit predictor"):
        table.add_column(column, justify="right")
    for row in rows:
        cells = (f"{row[key]:.3f}" for key in ("transferred", "alone", "eight"))
        table.add_row(str(row["samples"]), *cells)
    return table


def search_table(curves: dict[str, list[FloatArray]]) -> Table:
    """Evaluations to NSGA-II's last hypervolume, seed by seed, and the last hypervolume."""
    target = float(np.median([found[-1, 1] for found in curves["nsga2"]]))
    table = Table("agent", title=f"hypervolume {target:.2f}: NSGA-II's median at the end")
    for column in ("evaluations", "its hypervolume", "evaluations to NSGA-II's", "each seed"):
        table.add_column(column, justify="right")
    for name, found in curves.items():
        needed = [reached(one, target) for one in found]
        last = np.median([one[-1, 1] for one in found])
        each = " ".join("-" if np.isinf(n) else f"{n:.0f}" for n in needed)
        middle = "-" if np.isinf(np.median(needed)) else f"{np.median(needed):.0f}"
        table.add_row(name, f"{found[0][-1, 0]:.0f}", f"{last:.3f}", middle, each)
    return table


def draw(
    path: Path, ranks: list[dict[str, object]], moved: list[dict[str, object]],
    curves: dict[str, list[FloatArray]],
) -> None:  # fmt: skip
    """Correlation by samples; transfer by samples; hypervolume by evaluations."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
    for metric in METRICS:
        for model, style in (("process", "o-"), ("trees", "x:")):
            tau = [r["tau"] for r in ranks if r["metric"] == metric and r["model"] == model]
            left.plot(SAMPLES, tau, style, label=f"{metric}, {model}")
    left.set(xlabel="samples", ylabel="Kendall's tau", xscale="log")
    for key in ("transferred", "alone", "eight"):
        middle.plot(FEW, [row[key] for row in moved], "o-", label=key)
    middle.set(xlabel="4-bit samples", ylabel="Kendall's tau of 4-bit errors")
    for name, found in curves.items():
        for seed, one in enumerate(found):
            color = f"C{list(curves).index(name)}"
            right.plot(*one.T, color=color, alpha=0.7, label=None if seed else name)
    right.set(xlabel="evaluations", ylabel="hypervolume", xscale="log")
    for axis in (left, middle, right):
        axis.legend(fontsize=7)
        axis.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
