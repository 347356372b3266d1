"""Checks for four defects of an earlier gymnasium of architectures, and what has them.

They were found by reading and running ArchGym (srivatsankrishnan/oss-arch-gym at 53f745af): actions
that reach few of the values, latencies whose unit is lost, a reward that is best where the design
is worst, and one configuration file that all workers write.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.problem import DesignProblem, Evaluation
from dovetail.flow import simulate
from dovetail.ir.space import FloatArray, IntArray

WRITING = ("w", "a", "x", "+")


class Around:
    """A problem with some of its methods changed."""

    def __init__(self, problem: DesignProblem) -> None:
        self.inner = problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class Recorder(Around):
    """Keeps the designs that are evaluated."""

    def __init__(self, problem: DesignProblem) -> None:
        super().__init__(problem)
        self.designs: list[IntArray] = []

    def evaluate(self, designs: IntArray) -> Evaluation:
        self.designs.append(np.array(designs))
        return self.inner.evaluate(designs)


def unreached(env: DesignEnv, draws: int) -> dict[str, list[object]]:
    """Values by knob that random actions reach less than half as often as they should."""
    recorder = Recorder(env.problem)
    env.problem = recorder  # type: ignore[assignment]  # it passes on what it does not change
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(draws):
        env.step(env.action_space.sample())
    env.problem = recorder.inner
    designs, missed = np.concatenate(recorder.designs), {}
    for column, knob in enumerate(env.problem.space.knobs):
        counts = np.bincount(designs[:, column], minlength=len(knob.values))
        rare = counts < 0.5 * draws / len(knob.values)
        if rare.any():
            missed[knob.name] = [v for v, r in zip(knob.values, rare, strict=True) if r]
    return missed


class RoundedActions(DesignEnv):
    """Actions in [-1, 1], rounded before they are binned: three of the values are reached."""

    def __init__(self, problem: DesignProblem) -> None:
        super().__init__(problem)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (len(problem.space.knobs),))

    def step(self, action: Any) -> Any:
        last = self.problem.space.cardinalities - 1
        return super().step(np.rint((np.rint(action) + 1) / 2 * last).astype(np.int64))


def latency_ratios(problem: Any, designs: IntArray) -> FloatArray:
    """Latency of each design over what its cycles and clock make it: 1 where units are kept."""
    found = problem.evaluate(designs).metrics["latency_ms"]
    truth = []
    for design in designs:
        accelerator = problem.accelerator(design)
        report = simulate(problem.network(design), accelerator, mapper=problem.workload.mapper)
        truth.append(report.cycles / (accelerator.clock_mhz * 1e3))
    return found / np.array(truth)


class LostUnits(Around):
    """Latency is printed in ns, us or ms, and read back without the unit."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        evaluation = self.inner.evaluate(designs)
        found = [_number(value) for value in evaluation.metrics["latency_ms"]]
        metrics = {**evaluation.metrics, "latency_ms": np.array(found)}
        return dataclasses.replace(evaluation, metrics=metrics)


def _number(milliseconds: float) -> float:
    unit, size = next(
        (unit, size)
        for unit, size in (("ms", 1.0), ("us", 1e-3), ("ns", 0.0))
        if milliseconds >= size
    )
    printed = f"{milliseconds / (size or 1e-6):.17g} {unit}"
    return float(printed.split()[0])


def misled(env: DesignEnv, designs: IntArray, preferences: Sequence[FloatArray]) -> float:
    """Share of pairs, one better in every objective, whose better design has the lower reward."""
    objectives = env.problem.evaluate(designs).objectives
    wrong = pairs = 0
    for weights in preferences:
        rewards = []
        for design in designs:
            env.reset(seed=0, options={"preference": weights.tolist()})
            rewards.append(float(env.step(design)[1]))
        reward = np.array(rewards)
        better = (objectives[:, None] < objectives[None]).all(axis=2)
        pairs += int(better.sum())
        wrong += int((better & (reward[:, None] < reward[None])).sum())
    assert pairs > len(designs), "too few designs dominate others for this check to mean anything"
    return wrong / pairs


class InvertedReward(DesignEnv):
    """One over the reward, maximised: away from the target."""

    def step(self, action: IntArray) -> Any:
        weights, reward, *rest = super().step(action)
        return (weights, 1.0 / (10.5 + float(reward)), *rest)


def files_written(problem: Any, designs: IntArray) -> list[str]:
    """Files opened for writing while designs are evaluated; the hook cannot be taken off again."""
    written: list[str] = []
    watching = [True]

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if watching and event == "open" and any(c in str(details[1]) for c in WRITING):
            written.append(str(details[0]))

    sys.addaudithook(watch)
    problem.evaluate(designs)
    watching.clear()
    return written


class SharedFile(Around):
    """Every evaluation goes through one file in the working directory."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        path = Path("policy.json")
        path.write_text(json.dumps(designs.tolist()))
        return self.inner.evaluate(np.array(json.loads(path.read_text()), dtype=np.int64))


def main() -> None:
    """Prints what the problem of a specification writes, as it is and through a shared file."""
    from dovetail.envs import make_problem

    problem = make_problem(json.loads(sys.argv[1]))
    designs = problem.space.sample(np.random.default_rng(0), 20)
    problem.evaluate(designs)  # what is compiled is stored once
    print(json.dumps([files_written(p, designs) for p in (problem, SharedFile(problem))]))


if __name__ == "__main__":
    main()
