"""Throughput of design searches: environments and agents, in designs per second of one core.

    python benchmarks/search.py [--designs 20000] [--runs 5] [--skip-policies]

Ten knobs, two objectives, accuracy tabulated: `cells` are NAS-Bench-201's (six edges) on 1,536
systolic arrays (four knobs), `elastic` the networks of an elastic family (seven knobs) on arrays
(three). `cells, wide` are the same cells on an edge-class space of 3 million arrays, where hardly
any accelerator comes twice. Designs are drawn uniformly; unlawful ones are left out of all counts.

Printed are designs and (design, operator) pairs per second of processor time, best and median of
the runs: `cold` is the first batch of a new problem, `fresh` are batches of designs that were not
met before, whose operators may have been, `repeated` is a batch once more. `mapped` are the pairs
whose tiling had to be searched. Then steps of the batched environments, the share of time that
policies spend in them, and designs that agents learn from, the problem included.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from dovetail.agents.base import make_agent
from dovetail.arch.systolic import DEFAULT_KNOBS
from dovetail.envs.codesign import CoDesignProblem
from dovetail.envs.costing import BatchWork
from dovetail.envs.hardware import HardwareProblem, parse_hardware
from dovetail.envs.nasbench201 import from_spec
from dovetail.envs.vector_env import DesignVectorEnv
from dovetail.ir.space import FloatArray, IntArray
from dovetail.networks.elastic import ElasticFamily

OBJECTIVES = ("error", "latency_ms")

EDGES = (4, 8, 12, 16, 24, 32, 48, 64)

CELL_KNOBS = {
    "rows": EDGES,
    "cols": EDGES,
    "dataflow": ("ws", "os", "is"),
    "input_sram_kib": (8, 16, 24, 32, 48, 64, 128, 256),
}

FAMILY = ElasticFamily(kernels=(3,), weight_bits=(8,), activation_bits=(8,))

AGENTS: dict[str, dict[str, object]] = {
    "reinforce": {"batch": 8192, "group": 1024, "horizon": 200_000},
    "nsga2": {"population": 8192},
}


class Errors:
    """A table of errors, one per network of the family."""

    samples = 1000

    def __init__(self, family: ElasticFamily) -> None:
        self._sizes = tuple(family.space.cardinalities)
        rng = np.random.default_rng(0)
        self._table = rng.beta(2, 10, size=family.space.size)

    def errors(self, choices: IntArray) -> FloatArray:
        """Fraction of samples classified wrong (n,)."""
        found: FloatArray = self._table[np.ravel_multi_index(tuple(choices.T), self._sizes)]
        return found


def cells() -> HardwareProblem:
    """NAS-Bench-201's cells on few accelerators."""
    return from_spec({"objectives": OBJECTIVES, "knobs": list(CELL_KNOBS.items())})


def wide() -> HardwareProblem:
    """The same cells on many."""
    return from_spec({"objectives": OBJECTIVES, "knobs": list(DEFAULT_KNOBS.items())})


def elastic() -> HardwareProblem:
    """An elastic family on few accelerators."""
    knobs = {name: CELL_KNOBS[name] for name in ("rows", "cols", "dataflow")}
    hardware = parse_hardware("edge", knobs)
    return CoDesignProblem(FAMILY, Errors(FAMILY), hardware, OBJECTIVES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--designs", type=int, default=20_000, help="in a batch")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--skip-policies", action="store_true", help="PPO takes a minute")
    args = parser.parse_args()
    cells().evaluate(cells().space.sample(np.random.default_rng(9), 100))  # compile
    for name, make in (("cells", cells), ("elastic", elastic), ("cells, wide", wide)):
        evaluations(name, make(), args.designs, args.runs)
    problem = cells()
    environments(problem, args.runs)
    for agent, settings in AGENTS.items():
        searches(problem, agent, settings, args.runs)
    if not args.skip_policies:
        policies(problem)


def lawful(problem: HardwareProblem, rng: np.random.Generator, count: int) -> IntArray:
    """Uniform lawful designs (count, knobs)."""
    drawn = [problem.space.sample(rng, 0)]
    while sum(map(len, drawn)) < count:
        designs = problem.space.sample(rng, count)
        drawn.append(designs[problem.excess(designs) <= 0])
    return np.concatenate(drawn)[:count]


def seconds(work: Callable[[], object]) -> float:
    """Processor time that a call takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rates(counts: list[float], spent: list[float]) -> str:
    """Best and median of counts per second."""
    each = [count / second for count, second in zip(counts, spent, strict=True)]
    return f"best {max(each):.3g}, median {statistics.median(each):.3g}"


def evaluations(name: str, problem: HardwareProblem, count: int, runs: int) -> None:
    """Prints how fast a problem evaluates designs."""
    work = problem.work
    assert isinstance(work, BatchWork)
    knobs = int((problem.space.cardinalities > 1).sum())
    print(f"{name}: {knobs} knobs, {problem.space.size:.3g} designs, batches of {count}")
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for run in range(runs + 1):
        batch = lawful(problem, rng, count)
        networks, number = work.networks(problem.split(batch)[0])
        pairs = float((networks >= 0).sum(axis=1)[number].sum())
        for kind in ("fresh" if run else "cold", "repeated"):
            before = work.pairs.costed
            spent = seconds(lambda batch=batch: problem.evaluate(batch))  # type: ignore[misc]
            row = (float(count), pairs, float(work.pairs.costed - before), spent)
            found.setdefault(kind, []).append(row)
    for kind, rows in found.items():
        designs, pairs_each, mapped, spent_each = (
            list(column) for column in zip(*rows, strict=True)
        )
        print(
            f"  {kind:9} {rates(designs, spent_each)} designs/s; "
            f"{rates(pairs_each, spent_each)} pairs/s; mapped {rates(mapped, spent_each)} pairs/s",
            flush=True,
        )


def environments(problem: HardwareProblem, runs: int, count: int = 8192) -> None:
    """Prints steps per second of the batched environments, each with fresh actions."""
    from dovetail.envs.sb3_vec_env import DesignVecEnv

    for name, env in (
        ("gymnasium VectorEnv", DesignVectorEnv(problem, count)),
        ("stable-baselines3 VecEnv", DesignVecEnv(problem, count)),
    ):
        env.reset()
        rng = np.random.default_rng(1)
        batches = [lawful(problem, rng, count) for _ in range(runs)]
        spent = [seconds(lambda env=env, batch=batch: env.step(batch)) for batch in batches]  # type: ignore[misc]
        print(f"{name}, {count} designs a step: {rates([count] * runs, spent)} steps/s")


def searches(
    problem: HardwareProblem, name: str, settings: dict[str, object], runs: int, batches: int = 30
) -> None:
    """Prints how many designs an agent learns from per second, and the problem's share of it."""
    rate, share = [], []
    for seed in range(runs):
        agent = make_agent(name, problem, seed, settings)
        spent, inside, designs = 0.0, 0.0, 0
        for batch in range(batches):
            start = time.process_time()
            asked = agent.ask()
            between = time.process_time()
            evaluation = problem.evaluate(asked)
            told = time.process_time()
            agent.tell(asked, evaluation)
            if batch >= 2:
                spent += time.process_time() - start
                inside += told - between
                designs += len(asked)
        rate.append(designs / spent)
        share.append(inside / spent)
    print(
        f"agent {name}: best {max(rate):.3g}, median {statistics.median(rate):.3g} designs/s, "
        f"the problem included; {statistics.median(share):.0%} of the time is the problem's",
        flush=True,
    )


def policies(problem: HardwareProblem, count: int = 1024, batches: int = 24) -> None:
    """Prints how much of their time PPO and MaskablePPO spend in the environment."""
    import torch
    from sb3_contrib import MaskablePPO
    from stable_baselines3 import PPO

    from dovetail.envs.sb3_vec_env import DesignVecEnv

    torch.set_num_threads(1)

    class Timed(DesignVecEnv):
        """Adds up the time of its steps."""

        inside = 0.0

        def step(self, actions: Any) -> Any:
            start = time.process_time()
            result = super().step(actions)
            self.inside += time.process_time() - start
            return result

    for method, epochs in product((PPO, MaskablePPO), (10, 1)):
        env = Timed(problem, count)
        # Episodes of one step: eight steps of all environments, learnt from `epochs` times, which
        # is 10 by default in stable-baselines3.
        model = method("MlpPolicy", env, n_steps=8, batch_size=8192, n_epochs=epochs, seed=0)
        spent = seconds(lambda model=model: model.learn(count * batches))  # type: ignore[misc]
        print(
            f"{method.__name__} of stable-baselines3, {epochs} epochs: "
            f"{count * batches / spent:.3g} designs/s, "
            f"{env.inside / spent:.1%} of the time in the environment",
            flush=True,
        )
    for name in ("ppo", "maskable_ppo"):
        searches(problem, name, {"batch": 1024, "group": 16, "epochs": 1}, 1, batches)


if __name__ == "__main__":
    main()
