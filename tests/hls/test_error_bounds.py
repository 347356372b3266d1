"""How far each kernel is from the real number that it stands for: bounds, and that they are met."""

import math

import numpy as np
import pytest

from dovetail.hls import KERNELS, interpret
from dovetail.sim.special.lmul import offset_bits
from dovetail.sim.special.quantize import OVERFLOWS, ROUNDINGS
from dovetail.verify.hls_cases import CHECKS
from dovetail.verify.hls_streams import layernorm_elements
from tests.sim.special.test_quantize import golden_cases


def drawn(kernel, form=None, count=20000):
    """Parameters, vectors and results of the reference."""
    values = KERNELS[kernel].values(form)
    table = CHECKS[kernel].vectors(values, np.random.default_rng(7), count)
    return values, table, CHECKS[kernel].reference(values, table)


@pytest.mark.parametrize("form", [{}, {"width": 24, "fraction": 20}, {"width": 14, "fraction": 7}])
def test_the_exponential_errs_by_7e_6_at_most(form):
    values, table, results = drawn("exponential", form)
    exact = np.exp(-table[:, 0] / 2.0 ** values["fraction"])
    error = np.abs(results / 2.0**20 - exact)
    # Interpolation, three roundings to 2^-20 by halves, f cut to 20 bits, log2(e) to 16.
    law = (
        (math.log(2) / 128) ** 2 / 8 + (1.5 + math.log(2)) * 2**-20 + 2**-17 / math.e * math.log(2)
    )
    assert error.max() <= law <= 7.8e-6
    assert error.max() > 4e-6


def test_the_linear_unit_is_exact_while_sums_fit():
    values, table, (ends, words) = drawn("linear", count=60)
    inputs, outputs, acc = values["inputs"], values["outputs"], values["acc"]
    x = table[:, :inputs].astype(np.float64)
    w = table[:, inputs:-1].reshape(-1, outputs, inputs)
    totals = np.cumsum(np.einsum("ti,toi->to", x, w), axis=0)[ends]
    exact = np.diff(totals, axis=0, prepend=np.zeros((1, outputs)))
    for word, sums in zip(words, exact, strict=True):
        fields = [word >> (acc * o) & (2**acc - 1) for o in range(outputs)]
        assert fields == [int(total) % 2**acc for total in sums]


@pytest.mark.parametrize("form", [{}, {"width": 8, "count": 12, "out": 20, "fraction": 12}])
def test_normalized_elements_err_by_the_root_s_last_bit_and_half_a_unit(form):
    values, _, results = drawn("layernorm_scale", form, count=2000)
    rows = layernorm_elements(values, np.random.default_rng(7), 1000)
    centred = rows - rows.mean(axis=1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(axis=1))
    exact = centred / np.where(deviation > 0, deviation, 1)[:, None]
    exact = np.concatenate([exact[:, 0], exact[:, 1]])
    root = np.maximum(16 * values["count"] * np.tile(deviation, 2), 1)
    unit = 2.0 ** -values["fraction"]
    error = np.abs(results * unit - exact)
    assert (error <= np.abs(exact) * (1 / root + root * 2.0**-47) * 1.01 + unit / 2).all()
    assert error[np.abs(exact) < 4].max() > 0.45 * unit


def test_softmax_s_sums_of_the_checked_rows():
    values, table, (ends, words) = drawn("softmax", count=2000)
    scores = table[:, 0] / 2.0 ** values["fraction"]
    for begin, end, word in zip([0, *(np.array(ends[:-1]) + 1)], ends, words, strict=True):
        row = scores[begin : end + 1]
        inverse = (word & (2**25 - 1)) / 2.0**24
        assert abs(inverse - 1 / np.exp(row - row.max()).sum()) < 1e-5


def test_softmax_weights_err_by_8e_6_at_most():
    values, table, results = drawn("softmax_weight")
    x, largest, inverse = table.T
    exact = np.exp((x - largest) / 2.0 ** values["fraction"]) * inverse / 2.0**24
    assert 3e-6 < np.abs(results / 2.0**20 - exact).max() <= 7.8e-6 + 2**-21


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


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"exponent": 5, "mantissa": 10},
        {"exponent": 5, "mantissa": 2},
        {"exponent": 4, "mantissa": 3, "finite": 1},
    ],
)
def test_lmul_is_within_its_offset_and_the_error_where_fractions_begin_to_carry(form):
    values, table, results = drawn("lmul", form)
    mantissa, fields = values["mantissa"], values["exponent"] + values["mantissa"]
    bias, ones = 2 ** (values["exponent"] - 1) - 1, (1 << fields) - 1

    def number(bits):
        fraction = 1 + (bits & ((1 << mantissa) - 1)) / 2.0**mantissa
        return fraction * 2.0 ** (((bits & ones) >> mantissa) - bias)

    def exponent(bits):
        return (bits & ones) >> mantissa

    normal = (exponent(table) > 0).all(axis=1) & (exponent(table) < 2 * bias + 1).all(axis=1)
    normal &= (exponent(results) > 0) & (exponent(results) < 2 * bias + 1)
    relative = (number(results) / (number(table[:, 0]) * number(table[:, 1])) - 1)[normal]
    offset = 2.0 ** -offset_bits(mantissa)
    assert len(relative) > 5000
    assert relative.max() <= offset
    assert relative.min() >= 8 / (3 - offset) ** 2 - 1


@pytest.mark.parametrize("rounding", range(7))
def test_quantization_is_within_half_a_unit_or_a_whole_one_when_it_truncates(rounding):
    form = {"in": 20, "out": 12, "rounding": rounding}
    _, table, results = drawn("quantize", form)
    exact = table[:, 0] / 2.0 ** table[:, 1]
    error = np.abs(results - exact)[np.abs(exact) < 2047]
    truncates = rounding in (0, 3)
    assert error.max() < 1 if truncates else error.max() <= 0.5
    assert error.max() > (0.99 if truncates else 0.49)


def test_requantization_is_within_half_a_unit_unless_it_saturates():
    values, table, results = drawn("requantize")
    acc, multiplier, shift, zero = table.T
    exact = acc.astype(np.float64) * multiplier / 2.0**shift + zero
    low, high = -(2 ** (values["out"] - 1)), 2 ** (values["out"] - 1) - 1
    error = np.abs(results - np.clip(exact, low, high))
    assert error.max() <= 0.5
    assert error[(exact > low) & (exact < high)].max() > 0.49


@pytest.mark.parametrize("saturate", range(len(OVERFLOWS)), ids=OVERFLOWS)
@pytest.mark.parametrize("rounding", range(len(ROUNDINGS)), ids=ROUNDINGS)
def test_the_quantizer_gives_what_ap_fixed_gives(rounding, saturate):
    """DSLX against results of the HLS tools' own headers, compiled by g++."""
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    x, cases = golden_cases()
    form = {"in": 14, "shift": 5, "out": 6, "rounding": rounding, "saturate": saturate}
    wanted = ROUNDINGS[rounding], OVERFLOWS[saturate]
    for shift, *modes, theirs in cases:
        if tuple(modes) == wanted:
            vectors = [(value, shift) for value in x[::3].tolist()]
            assert interpret("quantize", vectors, form) == (theirs[::3] & 63).tolist()
