"""Runs inside the simulator: argument vectors through a generated pipeline, with gaps.

What is driven at a falling edge is accepted by the next rising edge, and what is read there is what
a consumer samples at that rising edge.
"""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from tests.rtl.icarus import case

CASE = case()


@cocotb.test()
async def pipeline_gives_every_result_after_its_latency(dut):
    gaps = np.random.default_rng(0)
    ports = [(getattr(dut, name), width) for name, width in CASE["arguments"]]
    Clock(dut.clk, 2, unit="step").start()
    dut.rst_ni.value, dut.valid_i.value = 0, 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst_ni.value = 1
    accepted, results = [], []
    waiting = list(CASE["vectors"])
    for edge in range(2 * len(waiting) + CASE["latency"] + 2):
        await FallingEdge(dut.clk)
        if int(dut.valid_o.value):
            results.append((edge, dut.out.value.to_unsigned()))
        # The first half comes without gaps: one vector per cycle.
        take = waiting and (len(waiting) > len(CASE["vectors"]) // 2 or gaps.random() < 0.6)
        dut.valid_i.value = int(bool(take))
        if take:
            accepted.append(edge)
            for (port, width), value in zip(ports, waiting.pop(0), strict=True):
                port.value = value & (2**width - 1)
    assert not waiting
    assert [value for _, value in results] == CASE["expected"]
    latencies = {end - start for start, (end, _) in zip(accepted, results, strict=True)}
    assert latencies == {CASE["latency"]}, f"{latencies}, reported {CASE['latency']}"
