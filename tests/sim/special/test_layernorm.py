"""Layer normalization in integers: exact against Python's integers, and near to float64."""

import math

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.layernorm import layernorm_rows, layernorm_scale


def drawn(rows, count, spread, seed=0):
    return np.random.default_rng(seed).integers(-spread, spread, (rows, count))


@pytest.mark.parametrize(("count", "spread"), [(2, 3), (12, 128), (192, 2**15), (4096, 2**15)])
def test_rows_equal_their_definition_in_whole_numbers(count, spread):
    x = drawn(8, count, spread)
    x[0] = -spread
    x[1, ::2], x[1, 1::2] = -spread, spread - 1
    total, inverse = layernorm_rows(x)
    for row, s, i in zip(x.tolist(), total.tolist(), inverse.tolist(), strict=True):
        spread = count * sum(v * v for v in row) - sum(row) ** 2
        assert (s, i) == (sum(row), 2**47 // max(math.isqrt(256 * spread), 1))


@pytest.mark.parametrize("spread", [8, 100, 2**15])
def test_rows_are_normalized(spread):
    x = drawn(50, 192, spread)
    total, inverse = layernorm_rows(x)
    y = layernorm_scale(x, total[:, None], inverse[:, None], 192) / 2.0**8
    exact = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    assert np.abs(y - exact).max() < 2**-9 + 4e-4
    assert np.abs(y.mean(axis=1)).max() < 2**-9
    assert np.abs(y.std(axis=1) - 1).max() < 2e-3


def test_a_shift_changes_nothing_and_constant_rows_give_nothing():
    x = drawn(5, 16, 1000)
    scaled = []
    for shift in (0, 12345, -30000):
        total, inverse = layernorm_rows(x + shift)
        scaled.append(layernorm_scale(x + shift, total[:, None], inverse[:, None], 16))
    assert (scaled[0] == scaled[1]).all()
    assert (scaled[0] == scaled[2]).all()
    total, inverse = layernorm_rows(np.full((1, 16), 77))
    assert not layernorm_scale(np.full((1, 16), 77), total[:, None], inverse[:, None], 16).any()


def test_rows_out_of_range_are_refused():
    with pytest.raises(NetworkError, match="n within 2 to 4096"):
        layernorm_rows(np.zeros((3, 1), dtype=np.int64))
    with pytest.raises(NetworkError, match="beyond 16 bits"):
        layernorm_rows(np.full((1, 4), 2**15))
