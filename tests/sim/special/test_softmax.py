"""The online softmax: equal to a literal walk, near to softmax, and nearly blind to order."""

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.exponential import exponential
from dovetail.sim.special.softmax import softmax_rows, softmax_weights


def walked(row, fraction):
    """The recurrence on Python integers, one row."""
    largest, total = int(row[0]), 1 << 20
    for x in map(int, row[1:]):
        e = int(exponential(np.array([abs(x - largest)]), fraction)[0])
        if x > largest:
            largest, total = x, (total * e >> 20) + (1 << 20)
        else:
            total += e
    return largest, (1 << 44) // total


def softmax(row):
    powers = np.exp(row - row.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def weights(rows, fraction=8):
    largest, inverse = softmax_rows(rows, fraction)
    return softmax_weights(rows, largest[:, None], inverse[:, None], fraction) / 2.0**20


@pytest.mark.parametrize("fraction", [4, 8, 12])
def test_rows_at_once_equal_a_walk_along_each(fraction):
    rows = np.random.default_rng(fraction).integers(-(2**11), 2**11, (20, 33))
    largest, inverse = softmax_rows(rows, fraction)
    assert [*zip(largest.tolist(), inverse.tolist(), strict=True)] == [
        walked(row, fraction) for row in rows
    ]


@pytest.mark.parametrize("length", [1, 2, 17, 129, 1024])
@pytest.mark.parametrize("spread", [1, 64, 1024, 20000])
def test_weights_of_random_rows(length, spread):
    rows = np.random.default_rng(length).integers(-spread, spread + 1, (20, length))
    got = weights(rows)
    assert np.abs(got - softmax(rows / 256)).max() < 2e-5
    # Each weight rounds by half of 2^-20, and 1/s is cut to 2^-24.
    assert np.abs(got.sum(axis=1) - 1).max() < length * (2**-21 + 2**-24) + 2e-5


@pytest.mark.parametrize("step", [1, 3, 40, 256, 2000])
def test_weights_of_rows_whose_maximum_never_rests(step):
    """Rising scores rescale the sum at every step, so that errors of exp add up."""
    row = np.arange(256)[None] * step - 2**14
    assert np.abs(weights(row) - softmax(row / 256)).max() < 2e-5
    assert np.abs(weights(row) - weights(row[:, ::-1])[:, ::-1]).max() < 2e-5


def test_equal_scores_share_equally():
    for length in (1, 2, 4, 4096):
        largest, inverse = softmax_rows(np.full((1, length), 7), 8)
        assert (largest[0], inverse[0]) == (7, 2**24 // length)


def test_rows_out_of_range_are_refused():
    for shape in ((3,), (1, 0), (1, 4097)):
        with pytest.raises(NetworkError, match="n within 1 to 4096"):
            softmax_rows(np.zeros(shape, dtype=np.int64), 8)
