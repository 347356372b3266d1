from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.ir.program import HardwareLoop, Load, MatrixMultiply, Program, Store, VectorOperate
from dovetail.sim.cycle import run
from tests.sim.cases import program_of, random_accelerator, random_row, random_tile
from tests.sim.reference import duration, execute

SEEDS = st.integers(0, 2**40)
EDGE = presets.load("edge")
STEP = (Load(64, 64), MatrixMultiply(1, 8, 32, 32, 1, True, True), Store(256, 0))


def random_body(rng, depth=0):
    """A Program's body whose tokens balance: loops in loops, steps of one to three loads."""
    items = []
    for _ in range(int(rng.integers(1, 4))):
        if depth < 3 and rng.random() < 0.5:
            count = int(rng.choice([1, 2, 3, 5, 9, 30]))
            items.append(HardwareLoop(count, random_body(rng, depth + 1)))
        else:
            items += random_step(rng)
    return tuple(items)


def random_step(rng):
    depth = int(rng.integers(1, 4))
    for i in range(depth):
        yield Load(int(rng.integers(0, 400) * (rng.random() > 0.2)), 0)
        if depth == 1 and rng.random() < 0.3:
            yield VectorOperate(int(rng.integers(0, 60)))
        else:
            m, n, k = (int(x) for x in rng.integers(1, 12, size=3))
            yield MatrixMultiply(1, m, n, k, 1, i == 0, i == depth - 1)
    yield Store(int(rng.integers(0, 400)), int(rng.integers(0, 60)))


def assert_same_history(program, accelerator):
    """Start and end of every instruction are those of the plain reference."""
    design = design_row(accelerator)
    traced, fast = run(program, design, trace=True), run(program, design)
    history, complete = execute(program, accelerator)
    assert complete
    events = [(event.instruction, event.queue, event.start, event.end) for event in traced.events]
    for queue in range(3):
        mine = [event for event in events if event[1] == queue]
        assert mine == [event for event in history if event[1] == queue]
    starts = [event.start for event in traced.events]
    assert starts == sorted(starts)
    assert traced.cycles == max(end for *_, end in history)
    assert (fast.cycles, fast.engine_cycles, fast.runs) == (
        traced.cycles,
        traced.engine_cycles,
        traced.runs,
    )


def small(program, limit=600):
    return all(i < limit for i, _ in enumerate(program.unrolled()))


@settings(max_examples=100)
@given(SEEDS)
def test_any_program_runs_as_in_the_reference(seed):
    rng = np.random.default_rng(seed)
    accelerator = random_accelerator(rng)
    program = Program("random", random_body(rng))
    while not small(program):
        program = Program("random", random_body(rng))
    assert_same_history(program, accelerator)


@settings(max_examples=60)
@given(SEEDS)
def test_lowered_operators_run_as_in_the_reference(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_row(rng)
    program = program_of(accelerator, op, random_tile(rng, op))
    while not small(program):
        op = random_row(rng)
        program = program_of(accelerator, op, random_tile(rng, op))
    assert_same_history(program, accelerator)


def test_a_step_by_hand():
    """Load 20 + 50, compute 8 + 94, store 10, at 12.8 bytes per ns and 25.6 per cycle.

    128 B / 25.6 = 5 cycles after 50 of latency; 256 B / 25.6 = 10.
    """
    timing = run(Program("step", STEP), design_row(EDGE), trace=True)
    assert [(e.queue, e.start, e.end) for e in timing.events] == [
        (0, 0, 55),
        (1, 55, 55 + 8 + 94),
        (2, 157, 167),
    ]
    assert (timing.fill, timing.engine_cycles, timing.drain) == (55, 102, 10)
    assert timing.cycles == 167


@settings(max_examples=60)
@given(SEEDS, st.integers(2, 10**12))
def test_long_loops_are_fast_forwarded_exactly(seed, count):
    """Two loops that differ by one iteration differ by the period of the steady state."""
    rng = np.random.default_rng(seed)
    accelerator = random_accelerator(rng)
    design, body = design_row(accelerator), tuple(random_step(rng))
    cycles = [
        run(Program("loop", (HardwareLoop(n, body),)), design).cycles for n in (40, 41, 40 + count)
    ]
    assert cycles[2] == cycles[0] + count * (cycles[1] - cycles[0])


def test_loops_of_loops_are_fast_forwarded():
    body = STEP
    for _ in range(8):
        body = (HardwareLoop(100, body),)
    run(Program("compile", STEP), design_row(EDGE))
    start = time.process_time()
    timing = run(Program("deep", body), design_row(EDGE))
    assert time.process_time() - start < 1.0
    assert [count for _, count in timing.runs] == [100**8] * 3
    assert timing.engine_cycles == 100**8 * duration(STEP[1], EDGE)


def test_loops_deeper_than_the_hardware_are_refused():
    body = STEP
    for _ in range(9):
        body = (HardwareLoop(2, body),)
    with pytest.raises(MappingError, match="nest deeper than 8"):
        run(Program("deep", body), design_row(EDGE))


@pytest.mark.parametrize(
    "body",
    [
        (Load(1, 1), Store(1, 0)),
        (MatrixMultiply(1, 1, 1, 1, 1, True, True),),
        (*[Load(1, 0)] * 4, MatrixMultiply(1, 1, 1, 1, 1, True, True)),
        (HardwareLoop(3, (Load(1, 0), MatrixMultiply(1, 1, 1, 1, 1, True, False))),),
        (
            HardwareLoop(30, (Load(1, 0), MatrixMultiply(1, 1, 1, 1, 1, False, True))),
            HardwareLoop(30, (Store(1000000, 0),)),
        ),
    ],
    ids=["store of nothing", "no operands", "too many loads", "no store", "hoarded tokens"],
)
def test_programs_whose_tokens_do_not_balance_are_refused(body):
    with pytest.raises(MappingError, match="'broken' deadlocks"):
        run(Program("broken", body), design_row(EDGE))


def test_the_channel_serves_who_asked_first_and_stores_before_loads():
    """The second load asks with the first store, as the step before ends: the store goes first."""
    accelerator = SystolicArray(rows=4, cols=4, dram_gb_per_s=0.5, dram_latency_ns=0)
    body = (Load(4, 4), MatrixMultiply(1, 2, 4, 4, 1, True, True), Store(400, 0))
    timing = run(Program("p", body * 3), design_row(accelerator), trace=True)
    channel = [(e.queue, e.start) for e in timing.events if e.queue != 1]
    assert [queue for queue, _ in channel] == [0, 0, 2, 0, 2, 2]
