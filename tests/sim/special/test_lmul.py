"""The L-Mul reference: against floats of ml_dtypes, and against a Monte-Carlo of its formula."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from dovetail.errors import NetworkError
from dovetail.sim.special.lmul import lmul, offset_bits, significand

FILE = Path(__file__).resolve().parents[2] / "golden" / "lmul_monte_carlo.json"
GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
FP8 = {"e5m2": (5, 2, False, ml_dtypes.float8_e5m2), "e4m3": (4, 3, True, ml_dtypes.float8_e4m3fn)}
REDUCE = {"trunc": np.floor, "round": np.round}


def errors(mode, mantissa):
    """Mean absolute errors: of the formula, of added fields, and of a product of m bits."""
    x, y = np.random.default_rng(0).random((2, 400_000))
    exact = (1 + x) * (1 + y)
    scale = 2.0**mantissa
    a, b = (REDUCE[mode](v * scale) / scale for v in (x, y))
    product = (1 + a) * (1 + b)
    grain = np.where(product >= 4, 4, np.where(product >= 2, 2, 1)) / scale
    rounded = REDUCE[mode](product / grain) * grain
    formula = significand(a, b, mantissa)
    return tuple(np.abs(exact - value).mean() for value in (formula, added(formula), rounded))


def added(formula):
    """What the addition of fields makes of 1 + x + y + 2^-l: each carry doubles and starts anew."""
    fraction = formula - 1
    return 2.0 ** np.floor(fraction) * (1 + fraction - np.floor(fraction))


@pytest.mark.parametrize("mode", ["trunc", "round"])
@pytest.mark.parametrize("mantissa", [2, 3, 4, 7])
def test_the_formula_has_the_errors_of_the_monte_carlo(mode, mantissa):
    formula, _, product = errors(mode, mantissa)
    golden = GOLDEN[f"{mode}_m{mantissa}"]
    assert formula == pytest.approx(golden["lmul"], abs=1e-3)
    assert product == pytest.approx(golden["product"], abs=1e-3)


def test_three_bits_beat_e5m2_only_where_both_truncate():
    """The paper's claim, and where it does not hold."""
    assert errors("trunc", 3)[0] < errors("trunc", 2)[2]
    assert errors("round", 3)[0] > errors("round", 2)[2]


def test_the_addition_of_truncated_fields_errs_less_than_the_formula():
    """A carry makes 2 (x + y + 2^-l) of 1 + x + y + 2^-l, which lies nearer to the product."""
    measured = {m: errors("trunc", m)[1] for m in (2, 3, 4, 7)}
    assert measured == pytest.approx({2: 0.1541, 3: 0.1062, 4: 0.0656, 7: 0.0570}, abs=1e-3)


@pytest.mark.parametrize("name", FP8)
def test_all_pairs_of_an_fp8_format(name):
    exponent, mantissa, finite, kind = FP8[name]
    bits = np.arange(256)
    x, y = np.meshgrid(bits, bits)
    numbers = bits.astype(np.uint8).view(kind).astype(np.float64)
    left, right = numbers[x], numbers[y]
    least = 2.0 ** (2 - 2 ** (exponent - 1))
    left, right = (np.where(np.abs(v) < least, np.copysign(0.0, v), v) for v in (left, right))
    got = numbers[lmul(x, y, exponent, mantissa, finite)]
    with np.errstate(invalid="ignore"):
        exact = left * right
    assert (np.isnan(got) == np.isnan(exact)).all()
    known = ~np.isnan(exact)
    assert (np.signbit(got) == np.signbit(exact))[known].all()
    assert (np.isinf(got) >= np.isinf(exact))[known].all()
    largest = float(ml_dtypes.finfo(kind).max)
    inside = known & (np.abs(exact) >= 2 * least) & (np.abs(exact) <= largest / 2)
    relative = got[inside] / exact[inside] - 1
    offset = 2.0 ** -offset_bits(mantissa)
    assert 8 / (3 - offset) ** 2 - 1 <= relative.min()
    assert relative.max() == pytest.approx(offset)
    assert not got[known & (np.abs(exact) < least / 2)].any()
    over = np.abs(got[known & (np.abs(exact) > 2 * largest)])
    assert (over == (largest if finite else np.inf)).all()


def test_formats_out_of_range_are_refused():
    with pytest.raises(NetworkError, match="9 exponent and 7 mantissa bits"):
        lmul(np.array([0]), np.array([0]), 9, 7)
