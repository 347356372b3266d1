"""Quartiles, ranks and odds."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dovetail.studies.comparison.summary import standings, win_shares

RUNS = st.lists(
    st.lists(st.integers(0, 3).map(float), min_size=1, max_size=4), min_size=1, max_size=4
)


@given(RUNS)
def test_odds_are_those_of_all_draws_of_one_run_each(runs: list[list[float]]) -> None:
    prizes, rounds = np.zeros(len(runs)), 0
    for entered in itertools.product(*runs):
        best = np.array(entered) == max(entered)
        prizes += best / best.sum()
        rounds += 1
    found = win_shares([np.array(values) for values in runs])
    np.testing.assert_allclose(found, prizes / rounds)
    np.testing.assert_allclose(sum(found), 1)


def test_standings() -> None:
    shares = {"a": np.array([0.1, 0.2, 0.3]), "b": np.array([0.5]), "c": np.array([0.2, 0.2])}
    first, second, third = standings(shares)
    assert first.quartiles == (0.15000000000000002, 0.2, 0.25)
    assert [s.rank for s in (first, second, third)] == [2, 1, 2]
    assert second.win_share == 1
