"""ECON-T's encoder: its size, its map, single weights, and its distance from real arithmetic."""

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.econ_t import Encoder, arrange, econ_t
from dovetail.verify.hls_econ_t import draw_events


def test_the_size_is_the_paper_s():
    size = Encoder()
    assert (size.parameters, size.macs) == (2144, 3200)
    assert [part.size for part in size.split(np.zeros(2144, int))] == [72, 8, 2048, 16]
    assert Encoder(2, 3).parameters == 2 * 10 + 3 * 33


def test_cells_are_on_the_map_once_and_the_last_quadrant_is_empty():
    plane = arrange(np.arange(1, 49)[None])[0]
    assert sorted(plane[plane > 0]) == list(range(1, 49))
    assert not plane[4:, 4:].any()
    assert plane[0].tolist() == [29, 30, 31, 32, 1, 5, 9, 13]
    assert plane[4].tolist() == [48, 44, 40, 36, 0, 0, 0, 0]
    assert plane[7, :4].tolist() == [45, 41, 37, 33]


def in_reals(cells, weights, size, fraction):
    """The encoder in float64, by loops; ReLUs clip at the formats' ends but do not round."""
    kernels, biases, dense, dense_biases = (part / 2.0**fraction for part in size.split(weights))
    plane = np.zeros((len(cells), 9, 9))
    plane[:, :8, :8] = arrange(cells) / 64
    values = []
    for row in range(0, 8, 2):
        for column in range(0, 8, 2):
            window = plane[:, row : row + 3, column : column + 3].reshape(-1, 9)
            values.append(window @ kernels.T + biases)
    hidden = np.clip(np.concatenate(values, axis=1), 0, 2047 / 256)
    return np.clip(hidden @ dense.T + dense_biases, 0, 511 / 256), np.abs(dense).sum(axis=1)


@pytest.mark.parametrize(("fraction", "top"), [(4, 4), (4, 32), (3, 2), (5, 16)])
@pytest.mark.parametrize(("rounding", "unit"), [("AP_RND_CONV", 2.0**-9), ("AP_TRN", 2.0**-8)])
def test_codes_err_by_their_own_rounding_and_that_of_the_hidden_values(
    fraction, top, rounding, unit
):
    """Clipping never widens a distance: unit (1 + sum of |w|)."""
    size, rng = Encoder(), np.random.default_rng(5)
    weights = rng.integers(-top, top, size.parameters)
    cells = draw_events(rng, 400)
    codes = econ_t(cells, weights, size, fraction, rounding)
    exact, spread = in_reals(cells, weights, size, fraction)
    error = np.abs(codes / 256 - exact)
    assert (error <= unit * (1 + spread)).all()
    inside = (codes > 0) & (codes < 511)
    assert inside.sum() > 100
    assert error[inside].max() > unit * 0.9


def test_ties_go_to_even_and_formats_saturate():
    """A single cell times 1/16: sums in quarters of a hidden value's unit, so that 2 is a tie."""
    size = Encoder(1, 1)
    weights = np.zeros(size.parameters, int)
    weights[0], weights[10] = 1, 16  # kernel's first tap 1/16; first place passes on
    cells = np.zeros((6, 48), int)
    cells[:, 28] = 2, 6, 10, -10, 511, 5  # 1/2, 3/2, 5/2, below 0, 127 3/4, 5/4
    assert econ_t(cells, weights, size)[:, 0].tolist() == [0, 2, 2, 0, 128, 1]
    assert econ_t(cells, weights, size, rounding="AP_TRN")[:, 0].tolist() == [0, 1, 2, 0, 127, 1]
    weights[0] = 31
    assert econ_t(cells, weights, size)[4, 0] == 511


@pytest.mark.parametrize(
    ("cells", "weights", "words"),
    [
        (np.zeros((1, 47), int), np.zeros(2144, int), r"shape \(1, 47\): must be \(events, 48\)"),
        (np.full((1, 48), 512), np.zeros(2144, int), "a cell is outside -512 to 511: clip it"),
        (np.zeros((1, 48), int), np.zeros(2143, int), "2143 weights .* must be 2144"),
        (np.zeros((1, 48), int), np.full(2144, 32), "weight of the encoder is outside -32 to 31"),
    ],
)
def test_errors_say_what_must_be(cells, weights, words):
    with pytest.raises(NetworkError, match=words):
        econ_t(cells, weights)
