"""Runs inside the simulator: `dovetail_sequencer` against loops unrolled by hand."""

import cocotb
import numpy as np

from dovetail.ir.encoding import ENTRY_BYTES, encode, encode_instruction
from dovetail.ir.isa import Fill, Load, Scratchpad, Transfer
from dovetail.ir.program import HardwareLoop, Program
from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

CASE = case()


def load(number):
    return Load(Fill(Transfer(number, 1, 0, 1, 0, 1), Scratchpad.INPUT, 0, 1))


def random_body(rng, depth):
    """Random instructions and loops."""
    items = []
    for _ in range(int(rng.integers(1, 4))):
        if depth and rng.random() < 0.6:
            items.append(random_loop(rng, random_body(rng, depth - 1)))
        else:
            items.append(load(int(rng.integers(2**31))))
    return tuple(items)


def random_loop(rng, body):
    steps = tuple(int(step) for step in rng.integers(-(2**31), 2**31, 2))
    return HardwareLoop(int(rng.integers(1, 4)), body, load_step=steps)


def deepest(depth):
    """Loops around each other."""
    body = (load(7),)
    for level in range(depth):
        body = (HardwareLoop(2, body, load_step=(level, -level)),)
    return body


class Unrolled:
    """(entry, A, B, marks before it) of all instructions; `marks` are those behind the last."""

    def __init__(self, program):
        self.steps, self.marks, self.a, self.b = [], 0, 0, 0
        self.visit(program.body)

    def visit(self, body):
        for item in body:
            if not isinstance(item, HardwareLoop):
                entry = encode_instruction(item)
                self.steps.append((entry, self.a % 2**32, self.b % 2**32, self.marks))
                self.marks = 0
                continue
            self.marks += 1
            for i in range(item.count):
                self.a += item.load_step[0] * (i > 0)
                self.b += item.load_step[1] * (i > 0)
                self.visit(item.body)
                self.marks += 1


async def store(device, program):
    """Writes the entries of the load queue."""
    entries = encode(program)[0]
    assert len(entries) // ENTRY_BYTES <= CASE["Depth"]
    for i in range(len(entries) // ENTRY_BYTES):
        entry = int.from_bytes(entries[i * ENTRY_BYTES : (i + 1) * ENTRY_BYTES], "little")
        await device.cycle(write_i=1, write_address_i=i, write_data_i=entry)


async def run(device, program, rng, eager):
    """Runs a program and checks every cycle."""
    steps = Unrolled(program)
    await device.cycle(run_i=1)
    readable = device.now
    for entry, a, b, marks in steps.steps:
        readable += 2 * (1 + marks)
        begin = readable + (0 if eager else int(rng.integers(0, 4)))
        while device.now < begin:
            await device.cycle(start_i=int(device.now + 1 == begin))
            assert device.read("ready_o") == (device.now >= readable), device.now
            assert device.read("halted_o") == 0
        seen = [device.read(name) for name in ("entry_o", "address_a_o", "address_b_o")]
        assert seen == [entry, a, b]
        readable = begin
    halt = readable + 2 * (1 + steps.marks)
    while device.now < halt + 3:
        await device.cycle()
        assert device.read("ready_o") == 0
        assert device.read("halted_o") == (device.now >= halt)


@cocotb.test()
async def every_entry_takes_two_cycles(dut):
    rng = np.random.default_rng(CASE["seed"])
    writes = ("write_i", "write_address_i", "write_data_i")
    device = Clocked(dut, "run_i", "start_i", *writes)
    await device.reset()
    bodies = [random_body(rng, 3) for _ in range(CASE["programs"])]
    for i, body in enumerate([(load(1),), (), deepest(8), *bodies]):
        program = Program("test", body)
        await store(device, program)
        await run(device, program, rng, eager=i % 2 == 0)
