"""T = L_0 + sum max(C_i, S_(i-1) + L_(i+1)) + S_last, as docs/microarchitecture.md proves it."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import Design, design_row
from dovetail.ir.program import (
    HardwareLoop,
    Instruction,
    Load,
    MatrixMultiply,
    Program,
    Store,
    VectorOperate,
)
from dovetail.sim.cycle import run

# One byte per cycle without latency, one lane: a load, a store and a vector step take what their
# bytes and operations say; products of depth k on one PE take k cycles.
ACCELERATOR = SystolicArray(
    rows=1,
    cols=1,
    vector_lanes=1,
    clock_mhz=1000,
    dram_gb_per_s=1,
    dram_latency_ns=0,
    dataflow="os",
)
DESIGN = design_row(ACCELERATOR)
SMALL = st.integers(0, 4)


def expected(loads: list[int], engine: list[int], stores: list[int]) -> int:
    """The closed form; a step without a store has one of 0."""
    before, after = [0, *stores], [*loads[1:], 0]
    phases = zip(engine, before, after, strict=False)
    return loads[0] + sum(max(c, s + load) for c, s, load in phases) + stores[-1]


def test_the_design_is_as_simple_as_the_tests_need() -> None:
    assert DESIGN[Design.BANDWIDTH] == 1
    assert DESIGN[Design.LATENCY] == 0


@settings(max_examples=400)
@given(st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=12))
def test_every_step_stores_and_any_part_may_take_no_time(steps: list[tuple[int, int, int]]) -> None:
    body: list[Instruction] = []
    for load, work, store in steps:
        body += [Load(load, 0), VectorOperate(work), Store(store, 0)]
    loads, engine, stores = (list(part) for part in zip(*steps, strict=True))
    assert run(Program("steps", tuple(body)), DESIGN).cycles == expected(loads, engine, stores)


@settings(max_examples=400)
@given(
    st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6)), min_size=2, max_size=4),
            SMALL,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_only_the_last_depth_step_stores_and_every_step_loads(
    tiles: list[tuple[list[tuple[int, int]], int]],
) -> None:
    body: list[Instruction] = []
    loads, engine, stores = [], [], []
    for steps, store in tiles:
        for number, (load, depth) in enumerate(steps):
            last = number == len(steps) - 1
            body += [Load(load, 0), MatrixMultiply(1, 1, 1, depth, 1, number == 0, last)]
            loads.append(load)
            engine.append(depth)
            stores.append(store if last else 0)
        body.append(Store(store, 0))
    assert run(Program("tiles", tuple(body)), DESIGN).cycles == expected(loads, engine, stores)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=4),
    st.integers(1, 60),
    st.tuples(SMALL, SMALL, SMALL),
)
def test_loops_that_are_fast_forwarded(
    inside: list[tuple[int, int, int]], count: int, tail: tuple[int, int, int]
) -> None:
    def body(steps: list[tuple[int, int, int]]) -> tuple[Instruction, ...]:
        items: list[Instruction] = []
        for load, work, store in steps:
            items += [Load(load, 0), VectorOperate(work), Store(store, 0)]
        return tuple(items)

    steps = inside * count + [tail]
    program = Program("loop", (HardwareLoop(count, body(inside)), *body([tail])))
    loads, engine, stores = (list(part) for part in zip(*steps, strict=True))
    timing = run(program, DESIGN)
    assert timing.cycles == expected(loads, engine, stores)
    traced = run(program, DESIGN, trace=True)
    assert dataclasses.replace(traced, events=()) == timing
