from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.networks.dyadic import pair

scales = st.floats(1e-3, 1e3)


@given(scales, scales, st.booleans())
def test_a_pair_keeps_both_scales(first, second, negative):
    second = -second if negative else second
    if max(first, abs(second)) > 32767 * min(first, abs(second)):
        return
    a, b, unit = pair(first, second)
    greater = max(first, abs(second))
    assert max(abs(a), abs(b)) <= 2**15 - 1
    assert abs(a * unit - first) <= greater * 2**-15
    assert abs(b * unit - second) <= greater * 2**-15
    assert unit > 0


def test_simple_ratios_are_exact():
    assert pair(0.5, 0.25)[:2] == (2, 1)
    assert pair(3.0, -4.5)[:2] == (2, -3)
    assert pair(1.0, 1.0) == (1, 1, 1.0)


@pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (1.0, float("nan")), (1.0, 1e-6)])
def test_scales_without_a_ratio_are_refused(first, second):
    with pytest.raises(NetworkError, match="differ by less"):
        pair(first, second)
