"""RHNAS against its baselines: latency and EDP against the default hardware, at iso accuracy.

    python experiments/rhnas.py [--table nasbench201.npz] [--budget 1500] [--seeds 3]
        [--datasets cifar10 imagenet16] [--out out/rhnas]

Setting. Networks: the 15,625 cells of NAS-Bench-201, whose accuracies were measured. Hardware:
7,200 systolic arrays (`KNOBS`), of which some break a law (a scratchpad's half must hold a tile).
Default hardware: the preset `edge`. Constraints of all searches: no larger than the default, and an
error of at most that of the most accurate cell + 0.5 points. Objective: latency, or energy times
delay. Every method has the same number of evaluations; ratios are the default hardware with the
best network found for it over the method's best design, medians over the seeds, and "exact" is the
ratio of the two true optima, by enumeration. Baselines:

- NAS -> HW: the most accurate network found, then reinforcement learning of hardware for it;
- HW -> NAS: hardware for the largest cell by reinforcement learning, then a network for it;
- joint RL: one factorised policy over network and hardware; joint genetic: the agent `genetic`;
- relaxed: hardware relaxed as the network is, against predictors, then rounded. Its last roundings
  that break a law are what RHNAS was proposed against.

The paper (Akhauri et al., 2021, abstract) prints 1.84x latency and 1.86x EDP on ImageNet, 2.81x and
3.30x on CIFAR-10, against a default design of its own; its hardware space, cost model and tables
are not public, so that the ratios are shown side by side, not compared. ImageNet16-120 stands for
ImageNet. Without a table the synthetic twin stands in, whose numbers mean nothing; the table joins
public repositories (see `dovetail.envs.nasbench201_table`).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dovetail.agents.base import make_agent
from dovetail.agents.product_gp import ProductGP
from dovetail.agents.rhnas_track import Logits
from dovetail.arch import presets
from dovetail.envs.nasbench201 import NasBench201Problem, from_spec
from dovetail.envs.nasbench201_slots import all_cells
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.ir.space import FloatArray, IntArray

KNOBS = {
    "rows": (8, 16, 32, 64, 128),
    "cols": (8, 16, 32, 64, 128),
    "dataflow": ("ws", "os", "is"),
    "input_sram_kib": (2, 8, 32, 64),
    "weight_sram_kib": (2, 8, 32, 64),
    "output_sram_kib": (4, 32),
    "vector_lanes": (16, 32, 64),
}
DEFAULT = "edge"
POINTS = 0.005
"""Error that iso accuracy allows above the least."""

PAPER = {
    ("cifar10", "latency_ms"): 2.81, ("cifar10", "edp_mj_ms"): 3.30,
    ("imagenet16", "latency_ms"): 1.84, ("imagenet16", "edp_mj_ms"): 1.86,
}  # fmt: skip
RATE = 0.3
"""Learning rate of every policy here."""

METHODS = (
    "default + NAS",
    "NAS -> HW",
    "HW -> NAS",
    "joint RL",
    "joint genetic",
    "relaxed",
    "RHNAS",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", help="the .npz file of measurements; the twin if not given")
    parser.add_argument("--datasets", nargs="+", default=["cifar10", "imagenet16"])
    parser.add_argument("--costs", nargs="+", default=["latency_ms", "edp_mj_ms"])
    parser.add_argument("--budget", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("out/rhnas"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    source = "measured" if args.table else "synthetic twin"
    results = {}
    with Progress(console=Console(stderr=True)) as progress:
        settings = [(d, c) for d in args.datasets for c in args.costs]
        task = progress.add_task("RHNAS", total=len(settings) * args.seeds * len(METHODS))
        for dataset, cost in settings:
            case = Case.of(args.table, dataset, cost)
            runs: dict[str, list[Run]] = {name: [] for name in METHODS}
            for seed in range(args.seeds):
                for name in METHODS:
                    runs[name].append(case.run(name, args.budget, seed))
                    progress.advance(task)
            print(case.text(source))
            Console(width=140).print(report(case, runs))
            results[dataset, cost] = summary(case, runs)
    print_paper(results, source)
    rows = [{"dataset": d, "cost": c, **values} for (d, c), values in results.items()]
    (args.out / "rhnas.json").write_text(json.dumps(rows, indent=1))
    draw(args.out / "rhnas.svg", results)
    print(f"figure: {args.out / 'rhnas.svg'}")
    return 0


@dataclass
class Run:
    """What a method found.

    Attributes:
        best: least cost of a valid design.
        at: evaluations until then.
        design: it.
        final: designs that the method ends with, valid or not, and what is wrong with them.
    """

    best: float = np.inf
    at: int = 0
    spent: int = 0
    design: IntArray | None = None
    final: dict[str, float] = field(default_factory=dict)

    def note(self, designs: IntArray, evaluation: Evaluation) -> None:
        """Takes evaluated designs (n, knobs) in."""
        values = np.where(evaluation.feasible, evaluation.objectives[:, 0], np.inf)
        place = int(np.argmin(values))
        if values[place] < self.best:
            self.best, self.design = float(values[place]), designs[place]
            self.at = self.spent + place + 1
        self.spent += len(designs)


@dataclass
class Case:
    """One data set and cost: the joint problem, and it on the default hardware alone."""

    table: str | None
    dataset: str
    cost: str
    floor: float
    area: float
    joint: NasBench201Problem
    default: NasBench201Problem
    _exact: tuple[float, float] | None = None

    @classmethod
    def of(cls, table: str | None, dataset: str, cost: str) -> Case:
        """The case of a data set and an objective."""
        given = {"table": table, "dataset": dataset, "base": DEFAULT}
        free = from_spec({**given, "objectives": ["error"]})
        floor = float(free.measured(all_cells())["error"].min()) + POINTS
        area = presets.load(DEFAULT).area_mm2
        own = {name: (getattr(presets.load(DEFAULT), name),) for name in KNOBS}
        case = cls(table, dataset, cost, floor, area, free, free)
        case.joint, case.default = case.problem(KNOBS), case.problem(own)
        return case

    def problem(self, knobs: object, *, iso: bool = True) -> NasBench201Problem:
        """The problem on some hardware, at iso accuracy or whatever the accuracy."""
        limits = [f"area_mm2<={self.area * (1 + 1e-9)}"]
        limits += [f"error<={self.floor + 1e-9}"] if iso else []
        return from_spec(
            {
                "table": self.table, "dataset": self.dataset, "base": DEFAULT, "knobs": knobs,
                "objectives": [self.cost], "constraints": limits,
            }
        )  # fmt: skip

    def text(self, source: str) -> str:
        """The setting, in a sentence."""
        accuracy = 100 * (1 - self.floor)
        return (
            f"\n{self.dataset} ({source}), {self.cost}: accuracy >= {accuracy:.2f} %, area <= "
            f"{self.area:.3f} mm2; {self.joint.hardware.space.size:,} arrays, {self.lawful():.0%} "
            f"lawful; default hardware {DEFAULT}, with the best network for it "
            f"{self.value(self.exact()[0]):.4g}"
        )

    def lawful(self) -> float:
        """Share of all accelerators that keep their laws."""
        return float((self.joint.hardware.violations(every(self.joint)) <= 0).mean())

    def value(self, objective: float) -> float:
        """Cost of a normalised objective, in its unit."""
        return self.default.objectives[0].reference * 10**objective

    def exact(self) -> tuple[float, float]:
        """Least objective on the default hardware and on all, by enumeration, kept."""
        if self._exact is None:
            self._exact = self._optimum(self.default), self._optimum(self.joint)
        return self._exact

    def _optimum(self, problem: NasBench201Problem) -> float:
        """Least objective of all valid designs: only cells within the floor are enumerated."""
        cells = all_cells()
        cells = cells[problem.measured(cells)["error"] <= self.floor + 1e-9]
        arrays = every(problem)
        arrays = arrays[problem.hardware.violations(arrays) <= 0]
        best = np.inf
        for cell in cells:
            found = problem.evaluate(paired(cell, arrays))
            best = min(best, found.objectives[found.feasible, 0].min(initial=np.inf))
        return best

    def run(self, method: str, budget: int, seed: int) -> Run:
        """One method with all its evaluations."""
        half = budget // 2
        if method == "default + NAS":
            return search(self.default, "rhnas", budget, seed)
        if method == "NAS -> HW":
            nas = search(self.accurate(), "rhnas", half, seed)
            return search(OnNetwork(self.joint, nas.design[:6]), "rl", budget - half, seed, half)
        if method == "HW -> NAS":
            whole = OnNetwork(self.problem(KNOBS, iso=False), self.joint._base_choice())
            found = search(whole, "rl", half, seed).design[6:]
            knobs = self.joint.hardware.space.knobs
            chosen = {k.name: (k.values[i],) for k, i in zip(knobs, found, strict=True)}
            run = search(self.problem(chosen), "rhnas", budget - half, seed, half)
            if run.design is not None:
                run.design = np.concatenate([run.design[:6], found])
            return run
        if method == "relaxed":
            return relaxed(self.joint, budget, seed)
        agent = {"joint RL": "rl", "joint genetic": "genetic", "RHNAS": "rhnas"}[method]
        return search(self.joint, agent, budget, seed)

    def accurate(self) -> NasBench201Problem:
        """The problem of accuracy alone, on the default hardware."""
        own = [[name, list(values)] for name, values in self.default.hardware.knobs.items()]
        given = {"table": self.table, "dataset": self.dataset, "base": DEFAULT, "knobs": own}
        return from_spec({**given, "objectives": ["error"]})


class OnNetwork:
    """Hardware for one network: designs (n, b), told as pairs."""

    def __init__(self, problem: NasBench201Problem, cell: IntArray) -> None:
        self.problem, self.cell = problem, cell
        self.name, self.space = problem.name, problem.hardware.space
        self.objectives, self.reference_point = problem.objectives, problem.reference_point

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Of the network on accelerators (n, b)."""
        return self.problem.evaluate(paired(self.cell, designs))

    def masks(self) -> tuple[np.ndarray, ...]:
        """Of the hardware."""
        return self.problem.hardware.masks()


def every(problem: NasBench201Problem) -> IntArray:
    """All accelerators of a problem."""
    sizes = tuple(problem.hardware.space.cardinalities)
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def paired(cell: IntArray, arrays: IntArray) -> IntArray:
    return np.concatenate([np.tile(cell, (len(arrays), 1)), arrays], axis=1)


def search(problem: DesignProblem, name: str, budget: int, seed: int, before: int = 0) -> Run:
    """Runs an agent; `before` evaluations were spent on what it starts from."""
    rl = {"batch": 32, "group": 32, "horizon": budget, "learning_rate": RATE}
    agent = make_agent(
        "reinforce" if name == "rl" else name, problem, seed, rl if name == "rl" else None
    )
    run = Run(spent=before)
    while run.spent < before + budget:
        designs = agent.ask()[: before + budget - run.spent]
        evaluation = problem.evaluate(designs)
        agent.tell(designs, evaluation)
        whole = isinstance(problem, OnNetwork)
        run.note(paired(problem.cell, designs) if whole else designs, evaluation)
    return run


def relaxed(problem: NasBench201Problem, budget: int, seed: int) -> Run:
    """Everything relaxed: a third of the budget uniform, then roundings of relaxed designs."""
    rng, run = np.random.default_rng(seed), Run()
    free = tuple(np.ones(n, dtype=np.bool_) for n in problem.space.cardinalities)
    designs = problem.space.sample(rng, budget // 3)
    known = np.empty((0, len(free)), dtype=np.int64)
    parts: list[Evaluation] = []
    while True:
        evaluation = problem.evaluate(designs)
        run.note(designs, evaluation)
        known, parts = np.concatenate([known, designs]), [*parts, evaluation]
        if run.spent >= budget:
            break
        logits = Logits(free, rng.gumbel(size=(32, len(free), max(map(len, free)))))
        descend(problem, logits, known, parts)
        designs = logits.odds().argmax(axis=2)[: budget - run.spent]
    arrays = problem.split(designs)[1]
    lawful = problem.hardware.violations(arrays) <= 0
    limit = next(c.limit for c in problem.constraints if c.metric == "area_mm2")
    run.final = {
        "too large": float((problem.hardware.areas(arrays) > limit).mean()),
        "unlawful": float((~lawful).mean()),
        "invalid": float((~evaluation.feasible).mean()),
    }
    return run


def descend(
    problem: NasBench201Problem, logits: Logits, known: IntArray, parts: list[Evaluation]
) -> None:
    """Steps down predicted cost + excess over constraints; what breaks laws teaches nothing."""
    cost = problem.objectives[0].name
    names = [cost, *(c.metric for c in problem.constraints)]
    models = {}
    for name in names:
        values = np.concatenate([part.metrics[name] for part in parts])
        # The latest tell most about where the search is.
        rows = np.flatnonzero(np.isfinite(values))[-300:]
        models[name] = ProductGP(problem.space)
        models[name].fit(known[rows], np.log(values[rows]))
    for _ in range(40):
        odds = logits.odds()
        sizes = problem.space.cardinalities
        split = [odds[:, knob, :size] for knob, size in enumerate(sizes)]
        slopes = np.zeros_like(odds)
        for name in names:
            log, by_odds = models[name].expected(split)
            factor = np.full(len(log), 1 / np.log(10)) if name == cost else np.zeros(len(log))
            for constraint in problem.constraints:
                if constraint.metric == name:
                    value = np.exp(log)
                    factor = factor + 10 * value / constraint.limit * (constraint.excess(value) > 0)
            for knob, slope in enumerate(by_odds):
                slopes[:, knob, : sizes[knob]] += factor[:, None] * slope
        by_logits = odds * (slopes - (odds * slopes).sum(axis=2, keepdims=True))
        logits.ascend(-by_logits, 0.1, 0.01)


def ratios(case: Case, runs: dict[str, list[Run]], name: str) -> FloatArray:
    """Cost on the default hardware over a method's, seed by seed; 0 where it found nothing."""
    pairs = zip(runs["default + NAS"], runs[name], strict=True)
    return np.array([10 ** (default.best - run.best) for default, run in pairs])


def summary(case: Case, runs: dict[str, list[Run]]) -> dict[str, object]:
    """Ratios of all methods and of the optima; how far the default's searches missed theirs."""
    default, exact = case.exact()
    found = {name: ratios(case, runs, name).tolist() for name in METHODS}
    missed = [10 ** (run.best - default) for run in runs["default + NAS"]]
    return {"exact": 10 ** (default - exact), "default missed": missed, **found}


def report(case: Case, runs: dict[str, list[Run]]) -> Table:
    table = Table("method", title="medians over the seeds, [lowest, highest]")
    for column in ("cost", "ratio to default", "same network, default HW", "evaluations to best",
                   "final designs valid"):  # fmt: skip
        table.add_column(column, justify="right")
    default, exact = case.exact()
    for name in METHODS:
        found, ratio = runs[name], ratios(case, runs, name)
        final = [run.final for run in found if run.final]
        valid = np.mean([run.design is not None for run in found])
        text = f"{valid:.0%}"
        if final:
            text = f"{1 - np.mean([f['invalid'] for f in final]):.0%} ("
            text += f"{np.mean([f['unlawful'] for f in final]):.0%} break laws, "
            text += f"{np.mean([f['too large'] for f in final]):.0%} too large)"
        table.add_row(
            name, f"{case.value(np.median([run.best for run in found])):.4g}",
            f"{np.median(ratio):.2f} [{ratio.min():.2f}, {ratio.max():.2f}]",
            f"{np.median([same_network(case, run) for run in found]):.2f}",
            f"{np.median([run.at for run in found]):.0f}", text,
        )  # fmt: skip
    ratio = f"{10 ** (default - exact):.2f}"
    table.add_row("exact", f"{case.value(exact):.4g}", ratio, "", "", "")
    return table


def same_network(case: Case, run: Run) -> float:
    """How much of a design's ratio is its hardware: its network on the default over it."""
    if run.design is None:
        return 0.0
    cell = np.concatenate([run.design[:6], np.zeros(len(KNOBS), dtype=np.int64)])
    return float(10 ** (case.default.evaluate(cell[None]).objectives[0, 0] - run.best))


def print_paper(results: dict[tuple[str, str], dict[str, object]], source: str) -> None:
    table = Table("data set", "cost", title=f"against the default hardware, accuracies {source}")
    for column in ("paper (its own setting)", "ours", "exact optimum", "ours / paper"):
        table.add_column(column, justify="right")
    for (dataset, cost), values in results.items():
        ours, paper = float(np.median(values["RHNAS"])), PAPER.get((dataset, cost))
        printed = ["-", "-"] if paper is None else [f"{paper:.2f}x", f"{ours / paper:.2f}"]
        exact = f"{values['exact']:.2f}x"
        table.add_row(dataset, cost, printed[0], f"{ours:.2f}x", exact, printed[1])
    Console(width=100).print(table)


def draw(path: Path, results: dict[tuple[str, str], dict[str, object]]) -> None:
    """Ratios of all methods; the line is the exact optimum, the cross the paper's."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(3.4 * len(results), 4), squeeze=False)
    for axis, ((dataset, cost), values) in zip(axes[0], results.items(), strict=True):
        places = np.arange(len(METHODS))
        found = np.array([values[name] for name in METHODS])
        axis.bar(places, np.median(found, axis=1), color="#1f77b4")
        axis.plot(places, found, "k.", markersize=3)
        axis.axhline(values["exact"], color="#2ca02c", label="exact optimum")
        axis.plot(places[-1:], [PAPER.get((dataset, cost), np.nan)], "rx", label="paper's ratio")
        axis.set_xticks(places, METHODS, rotation=60, ha="right", fontsize=7)
        axis.set(title=f"{dataset}, {cost}", ylabel="default hardware / method")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())
