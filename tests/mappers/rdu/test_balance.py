"""Shares of PCUs: exact against all shares, and never more than there are."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dovetail.mappers.rdu.balance import balance, proportional

STAGES = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 7)), min_size=1, max_size=4)


def slowest(quanta, quantum, shares):
    return max(-(-q // n) * c for q, c, n in zip(quanta, quantum, shares, strict=True))


@given(STAGES, st.integers(4, 9))
def test_no_other_shares_have_a_faster_slowest_stage(stages, units):
    quanta, quantum = zip(*stages, strict=True)
    q, c = np.array(quanta)[:, None], np.array(quantum)
    shares = balance(q, c, np.ones(len(stages), dtype=np.bool_), units)[:, 0]
    assert shares.sum() <= units
    best = min(
        slowest(quanta, quantum, every)
        for every in itertools.product(range(1, units + 1), repeat=len(stages))
        if sum(every) <= units
    )
    assert slowest(quanta, quantum, shares) == best
    for position, share in enumerate(shares):  # and none has more than it needs
        if share > 1:
            fewer = shares.copy()
            fewer[position] -= 1
            assert slowest(quanta, quantum, fewer) > best


def test_exchanges_take_no_units_and_too_many_stages_get_one_each():
    quanta, quantum = np.array([[5], [0], [7]]), np.array([1, 1, 1])
    computing = np.array([True, False, True])
    assert balance(quanta, quantum, computing, 1)[:, 0].tolist() == [1, 0, 1]
    assert balance(quanta, quantum, np.zeros(3, dtype=np.bool_), 9).sum() == 0


@given(STAGES, st.integers(4, 50))
def test_proportional_shares_fit_and_follow_the_weights(stages, units):
    quanta, quantum = (np.array(part) for part in zip(*stages, strict=True))
    computing = np.ones(len(stages), dtype=np.bool_)
    even = proportional(quanta[:, None], quantum, computing, units, np.ones(len(stages)))
    assert even.sum() <= units
    assert (even >= 1).all()
    weights = np.ones(len(stages))
    weights[0] = 2
    more = proportional(quanta[:, None], quantum, computing, units, weights)
    assert more[0, 0] >= even[0, 0]
    assert (more[1:] <= even[1:]).all()
