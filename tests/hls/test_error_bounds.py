"""How far each kernel is from the real number that it stands for: bounds, and that they are met."""

import math

import numpy as np
import pytest

from dovetail.hls import KERNELS
from dovetail.verify.hls_cases import CHECKS


def drawn(kernel, form=None, count=20000):
    """Parameters, vectors and results of the reference."""
    values = KERNELS[kernel].values(form)
    table = CHECKS[kernel].vectors(values, np.random.default_rng(7), count)
    return values, table, CHECKS[kernel].reference(values, table)


@pytest.mark.parametrize(
    ("form", "bound"),
    [({}, 9.8e-5), ({"width": 16, "fraction": 10}, 6e-4), ({"width": 12, "fraction": 8}, 2.1e-3)],
)
def test_gelu_is_within_the_interpolation_error_and_half_a_unit(form, bound):
    values, table, results = drawn("gelu", form)
    unit = 2.0 ** -values["fraction"]
    x = table[:, 0] * unit
    exact = x * np.frompyfunc(lambda v: math.erfc(-v / math.sqrt(2)) / 2, 1, 1)(x).astype(float)
    error = np.abs(results * unit - exact)
    # Linear interpolation: step^2 / 8 times the largest second derivative, 2 phi(0).
    law = 2**-10 / 8 * 2 / math.sqrt(2 * math.pi) + 2**-23 + unit / 2
    assert error.max() <= law <= bound
    assert error.max() > 0.9 * law


def test_requantization_is_within_half_a_unit_unless_it_saturates():
    values, table, results = drawn("requantize")
    acc, multiplier, shift, zero = table.T
    exact = acc.astype(np.float64) * multiplier / 2.0**shift + zero
    low, high = -(2 ** (values["out"] - 1)), 2 ** (values["out"] - 1) - 1
    error = np.abs(results - np.clip(exact, low, high))
    assert error.max() <= 0.5
    assert error[(exact > low) & (exact < high)].max() > 0.49
