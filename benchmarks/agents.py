"""Throughput of the agents: designs that each can ask for and learn from, per second of one core.

    python benchmarks/agents.py [--agents nsga2 reinforce] [--batches 30] [--runs 5]

The space has ten knobs: six of a network, whose error stands in a table of 15,625 entries, and
four of an accelerator. The two objectives, error and latency, are arrays of numbers, so that the
problem costs little; the rate of the search is printed with it and without it (ask and tell alone),
in processor time of one thread, best and median of the runs. Every agent works in large batches
here, which suits long searches; its default batch suits some thousand designs. The last line is the
rate of NAS-Bench-201's problem (`dovetail.envs.nasbench201`), whose costs are modelled.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass

import numpy as np

from dovetail.agents.base import make_agent
from dovetail.envs.costing import BatchWork
from dovetail.envs.nasbench201 import from_spec
from dovetail.envs.problem import Evaluation, Objective
from dovetail.ir.pareto import ParetoArchive
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space

LARGE: dict[str, dict[str, object]] = {
    "random": {"batch": 8192},
    "nsga2": {"population": 8192},
    "genetic": {"population": 8192, "niche": 512},
    "annealing": {"chains": 8192, "horizon": 200_000},
    "cem": {"batch": 8192, "elite": 200},
    "ant_colony": {"ants": 8192, "elite": 100},
    "reinforce": {"batch": 8192, "group": 1024, "horizon": 200_000},
    "reinforce_lstm": {"batch": 512, "group": 64, "horizon": 0},
}
"""Settings of each agent for large batches."""

ARRAY = (4, 8, 16, 32, 64, 128, 256, 512)

SPACE = Space(
    (
        *(Knob(f"edge{i}", (0, 1, 2, 3, 4), ordered=False) for i in range(6)),
        Knob("rows", ARRAY),
        Knob("cols", ARRAY),
        Knob("sram_kib", tuple(8 << i for i in range(8))),
        Knob("bandwidth", tuple(1 << i for i in range(8))),
    )
)


class Tabulated:
    """Ten knobs, two objectives: an error from a table and a latency in closed form."""

    name = "tabulated"
    space = SPACE
    objectives = (Objective("error", "linear", 0.1), Objective("latency_ms", "log", 1.0))

    def __init__(self) -> None:
        self.reference_point: FloatArray = np.array([10.0, 2.0])
        rng = np.random.default_rng(0)
        quality = rng.normal(size=(6, 5)) * 0.3
        edges = np.stack(np.unravel_index(np.arange(5**6), (5,) * 6), axis=1)
        sums = quality[np.arange(6), edges].sum(axis=1) + 0.1 * rng.normal(size=5**6)
        self._error = 0.05 + 0.9 / (1 + np.exp(1.5 + sums))
        self._work = np.array([0.02, 0.02, 1.0, 9.0, 0.1])[edges].sum(axis=1) * 1e6

    def evaluate(self, designs: IntArray) -> Evaluation:
        """Evaluates designs (n, 10)."""
        network = designs[:, :6] @ 5 ** np.arange(5, -1, -1)
        rows, cols = 4.0 * 2 ** designs[:, 6], 4.0 * 2 ** designs[:, 7]
        sram, bandwidth = 8.0 * 2 ** designs[:, 8], 2.0 ** designs[:, 9]
        work = self._work[network]
        compute = work / (rows * cols) * (1 + rows / 256) * (1 + cols / 256)
        cycles = np.maximum(compute, work / (4 * bandwidth * np.sqrt(sram)))
        error = self._error[network]
        latency = cycles / 1e5
        area = rows * cols / 400 + sram / 32 + bandwidth / 4
        y = np.stack([error / 0.1, np.log10(latency)], axis=1)
        return Evaluation(
            {"error": error, "latency_ms": latency}, y, np.maximum(area / 200 - 1, 0.0)
        )

    def reasons(self, design: IntArray) -> list[str]:
        """None: designs are only counted here."""
        return []

    def masks(self) -> tuple[BoolArray, ...]:
        """Everything is allowed."""
        return tuple(np.ones(len(k.values), dtype=np.bool_) for k in self.space.knobs)

    def describe(self) -> dict[str, object]:
        """Its name."""
        return {"problem": self.name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", nargs="+", default=list(LARGE), choices=list(LARGE))
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    problem = Tabulated()
    print(f"{problem.space.size:.3g} designs, {args.batches} batches, {args.runs} runs")
    for name in args.agents:
        measured = [run(problem, name, seed, args.batches) for seed in range(args.runs)]
        alone = [m.designs / m.agent_seconds for m in measured]
        whole = [m.designs / (m.agent_seconds + m.problem_seconds) for m in measured]
        volume = statistics.median(m.hypervolume for m in measured)
        print(
            f"  {name:16} learns best {max(alone):.3g} designs/s, median "
            f"{statistics.median(alone):.3g}; with the problem best {max(whole):.3g}, median "
            f"{statistics.median(whole):.3g}; hypervolume {volume:.4f}",
            flush=True,
        )
    environment(args.runs)


def environment(runs: int) -> None:
    """Prints how fast NAS-Bench-201's problem costs fresh random designs."""
    problem = from_spec({"objectives": ["error", "latency_ms"]})
    rng = np.random.default_rng(0)
    problem.evaluate(problem.space.sample(rng, 20_000))  # costs of all accelerators are kept
    seconds = []
    for _ in range(runs):
        designs = problem.space.sample(rng, 20_000)
        start = time.process_time()
        problem.evaluate(designs)
        seconds.append(time.process_time() - start)
    assert isinstance(problem.work, BatchWork)
    networks, number = problem.work.networks(problem.split(designs)[0])
    operators = (networks >= 0).sum(axis=1)[number].mean()
    best, median = 20_000 / min(seconds), 20_000 / statistics.median(seconds)
    print(
        f"  NasBench201-v0 evaluates best {best:.3g} designs/s, median {median:.3g}: "
        f"{best * operators:.3g} (design, operator) pairs/s, median {median * operators:.3g}"
    )


@dataclass(frozen=True)
class Measured:
    """One search: its designs, and the processor time of agent and problem."""

    designs: int
    agent_seconds: float
    problem_seconds: float
    hypervolume: float


def run(problem: Tabulated, name: str, seed: int, batches: int) -> Measured:
    """Searches with one agent; the first two batches are not timed."""
    agent = make_agent(name, problem, seed, LARGE[name])
    archive = ParetoArchive(problem.reference_point, len(problem.space.knobs))
    designs, spent, evaluating = 0, 0.0, 0.0
    for batch in range(batches + 2):
        start = time.process_time()
        asked = agent.ask()
        between = time.process_time()
        evaluation = problem.evaluate(asked)
        told = time.process_time()
        agent.tell(asked, evaluation)
        end = time.process_time()
        archive.add(asked, evaluation.objectives, evaluation.feasible)
        if batch >= 2:
            designs += len(asked)
            spent += between - start + end - told
            evaluating += told - between
    return Measured(designs, spent, evaluating, archive.hypervolume)


if __name__ == "__main__":
    main()
