"""Runs inside the simulator: folds through `dovetail_systolic_array` against sim.values.

Everything happens at falling edges: what is driven there is accepted by the next rising edge, and
what is read there is what a consumer samples at that rising edge. Both carry its number.
"""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from dovetail.sim.values import matmul_int
from tests.rtl.icarus import case

CASE = case()
ROWS, COLS, STATIONARY = CASE["Rows"], CASE["Cols"], bool(CASE["Stationary"])
OVERLAP = bool(CASE.get("Overlap"))


def pack(vector, bits):
    return sum((int(v) & (2**bits - 1)) << (i * bits) for i, v in enumerate(vector))


def unpack(word, bits, count):
    fields = [(word >> (i * bits)) & (2**bits - 1) for i in range(count)]
    return [f - 2**bits if f >> (bits - 1) else f for f in fields]


def drive(dut, *, left=None, top=None, valid=0, first=0, last=0, load=0):
    """Presents vectors for one cycle; operands that nobody may look at are noise."""
    noise = np.random.default_rng(0).integers(-1, 1, max(ROWS, COLS))
    left = noise[:ROWS] if left is None else left
    top = noise[:COLS] if top is None else top
    dut.left_i.value = pack(left, CASE["LeftBits"])
    dut.top_i.value = pack(top, CASE["TopBits"])
    dut.valid_i.value, dut.load_i.value = valid, load
    dut.first_i.value, dut.last_i.value = first, last


class Bench:
    """Numbers rising edges and collects results."""

    def __init__(self, dut):
        self.dut, self.edge, self.results = dut, 0, []

    async def reset(self):
        Clock(self.dut.clk_i, 2, unit="step").start()
        self.dut.rst_ni.value = 0
        drive(self.dut)
        await FallingEdge(self.dut.clk_i)
        self.dut.rst_ni.value = 1

    async def present(self, **vectors):
        """Presents vectors to one rising edge and returns the edge's number."""
        await FallingEdge(self.dut.clk_i)
        self.edge += 1
        if int(self.dut.valid_o.value):
            word = self.dut.result_o.value.to_unsigned()
            vector = unpack(word, CASE["AccBits"], COLS)
            self.results.append((self.edge, vector, int(self.dut.last_o.value)))
        drive(self.dut, **vectors)
        return self.edge

    async def drain(self):
        for _ in range(2 * (ROWS + COLS)):
            await self.present()


def operands(rng, rows, inner, columns):
    """Random matrices, with the extreme values over-represented."""
    matrices = []
    for shape, bits in (((rows, inner), CASE["LeftBits"]), ((inner, columns), CASE["TopBits"])):
        low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        matrix = rng.integers(low, high + 1, shape)
        matrices.append(np.where(rng.random(shape) < 0.2, rng.choice([low, high], shape), matrix))
    return matrices


def loads(b):
    """Rows of the right matrix as they are loaded: the last one first, or all behind the first."""
    if OVERLAP:
        return [{"load": int(i == 0), "top": row} for i, row in enumerate(b)]
    return [{"load": 1, "top": row} for row in b[::-1]]


async def run_fold(bench, a, b, gaps=None):
    """Presents one fold of a @ b and returns the number of its first edge."""
    stationary = loads(b) if STATIONARY else []
    if STATIONARY:
        moving = [{"valid": 1, "left": row} for row in a]
    else:
        moving = [{"valid": 1, "left": a[:, k], "top": b[k]} for k in range(len(b))]
    moving[0]["first"] = moving[-1]["last"] = 1
    edges = []
    for vectors in stationary + moving:
        loading = OVERLAP and "top" in vectors and not vectors["load"]
        while gaps is not None and not loading and gaps.random() < 0.4:
            await bench.present()
        edges.append(await bench.present(**vectors))
    return edges[0]


def shapes(length):
    return (length, ROWS, COLS) if STATIONARY else (ROWS, length, COLS)


def check(results, product):
    assert len(results) == len(product), f"{len(results)} vectors instead of {len(product)}"
    assert [vector for _, vector, _ in results] == product.tolist()
    assert [last for *_, last in results] == [0] * (len(product) - 1) + [1]


@cocotb.test()
async def one_fold_takes_the_cycles_of_the_simulator(dut):
    rng = np.random.default_rng(CASE["seed"])
    bench = Bench(dut)
    await bench.reset()
    for length, cycles in CASE["folds"]:
        a, b = operands(rng, *shapes(length))
        first = await run_fold(bench, a, b)
        await bench.drain()
        check(bench.results, matmul_int(a, b, CASE["AccBits"]))
        taken = bench.results[-1][0] - first
        assert taken == cycles, f"a fold of length {length} takes {taken} cycles, not {cycles}"
        bench.results.clear()


@cocotb.test()
async def gaps_change_no_value(dut):
    rng = np.random.default_rng(CASE["seed"] + 1)
    bench = Bench(dut)
    await bench.reset()
    for length, _ in CASE["folds"]:
        a, b = operands(rng, *shapes(length))
        await run_fold(bench, a, b, gaps=rng)
        await bench.drain()
        check(bench.results, matmul_int(a, b, CASE["AccBits"]))
        bench.results.clear()


@cocotb.test(skip=STATIONARY)
async def folds_may_follow_at_once(dut):
    rng = np.random.default_rng(CASE["seed"] + 2)
    bench = Bench(dut)
    await bench.reset()
    pairs = [operands(rng, *shapes(ROWS + extra)) for extra in (0, 3, 0, 1)]
    for a, b in pairs:
        await run_fold(bench, a, b)
    await bench.drain()
    for i, (a, b) in enumerate(pairs):
        fold = bench.results[i * ROWS : (i + 1) * ROWS]
        check(fold, matmul_int(a, b, CASE["AccBits"]))
    assert len(bench.results) == len(pairs) * ROWS


@cocotb.test(skip=not OVERLAP)
async def folds_load_beside_the_fold_before(dut):
    rng = np.random.default_rng(CASE["seed"] + 3)
    bench = Bench(dut)
    await bench.reset()
    pairs = [operands(rng, *shapes(length)) for length in (ROWS, 1, ROWS + 3, 2, ROWS - 1 or 1)]
    for vectors in loads(pairs[0][1]):
        await bench.present(**vectors)
    for i, (a, _) in enumerate(pairs):
        following = loads(pairs[i + 1][1]) if i + 1 < len(pairs) else []
        for j in range(max(len(a), len(following))):
            vectors = dict(following[j]) if j < len(following) else {}
            if j < len(a):
                vectors |= {"valid": 1, "left": a[j], "first": j == 0, "last": j == len(a) - 1}
            await bench.present(**vectors)
    await bench.drain()
    for a, b in pairs:
        check(bench.results[: len(a)], matmul_int(a, b, CASE["AccBits"]))
        del bench.results[: len(a)]
    assert not bench.results
