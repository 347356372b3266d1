from __future__ import annotations

import copy

import numpy as np
import pytest

from dovetail.envs import known, make_problem
from dovetail.envs.known import KnownDesigns
from dovetail.ir.space import FloatArray, IntArray, Knob, Space

SPACE = Space(tuple(Knob(f"k{i}", tuple(range(7))) for i in range(5)))


class Cost:
    """Counts what it is asked for; the figures say which design it was."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, designs: IntArray) -> FloatArray:
        self.asked += len(designs)
        assert len(np.unique(designs, axis=0)) == len(designs)
        return figures_of(designs)


def figures_of(designs: IntArray) -> FloatArray:
    number = designs @ 7 ** np.arange(5)
    return np.stack([number, np.sqrt(number)], axis=1)


def test_every_design_is_costed_once_while_there_is_room() -> None:
    table, cost, rng = KnownDesigns(SPACE, 2), Cost(), np.random.default_rng(0)
    met = set()
    for _ in range(20):
        designs = SPACE.sample(rng, 3000)
        assert np.array_equal(table.figures(designs, cost), figures_of(designs))
        met |= set(map(tuple, designs))
        assert cost.asked == len(met)


def test_a_full_table_forgets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "FEWEST", 2**8)
    monkeypatch.setattr(known, "MOST", 2**10)
    table, cost, rng = KnownDesigns(SPACE, 2), Cost(), np.random.default_rng(0)
    for _ in range(30):
        designs = SPACE.sample(rng, 200)
        assert np.array_equal(table.figures(designs, cost), figures_of(designs))
        assert len(table._keys) <= 2**10
    assert np.array_equal(table.figures(SPACE.sample(rng, 5000), cost)[:0], np.empty((0, 2)))


def test_what_failed_is_not_known() -> None:
    table, designs = KnownDesigns(SPACE, 2), SPACE.sample(np.random.default_rng(0), 9)

    def fails(designs: IntArray) -> FloatArray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        table.figures(designs, fails)
    assert np.array_equal(table.figures(designs, Cost()), figures_of(designs))


def test_a_problem_answers_the_same_from_memory() -> None:
    spec = {"problem": "accelerator", "network": "resnet8"}
    problem, again = make_problem(spec), make_problem(spec)
    designs = problem.space.sample(np.random.default_rng(0), 300)
    first = problem.evaluate(designs)
    second, other = problem.evaluate(designs), again.evaluate(designs[::-1])
    for name, values in first.metrics.items():
        assert np.array_equal(second.metrics[name], values, equal_nan=True), name
        assert np.array_equal(other.metrics[name][::-1], values, equal_nan=True), name
    assert np.array_equal(second.objectives, first.objectives, equal_nan=True)
    assert np.array_equal(second.violation, first.violation)


def test_copies_of_a_problem_know_nothing_yet() -> None:
    problem = make_problem({"problem": "accelerator", "network": "resnet8"})
    designs = problem.space.sample(np.random.default_rng(0), 50)
    problem.evaluate(designs)
    other = copy.copy(problem)
    assert "_known" in vars(problem)
    assert "_known" not in vars(other)
    assert np.array_equal(
        other.evaluate(designs).objectives, problem.evaluate(designs).objectives, equal_nan=True
    )
