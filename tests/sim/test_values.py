"""Every function against a plain Python reference that shares no code with it."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.networks.dyadic import dyadic
from dovetail.networks.operators import Window
from dovetail.sim.values import conv2d_int, matmul_int, requantize, wrap

LAWS = settings(max_examples=60, deadline=None)
SEEDS = st.integers(0, 2**32 - 1)


def signed(value: int, bits: int) -> int:
    """Two's complement by its bit pattern."""
    pattern = value & ((1 << bits) - 1)
    return pattern - (1 << bits) if pattern >> (bits - 1) else pattern


def reference_matmul(a, b, bits):
    rows, inner, columns = len(a), len(b), len(b[0])
    result = [[0] * columns for _ in range(rows)]
    for m in range(rows):
        for n in range(columns):
            for k in range(inner):
                result[m][n] = signed(result[m][n] + a[m][k] * b[k][n], bits)
    return result


def reference_conv2d(x, w, window, groups, bits):
    n, _, height, width = x.shape
    k, c_group, kernel_rows, kernel_cols = w.shape
    top, left, bottom, right = window.padding
    (sy, sx), (dy, dx) = window.stride, window.dilation
    p = (height + top + bottom - dy * (kernel_rows - 1) - 1) // sy + 1
    q = (width + left + right - dx * (kernel_cols - 1) - 1) // sx + 1
    out = np.zeros((n, k, p, q), dtype=object)
    for i, j, row, col in np.ndindex(n, k, p, q):
        group = j // (k // groups)
        total = 0
        for ch, r, s in np.ndindex(c_group, kernel_rows, kernel_cols):
            y, z = row * sy + r * dy - top, col * sx + s * dx - left
            if 0 <= y < height and 0 <= z < width:
                total += int(x[i, group * c_group + ch, y, z]) * int(w[j, ch, r, s])
        out[i, j, row, col] = signed(total, bits)
    return out


def reference_requantize(acc, multiplier, shift, zero_point, bits):
    rounded = math.floor(Fraction(acc * multiplier, 2**shift) + Fraction(1, 2))
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, rounded + zero_point))


@LAWS
@given(SEEDS, st.integers(1, 64), st.sampled_from([2, 8, 16, 31, 62]))
def test_matmul_wraps_as_the_reference_does(seed, accumulator_bits, operand_bits):
    rng = np.random.default_rng(seed)
    m, n, k = rng.integers(1, 6, 3)
    span = 2 ** (operand_bits - 1)
    a, b = rng.integers(-span, span, (m, k)), rng.integers(-span, span, (k, n))
    expected = reference_matmul(a.tolist(), b.tolist(), accumulator_bits)
    assert matmul_int(a, b, accumulator_bits).tolist() == expected


def test_matmul_is_exact_on_both_sides_of_the_range_of_doubles():
    for value in (2**26, 2**27 + 1):  # 2 * 2^52 = 2^53 already takes integer arithmetic
        a = np.array([[value, 1]])
        assert matmul_int(a, a.T, 64).tolist() == [[value * value + 1]]


def test_matmul_broadcasts_batches_and_takes_narrow_types():
    rng = np.random.default_rng(0)
    a = rng.integers(-128, 128, (2, 3, 4, 5)).astype(np.int8)
    b = rng.integers(-128, 128, (3, 5, 2)).astype(np.int8)
    product = matmul_int(a, b)
    assert product.shape == (2, 3, 4, 2)
    assert product[1, 2].tolist() == reference_matmul(a[1, 2].tolist(), b[2].tolist(), 32)


def test_matmul_wraps_an_int32_accumulator_at_its_edge():
    a = np.full((1, 2), 2**15)
    assert matmul_int(a, a.T, 32).tolist() == [[-(2**31)]]
    assert matmul_int(a, a.T, 33).tolist() == [[-(2**32) // -2]]


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    size = draw(st.tuples(st.integers(5, 7), st.integers(5, 7)))
    channels = draw(st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)))
    return Window(kernel, stride, padding, dilation), groups, size, channels


@LAWS
@given(convolutions(), SEEDS, st.sampled_from([12, 32]))
def test_convolution_equals_the_reference(shapes, seed, bits):
    window, groups, size, (n, c_group, k_group) = shapes
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (n, c_group * groups, *size)).astype(np.int8)
    w = rng.integers(-128, 128, (k_group * groups, c_group, *window.kernel)).astype(np.int8)
    expected = reference_conv2d(x, w, window, groups, bits)
    assert conv2d_int(x, w, window, groups, bits).tolist() == expected.tolist()


def test_pointwise_convolution_is_a_matrix_product():
    rng = np.random.default_rng(1)
    x, w = rng.integers(-8, 8, (1, 6, 3, 3)), rng.integers(-8, 8, (4, 6, 1, 1))
    product = matmul_int(w[:, :, 0, 0], x[0].reshape(6, 9)).reshape(1, 4, 3, 3)
    assert (conv2d_int(x, w, Window((1, 1))) == product).all()


@settings(max_examples=400, deadline=None)
@given(
    st.integers(-(2**31), 2**31 - 1),
    st.integers(0, 2**31 - 1),
    st.integers(0, 62),
    st.integers(1, 32),
    st.data(),
)
def test_requantize_equals_the_reference(acc, multiplier, shift, bits, data):
    zero = data.draw(st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    result = requantize(np.array([acc]), multiplier, shift, zero, bits)
    assert result.tolist() == [reference_requantize(acc, multiplier, shift, zero, bits)]


def test_ties_round_half_up():
    acc = np.array([-5, -3, -1, 1, 3, 5])
    assert requantize(acc, 1, 1).tolist() == [-2, -1, 0, 1, 2, 3]


def test_requantize_scales_each_channel():
    acc = np.arange(24).reshape(1, 2, 3, 4)
    scaled = requantize(acc, np.array([1, 3])[:, None, None], np.array([0, 1])[:, None, None])
    assert (scaled[:, 0] == acc[:, 0]).all()
    assert scaled[0, 1, 2, 3] == reference_requantize(23, 3, 1, 0, 8)


@LAWS
@given(st.floats(2.0**-30, 2.0**20), st.integers(4, 31))
def test_dyadic_is_near_and_fits(scale, bits):
    if scale >= 2.0 ** (bits - 1):
        return
    multiplier, shift = dyadic(scale, bits)
    assert 0 < multiplier < 2**bits
    assert 0 <= shift <= 62
    assert abs(Fraction(multiplier, 2**shift) / Fraction(scale) - 1) <= Fraction(1, 2**bits)


@pytest.mark.parametrize(
    ("call", "law"),
    [
        (lambda: wrap(np.zeros(1, dtype=int), 65), "1 to 64"),
        (lambda: matmul_int(np.zeros((2, 3)), np.zeros((3, 2))), "integers"),
        (lambda: matmul_int(np.zeros((2, 3), int), np.zeros((2, 3), int)), r"\(M, K\)"),
        (
            lambda: conv2d_int(np.zeros((1, 4, 3, 3), int), np.zeros((3, 2, 1, 1), int),
                               Window((1, 1)), 2),
            "equal groups",
        ),
        (lambda: requantize(np.array([1]), -1, 0), "multiplier"),
        (lambda: requantize(np.array([1]), 1, 63), "shift"),
        (lambda: requantize(np.array([1]), 1, 0, 128), "zero point"),
        (lambda: requantize(np.array([1]), 1, 0, 0, 33), "1 to 32"),
        (lambda: requantize(np.array([2**40]), 2**30, 0), "63 bits"),
        (lambda: dyadic(-1.0), "positive"),
        (lambda: dyadic(2.0**40), "within"),
        (lambda: dyadic(2.0**-80), "within"),
    ],
)  # fmt: skip
def test_errors_name_the_law(call, law):
    with pytest.raises(NetworkError, match=law) as error:
        call()
    assert "\n" not in str(error.value)
