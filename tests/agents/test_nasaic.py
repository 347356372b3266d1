"""NASAIC's agent: episodes, switches, early pruning, and that it learns."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from dovetail.agents.base import make_agent
from dovetail.agents.nasaic import NASAICAgent
from dovetail.envs.problem import Evaluation, Objective
from dovetail.errors import ProblemError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space
from tests.agents.toy import ToyProblem

SIZES = tuple(range(8))
KNOBS = ("network1.a", "network1.b", "network2.a", "accelerator1.pes", "accelerator2.pes")
SPACE = Space(tuple(Knob(name, SIZES) for name in KNOBS))
SMALL = {"episodes": 4, "hardware_steps": 3, "hidden": 16}


@dataclass(frozen=True)
class TwoTasks:
    """Larger networks err less and cost more; hardware has a bound from below and above."""

    limit: float = 12.0
    name: str = "two-tasks"
    space: Space = SPACE
    objectives: tuple[Objective, ...] = (Objective("error", "linear", 0.1),)
    reference_point: FloatArray = field(default_factory=lambda: np.array([3.0]))

    def evaluate(self, designs: IntArray) -> Evaluation:
        work, pes = designs[:, :3].sum(axis=1), designs[:, 3:].sum(axis=1)
        error = 0.25 - 0.01 * work
        cost = np.maximum(work - pes, 0) + pes
        violation = np.maximum(cost / self.limit - 1, 0)
        return Evaluation({"error": error, "cost": cost * 1.0}, error[:, None] * 10, violation)

    def reasons(self, design: IntArray) -> list[str]:
        return []

    def masks(self) -> tuple[BoolArray, ...]:
        mask = np.ones(8, dtype=np.bool_)
        mask[5] = False
        return (np.ones(8, dtype=np.bool_),) * 4 + (mask,)

    def describe(self) -> dict[str, object]:
        return {"problem": self.name}


def run(problem: TwoTasks, seed: int, rounds: int, **settings: object) -> tuple[
    NASAICAgent, list[IntArray], list[Evaluation]
]:  # fmt: skip
    agent = make_agent("nasaic", problem, seed, {**SMALL, **settings})
    assert isinstance(agent, NASAICAgent)
    asked, told = [], []
    for _ in range(rounds):
        designs = agent.ask()
        problem.space.check(designs)
        asked.append(designs)
        told.append(problem.evaluate(designs))
        agent.tell(designs, told[-1])
    return agent, asked, told


def test_an_episode_keeps_its_networks_and_draws_new_hardware() -> None:
    _, asked, _ = run(TwoTasks(), 0, 12)
    for episode in (asked[:4], asked[4:8], asked[8:]):
        assert all(np.array_equal(step[:, :3], episode[0][:, :3]) for step in episode)
        assert not all(np.array_equal(step[:, 3:], episode[0][:, 3:]) for step in episode)
    assert not np.array_equal(asked[0][:, :3], asked[4][:, :3])
    assert 5 not in np.concatenate(asked)[:, 4]


def test_episodes_without_lawful_hardware_are_pruned() -> None:
    agent, _, told = run(TwoTasks(limit=9.0), 1, 40)
    met = np.array([evaluation.feasible for evaluation in told]).reshape(10, 4, 4).any(axis=1)
    assert 0 < agent.pruned < 40
    assert (agent.evaluated, agent.pruned) == (met.sum(), (~met).sum())


@dataclass(frozen=True)
class Blind(TwoTasks):
    """Errors of episodes that no hardware can save are unknown."""

    def evaluate(self, designs: IntArray) -> Evaluation:
        found = super().evaluate(designs)
        return Evaluation(found.metrics, np.full_like(found.objectives, 7.0), found.violation + 1)


@dataclass(frozen=True)
class Scaled(TwoTasks):
    """No bounds, and objectives in another unit."""

    unit: float = 1.0

    def evaluate(self, designs: IntArray) -> Evaluation:
        error = (0.25 - 0.01 * designs[:, :3].sum(axis=1))[:, None]
        return Evaluation(
            {"error": error[:, 0]}, 3 - self.unit * (1 - error), np.zeros(len(designs))
        )


def test_pruned_episodes_learn_nothing_from_accuracy() -> None:
    """Whatever the errors of pruned episodes are, the next questions are the same."""
    _, first, _ = run(Blind(), 2, 12)
    agent = make_agent("nasaic", Blind(), 2, SMALL)
    problem = Blind()
    for designs in first:
        assert np.array_equal(agent.ask(), designs)
        found = problem.evaluate(designs)
        other = np.random.default_rng(0).normal(size=found.objectives.shape)
        agent.tell(designs, Evaluation(found.metrics, other, found.violation))


def test_same_seed_same_questions() -> None:
    _, first, _ = run(TwoTasks(), 5, 8)
    assert np.array_equal(first, run(TwoTasks(), 5, 8)[1])
    assert not np.array_equal(first, run(TwoTasks(), 6, 8)[1])


def test_it_learns_to_meet_the_specifications() -> None:
    """Late designs keep to the bound more often, and err less, than uniform ones that do."""
    problem = TwoTasks(limit=10.0)
    _, _, told = run(problem, 0, 240, episodes=8, learning_rate=0.01)
    late = told[-40:]
    uniform = problem.evaluate(problem.space.sample(np.random.default_rng(0), 4000))
    share = np.mean([evaluation.feasible.mean() for evaluation in late])
    assert share > 2 * uniform.feasible.mean()
    errors = np.concatenate([e.metrics["error"][e.feasible] for e in late])
    assert errors.mean() < uniform.metrics["error"][uniform.feasible].mean()


def test_advantages_do_not_depend_on_the_scale_of_the_objectives() -> None:
    """Errors in another unit lead to the same questions."""
    small, large = (run(Scaled(unit=unit), 3, 24, replay=0.0)[1] for unit in (1.0, 8.0))
    assert np.array_equal(small, large)


def test_the_best_lawful_designs_of_different_networks_are_kept() -> None:
    problem = TwoTasks(limit=11.0)
    agent, asked, told = run(problem, 4, 80, kept=5)
    lawful = np.concatenate([d[e.feasible] for d, e in zip(asked, told, strict=True)])
    work = np.unique(lawful[:, :3], axis=0).sum(axis=1)
    best = np.array([design for _, design in agent._best.values()])
    assert len(np.unique(best[:, :3], axis=0)) == 5
    assert problem.evaluate(agent._allowed.outer(best)).feasible.all()
    assert sorted(best[:, :3].sum(axis=1)) == sorted(work)[-5:]


def test_learning_the_best_again_finds_better_networks() -> None:
    """After as many designs the drawn networks err less than without, in the mean of 3 seeds."""
    means = []
    for replay in (0.0, 1.0):
        late = [run(TwoTasks(limit=11.0), seed, 160, replay=replay)[2][-40:] for seed in range(3)]
        means.append(np.mean([e.metrics["error"].mean() for told in late for e in told]))
    assert means[1] < means[0]


def test_part_of_a_step_is_taken_and_more_than_asked_is_refused() -> None:
    problem = TwoTasks()
    agent = make_agent("nasaic", problem, 0, SMALL)
    designs = agent.ask()
    with pytest.raises(ProblemError, match="asked last"):
        agent.tell(np.repeat(designs, 2, axis=0), problem.evaluate(np.repeat(designs, 2, axis=0)))
    agent.tell(designs[:2], problem.evaluate(designs[:2]))


def test_problems_without_networks_are_refused() -> None:
    with pytest.raises(ProblemError, match=r"'toy' lacks: use multitask"):
        make_agent("nasaic", ToyProblem(), 0)


@pytest.mark.parametrize(
    "settings", [{"episodes": 0}, {"kept": 0}, {"replay": -1.0}, {"device": "tpu"}]
)
def test_settings_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(ProblemError):
        make_agent("nasaic", TwoTasks(), 0, settings)
