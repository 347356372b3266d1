"""Runs inside the simulator: `dovetail_fetch` on chains of segments of random words."""

import cocotb
import numpy as np

from dovetail.ir.encoding import ENTRY_BYTES, HEADER, pack
from tests.rtl.clocked import Clocked, Memory
from tests.rtl.icarus import case

CASE = case()
BUS_BYTES = CASE["BusBits"] // 8
PARAM_BYTES = CASE["ParamWidth"] // 8
KINDS = ("load", "execute", "store", "param")
INPUTS = ("start_i", "address_i", "finished_i", "arready_i", "rvalid_i", "rdata_i")


class Segment:
    """Random counts and words at a random place of the memory."""

    def __init__(self, rng, address):
        self.address = address
        self.counts = [int(n) for n in rng.integers((1, 1, 1, 0), (CASE["entries"], 9, 5, 6))]
        sizes = [ENTRY_BYTES, ENTRY_BYTES, ENTRY_BYTES, PARAM_BYTES]
        self.words = [
            (kind, i, rng.bytes(size))
            for kind, count, size in zip(KINDS, self.counts, sizes, strict=True)
            for i in range(count)
        ]
        self.body = b"".join(data for *_, data in self.words)

    def image(self, following):
        names = [name for name, _ in HEADER]
        header = pack(HEADER, dict(zip(names, [*self.counts, following], strict=True)), "header")
        return header.to_bytes(ENTRY_BYTES, "little") + self.body

    def writes(self):
        """(kind, address, data) that the memories must receive."""
        bits = dict.fromkeys(KINDS, CASE["EntryBits"]) | {"param": CASE["ParamWidth"]}
        return [
            (kind, i, int.from_bytes(data, "little") % 2 ** bits[kind])
            for kind, i, data in self.words
        ]


def chain(rng):
    """Segments and the memory that holds them."""
    segments, at = [], 64 * int(rng.integers(1, 64))
    for _ in range(3):
        segments.append(Segment(rng, at))
        at += 64 * (int(rng.integers(1, 8)) - (-len(segments[-1].body) // 64) + 1)
    image = bytearray(rng.bytes(at))
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        data = segment.image(following.address if following else 0)
        image[segment.address : segment.address + len(data)] = data
    return segments, bytes(image)


async def until(device, memory, name, **first):
    """Runs to the cycle in which an output is high; returns the words written up to then."""
    written, values, limit = [], first, device.now + 20000
    while True:
        inputs = memory.inputs(device.now + 1)
        del inputs["rlast_i"]
        await device.cycle(**values, **inputs)
        memory.watch(device, inputs)
        for kind in KINDS:
            if device.read(f"{kind}_write_o"):
                data = device.read("param_o" if kind == "param" else "entry_o")
                written.append((kind, device.read("write_address_o"), data))
        if device.read(name):
            return written
        values = {}
        assert device.now < limit


async def run(device, memory, segments, rng, check):
    """Runs a chain; check(segment, cycles from its first to the one in which it runs)."""
    pulse = {"start_i": 1, "address_i": segments[0].address}
    for segment in segments:
        begin = device.now + 1
        first = await until(device, memory, "segment_o", **pulse)
        assert device.now == begin
        assert not first
        assert await until(device, memory, "run_o") == segment.writes()
        check(segment, device.now - begin)
        for _ in range(int(rng.integers(0, 5))):
            await device.cycle()
            assert device.read("busy_o") == 1
        pulse = {"finished_i": 1}
    await device.cycle(**pulse)
    assert (device.read("done_o"), device.read("segment_o")) == (0, 0)
    for _ in range(3):
        await device.cycle()
        assert (device.read("done_o"), device.read("busy_o")) == (1, 0)


@cocotb.test()
async def segments_take_the_cycles_of_the_memory(dut):
    rng = np.random.default_rng(CASE["seed"])
    device = Clocked(dut, *INPUTS)
    await device.reset()
    for latency, bandwidth in CASE["channels"]:
        segments, image = chain(rng)
        memory = Memory(image, BUS_BYTES, latency, bandwidth)

        def check(segment, cycles, latency=latency, bandwidth=bandwidth):
            beats = -(-ENTRY_BYTES // bandwidth) - (-len(segment.body) // bandwidth)
            assert cycles == 2 * latency + beats + 4

        await run(device, memory, segments, rng, check)


@cocotb.test()
async def pauses_change_no_word(dut):
    rng = np.random.default_rng(CASE["seed"] + 1)
    device = Clocked(dut, *INPUTS)
    await device.reset()
    for _ in range(2):
        segments, image = chain(rng)
        memory = Memory(image, BUS_BYTES, rng=rng)
        await run(device, memory, segments, rng, lambda *_: None)
