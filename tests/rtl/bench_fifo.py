"""Runs inside the simulator: `dovetail_fifo` against a deque."""

from collections import deque

import cocotb
import numpy as np

from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

CASE = case()


@cocotb.test()
async def words_come_out_in_order(dut):
    rng = np.random.default_rng(CASE["seed"])
    device = Clocked(dut, "valid_i", "ready_i", "data_i")
    await device.reset()
    held = deque()
    for i in range(600):
        push, pop = (int(rng.random() < p) for p in ((0.8, 0.3), (0.3, 0.8), (1, 1))[i // 200])
        data = int(rng.integers(2 ** CASE["Width"]))
        await device.cycle(valid_i=push, ready_i=pop, data_i=data)
        assert device.read("valid_o") == (len(held) > 0)
        assert device.read("ready_o") == (len(held) < CASE["Depth"])
        if held:
            assert device.read("data_o") == held[0]
        accepted = push and len(held) < CASE["Depth"]
        if pop and held:
            held.popleft()
        if accepted:
            held.append(data)
