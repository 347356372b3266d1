"""The GELU reference: its table, its laws, and its error on all arguments of a format."""

import math

import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.gelu import ENTRIES, gelu, gelu_table


def exact(x):
    return x * np.array([math.erfc(-v / math.sqrt(2)) / 2 for v in x])


def test_the_table_has_177_entries_and_ends_in_nothing():
    table = gelu_table()
    assert len(table) == ENTRIES == 177
    assert table[0] == table[-1] == 0
    t = np.arange(ENTRIES) / 32
    assert np.abs(np.array(table) / 2**22 - (np.maximum(t, 0) - exact(t))).max() <= 2**-23
    # From 5.5 on the difference is below half a unit of 2^-22.
    assert 5.5 - exact(np.array([5.5]))[0] < 2**-23


@pytest.mark.parametrize("fraction", [6, 10, 12])
def test_all_arguments_of_a_format(fraction):
    x = np.arange(-(2**15), 2**15)
    error = gelu(x, fraction) / 2.0**fraction - exact(x / 2.0**fraction)
    assert np.abs(error).max() <= 9.75e-5 + 2.0 ** -(fraction + 1)


def test_the_paper_s_error_at_its_own_format():
    """Edge-MoE's activations have 22 fractional bits; its table errs by 9.7e-5 at most."""
    x = np.arange(-(2**25), 2**25, 1009)
    error = np.abs(gelu(x, 22) / 2.0**22 - exact(x / 2.0**22))
    assert 9.6e-5 < error.max() < 9.8e-5


def test_symmetry_and_ends():
    x = np.array([0, 1, 12345, 2**22, 2**24, 2**31 - 1])
    assert (gelu(x, 22) - gelu(-x, 22) == x).all()
    assert gelu(np.array([2**31 - 1, -(2**31)]), 22).tolist() == [2**31 - 1, 0]
    with pytest.raises(NetworkError, match="5 fractional bits: must be within 6 to 24"):
        gelu(x, 5)
