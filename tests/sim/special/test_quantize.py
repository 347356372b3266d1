"""The fixed-point quantizer against the definition of each mode in exact fractions."""

import csv
import importlib.util
import math
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import NetworkError, UnknownNameError
from dovetail.sim.special.quantize import OVERFLOWS, ROUNDINGS, quantize


def nearest(value, tie):
    """The nearest integer; `tie` chooses between the two nearest."""
    low = math.floor(value)
    rest = value - low
    if rest == Fraction(1, 2):
        return tie(low, low + 1)
    return low + (rest > Fraction(1, 2))


DEFINITIONS = {
    "AP_TRN": math.floor,
    "AP_TRN_ZERO": math.trunc,
    "AP_RND": lambda v: nearest(v, max),
    "AP_RND_MIN_INF": lambda v: nearest(v, min),
    "AP_RND_ZERO": lambda v: nearest(v, lambda a, b: min(a, b, key=abs)),
    "AP_RND_INF": lambda v: nearest(v, lambda a, b: max(a, b, key=abs)),
    "AP_RND_CONV": round,
}


def defined(x, shift, bits, rounding, overflow):
    whole = DEFINITIONS[rounding](Fraction(x) / Fraction(2) ** shift)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if overflow == "AP_SAT":
        return min(max(whole, low), high)
    return (whole - low) % 2**bits + low


def test_all_modes_are_defined():
    assert set(DEFINITIONS) == set(ROUNDINGS)


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_all_numbers_of_a_narrow_format(rounding, overflow):
    x, shift = (grid.ravel() for grid in np.meshgrid(np.arange(-64, 64), np.arange(-4, 9)))
    got = quantize(x, shift, 4, rounding, overflow).tolist()
    pairs = zip(x.tolist(), shift.tolist(), strict=True)
    assert got == [defined(a, b, 4, rounding, overflow) for a, b in pairs]


@given(
    st.integers(-(2**31), 2**31 - 1), st.integers(-28, 40), st.integers(1, 40),
    st.sampled_from(ROUNDINGS), st.sampled_from(OVERFLOWS),
)  # fmt: skip
def test_any_number_of_a_wide_format(x, shift, bits, rounding, overflow):
    got = quantize(np.array([x]), shift, bits, rounding, overflow)[0]
    assert got == defined(x, shift, bits, rounding, overflow)


def test_what_is_out_of_range_is_refused():
    x = np.array([1])
    with pytest.raises(UnknownNameError, match="did you mean AP_RND"):
        quantize(x, 1, 8, "AP_RNDD")
    with pytest.raises(UnknownNameError, match="known: AP_SAT, AP_WRAP"):
        quantize(x, 1, 8, "AP_TRN", "saturate")
    with pytest.raises(NetworkError, match="to 64 bits: must be within 1 to 63"):
        quantize(x, 1, 64)
    with pytest.raises(NetworkError, match="drops 63 bits: must be at most 62"):
        quantize(x, 63, 8)


GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "ap_fixed.csv"


def golden_cases():
    """Raw arguments, and (shift, rounding, overflow) with raw results."""
    lines = [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    first, *rest = csv.reader(lines[1:])
    x = np.array(first[3].split(), dtype=np.int64)
    return x, [(int(s), r, o, np.array(raw.split(), dtype=np.int64)) for s, r, o, raw in rest]


def test_ap_fixed_has_the_same_results():
    x, cases = golden_cases()
    assert [case[:3] for case in cases] == [
        (s, r, o) for s in SHIFTS for r in ROUNDINGS for o in OVERFLOWS
    ]
    for shift, rounding, overflow, theirs in cases:
        assert (quantize(x, shift, 6, rounding, overflow) == theirs).all(), (rounding, overflow)


CPP = """
#include <cstdio>
#include "ap_fixed.h"

template <int SHIFT, ap_q_mode Q, ap_o_mode O> void run() {
  for (int v = -8192; v < 8192; ++v) {
    ap_fixed<14, 7> x;
    x.range(13, 0) = ap_int<14>(v);
    ap_fixed<6, 6 - 7 + SHIFT, Q, O> y = x;
    std::printf("%d\\n", (int)ap_uint<6>(y.range(5, 0)));
  }
}

int main() {
MODES
}
"""
SHIFTS = (-2, 0, 1, 4, 8)


def test_the_headers_of_the_hls_tools_agree_on_all_numbers(tmp_path):
    """Every mode of ap_fixed compiled by g++, 14 bits to 6, over five positions of the point."""
    package = importlib.util.find_spec("hls4ml")
    if package is None or package.origin is None or shutil.which("g++") is None:
        pytest.skip("needs g++ and the ap_types headers of hls4ml (pip install hls4ml)")
    headers = Path(package.origin).parent / "templates" / "vivado" / "ap_types"
    cases = [(s, q, o) for s in SHIFTS for q in ROUNDINGS for o in OVERFLOWS]
    calls = "\n".join(f"  run<{s}, {q}, {o}>();" for s, q, o in cases)
    (tmp_path / "main.cpp").write_text(CPP.replace("MODES", calls))
    command = ["g++", "-w", "-O1", f"-I{headers}", "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    done = subprocess.run(
        [tmp_path / "main"], capture_output=True, text=True, check=True, timeout=60
    )
    theirs = np.array(done.stdout.split(), dtype=np.int64).reshape(len(cases), -1)
    x = np.arange(-8192, 8192)
    for (shift, rounding, overflow), got in zip(cases, theirs, strict=True):
        ours = quantize(x, shift, 6, rounding, overflow) & 63
        assert (got == ours).all(), (shift, rounding, overflow)
