"""Runs inside the simulator: `dovetail_double_buffer` against two arrays."""

import cocotb
import numpy as np
from cocotb.clock import Clock

from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

CASE = case()
WIDTH, DEPTH, READERS = CASE["Width"], CASE["Depth"], CASE["Readers"]
INPUTS = ("write_i", "write_half_i", "write_address_i", "write_data_i", "read_i", "read_half_i",
          "read_address_i")  # fmt: skip


def joined(numbers, bits):
    return sum(int(n) << (i * bits) for i, n in enumerate(numbers))


async def fill(device, words):
    for half, address in np.ndindex(*words.shape):
        data = int(words[half, address])
        await device.cycle(write_i=1, write_half_i=half, write_address_i=address, write_data_i=data)


@cocotb.test()
async def words_are_read_one_cycle_later_and_stay(dut):
    rng = np.random.default_rng(CASE["seed"])
    Clock(dut.clk_i, 4, unit="step").start()
    device = Clocked(dut, *INPUTS)
    words = rng.integers(0, 2**WIDTH, (2, DEPTH))
    await fill(device, words)
    shown = [None, None]  # word that each half shows to the reader that read it last
    meant = [0] * READERS
    for _ in range(200):
        halves = (int(rng.integers(2)) + np.arange(READERS)) % 2
        reads, addresses = rng.integers(0, 2, READERS), rng.integers(0, DEPTH, READERS)
        half, address = (int(n) for n in rng.integers(0, (2, DEPTH)))
        taken = [(h, a) for r, h, a in zip(reads, halves, addresses, strict=True) if r]
        write, data = (half, address) not in taken, int(rng.integers(2**WIDTH))
        await device.cycle(
            write_i=int(write), write_half_i=half, write_address_i=address, write_data_i=data,
            read_i=joined(reads, 1), read_half_i=joined(halves, 1),
            read_address_i=joined(addresses, 16),
        )  # fmt: skip
        got = dut.read_data_o.value
        for i, h in enumerate(meant):
            if shown[h] is not None:
                field = got[(i + 1) * WIDTH - 1 : i * WIDTH]
                assert field.to_unsigned() == shown[h]
        for i in range(READERS):
            if reads[i]:
                meant[i] = int(halves[i])
                shown[meant[i]] = int(words[halves[i], addresses[i]])
        if write:
            words[half, address] = data
