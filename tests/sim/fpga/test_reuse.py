"""hls4ml's reuse factors: the legal set against its definition, and values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.sim.fpga import reuse


def literal(n_in, n_out):
    """The definition, tried on every number."""
    found = []
    for factor in range(1, n_in * n_out + 1):
        limit = math.ceil(n_in * n_out / min(n_in, factor))
        divides = n_in * n_out % factor == 0
        if divides and ((factor < n_in and limit % n_out == 0) or factor % n_in == 0):
            found.append(factor)
    return found


def test_legal_factors_by_hand():
    # 16 x 5: divisors of 16, then multiples of 16 that divide 80.
    assert reuse.legal_reuse_factors(16, 5).tolist() == [1, 2, 4, 8, 16, 80]
    assert reuse.legal_reuse_factors(4, 4).tolist() == [1, 2, 4, 8, 16]


@given(st.integers(1, 40), st.integers(1, 40))
def test_legal_factors_are_those_of_the_definition(n_in, n_out):
    legal = reuse.legal_reuse_factors(n_in, n_out)
    assert legal.tolist() == literal(n_in, n_out)
    assert legal[0] == 1
    assert legal[-1] == n_in * n_out
    assert (reuse.block_factor(n_in, n_out, legal) * legal == n_in * n_out).all()
    assert (np.diff(reuse.multipliers(n_in, n_out, legal)) <= 0).all()


def test_the_closest_factor_and_the_smaller_of_two():
    legal = reuse.legal_reuse_factors(16, 5)
    assert reuse.closest_reuse_factor(legal, 5) == 4
    assert reuse.closest_reuse_factor(legal, 6) == 4
    assert reuse.closest_reuse_factor(legal, 7) == 8
    assert reuse.closest_reuse_factor(legal, 1000) == 80
    assert reuse.closest_reuse_factor(legal, 0.2) == 1


def test_targets():
    assert reuse.reuse_for_target(1600, 100) == 10
    assert reuse.layer_cycles(100, 10) == 1000
    with pytest.raises(MappingError, match="takes 600: raise the target"):
        reuse.reuse_for_target(599, 100)
