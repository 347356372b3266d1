"""Runs inside the simulator: `dovetail_channel` against the order in which both sides asked."""

import cocotb
import numpy as np

from tests.rtl.clocked import Clocked
from tests.rtl.icarus import case

SIDES = ("store", "load")  # the store is served first if both asked in the same cycle


@cocotb.test()
async def who_asked_first_is_served_first(dut):
    rng = np.random.default_rng(case()["seed"])
    device = Clocked(dut, *(f"{side}_{what}_i" for side in SIDES for what in ("ask", "done")))
    await device.reset()
    asked, owner, until, grants = {}, None, 0, 0
    for _ in range(1500):
        now = device.now + 1
        for side in SIDES:
            if side not in asked and side != owner and rng.random() < 0.3:
                asked[side] = now
        serve = min(asked, key=lambda side: (asked[side], SIDES.index(side)), default=None)
        serve = serve if owner is None else None
        begins = serve is not None
        owner, until = (serve, now + int(rng.integers(0, 6))) if begins else (owner, until)
        # Instructions that do not use the channel end, too.
        done = [side for side in SIDES if side != owner and rng.random() < 0.2]
        done += [owner] if owner and now == until else []
        inputs = {f"{side}_ask_i": 1 for side in asked} | {f"{side}_done_i": 1 for side in done}
        await device.cycle(**inputs)
        granted = [side for side in SIDES if device.read(f"{side}_grant_o")]
        assert granted == ([serve] if begins else [])
        if begins:
            del asked[serve]
            grants += 1
        if owner in done:
            owner = None
    assert grants > 100
