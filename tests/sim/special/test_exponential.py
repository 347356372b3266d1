"""The exponential's reference: its table, its ends, and that it never rises."""

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.exponential import exponential, power_table


def test_the_table_halves_from_end_to_end():
    table = np.array(power_table())
    assert (table[0], table[-1]) == (2**20, 2**19)
    assert np.abs(table / 2**20 - 2.0 ** (-np.arange(129) / 128)).max() <= 2**-21


@pytest.mark.parametrize("fraction", [4, 8, 12])
def test_it_falls_from_one_to_nothing(fraction):
    t = np.arange(20 << fraction)
    result = exponential(t, fraction)
    assert result[0] == 2**20
    assert result[-1] == 0
    assert (np.diff(result) <= 0).all()
    assert np.abs(result / 2**20 - np.exp(-t / 2.0**fraction)).max() < 7.8e-6


def test_formats_out_of_range_are_refused():
    with pytest.raises(NetworkError, match="3 fractional bits: must be within 4 to 20"):
        exponential(np.array([0]), 3)
