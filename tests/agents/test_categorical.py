"""Independent categoricals: draws follow the odds, counts weigh what was drawn."""

from __future__ import annotations

from typing import cast

import numpy as np

from dovetail.agents.categorical import draw, frequencies, uniform, weighted_counts
from dovetail.ir.space import FloatArray, Knob, Space

SPACE = Space((Knob("a", (1, 2, 3)), Knob("b", (7,)), Knob("c", (1, 2))))


def test_uniform_is_over_a_knobs_own_values() -> None:
    expected = np.array([[1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [0.5, 0.5, 0]])
    assert np.allclose(uniform(SPACE), expected)


def test_draws_follow_the_odds_of_their_group() -> None:
    odds = np.array(
        [[[0.2, 0.0, 0.8], [1, 0, 0], [0.5, 0.5, 0]], [[0, 1, 0], [1, 0, 0], [0, 1, 0]]]
    )
    got = draw(np.random.default_rng(0), odds, 20_000)
    assert got.shape == (2, 20_000, 3)
    assert np.abs(frequencies(got, 3) - odds).max() < 0.01
    assert (frequencies(got, 3)[odds == 0] == 0).all()


def test_a_last_value_without_odds_is_not_drawn_when_rounding_ends_below_one() -> None:
    class Late:
        def random(self, size: tuple[int, ...]) -> FloatArray:
            return np.full(size, np.nextafter(1.0, 0.0))

    odds = np.zeros((1, 1, 11))
    odds[..., :10] = 0.1
    assert np.cumsum(odds)[-1] < 1.0
    assert draw(cast(np.random.Generator, Late()), odds, 3).max() == 9


def test_counts_are_weighted_by_value() -> None:
    designs = np.array([[[0, 0, 1], [2, 0, 1]], [[1, 0, 0], [1, 0, 1]]])
    got = weighted_counts(designs, np.array([[1.0, 2.0], [3.0, -3.0]]), 3)
    assert got[0].tolist() == [[1, 0, 2], [3, 0, 0], [0, 3, 0]]
    assert got[1].tolist() == [[0, 0, 0], [0, 0, 0], [3, -3, 0]]
