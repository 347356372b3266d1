"""Runs inside the simulator: `dovetail_burst` against a plain model of transfers."""

import cocotb
import numpy as np

from tests.rtl.clocked import Clocked, bursts
from tests.rtl.icarus import case

CASE = case()
BUS_BYTES = CASE["BusBits"] // 8
FIELDS = ("address", "rows", "row_stride", "columns", "column_stride", "run_beats")


def transfer(rng):
    """Random fields: many tiny runs, or few long ones."""
    most = int(rng.choice([4, 2000]))
    return {
        "address": int(rng.integers(2**22)) * BUS_BYTES % 2**32,
        "rows": int(rng.integers(0, 4)),
        "row_stride": int(rng.integers(2**12)) * BUS_BYTES,
        "columns": int(rng.integers(1, 5)),
        "column_stride": int(rng.integers(2**12)) * BUS_BYTES,
        "run_beats": int(rng.integers(1, most)),
    }


def expected(fields):
    """(address, len, last) of all bursts."""
    found = []
    for row in range(fields["rows"]):
        for column in range(fields["columns"]):
            start = fields["address"] + row * fields["row_stride"]
            start = (start + column * fields["column_stride"]) % 2**32
            found += bursts(start, fields["run_beats"], BUS_BYTES)
    return [(a, n - 1, int(i == len(found) - 1)) for i, (a, n) in enumerate(found)]


def start(fields):
    return {"start_i": 1} | {f"{name}_i": value for name, value in fields.items()}


@cocotb.test()
async def one_burst_per_cycle(dut):
    rng = np.random.default_rng(CASE["seed"])
    device = Clocked(dut, "start_i", "ready_i", *(f"{name}_i" for name in FIELDS))
    await device.reset()
    fields = transfer(rng)
    await device.cycle(**start(fields))
    for _ in range(CASE["transfers"]):
        following = transfer(rng)
        waiting = expected(fields)
        if not waiting:
            await device.cycle(**start(following))
            assert device.read("valid_o") == 0
        while waiting:
            ready = int(rng.random() < 0.7)
            chained = start(following) if ready and len(waiting) == 1 else {}
            await device.cycle(ready_i=ready, **chained)
            seen = [device.read(f"{name}_o") for name in ("valid", "address", "len", "last")]
            assert seen == [1, *waiting[0]]
            if ready:
                waiting.pop(0)
        fields = following
