"""The words that check `deformable`: whole images, and sums that are right in float64."""

import re

import numpy as np
import pytest

from dovetail.hls import KERNELS, build
from dovetail.verify.hls_cases import CHECKS
from dovetail.verify.hls_deformable import images, lag

CHECK = CHECKS["deformable"]


@pytest.mark.parametrize("form", CHECK.forms, ids=str)
def test_three_whole_images_meet_backpressure_and_each_dilation_occurs(form):
    values = KERNELS["deformable"].values(form)
    table = CHECK.vectors(values, np.random.default_rng(0), 1)
    size = values["width"] * values["height"]
    triggers, words = CHECK.reference(values, table)
    assert len(words) == len(triggers) == len(table) - lag(values)
    under = [place for place, at in enumerate(triggers) if at >= len(table) // 2]
    first = -(-under[0] // size)
    assert (under[-1] + 1) // size - first >= 3
    assert len(words) // size == 8
    rounded = np.floor(table[:, values["channels"]] / 2.0 ** values["fraction"] + 0.5)
    assert set(range(-1, values["range"] + 1)) <= set(rounded.astype(int).tolist())


def test_the_first_two_images_are_exact_sums_in_float64():
    """All extremes at the highest dilation, then an ordinary convolution."""
    values = KERNELS["deformable"].values()
    table = CHECK.vectors(values, np.random.default_rng(0), 1)
    words = np.array(CHECK.reference(values, table)[1])
    signed = (words ^ 1 << values["acc"] - 1) - (1 << values["acc"] - 1)
    x, _, weights = images(values, table)
    for image, d in ((0, values["range"]), (1, 1)):
        padded = np.pad(x[image, 0].astype(np.float64), d)
        height, width = x.shape[2:]
        exact = sum(
            weights[image, 0, i, j] * padded[i * d : i * d + height, j * d : j * d + width]
            for i, j in np.ndindex(3, 3)
        )
        size = height * width
        assert np.array_equal(signed[image * size : (image + 1) * size], exact.ravel())


def test_the_rows_that_a_window_reaches_lie_in_memory():
    """2 R pixels of each channel and R dilations of 3 bits per column, at any width."""
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    made = build("deformable", {"width": 1000, "range": 3, "channels": 2})
    word = 2 * 3 * 16 + 3 * 3
    assert f".Words(1000), .AddressBits(10), .Bits({word}), .Parts(1)" in made.verilog
    # The window and the row's own dilations are all that grows with the range alone.
    assert max(int(bits) for bits in re.findall(r"reg \[(\d+):0\]", made.verilog)) < 1000
