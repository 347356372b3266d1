from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.ir.isa import Fill, Load, Multiply, Scratchpad, Store, Vector, VectorMode
from dovetail.ir.program import HardwareLoop, Program
from dovetail.sim import rtl_timing
from dovetail.sim.code import compile_chain
from dovetail.sim.cycle import cost_on, run, run_chain
from dovetail.sim.rtl_timing import FETCH, duration
from tests.sim.rtl_cases import execute, random_program, random_rtl, transfer, window

SEEDS = st.integers(0, 2**40)
RTL = SystolicArray(
    rows=8, cols=8, machine="rtl", clock_mhz=1000, dram_gb_per_s=4, dram_latency_ns=10
)


def small(program, limit=400):
    return all(i < limit for i, _ in enumerate(program.unrolled()))


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_queues_run_as_in_the_plain_reference(seed):
    rng = np.random.default_rng(seed)
    accelerator, program = random_rtl(rng), random_program(rng)
    while not small(program):
        program = random_program(rng)
    traced = run(program, design_row(accelerator), trace=True)
    history, end = execute(program, accelerator)
    for queue in range(3):
        mine = [(e.instruction, e.start, e.end) for e in traced.events if e.queue == queue]
        assert mine == history[queue]
    assert traced.cycles == end


@settings(max_examples=300, deadline=None)
@given(SEEDS)
def test_fast_forward_is_exact(seed):
    rng = np.random.default_rng(seed)
    design, program = design_row(random_rtl(rng)), random_program(rng)
    traced, fast = run(program, design, trace=True), run(program, design)
    assert (fast.cycles, fast.engine_cycles, fast.runs) == (
        traced.cycles, traced.engine_cycles, traced.runs,
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.floats(1.01, 20))
def test_more_bandwidth_is_never_slower(seed, more):
    rng = np.random.default_rng(seed)
    slow, program = random_rtl(rng), random_program(rng)
    fast = dataclasses.replace(slow, dram_gb_per_s=slow.dram_gb_per_s * more)
    assert run(program, design_row(fast)).cycles <= run(program, design_row(slow)).cycles


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_overlap_is_never_slower(seed):
    rng = np.random.default_rng(seed)
    design, program = random_rtl(rng), random_program(rng)
    gaps, full = (
        run(program, design_row(dataclasses.replace(design, fold_overlap=how))).cycles
        for how in ("none", "full")
    )
    assert full <= gaps


def test_a_loop_of_a_billion_tiles_costs_what_its_start_costs():
    step = (
        Load(Fill(transfer(9), Scratchpad.INPUT, 0, 1)),
        Multiply(window(20, 1, 1), 1, True, True, True, True),
        Store(transfer(5), 1, 5, 1, False, 0, False, 0, -128, 127),
    )
    body = HardwareLoop(10**3, (HardwareLoop(10**3, (HardwareLoop(10**3, step),)),))
    run(Program("warm", (body,)), design_row(RTL))
    began = time.perf_counter()
    timing = run(Program("loop", (body,)), design_row(RTL))
    assert time.perf_counter() - began < 0.2
    assert timing.runs[1][1] == 10**9


def test_durations_are_those_of_the_page():
    design = design_row(RTL)
    assert duration(Load(Fill(transfer(0), Scratchpad.INPUT, 0, 1)), design) == rtl_timing.NO_LOAD
    load = Load(Fill(transfer(9), Scratchpad.INPUT, 0, 1))
    assert duration(load, design) == 10 + 18 + rtl_timing.LOAD_OVERHEAD
    store = Store(transfer(5), 1, 5, 1, False, 0, False, 0, -128, 127)
    assert duration(store, design) == 10 + rtl_timing.STORE_OVERHEAD
    vector = Vector(window(6, 9, 2), VectorMode.MAX, 0, 0)
    assert duration(vector, design) == 6 * 9 * 2 + rtl_timing.VECTOR_OVERHEAD
    product = Multiply(window(20, 9, 2), 3, True, True, True, True)
    for dataflow, overlap, cycles in (
        ("ws", "none", 54 * (20 + 22) + rtl_timing.WS_OVERHEAD),
        ("ws", "full", 8 + 54 * 20 + 14 + rtl_timing.WS_OVERHEAD),
        ("os", "none", 9 * (144 + 14) + rtl_timing.OS_OVERHEAD),
        ("os", "full", 9 * 144 + 14 + rtl_timing.OS_OVERHEAD),
    ):
        made = dataclasses.replace(RTL, dataflow=dataflow, fold_overlap=overlap)
        assert duration(product, design_row(made)) == cycles


def test_the_first_instruction_waits_for_its_entry_and_for_marks():
    step = (
        Load(Fill(transfer(1), Scratchpad.INPUT, 0, 1)),
        Vector(window(1, 1, 1), VectorMode.MAX, 0, 0),
        Store(transfer(1), 1, 1, 1, False, 0, False, 0, -128, 127),
    )
    plain = run(Program("plain", step), design_row(RTL), trace=True)
    assert plain.events[0].start == FETCH
    nested = Program("nested", (HardwareLoop(1, (HardwareLoop(1, step),)),))
    looped = run(nested, design_row(RTL), trace=True)
    assert looped.events[0].start == 3 * FETCH


@pytest.mark.parametrize("count", [1, 5])
def test_a_chain_is_its_programs_one_after_the_other(count):
    rng = np.random.default_rng(count)
    design = design_row(RTL)
    programs = [random_program(rng) for _ in range(count)]
    chain = compile_chain(programs, cost_on(design), lambda number, _: 100 * number, FETCH)
    timing = run_chain(chain)
    alone = [run(program, design).cycles for program in programs]
    assert timing.cycles.tolist() == [100 * i + cycles for i, cycles in enumerate(alone)]
    assert timing.total == sum(alone) + 100 * sum(range(count))
    traced = run_chain(chain, trace=True)
    assert traced.cycles.tolist() == timing.cycles.tolist()
    for i, program in enumerate(programs):
        events = run(program, design, trace=True).events
        mine = [(queue, start, end) for queue, _, start, end in traced.history(i)]
        assert mine == [(e.queue, e.start, e.end) for e in events]
