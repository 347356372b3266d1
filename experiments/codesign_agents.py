"""Which agent to trust on dovetail/CoDesign-v0: random search, NSGA-II and PPO at equal budgets.

    python experiments/codesign_agents.py [--budget 20000] [--seeds 5] [--out out/codesign_agents]

Claims under test, medians over the seeds: NSGA-II's hypervolume exceeds random search's, and PPO,
one policy conditioned on the preference weights, finds a better scalar reward than random search
under every preference of `dovetail.agents.preferences.preference_set` (one objective, two
objectives, all; each blended with a tenth of the centre). Every agent gets the same number of
evaluations per seed; rewards are read off everything that the agent evaluated. Studies are kept
and resumed; the script exits with 1 if a claim fails.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from dovetail.agents.preferences import preference_set
from dovetail.cli.running import prepare_problem
from dovetail.ir.pareto import ParetoArchive
from dovetail.studies.progress import ProgressBar
from dovetail.studies.records import Records
from dovetail.studies.runner import open_study, run_study
from dovetail.studies.spec import StudySpec

AGENTS = ("random", "nsga2", "ppo")
COLORS = {"random": "#888888", "nsga2": "#1f77b4", "ppo": "#d62728"}
CHECKPOINTS = 40


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--agents", nargs="+", default=list(AGENTS))
    parser.add_argument("--out", type=Path, default=Path("out/codesign_agents"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    problem = prepare_problem({"problem": "codesign", "cache": str(args.out)})
    names = [objective.name for objective in problem.objectives]
    preferences = preference_set(len(names))
    volumes: dict[str, np.ndarray] = {}
    rewards: dict[str, np.ndarray] = {}
    steps = np.linspace(0, args.budget, CHECKPOINTS + 1, dtype=int)[1:]
    for agent in args.agents:
        records = [run(problem, agent, seed, args.budget, args.out) for seed in range(args.seeds)]
        volumes[agent] = np.array([curve(r, steps, problem.reference_point) for r in records])
        rewards[agent] = np.array([best_rewards(r, preferences) for r in records])

    console = Console(width=120)
    console.print(volume_table(volumes))
    console.print(reward_table(rewards, preferences, names))
    figure = args.out / "codesign_agents.svg"
    draw(figure, steps, volumes, rewards, preferences, names)
    console.print(f"figure: {figure}")
    claims = check(volumes, rewards)
    for claim, holds in claims.items():
        console.print(f"{'holds ' if holds else 'FAILS '} {claim}")
    return 0 if all(claims.values()) else 1


def run(problem, agent: str, seed: int, budget: int, out: Path) -> Records:
    """Runs or resumes one study and returns its evaluations."""
    from dovetail.agents.base import resolve_settings

    spec = StudySpec.of(problem, agent, resolve_settings(agent), seed, budget)
    with open_study(out / f"{agent}-{seed}.db", spec, resume=True) as store:
        if len(store) < budget:
            with ProgressBar(f"{agent}, seed {seed}") as bar:
                run_study(problem, store, budget=budget, progress=bar)
        return store.records()


def curve(records: Records, steps: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Hypervolume after each number of evaluations in `steps`."""
    archive = ParetoArchive(reference, records.designs.shape[1])
    values, start = [], 0
    for step in steps:
        part = slice(start, step)
        evaluation = records.evaluation
        archive.add(records.designs[part], evaluation.objectives[part], evaluation.feasible[part])
        values.append(archive.hypervolume)
        start = step
    return np.array(values)


def best_rewards(records: Records, preferences: np.ndarray) -> np.ndarray:
    """Best scalar reward under each preference, over everything evaluated."""
    return np.array([records.evaluation.scalar(weights).max() for weights in preferences])


def check(volumes: dict[str, np.ndarray], rewards: dict[str, np.ndarray]) -> dict[str, bool]:
    """The claims and whether they hold."""
    claims = {}
    if {"random", "nsga2"} <= volumes.keys():
        final = {agent: np.median(values[:, -1]) for agent, values in volumes.items()}
        claims["NSGA-II's median hypervolume exceeds random search's"] = (
            final["nsga2"] > final["random"]
        )
    if {"random", "ppo"} <= rewards.keys():
        better = np.median(rewards["ppo"], axis=0) > np.median(rewards["random"], axis=0)
        claims[f"PPO's median best reward exceeds random's under all {len(better)} preferences"] = (
            bool(better.all())
        )
    return claims


def volume_table(volumes: dict[str, np.ndarray]) -> Table:
    table = Table("agent", title="hypervolume at the end of the budget")
    for column in ("lower quartile", "median", "upper quartile"):
        table.add_column(column, justify="right")
    for agent, values in volumes.items():
        table.add_row(agent, *(f"{q:.3f}" for q in np.quantile(values[:, -1], (0.25, 0.5, 0.75))))
    return table


def reward_table(
    rewards: dict[str, np.ndarray], preferences: np.ndarray, names: list[str]
) -> Table:
    table = Table(*(f"w {name}" for name in names), title="best scalar reward, median of the seeds")
    for agent in rewards:
        table.add_column(agent, justify="right")
    for i, weights in enumerate(preferences):
        medians = [f"{np.median(values[:, i]):.4f}" for values in rewards.values()]
        table.add_row(*(f"{w:.3f}" for w in weights), *medians)
    return table


def draw(path, steps, volumes, rewards, preferences, names) -> None:
    """Left: hypervolume by evaluations, median and quartiles. Right: reward gain over random."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), layout="constrained")
    for agent, values in volumes.items():
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        left.plot(steps, middle, label=agent, color=COLORS.get(agent))
        left.fill_between(steps, low, high, alpha=0.2, color=COLORS.get(agent), linewidth=0)
    left.set(xlabel="evaluations", ylabel="hypervolume", title="dovetail/CoDesign-v0")
    left.legend()
    left.grid(alpha=0.3)
    base = np.median(rewards["random"], axis=0) if "random" in rewards else 0.0
    places = np.arange(len(preferences))
    others = [agent for agent in rewards if agent != "random"]
    for k, agent in enumerate(others):
        gain = rewards[agent] - base
        low, middle, high = np.quantile(gain, (0.25, 0.5, 0.75), axis=0)
        shifted = places + 0.25 * (k - (len(others) - 1) / 2)
        right.errorbar(
            shifted, middle, [middle - low, high - middle], fmt="o", label=agent,
            color=COLORS.get(agent),
        )  # fmt: skip
    right.axhline(0.0, color=COLORS["random"], label="random")
    labels = ["\n".join(f"{w:.2f}" for w in weights) for weights in preferences]
    right.set_xticks(places, labels, fontsize=7)
    right.set(ylabel="best reward - random's median", title="weights: " + ", ".join(names))
    right.legend()
    right.grid(alpha=0.3)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
