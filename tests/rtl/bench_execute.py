"""Runs inside the simulator: instructions through `dovetail_execute` against plain loops.

The scratchpads are arrays here; a word that is read is at the input from the next cycle on.
"""

import cocotb
import numpy as np

from dovetail.ir.encoding import encode_instruction
from dovetail.ir.isa import Multiply, Vector, VectorMode, Window
from dovetail.sim.rtl_timing import multiply_duration, vector_duration
from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

CASE = case()
ROWS, COLS, STATIONARY = CASE["Rows"], CASE["Cols"], CASE["Stationary"]
INPUT_BITS, WEIGHT_BITS, ACC_BITS = CASE["InputBits"], CASE["WeightBits"], CASE["AccBits"]
LANES = min(ROWS, COLS)
DEPTH = 256
INPUTS = ("clear_i", "start_i", "entry_i", "input_read_data_i", "weight_read_data_i",
          "acc_read_data_i")  # fmt: skip


def pack(vector, bits):
    return sum((int(v) & (2**bits - 1)) << (i * bits) for i, v in enumerate(vector))


def unpack(word, bits, count):
    return signed([(word >> (i * bits)) & (2**bits - 1) for i in range(count)], bits)


def signed(values, bits):
    """Values wrapped around at a signed width."""
    values = np.asarray(values, dtype=np.int64) & (2**bits - 1)
    return values - ((values >> (bits - 1)) << bits)


def random_numbers(rng, shape, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    numbers = rng.integers(low, high + 1, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([low, high], shape), numbers)


def random_window(rng):
    r, s, p, q = (int(n) for n in rng.integers(1, (4, 3, 4, 5)))
    stride_y, stride_x, dilation_y, dilation_x = (int(n) for n in rng.integers(1, 4, 4))
    origin_y, origin_x = (-int(n) for n in rng.integers(0, 4, 2))
    height, width = (int(n) for n in rng.integers(1, 8, 2))
    return Window(
        p, q, r, s, stride_y, stride_x, dilation_y, dilation_x, origin_y, origin_x, height, width,
        int(rng.integers(1, 3)), int(rng.integers(-(2 ** (INPUT_BITS - 1)), 2 ** (INPUT_BITS - 1))),
    )  # fmt: skip


def random_multiply(rng, first):
    columns = int(rng.integers(1, 4))
    while True:
        window = random_window(rng)
        if window.taps * window.blocks * columns * ROWS <= DEPTH:
            flag = bool(rng.integers(2))
            return Multiply(window, columns, first, flag, bool(rng.integers(2)) or first, True)


def random_vector(rng):
    a, b = (int(n) for n in rng.integers(-(2**15), 2**15, 2))
    return Vector(random_window(rng), VectorMode(int(rng.integers(2))), a, b)


def windows(words, w):
    """[pixel, tap, block, lane] of an input scratchpad."""
    out = np.full((w.pixels, w.taps, w.blocks, words.shape[1]), w.pad)
    for m in range(w.pixels):
        for t in range(w.taps):
            y = m // w.q * w.stride_y + t // w.s * w.dilation_y + w.origin_y
            x = m % w.q * w.stride_x + t % w.s * w.dilation_x + w.origin_x
            if 0 <= y < w.height and 0 <= x < w.width:
                start = (y * w.width + x) * w.blocks
                out[m, t] = words[start : start + w.blocks]
    return out


class Engine:
    """The engine, its scratchpads, and what they should hold."""

    def __init__(self, dut, rng):
        self.device = Clocked(dut, *INPUTS)
        self.dut, self.rng = dut, rng
        self.input = random_numbers(rng, (2, DEPTH, ROWS), INPUT_BITS)
        self.weight = random_numbers(rng, (2, DEPTH, COLS), WEIGHT_BITS)
        self.acc = random_numbers(rng, (2, DEPTH, COLS), ACC_BITS)
        self.halves = [1, 1, 1]

    def serve(self):
        """Carries out the reads and the write of this cycle; returns the data of the next one."""
        read, data = self.device.read, {}
        for name, memory, bits in (
            ("input", self.input, INPUT_BITS),
            ("weight", self.weight, WEIGHT_BITS),
            ("acc", self.acc, ACC_BITS),
        ):
            if read(f"{name}_read_o"):
                word = memory[read(f"{name}_read_half_o"), read(f"{name}_read_address_o")]
                data[f"{name}_read_data_i"] = pack(word, bits)
        if read("acc_write_o"):
            half, address = read("acc_write_half_o"), read("acc_write_address_o")
            self.acc[half, address] = unpack(read("acc_write_data_o"), ACC_BITS, COLS)
        return data

    async def run(self, instruction):
        """Runs an instruction and returns its cycles."""
        inputs = {"start_i": 1, "entry_i": encode_instruction(instruction)}
        noise = int.from_bytes(self.rng.bytes(64), "little")
        for cycles in range(1, 20_000):
            await self.device.cycle(**inputs)
            inputs = {"entry_i": noise, **self.serve()}
            if self.device.read("done_o"):
                return cycles
        raise AssertionError("the instruction does not end")

    def toggle(self, instruction):
        vector = isinstance(instruction, Vector)
        self.halves[0] ^= vector or instruction.new_input
        self.halves[1] ^= not vector and instruction.new_weight
        self.halves[2] ^= vector or instruction.first

    def sums(self, i):
        """What a Multiply adds: [column block, pixel, lane]."""
        moving = windows(self.input[self.halves[0]], i.window)
        moving = moving.reshape(i.window.pixels, -1)
        count = i.columns * moving.shape[1]
        weights = self.weight[self.halves[1], :count].reshape(i.columns, -1, COLS)
        return np.einsum("mk,nkc->nmc", moving, weights).reshape(-1, COLS)

    def reduced(self, i):
        """What a Vector writes: [block, pixel, lane]."""
        moving = windows(self.input[self.halves[0]], i.window)[..., :LANES].astype(np.int64)
        if i.mode == VectorMode.MAX:
            values = moving.max(axis=1)
        else:
            weight = np.full(i.window.taps, i.weight_b)
            weight[: i.window.s] = i.weight_a
            values = np.einsum("mtbl,t->mbl", moving, weight)
        return values.transpose(1, 0, 2).reshape(-1, LANES)

    async def check(self, instruction):
        self.toggle(instruction)
        want = self.acc.copy()
        half = want[self.halves[2]]
        if isinstance(instruction, Vector):
            values, lanes, add = self.reduced(instruction), LANES, False
        else:
            values, lanes, add = self.sums(instruction), COLS, not instruction.first
        half[: len(values), :lanes] = signed(values + add * half[: len(values), :lanes], ACC_BITS)
        cycles = await self.run(instruction)
        if isinstance(instruction, Vector):
            want[self.halves[2], : len(values), lanes:] = 0
        np.testing.assert_array_equal(self.acc, want, err_msg=str(instruction))
        assert cycles == duration(instruction), instruction


def duration(i):
    words = i.window.taps * i.window.blocks
    if isinstance(i, Vector):
        return vector_duration(i.window.pixels, words)
    return multiply_duration(
        CASE["dataflow"], CASE["Overlap"], ROWS, COLS, i.window.pixels, i.columns, words
    )


@cocotb.test()
async def instructions_give_the_values_in_the_cycles_of_the_simulator(dut):
    rng = np.random.default_rng(CASE["seed"])
    engine = Engine(dut, rng)
    await engine.device.reset()
    first = True
    for step in range(CASE["instructions"]):
        if step % 5 == 0:
            await engine.device.cycle(clear_i=1)
            engine.halves, first = [1, 1, 1], True
        if rng.random() < 0.3:
            await engine.check(random_vector(rng))
        else:
            await engine.check(random_multiply(rng, first or bool(rng.integers(2))))
        first = False
