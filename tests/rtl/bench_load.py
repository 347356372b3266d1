"""Runs inside the simulator: `dovetail_load` against words and cycles of plain loops."""

import cocotb
import numpy as np

from dovetail.ir.encoding import encode_instruction
from dovetail.ir.isa import NO_FILL, Fill, Load, Scratchpad, Transfer
from tests.rtl.clocked import Clocked, Memory
from tests.rtl.icarus import case

CASE = case()
BUS_BYTES = CASE["BusBits"] // 8
WIDTHS = {Scratchpad.INPUT: CASE["InputWidth"], Scratchpad.WEIGHT: CASE["WeightWidth"]}
IMAGE = np.random.default_rng(CASE["seed"]).bytes(2**16)
INPUTS = ("clear_i", "start_i", "entry_i", "address_a_i", "address_b_i", "arready_i", "rvalid_i",
          "rdata_i", "rlast_i")  # fmt: skip


def random_fill(rng):
    """A part that fills whole words, or nothing."""
    if rng.random() < 0.25:
        return NO_FILL
    target = Scratchpad(int(rng.integers(2)))
    word_beats = int(rng.integers(1, WIDTHS[target] // CASE["BusBits"] + 1))
    rows, columns, words = (int(n) for n in rng.integers(1, (4, 4, 8)))
    strides = [int(n) * BUS_BYTES for n in rng.integers(0, 64, 2)]
    run_beats = words * word_beats
    if rng.random() < 0.5:  # words lie across runs
        columns, run_beats = columns * word_beats, words
    address = int(rng.integers(2**15 // BUS_BYTES)) * BUS_BYTES
    transfer = Transfer(address, rows, strides[0], columns, strides[1], run_beats)
    return Fill(transfer, target, int(rng.integers(2**16)), word_beats)


class Expected:
    """Writes of loads: (target, half, address, low lanes)."""

    def __init__(self):
        self.halves = dict.fromkeys(Scratchpad, 1)

    def writes(self, load, base):
        for target in Scratchpad:
            self.halves[target] ^= load.fills(target)
        found = []
        for fill, offset in zip((load.a, load.b), base, strict=True):
            beats = [self.beat(address) for address in addresses(fill.transfer, offset)]
            for i in range(0, len(beats), fill.word_beats):
                data = b"".join(beats[i : i + fill.word_beats])
                word = (fill.word + i // fill.word_beats) % 2**16
                low = int.from_bytes(data, "little")
                found.append((fill.target, self.halves[fill.target], word, low, len(data) * 8))
        return found

    @staticmethod
    def beat(address):
        return IMAGE[address : address + BUS_BYTES]


def addresses(t, base):
    for row in range(t.rows):
        for column in range(t.columns):
            run = t.address + base + row * t.row_stride + column * t.column_stride
            yield from range(run, run + t.run_beats * BUS_BYTES, BUS_BYTES)


def written(device):
    """(target, half, address, data) of this cycle's writes."""
    found = []
    for target in Scratchpad:
        prefix = f"{target.name.lower()}_write"
        if device.read(f"{prefix}_o"):
            rest = (device.read(f"{prefix}_{what}_o") for what in ("half", "address", "data"))
            found.append((target, *rest))
    return found


async def run(device, memory, expected, rng):
    """Runs a random load, checks its writes, and returns it with the cycles it took."""
    load = Load(random_fill(rng), random_fill(rng))
    base = [int(n) * BUS_BYTES for n in rng.integers(0, 2**12, 2)]
    values = {"start_i": 1, "entry_i": encode_instruction(load)}
    values |= {"address_a_i": base[0], "address_b_i": base[1]}
    writes, begin = [], device.now + 1
    while True:
        inputs = memory.inputs(device.now + 1)
        await device.cycle(**values, **inputs)
        memory.watch(device, inputs)
        writes += written(device)
        values = {}
        if device.read("done_o"):
            break
        assert device.now < begin + 20000
    wanted = expected.writes(load, base)
    assert len(writes) == len(wanted)
    for (target, half, word, data), (*place, low, bits) in zip(writes, wanted, strict=True):
        assert [target, half, word] == place
        assert data % 2**bits == low
    return load, device.now + 1 - begin


@cocotb.test()
async def loads_take_the_cycles_of_the_memory(dut):
    rng = np.random.default_rng(CASE["seed"])
    device = Clocked(dut, *INPUTS)
    await device.reset()
    for latency, bandwidth in CASE["channels"]:
        memory, expected = Memory(IMAGE, BUS_BYTES, latency, bandwidth), Expected()
        await device.cycle(clear_i=1)
        for _ in range(CASE["loads"]):
            load, cycles = await run(device, memory, expected, rng)
            busy = latency + -(-load.beats * BUS_BYTES // bandwidth) + 2
            assert cycles == (busy if load.beats else 1)


@cocotb.test()
async def pauses_change_no_word(dut):
    rng = np.random.default_rng(CASE["seed"] + 1)
    device = Clocked(dut, *INPUTS)
    await device.reset()
    memory, expected = Memory(IMAGE, BUS_BYTES, rng=rng), Expected()
    await device.cycle(clear_i=1)
    for _ in range(CASE["loads"]):
        await run(device, memory, expected, rng)
        for _ in range(int(rng.integers(3))):
            await device.cycle(rdata_i=memory.noise())
            assert device.read("done_o") == 0
