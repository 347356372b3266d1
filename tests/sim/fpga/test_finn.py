"""FINN's closed forms: values by hand, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dovetail.sim.fpga import cycles, resources
from dovetail.sim.fpga.cycles import Slide
from dovetail.sim.fpga.resources import Numbers

FIRST = Slide(3, (32, 32), (30, 30), (3, 3))
W2A2 = Numbers(2, 2, 2)


def divisors(number):
    return [d for d in range(1, number + 1) if number % d == 0]


def test_cycles_by_hand():
    assert cycles.mvau_cycles(27, 64, 900, 16, 3) == 4 * 9 * 900
    assert cycles.vvau_cycles(64, 9, 49, 16, 3) == 4 * 3 * 49
    assert cycles.pool_cycles(64, 4, 196, 32) == 2 * 4 * 196
    assert cycles.stream_cycles(64, 100, 8) == 800
    assert cycles.interval(np.array([[3, 9, 4], [7, 1, 7]])).tolist() == [9, 7]


def test_windows_by_hand():
    # (2 * 32 + 2 + 1) words before the first window, then 30 rows of 30 * 9 taps.
    assert cycles.window_cycles(FIRST, 3) == 67 + 30 * 270 == 8167
    assert cycles.window_cycles(FIRST, 1) == 3 * 8167
    assert cycles.window_depth(FIRST, 3) == 67
    assert cycles.window_cycles(FIRST, 3, parallel=True) == 1026
    assert cycles.window_depth(FIRST, 3, parallel=True) == 68
    point = Slide(8, (16, 16), (8, 8), (1, 1), stride=(2, 2))
    # Reading two columns of 16 per output takes longer than writing 8; 14 + 0 words ahead.
    assert cycles.window_cycles(point, 8) == 1 + 8 * 32
    assert cycles.window_depth(point, 8) == 1 + (2 - 1 - 1) + (16 - 1)
    deep = Slide(8, (16, 16), (8, 8), (1, 1), stride=(2, 2), depthwise=True)
    assert cycles.window_cycles(deep, 2) == 4 + 8 * (32 * 4 + 8 * 3) + 16 * 4
    line = Slide(4, (1, 20), (1, 9), (1, 4), (1, 2))
    assert cycles.window_cycles(line, 2) == 9 * 4 * 2 + 2
    line = Slide(4, (20, 1), (9, 1), (4, 1), (2, 1), depthwise=True)
    assert cycles.window_cycles(line, 2) == 9 * 4 * 2 + 2 * 3 * 1 - 3 + 2
    wide = Slide(1, (9, 9), (5, 5), (3, 3), dilation=(2, 2))
    assert cycles.window_depth(wide, 1) == 2 * 2 * 9 + 2 * 2 + 1


def test_dilated_windows_by_hand():
    wide = Slide(6, (9, 9), (5, 5), (3, 3), dilation=(2, 2))
    # (3-1) * 2 rows of 9 and (3-1) * 2 + 1 words come first; then 5 rows of 5 * 9 taps; 3 folds.
    assert cycles.window_cycles(wide, 2) == ((2 * 2 * 9 + 2 * 2 + 1) + 5 * 5 * 9) * 3
    strided = Slide(4, (12, 12), (3, 3), (2, 2), stride=(4, 4))
    # A row of 3 * 4 taps is shorter than the 4 * 12 words that have to come for it.
    assert cycles.window_cycles(strided, 4) == (12 + 1 + 1) + 3 * 4 * 12


def test_windows_in_any_memory_by_hand():
    assert resources.window_luts(FIRST, 3, 8) == 300 + 24 * 2  # 67 words: two LUTs of 38
    assert resources.window_luts(FIRST, 3, 8, parallel=True) == 300 + 24 * 2
    assert resources.window_urams(FIRST, 3, 8) == 1
    wide = Slide(64, (100, 100), (98, 98), (3, 3))
    # 203 pixels of 64 folds are 12,992 words: four UltraRAMs deep; whole windows: two rows of 97.
    assert resources.window_urams(wide, 1, 8) == 4
    assert resources.window_urams(wide, 64, 8, parallel=True) == 2 * 8
    line = Slide(4, (20, 1), (9, 1), (4, 1))
    assert resources.window_bram18(line, 4, 8, parallel=True) == 0  # registers alone


@given(st.integers(1, 4000), st.integers(1, 16), st.integers(1, 16), st.booleans())
def test_accumulators_are_finns(fan_in, weight_bits, input_bits, signed):
    numbers = Numbers(weight_bits, input_bits, 8, signed, sum_bits=64)
    alpha = math.log2(fan_in) + weight_bits + input_bits - 1 - signed
    finn = math.ceil(alpha + math.log2(1 + 2**-alpha) + 1)
    largest = fan_in << (weight_bits + input_bits - 1 - signed)
    power = (largest + 1) & largest == 0  # where the floating-point form may round up
    assert 0 <= finn - resources.accumulator_bits(fan_in, numbers) <= power


def test_luts_by_hand():
    # multipliers (2 * 1 - 1) * 4, adders 4, accumulator ceil(log2(4 * 2 * 2 + 1)) + 1 = 6
    assert resources.accumulator_bits(4, W2A2) == 6
    assert resources.compute_luts(4, 8, 1, 1, W2A2) == int(300 + 1.1 * (4 + 4 + 6)) == 315
    # PE 2, SIMD 4: 2 * (4 * 4 + 4 * 7 + 6) = 100
    assert resources.compute_luts(4, 8, 2, 4, W2A2) == 410
    dsp = Numbers(2, 2, 2, multipliers="dsp")
    assert resources.compute_luts(4, 8, 2, 4, dsp) == int(300 + 1.1 * 2 * (28 + 6))
    # three thresholds of 6 bits, once per 64 outputs of a PE, and their comparators
    thresholds = Numbers(2, 2, 2, threshold_memory="distributed")
    assert resources.compute_luts(4, 8, 2, 4, thresholds) == int(300 + 1.1 * (100 + 2 * 36))
    # 8 lanes of 2 bits, 256 * 8 / 8 = 256 words: four LUTRAMs deep
    stored = Numbers(2, 2, 2, weight_memory="distributed")
    more = resources.compute_luts(256, 8, 2, 4, stored) - resources.compute_luts(256, 8, 2, 4, W2A2)
    assert more == 2 * 4 * 2 * 4


def test_dsps_by_hand():
    assert resources.compute_dsps(4, 8, Numbers(8, 8, 8)) == 0
    assert resources.compute_dsps(4, 8, Numbers(8, 8, 8, multipliers="dsp")) == 32
    assert resources.compute_dsps(4, 8, Numbers(32, 32, 8, multipliers="dsp")) == 64
    assert resources.packed_dsps(6, 8) == 16
    assert resources.packed_dsps(6, 8, "dsp58") == 18


@pytest.mark.parametrize(
    ("lanes", "words", "blocks"),
    [
        (1, 16384, 1),
        (1, 16385, 2),
        (2, 8193, 2),
        (3, 4096, 1),
        (9, 2049, 2),
        (18, 1024, 1),
        (19, 513, 2),  # deep: 1024 x 18
        (36, 512, 1),
        (37, 512, 2),
    ],
)
def test_weights_in_blocks_by_hand(lanes, words, blocks):
    binary = Numbers(1, 1, 1)
    assert resources.weight_bram18(lanes * words, 1, lanes, binary) == blocks


def test_other_memories_by_hand():
    ultra = Numbers(8, 8, 8, weight_memory="ultra")
    assert resources.weight_urams(10 * 5000, 5, 2, ultra) == 2 * 2
    assert resources.weight_bram18(10 * 5000, 5, 2, ultra) == 0
    assert resources.weight_urams(10 * 5000, 5, 2, Numbers(8, 8, 8)) == 0
    assert resources.window_bram18(FIRST, 3, 8) == 1  # 67 words of 24 bits
    assert (
        resources.window_bram18(Slide(64, (56, 56), (54, 54), (3, 3)), 1, 8) == 4
    )  # 7360 words: 8192 x 2
    # 20480 words of 4 bits: 16384 x 1, and of the last 4096 a block holds all four
    long = Slide(1, (1, 20480), (1, 1), (1, 20480))
    assert resources.window_bram18(long, 1, 4) == 4 + 1
    assert resources.stream_luts(4, 8) == 32


LAYERS = st.tuples(st.integers(1, 96), st.integers(1, 96), st.integers(1, 50))


@st.composite
def foldings(draw):
    """A layer and two foldings of it, the second at least as parallel."""
    fan_in, outputs, vectors = draw(LAYERS)
    pe = sorted(draw(st.sampled_from(divisors(outputs))) for _ in range(2))
    simd = sorted(draw(st.sampled_from(divisors(fan_in))) for _ in range(2))
    return fan_in, outputs, vectors, np.array(pe), np.array(simd)


@given(foldings())
def test_more_parallel_is_faster_and_takes_more_logic(case):
    fan_in, outputs, vectors, pe, simd = case
    slow, fast = cycles.mvau_cycles(fan_in, outputs, vectors, pe, simd)
    assert fast <= slow
    assert (fast < slow) == (pe[1] * simd[1] > pe[0] * simd[0])
    assert fast * pe[1] * simd[1] == fan_in * outputs * vectors  # no work is lost
    for numbers in (W2A2, Numbers(8, 8, 8, multipliers="dsp")):
        small, large = resources.compute_luts(fan_in, outputs, pe, simd, numbers)
        assert small <= large
        assert np.diff(resources.compute_dsps(pe, simd, numbers)) >= 0


@given(foldings(), st.integers(1, 16))
def test_memory_blocks_hold_the_weights(case, bits):
    fan_in, outputs, _, pe, simd = case
    weights = fan_in * outputs
    blocks = resources.weight_bram18(weights, pe, simd, Numbers(bits, 8, 8))
    assert (blocks * 18 * 1024 >= weights * bits).all()
    ultra = Numbers(bits, 8, 8, weight_memory="ultra")
    assert (resources.weight_urams(weights, pe, simd, ultra) * 72 * 4096 >= weights * bits).all()


@st.composite
def slides(draw):
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    outputs = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    size = tuple((o - 1) * s + k for o, s, k in zip(outputs, stride, kernel, strict=True))
    return Slide(
        draw(st.integers(1, 24)), size, outputs, kernel, stride, (1, 1), draw(st.booleans())
    )


@given(slides())
def test_windows_are_faster_with_more_channels_at_once(slide):
    simd = np.array(divisors(slide.channels))
    taken = cycles.window_cycles(slide, simd)
    assert (np.diff(taken) < 0).all()
    folds = slide.channels // simd
    # Every tap of every window leaves, one word at a time; along a line FINN starts early.
    early = math.prod(slide.kernel) if min(slide.size) == 1 else 0
    assert (taken + early >= math.prod(slide.outputs) * math.prod(slide.kernel) * folds).all()
    assert (cycles.window_depth(slide, simd) >= slide.span * folds).all()


@given(st.integers(1, 4000), st.integers(1, 16), st.integers(1, 16), st.booleans())
def test_no_sum_overflows_its_accumulator(fan_in, weight_bits, input_bits, signed):
    numbers = Numbers(weight_bits, input_bits, 8, signed, sum_bits=64)
    assume(weight_bits > 1)
    largest = fan_in * 2 ** (weight_bits - 1) * 2 ** (input_bits - signed)
    assert 2 ** (resources.accumulator_bits(fan_in, numbers) - 1) >= largest
