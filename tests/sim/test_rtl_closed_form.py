from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st

from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.ir.isa import Load
from dovetail.mappers.rtl.programs import LayerPrograms
from dovetail.mappers.rtl.rows import layer_row
from dovetail.mappers.rtl.tiling import random_tiling
from dovetail.sim.columns import Cost
from dovetail.sim.cycle import delayed, run
from dovetail.sim.estimate import estimate
from dovetail.sim.rtl_closed_form import stored_rows
from dovetail.sim.rtl_reading import cost_of_rtl_timing
from dovetail.sim.rtl_timing import FETCH, duration
from tests.mappers.rtl.cases import KINDS, random_design, random_network
from tests.sim.cases import difference
from tests.sim.reference import touched
from tests.sim.rtl_cases import entries

SEEDS = st.integers(0, 2**32 - 1)
COUNTED = slice(Cost.ENGINE, Cost.DRAM_ENERGY + 1)


def drawn(seed, kind):
    """A random design, the programs of a random layer's network, that layer, and a tiling."""
    rng = np.random.default_rng(seed)
    design = dataclasses.replace(
        random_design(rng),
        fold_overlap=str(rng.choice(["none", "full"])),
        dram_gb_per_s=float(10 ** rng.uniform(-1, 2)),
        dram_latency_ns=float(rng.choice([0, 10, 100, 1000])),
    )
    layers = LayerPrograms(random_network(rng, design, (kind,)), design)
    (layer,) = layers.network.layers
    try:
        return design, layers, layer, random_tiling(layers.shapes[layer.name], design, rng)
    except MappingError:  # not even the smallest tile fits
        reject()


def costs(design, layers, layer, tile):
    """Closed form and simulation of one layer, and its program."""
    zero = np.zeros(1, dtype=np.int64)
    rows = layer_row(layers.network, layer)[None]
    row = design_row(design)
    (closed,) = estimate(row[None], rows, zero, zero, tile[None])
    program = layers.program(layer.name, tile)
    timing = delayed(run(program, row), layers.overhead(program))
    return closed, cost_of_rtl_timing(timing, row, closed), program


def reading_is_hidden(program, design):
    """Whether every instruction takes as long as its queue reads the entries behind it."""
    row = design_row(design)
    for queue in range(3):
        before, marks = None, 0
        for item in entries(program.body, queue):
            if item is None:
                marks += 1
                continue
            if before is not None and duration(before, row) < FETCH * (1 + marks):
                return False
            before, marks = item, 0
    return True


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(KINDS))
def test_estimate_equals_cycle_where_reading_is_hidden_and_every_step_loads(seed, kind):
    design, *case = drawn(seed, kind)
    closed, simulated, program = costs(design, *case)
    assume(reading_is_hidden(program, design))
    assume(all(i.beats for i in program.unrolled() if isinstance(i, Load)))
    assert difference(simulated, closed) == {}


@settings(max_examples=200, deadline=None)
@given(SEEDS, st.sampled_from(KINDS))
def test_counts_are_those_of_the_program_in_any_case(seed, kind):
    closed, simulated, _ = costs(*drawn(seed, kind))
    np.testing.assert_allclose(simulated[COUNTED], closed[COUNTED], rtol=1e-12)
    assert closed[Cost.CYCLES] == pytest.approx(simulated[Cost.CYCLES], rel=0.05)


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(KINDS), st.floats(1.01, 30))
def test_more_bandwidth_and_less_latency_are_never_slower(seed, kind, more):
    design, *case = drawn(seed, kind)
    fast = dataclasses.replace(design, dram_gb_per_s=design.dram_gb_per_s * more)
    near = dataclasses.replace(design, dram_latency_ns=design.dram_latency_ns / more)
    base = costs(design, *case)
    for other in (fast, near):
        _, layer, tile = case
        changed = costs(other, LayerPrograms(case[0].network, other), layer, tile)
        assert changed[0][Cost.CYCLES] <= base[0][Cost.CYCLES]
        assert changed[1][Cost.CYCLES] <= base[1][Cost.CYCLES]


@settings(max_examples=100, deadline=None)
@given(SEEDS, st.sampled_from(KINDS))
def test_overlap_is_never_slower(seed, kind):
    design, layers, layer, tile = drawn(seed, kind)
    gaps, full = (
        costs(
            chosen := dataclasses.replace(design, fold_overlap=how),
            LayerPrograms(layers.network, chosen), layer, tile,
        )
        for how in ("none", "full")
    )  # fmt: skip
    assert full[0][Cost.CYCLES] <= gaps[0][Cost.CYCLES]
    assert full[1][Cost.CYCLES] <= gaps[1][Cost.CYCLES]


@settings(max_examples=300)
@given(
    st.tuples(
        *(
            st.integers(low, high)
            for low, high in ((0, 8), (1, 8), (1, 6), (1, 8), (1, 7), (0, 12), (1, 30))
        )
    )
)
def test_rows_on_chip_hold_all_that_windows_touch(window):
    _, _, kernel, stride, dilation, _, _ = window
    rows = touched(*window)
    assert stored_rows(*window) >= len(rows)
    if kernel == 1 or (dilation == 1 and stride <= kernel):
        assert stored_rows(*window) == len(rows)
