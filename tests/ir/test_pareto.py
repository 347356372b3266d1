"""Laws of fronts and hypervolume, against definitions written out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import ProblemError
from dovetail.ir.pareto import ParetoArchive, hypervolume, non_dominated, pareto_ranks


@st.composite
def points(draw: st.DrawFn, low: int = 2, high: int = 4) -> np.ndarray:
    """Points on a coarse grid, so that ties and duplicates happen."""
    n, m = draw(st.integers(0, 25)), draw(st.integers(low, high))
    flat = draw(st.lists(st.integers(0, 6), min_size=n * m, max_size=n * m))
    return np.array(flat, dtype=np.float64).reshape(n, m)


def dominates(a: np.ndarray, b: np.ndarray) -> bool:
    return bool((a <= b).all() and (a < b).any())


def brute_volume(front: np.ndarray, reference: np.ndarray) -> float:
    """Counts unit cells: exact for integer points and reference."""
    cells = itertools.product(*(range(int(r)) for r in reference))
    return float(sum(bool((front <= np.array(cell)).all(axis=1).any()) for cell in cells))


@settings(max_examples=60, deadline=None)
@given(points(1))
def test_front_is_its_definition(y: np.ndarray) -> None:
    expected = [not any(dominates(b, a) for b in y) for a in y]
    assert non_dominated(y).tolist() == expected


@settings(max_examples=40, deadline=None)
@given(points())
def test_of_equal_rows_the_first_stays(y: np.ndarray) -> None:
    front = non_dominated(y)
    first = [not any((y[j] == y[i]).all() for j in range(i)) for i in range(len(y))]
    assert non_dominated(y, keep_equal=False).tolist() == (front & np.array(first, bool)).tolist()


@settings(max_examples=40, deadline=None)
@given(points())
def test_ranks_peel_fronts(y: np.ndarray) -> None:
    ranks, left, rank = pareto_ranks(y), np.arange(len(y)), 0
    while len(left):
        front = non_dominated(y[left])
        assert (ranks[left[front]] == rank).all()
        left, rank = left[~front], rank + 1


@settings(max_examples=40, deadline=None)
@given(points(1))
def test_hypervolume_counts_cells(y: np.ndarray) -> None:
    reference = np.full(y.shape[1], 4.0)
    assert hypervolume(y, reference) == pytest.approx(brute_volume(y, reference))


@settings(max_examples=30, deadline=None)
@given(points(3, 3), st.integers(1, 7))
def test_archive_does_not_depend_on_batches(y: np.ndarray, batch: int) -> None:
    designs = np.arange(2 * len(y)).reshape(-1, 2)
    feasible = (np.arange(len(y)) % 3) > 0
    whole, parts = (ParetoArchive(np.full(3, 5.0), 2) for _ in range(2))
    whole.add(designs, y, feasible)
    for i in range(0, len(y), batch):
        cut = slice(i, i + batch)
        now = parts.add(designs[cut], y[cut], feasible[cut])
        assert set(np.flatnonzero(now) + i) <= set(parts.rows.tolist())
    for name in ("designs", "objectives", "rows", "hypervolume", "count"):
        assert np.array_equal(getattr(whole, name), getattr(parts, name))
    assert feasible[whole.rows].all()
    assert np.array_equal(whole.objectives, y[whole.rows])
    assert np.array_equal(whole.designs, designs[whole.rows])
    assert whole.hypervolume == pytest.approx(hypervolume(y[feasible], whole.reference))


def test_nan_and_infinity_never_enter() -> None:
    y = np.array([[np.nan, -9.0], [-np.inf, 0.0], [1.0, 1.0]])
    assert non_dominated(y).tolist() == [False, False, True]
    archive = ParetoArchive(np.array([2.0, 2.0]), 1)
    assert archive.add(np.zeros((3, 1), np.int64), y).tolist() == [False, False, True]
    assert archive.hypervolume == 1.0
    assert hypervolume(y[:1], archive.reference) == 0.0


def test_a_sphere_of_twenty_thousand_is_all_front() -> None:
    x = np.abs(np.random.default_rng(0).standard_normal((20_000, 4)))
    sphere = 1.0 - x / np.linalg.norm(x, axis=1, keepdims=True)
    assert non_dominated(sphere).all()
    # The unit 4-ball has volume pi^2/2, one orthant of it 1/16 of that; points lie inside it.
    assert 0.85 < hypervolume(sphere, np.ones(4)) / (1.0 - (1.0 - np.pi**2 / 32)) < 1.0


def test_shapes_are_checked() -> None:
    archive = ParetoArchive(np.ones(2), 3)
    with pytest.raises(ProblemError, match="do not fit the archive"):
        archive.add(np.zeros((4, 2), np.int64), np.zeros((4, 2)))
    with pytest.raises(ProblemError, match="feasible"):
        archive.add(np.zeros((4, 3), np.int64), np.zeros((4, 2)), np.ones(3, bool))
    with pytest.raises(ProblemError, match="reference"):
        hypervolume(np.zeros((3, 2)), np.ones(3))
    with pytest.raises(ProblemError, match="designs, objectives"):
        non_dominated(np.zeros(3))
