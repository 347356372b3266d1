"""Runs inside the simulator: `dovetail_tokens` against counters."""

from collections import Counter

import cocotb
import numpy as np

from dovetail.ir.program import INITIAL_TOKENS, Token
from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

QUEUES = ("load", "execute", "store")


def tokens(queue, first, last):
    """What an instruction waits for and what it signals."""
    if queue == "load":
        return [Token.LOAD_CREDIT], [Token.LOADED]
    if queue == "store":
        return [Token.COMPUTED], [Token.STORE_CREDIT]
    waits = [Token.LOADED] + [Token.STORE_CREDIT] * first
    return waits, [Token.LOAD_CREDIT] + [Token.COMPUTED] * last


@cocotb.test()
async def tokens_are_there_in_the_cycle_after_done(dut):
    rng = np.random.default_rng(case()["seed"])
    pulses = [f"{queue}_{what}_i" for queue in QUEUES for what in ("start", "done")]
    device = Clocked(dut, "clear_i", "first_i", "last_i", *pulses)
    await device.reset()
    runs = Counter()
    for i in range(2000):
        if i % 500 == 0:
            await device.cycle(clear_i=1)
            held, busy, inside = Counter(INITIAL_TOKENS), {}, False
            flags = {"first": 1, "last": int(rng.random() < 0.5)}
        inputs, made = {f"{name}_i": value for name, value in flags.items()}, []
        ready = {}
        for queue in QUEUES:
            waits, signals = tokens(queue, **flags)
            ready[queue] = all(held[token] for token in waits)
            if ready[queue] and queue not in busy and rng.random() < 0.5:
                held.subtract(waits)
                busy[queue] = (device.now + 1 + int(rng.integers(0, 4)), signals)
                inputs[f"{queue}_start_i"] = 1
                runs[queue] += 1
            if queue in busy and busy[queue][0] == device.now + 1:
                made += busy.pop(queue)[1]
                inputs[f"{queue}_done_i"] = 1
        await device.cycle(**inputs)
        assert {queue: bool(device.read(f"{queue}_ok_o")) for queue in QUEUES} == ready
        held.update(made)
        if "execute_start_i" in inputs:
            inside = not flags["last"]
            flags = {"first": int(not inside), "last": int(rng.random() < 0.5)}
    assert min(runs[queue] for queue in QUEUES) > 100
