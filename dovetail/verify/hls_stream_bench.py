"""Runs inside the simulator: words through a stream, freely, then with gaps and backpressure.

Reads `case.json` in the folder of the run and writes what it saw to `seen.json`; the caller judges.
Inputs are driven at falling edges; what is read a step later is what the next rising edge samples.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, Timer

SHARE_IDLE = 0.4
"""Of the cycles of the second half, on either side; in the first half nothing waits."""


@cocotb.test()
async def drive(dut: Any) -> None:
    """Sends all words and logs the edges and values of words and results."""
    case = json.loads(Path("case.json").read_text(encoding="utf-8"))
    rng = random.Random(case["seed"])
    source = [getattr(dut, f"{case['ports'][0]}_{part}") for part in ("data", "valid", "ready")]
    sink = [getattr(dut, f"{case['out']}_{part}") for part in ("data", "valid", "ready")]
    Clock(dut.clk, 4, unit="step").start()
    dut.rst_ni.value, source[1].value, sink[2].value = 0, 0, 0
    for _ in range(2):
        await FallingEdge(dut.clk)
    dut.rst_ni.value = 1
    words = [vector[0] for vector in case["vectors"]]
    accepted: list[int] = []
    results: list[tuple[int, str]] = []
    waiting, unstable, valid, quiet, edge = None, 0, False, 0, 0
    while quiet < 2 * case["latency"] + 16 * case["interval"] + 16:
        free = len(accepted) < len(words) // 2
        left = len(accepted) < len(words)
        # A word that has been offered stays until it is taken.
        valid = left and (valid or free or rng.random() >= SHARE_IDLE)
        ready = free or rng.random() >= SHARE_IDLE
        source[0].value, source[1].value = words[len(accepted)] if left else 0, int(valid)
        sink[2].value = int(ready)
        await Timer(1, unit="step")
        taken = valid and bool(int(source[2].value))
        text = str(sink[0].value) if int(sink[1].value) else None
        unstable += waiting is not None and text != waiting
        given = ready and text is not None
        waiting = None if ready else text
        if given and text is not None:
            results.append((edge, text))
        if taken:
            accepted.append(edge)
            valid = False
        quiet = 0 if taken or given else quiet + 1
        await FallingEdge(dut.clk)
        edge += 1
    # Results of the last words of the free half may meet backpressure.
    free_words = max(len(words) // 2 - 2 * case["latency"] // case["interval"], 0)
    seen = {
        "sent": len(words), "accepted": accepted, "results": results, "free": free_words,
        "unstable": unstable,
    }  # fmt: skip
    Path("seen.json").write_text(json.dumps(seen), encoding="utf-8")
