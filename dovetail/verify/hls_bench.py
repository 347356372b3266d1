"""Runs inside the simulator: argument vectors through a pipeline, back to back and with gaps.

Reads `case.json` in the folder of the run and writes what it saw to `seen.json`; the caller judges.
What is driven at a falling edge is accepted by the next rising edge, and what is read there is what
a consumer samples at that rising edge.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

SHARE_WITHOUT_VALID = 0.4
"""Of the cycles of the second half; in the first half vectors come one per cycle."""


@cocotb.test()
async def drive(dut: Any) -> None:
    """Sends all vectors and logs the edges and values of vectors and results."""
    case = json.loads(Path("case.json").read_text(encoding="utf-8"))
    gaps = random.Random(case["seed"])
    ports = [getattr(dut, name) for name in case["ports"]]
    Clock(dut.clk, 2, unit="step").start()
    dut.rst_ni.value, dut.valid_i.value = 0, 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst_ni.value = 1
    vectors = case["vectors"]
    accepted: list[int] = []
    results: list[tuple[int, str]] = []
    for edge in range(4 * len(vectors) + case["latency"] + 16):
        await FallingEdge(dut.clk)
        if int(dut.valid_o.value):
            results.append((edge, str(dut.out.value)))
        position = len(accepted)
        left = position < len(vectors)
        take = left and (position < len(vectors) // 2 or gaps.random() >= SHARE_WITHOUT_VALID)
        dut.valid_i.value = int(take)
        if take:
            accepted.append(edge)
            for port, value in zip(ports, vectors[position], strict=True):
                port.value = value
        if not left and edge > accepted[-1] + case["latency"] + 8:
            break
    seen = {
        "sent": len(vectors), "accepted": accepted, "results": results,
        "free": len(vectors) // 2, "unstable": 0,
    }  # fmt: skip
    Path("seen.json").write_text(json.dumps(seen), encoding="utf-8")
