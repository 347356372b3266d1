"""Runs inside the simulator: stores through `dovetail_store` against a model of what they write.

In every cycle, inputs are driven at the falling edge, outputs read when all has settled, and the
next rising edge carries out both.
"""

from collections import deque

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

from dovetail.ir.encoding import PARAM, encode_instruction, pack
from dovetail.ir.isa import Store, Transfer
from tests.rtl.icarus import case

CASE = case()
COLS, INPUT_BITS, ACC_BITS = CASE["Cols"], CASE["InputBits"], CASE["AccBits"]
BUS_BYTES = CASE["BusBits"] // 8
OVERHEAD = 11
ACC_WORDS, PARAM_WORDS = 256, 64
LOW, HIGH = -(2 ** (INPUT_BITS - 1)), 2 ** (INPUT_BITS - 1) - 1


def signed(value, bits):
    value &= 2**bits - 1
    return value - 2**bits if value >> (bits - 1) else value


def join(lanes, bits):
    return sum((int(lane) & (2**bits - 1)) << (i * bits) for i, lane in enumerate(lanes))


def narrow(total, param, store):
    half = 1 << (param["shift"] - 1) if param["shift"] else 0
    value = ((total * param["multiplier"] + half) >> param["shift"]) + store.zero_point
    return max(store.low, min(store.high, value))


class Memories:
    """Accumulators (two halves) and parameters: random contents."""

    def __init__(self, rng):
        self.acc = rng.integers(-(2 ** (ACC_BITS - 1)), 2 ** (ACC_BITS - 1), (2, ACC_WORDS, COLS))
        self.param = [
            [
                {
                    "bias": int(rng.integers(-(2**31), 2**31)),
                    "multiplier": int(rng.integers(0, 2**26)),
                    "shift": int(rng.integers(0, 64)),
                }
                for _ in range(COLS)
            ]
            for _ in range(PARAM_WORDS)
        ]

    def acc_word(self, half, address):
        return join(self.acc[half][address], ACC_BITS)

    def param_word(self, address):
        return join([pack(PARAM, lane, "lane") for lane in self.param[address]], 64)

    def beats(self, store, half, param_base):
        """All beats that a store writes, in order."""
        for m in range(store.pixels):
            for nb in range(store.blocks):
                params = self.param[store.param + param_base + (m if store.param_per_pixel else nb)]
                accs = self.acc[half][nb * store.pixels + m]
                sums = [
                    signed(int(acc) + param["bias"], ACC_BITS)
                    for acc, param in zip(accs, params, strict=True)
                ]
                if store.wide:
                    word = join(sums, ACC_BITS)
                else:
                    lanes = [narrow(s, p, store) for s, p in zip(sums, params, strict=True)]
                    word = join(lanes, INPUT_BITS)
                for beat in range(store.word_beats):
                    yield word >> (beat * 8 * BUS_BYTES) & (2 ** (8 * BUS_BYTES) - 1)


def addresses(transfer, base):
    """Address of every beat, in order."""
    for row in range(transfer.rows):
        for column in range(transfer.columns):
            run = transfer.row_stride * row + transfer.column_stride * column
            for beat in range(transfer.run_beats):
                yield base + transfer.address + run + beat * BUS_BYTES


def bursts(transfer, base):
    """Address and beats of every burst: runs, cut at 256 beats and at 4 KiB."""
    for row in range(transfer.rows):
        for column in range(transfer.columns):
            at = base + transfer.address
            at += transfer.row_stride * row + transfer.column_stride * column
            left = transfer.run_beats
            while left:
                beats = min(left, 256, (4096 - at % 4096) // BUS_BYTES)
                yield at, beats
                at, left = at + beats * BUS_BYTES, left - beats


def transfer_of(rng, words, word_beats):
    """A transfer of words * word_beats beats: runs of a pixel, of several ones, or of all."""
    divisors = [d for d in range(1, words + 1) if words % d == 0]
    columns = int(rng.choice(divisors))
    rest = words // columns
    rows = int(rng.choice([d for d in range(1, rest + 1) if rest % d == 0]))
    run_beats = rest // rows * word_beats
    gap, page = int(rng.integers(0, 3)), int(rng.integers(0, 2))
    column_stride = (run_beats + gap) * BUS_BYTES
    address = page * (4096 - int(rng.integers(1, 9)) * BUS_BYTES)
    return Transfer(address, rows, columns * column_stride, columns, column_stride, run_beats)


def store_of(rng):
    wide = bool(rng.integers(0, 2))
    full = max(1, COLS * (ACC_BITS if wide else INPUT_BITS) // (8 * BUS_BYTES))
    word_beats = int(rng.choice([1, full, rng.integers(1, full + 1)]))
    blocks = int(rng.integers(1, 5))
    pixels = int(rng.choice([1, 2, rng.integers(1, 49)]))
    transfer = transfer_of(rng, blocks * pixels, word_beats)
    low = int(rng.integers(LOW, 1))
    return Store(
        transfer, blocks, pixels, word_beats, wide, int(rng.integers(0, 4)),
        bool(rng.integers(0, 2)), int(rng.integers(LOW, HIGH + 1)), low,
        int(rng.integers(low, HIGH + 1)),
    )  # fmt: skip


class Slave:
    """Memory channel with exact times, or with random ones if `bandwidth` is None."""

    def __init__(self, rng, bandwidth):
        self.rng, self.bandwidth = rng, bandwidth
        self.cycle, self.first = 0, 0
        self.lengths, self.answers = deque(), 0
        self.taken = self.in_burst = 0
        self.bursts, self.beats = [], []

    def inputs(self):
        """awready, wready and bvalid of this cycle."""
        if self.bandwidth is None:
            # Data may be taken before their address.
            ready = self.rng.random(3) < (0.4, 0.6, 0.3)
            return bool(ready[0]), bool(ready[1]), bool(ready[2]) and self.answers > 0
        cost = (self.taken + 1) * BUS_BYTES * 256
        due = (self.cycle - self.first) * self.bandwidth >= cost
        return True, bool(self.lengths) and due, self.answers > 0

    def address(self, address, length):
        if not self.lengths and not self.answers:
            self.first, self.taken = self.cycle, 0
        self.bursts.append((address, length + 1))
        self.lengths.append(length + 1)

    def data(self, beat, last):
        self.beats.append((beat, last))
        self.taken += 1

    def settle(self, answered):
        """Answers are due for bursts whose address and data have both come."""
        self.answers -= answered
        lasts = sum(last for _, last in self.beats)
        done = len(self.bursts) - len(self.lengths)
        while self.lengths and done < lasts:
            self.lengths.popleft()
            self.answers += 1
            done += 1
        self.cycle += 1


class Bench:
    def __init__(self, dut, rng):
        self.dut, self.rng, self.memories = dut, rng, Memories(rng)
        self.half, self.held = 0, None

    async def reset(self):
        Clock(self.dut.clk_i, 2, unit="step").start()
        self.dut.rst_ni.value = 0
        for name in ("clear_i", "start_i", "awready_i", "wready_i", "bvalid_i"):
            getattr(self.dut, name).value = 0
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def clear(self):
        self.dut.clear_i.value, self.dut.bvalid_i.value = 1, 0
        await FallingEdge(self.dut.clk_i)
        self.dut.clear_i.value = 0
        self.half = 0

    def read_memories(self):
        """What reads of this cycle return in the next one; outputs stay until the next read."""
        dut = self.dut
        assert int(dut.acc_read_o.value) == int(dut.param_read_o.value)
        if int(dut.acc_read_o.value):
            assert int(dut.acc_read_half_o.value) == self.half
            return (
                self.memories.acc_word(self.half, int(dut.acc_read_address_o.value)),
                self.memories.param_word(int(dut.param_read_address_o.value)),
            )
        return None

    def check_held(self, awready, wready):
        """valid and payload stay until ready."""
        dut = self.dut
        aw = (dut.awaddr_o, dut.awlen_o) if int(dut.awvalid_o.value) else None
        w = (dut.wdata_o, dut.wlast_o) if int(dut.wvalid_o.value) else None
        aw, w = (None if one is None else tuple(int(s.value) for s in one) for one in (aw, w))
        if self.held:
            assert self.held[0] in (None, aw)
            assert self.held[1] in (None, w)
        self.held = (None if awready else aw, None if wready else w)
        return aw, w

    async def run(self, store, base, param_base, slave):
        """One store; returns cycles from its start to its end."""
        dut, read = self.dut, None
        for cycle in range(20_000):
            awready, wready, bvalid = slave.inputs()
            dut.start_i.value = int(cycle == 0)
            dut.entry_i.value = (
                encode_instruction(store) if cycle == 0 else int(self.rng.integers(0, 2**63)) << 60
            )
            dut.address_a_i.value = base if cycle == 0 else int(self.rng.integers(0, 2**32))
            dut.address_b_i.value = param_base if cycle == 0 else int(self.rng.integers(0, 2**32))
            dut.awready_i.value, dut.wready_i.value, dut.bvalid_i.value = awready, wready, bvalid
            if read:
                dut.acc_read_data_i.value, dut.param_read_data_i.value = read
            await ReadOnly()
            assert int(dut.bready_o.value) == 1
            aw, w = self.check_held(awready, wready)
            if aw and awready:
                slave.address(*aw)
            if w and wready:
                slave.data(*w)
            slave.settle(bvalid)
            read, done = self.read_memories(), int(dut.done_o.value)
            await FallingEdge(dut.clk_i)
            if done:
                self.half ^= 1
                return cycle + 1
        raise AssertionError("the store does not end")


async def check_store(bench, rng, bandwidth):
    """One random store; returns how long it took and how long it should."""
    store, slave = store_of(rng), Slave(rng, bandwidth)
    base, param_base = int(rng.integers(0, 1000)) * BUS_BYTES, int(rng.integers(0, 9))
    beats = list(bench.memories.beats(store, bench.half, param_base))
    cycles = await bench.run(store, base, param_base, slave)
    wanted = list(bursts(store.transfer, base))
    assert slave.bursts == wanted
    assert [beat for beat, _ in slave.beats] == beats
    lasts = np.cumsum([length for _, length in wanted]) - 1
    assert [i for i, (_, last) in enumerate(slave.beats) if last] == lasts.tolist()
    at = [a + i * BUS_BYTES for a, length in wanted for i in range(length)]
    assert at == list(addresses(store.transfer, base))
    channel = -(-len(beats) * BUS_BYTES * 256 // bandwidth) if bandwidth else None
    return cycles, channel and channel + OVERHEAD


async def started(dut):
    rng = np.random.default_rng(CASE["seed"])
    bench = Bench(dut, rng)
    await bench.reset()
    await bench.clear()
    return bench, rng


@cocotb.test()
async def stores_take_the_channel_and_a_constant(dut):
    bench, rng = await started(dut)
    full = BUS_BYTES * 256
    for bandwidth in (full, full, full - 1, full // 3, full // 2 + 77) * CASE["rounds"]:
        cycles, wanted = await check_store(bench, rng, bandwidth)
        if cycles != wanted:
            assert cycles == wanted, bandwidth


@cocotb.test()
async def stores_bear_any_backpressure(dut):
    bench, rng = await started(dut)
    for step in range(4 * CASE["rounds"]):
        if step == 3:
            await bench.clear()
        await check_store(bench, rng, None)
