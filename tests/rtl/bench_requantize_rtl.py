"""Runs inside the simulator: words through `dovetail_requantize` against sim.values.

Inputs are driven at falling edges and outputs read there.
"""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from dovetail.ir.encoding import PARAM, pack
from dovetail.sim.values import requantize
from tests.rtl.icarus import case

CASE = case()
COLS, INPUT_BITS, ACC_BITS = CASE["Cols"], CASE["InputBits"], CASE["AccBits"]


def limits(bits):
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def signed(value, bits):
    value &= 2**bits - 1
    return value - 2**bits if value >> (bits - 1) else value


def join(lanes, bits):
    return sum((int(lane) & (2**bits - 1)) << (i * bits) for i, lane in enumerate(lanes))


def split(word, bits):
    return [signed(word >> (i * bits), bits) for i in range(COLS)]


def some(rng, low, high, extremes):
    """A random value of a random magnitude, or an extreme one."""
    if rng.random() < 0.3:
        return int(rng.choice(extremes))
    return max(low, min(high, int(rng.integers(low, high + 1)) >> int(rng.integers(0, 24))))


def lane(rng):
    """An accumulator and its parameters."""
    low, high = limits(ACC_BITS)
    shift = int(rng.choice([0, 1, 57, 58, 61, 62])) if rng.random() < 0.3 else rng.integers(0, 63)
    return {
        "acc": some(rng, low, high, [low, high, 0, -1, 1]),
        "bias": some(rng, *limits(32), [*limits(32), 0, -1, 1]),
        "multiplier": some(rng, 0, 2**26 - 1, [0, 1, 2**25, 2**26 - 1]),
        "shift": int(shift),
    }


def expected(lanes, wide, zero_point, low, high):
    sums = np.array([signed(one["acc"] + one["bias"], ACC_BITS) for one in lanes])
    if wide:
        return sums.tolist()
    multiplier, shift = (np.array([one[key] for one in lanes]) for key in ("multiplier", "shift"))
    # Clipping twice is clipping to the narrower range.
    values = requantize(sums, multiplier, shift, zero_point, bits=INPUT_BITS)
    return np.clip(values, low, high).tolist()


async def run_words(dut, rng, words, wide, zero_point, low, high):
    """Words one after the other, with gaps and stalls: results come in order, 5 moves later."""
    dut.wide_i.value, dut.zero_point_i.value = int(wide), zero_point & 0xFFFF
    dut.low_i.value, dut.high_i.value = low & 0xFFFF, high & 0xFFFF
    line = [None] * 5
    bits = ACC_BITS if wide else INPUT_BITS
    for step in range(words + 5):
        enable = 0
        while not enable:
            await FallingEdge(dut.clk_i)
            assert int(dut.valid_o.value) == (line[-1] is not None)
            if line[-1] is not None:
                assert split(dut.word_o.value.to_unsigned(), bits) == line[-1]
            enable = int(rng.random() < 0.8)
            lanes = [lane(rng) for _ in range(COLS)]
            valid = int(step < words and rng.random() < 0.9)
            dut.enable_i.value, dut.valid_i.value = enable, valid
            dut.acc_i.value = join([one["acc"] for one in lanes], ACC_BITS)
            dut.param_i.value = join([pack(PARAM, one, "lane") for one in lanes], 64)
        new = expected(lanes, wide, zero_point, low, high) if valid else None
        line = [new, *line[:-1]]
    await FallingEdge(dut.clk_i)


@cocotb.test()
async def words_come_out_as_sim_values_says(dut):
    rng = np.random.default_rng(CASE["seed"])
    Clock(dut.clk_i, 2, unit="step").start()
    dut.rst_ni.value, dut.enable_i.value, dut.valid_i.value = 0, 0, 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value = 1
    full = limits(INPUT_BITS)
    for zero_point, low, high in (
        (0, *full), (full[0], *full), (full[1], *full), (1, 0, full[1]), (-1, -1, -1),
    ):  # fmt: skip
        await run_words(dut, rng, CASE["words"], False, zero_point, low, high)
    await run_words(dut, rng, CASE["words"], True, -1, *full)


@cocotb.test()
async def ties_round_up_and_a_shift_of_63_leaves_nothing(dut):
    """Known values, beyond what sim.values takes."""
    Clock(dut.clk_i, 2, unit="step").start()
    dut.rst_ni.value = 0
    await FallingEdge(dut.clk_i)
    dut.rst_ni.value, dut.enable_i.value, dut.valid_i.value, dut.wide_i.value = 1, 1, 1, 0
    dut.zero_point_i.value = 0
    low, high = limits(INPUT_BITS)
    dut.low_i.value, dut.high_i.value = low & 0xFFFF, high
    lowest = limits(ACC_BITS)[0]
    for acc, multiplier, shift, result in (
        (1, 1, 1, 1), (-1, 1, 1, 0), (-2, 3, 2, -1), (1, 2, 2, 1), (-3, 1, 1, -1), (1, 1, 2, 0),
        (lowest, 2**26 - 1, 63, 0), (-lowest - 1, 2**26 - 1, 63, 0), (-1, 1, 63, 0),
    ):  # fmt: skip
        param = pack(PARAM, {"bias": 0, "multiplier": multiplier, "shift": shift}, "lane")
        dut.acc_i.value = join([acc] * COLS, ACC_BITS)
        dut.param_i.value = join([param] * COLS, 64)
        for _ in range(6):
            await FallingEdge(dut.clk_i)
        clipped = max(low, min(high, result))
        assert split(dut.word_o.value.to_unsigned(), INPUT_BITS) == [clipped] * COLS
