"""Deformable convolution against its plain definition, and against an ordinary one."""

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.deformable import deformable, dilations, line_buffer


def drawn(most, fraction=4, n=2, c=3, h=7, w=9):
    rng = np.random.default_rng(5)
    x, weights = rng.integers(-128, 128, (n, c, h, w)), rng.integers(-128, 128, (n, c, 3, 3))
    offsets = rng.integers(-1 << fraction, (most + 2) << fraction, (n, h, w))
    return x, offsets, weights


@pytest.mark.parametrize("most", [1, 2, 4])
def test_sums_equal_a_gather_at_whole_positions(most):
    x, offsets, weights = drawn(most)
    result = deformable(x, offsets, weights, most)
    n, c, h, w = x.shape
    expected = np.zeros(x.shape, dtype=np.float64)
    for image, channel, row, column in np.ndindex(x.shape):
        # Ties go up, as the floor of the offset and a half.
        d = int(min(max(np.floor(offsets[image, row, column] / 16 + 0.5), 0), most))
        for i, j in np.ndindex(3, 3):
            r, k = row + d * (i - 1), column + d * (j - 1)
            if 0 <= r < h and 0 <= k < w:
                weight = float(weights[image, channel, i, j])
                expected[image, channel, row, column] += weight * float(x[image, channel, r, k])
    assert (n, c) == (2, 3)
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_equal_offsets_give_an_ordinary_dilated_convolution(dilation):
    x, offsets, weights = drawn(3)
    result = deformable(x, np.full(offsets.shape, 16 * dilation), weights, 3)
    d, (h, w) = dilation, x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (d, d), (d, d))).astype(np.float64)
    expected = sum(
        weights[:, :, i, j, None, None] * padded[:, :, i * d : i * d + h, j * d : j * d + w]
        for i, j in np.ndindex(3, 3)
    )
    assert np.array_equal(result, expected)


def test_offsets_are_rounded_half_up_and_clipped():
    offsets = np.array([-128, -9, -8, 0, 7, 8, 23, 24, 40, 127])
    assert dilations(offsets, 2).tolist() == [0, 0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert dilations(np.array([-1, 0, 1, 5]), 4, fraction=0).tolist() == [0, 0, 1, 4]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("most", [1, 2, 3, 4])
def test_the_line_buffer_holds_what_a_window_reaches_and_not_a_pixel_more(most, symmetric):
    width, row, column = 11, 20, 5
    ends = (-most, most) if symmetric else (-1, 1 + most)
    places = [(row + down) * width + column + right for down in ends for right in ends]
    assert max(places) - min(places) == line_buffer(width, most, symmetric=symmetric)
    rows = {place // width for place in range(min(places), max(places) + 1)}
    assert len(rows) == (2 * most + 1 if symmetric else most + 3)


def test_sums_wrap_around_and_shapes_must_fit():
    x, offsets, weights = drawn(2)
    exact, narrow = deformable(x, offsets, weights, 2), deformable(x, offsets, weights, 2, bits=12)
    assert np.array_equal(narrow, (exact + 2048) % 4096 - 2048)
    assert not np.array_equal(narrow, exact)
    with pytest.raises(NetworkError, match=r"weights \[2, 2, 3, 3\]: must be"):
        deformable(x, offsets, weights[:, :2], 2)
