"""How far each kernel is from the real number that it stands for: bounds, and that they are met."""

import numpy as np

from dovetail.hls import KERNELS
from dovetail.verify.hls_cases import CHECKS


def drawn(kernel, form=None, count=20000):
    """Parameters, vectors and results of the reference."""
    values = KERNELS[kernel].values(form)
    table = CHECKS[kernel].vectors(values, np.random.default_rng(7), count)
    return values, table, CHECKS[kernel].reference(values, table)


def test_requantization_is_within_half_a_unit_unless_it_saturates():
    values, table, results = drawn("requantize")
    acc, multiplier, shift, zero = table.T
    exact = acc.astype(np.float64) * multiplier / 2.0**shift + zero
    low, high = -(2 ** (values["out"] - 1)), 2 ** (values["out"] - 1) - 1
    error = np.abs(results - np.clip(exact, low, high))
    assert error.max() <= 0.5
    assert error[(exact > low) & (exact < high)].max() > 0.49
