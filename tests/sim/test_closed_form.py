"""The closed form equals the simulated queues: no tolerance, whatever the operator and tiling."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.arch.table import Design, design_row
from dovetail.ir.program import Load, MatrixMultiply, Store, VectorOperate
from dovetail.mappers.systolic.tiling import MAPPERS, OBJECTIVES
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import VECTOR, Cost, Op, Tile
from dovetail.sim.estimate import estimate
from dovetail.sim.streaming import vector_cost
from tests.sim.cases import (
    best_tile,
    difference,
    program_of,
    random_accelerator,
    random_einsum_row,
    random_row,
    random_tile,
    random_vector_row,
    simulated,
)
from tests.sim.reference import bits_of, tile_ranges, touched

SEEDS = st.integers(0, 2**40)


def cost_of(accelerator, op, tile):
    cost = np.zeros(len(Cost))
    if op[Op.ENGINE] == VECTOR:
        vector_cost(design_row(accelerator), op, cost)
    else:
        array_cost(design_row(accelerator), op, tile, cost)
    return cost


@settings(max_examples=400)
@given(SEEDS)
def test_estimate_equals_cycle_under_any_tiling(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_row(rng)
    tile = random_tile(rng, op)
    cost = cost_of(accelerator, op, tile)
    assert difference(cost, simulated(accelerator, op, tile, cost)) == {}


@pytest.mark.parametrize("mapper", MAPPERS)
@settings(max_examples=200)
@given(SEEDS, st.sampled_from(OBJECTIVES))
def test_estimate_equals_cycle_under_the_mappers_tilings(mapper, seed, objective):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    chosen = best_tile(accelerator, op, objective, mapper)
    assume(chosen)
    tile, cost = chosen
    assert difference(cost, simulated(accelerator, op, tile, cost)) == {}
    np.testing.assert_array_equal(cost, cost_of(accelerator, op, tile))


@settings(max_examples=100)
@given(SEEDS)
def test_estimate_equals_cycle_on_many_vector_chunks(seed):
    rng = np.random.default_rng(seed)
    op = random_vector_row(rng)
    accelerator = dataclasses.replace(
        random_accelerator(rng), rows=1, cols=1, input_sram_kib=0.0625, output_sram_kib=0.0625
    )
    assert accelerator.validate() == []
    cost = cost_of(accelerator, op, None)
    assert difference(cost, simulated(accelerator, op, None, cost)) == {}


def brute_force_traffic(accelerator, op, tile):
    """DRAM bytes of input, weight and output, tile after tile, pixel after pixel."""
    bits_in, bits_w = bits_of(op, design_row(accelerator))
    bits_out = int(op[Op.OUTPUT_BITS]) or accelerator.input_bits
    names = ("G", "N", "P", "Q", "K", "C") if tile[Tile.ORDER] == 0 else tuple("GKNPQC")
    nests = [list(tile_ranges(int(op[Op[name]]), int(tile[Tile[name]]))) for name in names]
    kernel = int(op[Op.R] * op[Op.S])
    traffic = np.zeros(3, dtype=np.int64)
    before = None
    grids = np.meshgrid(*(np.arange(len(nest)) for nest in nests), indexing="ij")
    for index in zip(*(grid.ravel() for grid in grids), strict=True):
        part = {name: nest[i] for name, nest, i in zip(names, nests, index, strict=True)}
        rows = _touched(op, part["P"], Op.R, Op.STRIDE_H, Op.DILATION_H, Op.PAD_TOP, Op.HEIGHT)
        cols = _touched(op, part["Q"], Op.S, Op.STRIDE_W, Op.DILATION_W, Op.PAD_LEFT, Op.WIDTH)
        g, n, k, c = (len(part[name]) for name in "GNKC")
        moving = tuple(part[name] for name in "GNPQC")
        still = tuple(part[name] for name in "GKC")
        if before is None or before[0] != moving:
            traffic[0] += -(-g * n * c * len(rows) * len(cols) * bits_in // 8)
        if before is None or before[1] != still:
            traffic[1] += -(-g * k * c * kernel * bits_w // 8)
        if part["C"].stop == op[Op.C]:
            outputs = g * n * k * len(part["P"]) * len(part["Q"])
            traffic[2] += -(-outputs * bits_out // 8)
        before = moving, still
    return traffic


def _touched(op, outputs, kernel, stride, dilation, pad, size):
    window = (int(op[column]) for column in (kernel, stride, dilation, pad, size))
    return touched(outputs.start, len(outputs), *window)


@settings(max_examples=150)
@given(SEEDS)
def test_traffic_is_what_each_tile_touches(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    tile = random_tile(rng, op)
    extents = [-(-int(op[Op[rank]]) // int(tile[Tile[rank]])) for rank in "GNPQKC"]
    assume(np.prod(extents) <= 3000)
    cost = cost_of(accelerator, op, tile)
    traffic = cost[[Cost.DRAM_INPUT, Cost.DRAM_WEIGHT, Cost.DRAM_OUTPUT]]
    np.testing.assert_array_equal(traffic, brute_force_traffic(accelerator, op, tile))


@settings(max_examples=150)
@given(SEEDS)
def test_no_machine_beats_its_roofline(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_row(rng)
    cost = cost_of(accelerator, op, random_tile(rng, op))
    traffic = cost[[Cost.DRAM_INPUT, Cost.DRAM_WEIGHT, Cost.DRAM_OUTPUT]].sum()
    lanes = accelerator.vector_lanes
    assert cost[Cost.CYCLES] * accelerator.peak_macs_per_cycle >= cost[Cost.MAC_OPS]
    assert cost[Cost.CYCLES] * accelerator.dram_bytes_per_cycle >= traffic * (1 - 1e-12)
    assert cost[Cost.CYCLES] * lanes >= cost[Cost.VECTOR_OPS]
    stalls = cost[Cost.CYCLES] - cost[[Cost.ENGINE, Cost.FILL, Cost.DRAIN]].sum()
    assert stalls >= 0
    assert cost[Cost.ENGINE] >= cost[Cost.IDEAL]


@settings(max_examples=150)
@given(SEEDS, st.floats(1, 50))
def test_a_faster_memory_never_slows_a_mapping(seed, factor):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_row(rng)
    tile = random_tile(rng, op)
    cycles = cost_of(accelerator, op, tile)[Cost.CYCLES]
    faster = (
        {"dram_gb_per_s": accelerator.dram_gb_per_s * factor},
        {"dram_latency_ns": accelerator.dram_latency_ns / factor},
    )
    for change in faster:
        better = dataclasses.replace(accelerator, **change)
        assert cost_of(better, op, tile)[Cost.CYCLES] <= cycles


@settings(max_examples=150)
@given(SEEDS)
def test_work_is_conserved_and_outputs_are_stored_once(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    tile = random_tile(rng, op)
    tiles = [-(-int(op[Op[rank]]) // int(tile[Tile[rank]])) for rank in "GNPQKC"]
    assume(np.prod(tiles) <= 3000)
    ranks = "GNKCPQRS"
    macs, stored, loads, steps = 0, 0, 0, 0
    bits_out = int(op[Op.OUTPUT_BITS]) or accelerator.input_bits
    for item in program_of(accelerator, op, tile).unrolled():
        match item:
            case MatrixMultiply():
                macs += item.groups * item.m * item.n * item.k
                outputs = item.groups * item.m * item.n
                steps += 1
            case Store():
                assert item.output_bytes == -(-outputs * bits_out // 8)
                stored += outputs
            case Load():
                loads += 1
            case VectorOperate():
                pytest.fail("an Einsum runs on the array")
    assert macs == np.prod([op[Op[rank]] for rank in ranks])
    assert stored == np.prod([op[Op[rank]] for rank in "GNKPQ"])
    assert loads == steps == np.prod(tiles)


@settings(max_examples=100)
@given(SEEDS)
def test_chunks_of_a_vector_operator_fit_and_cover_it(seed):
    rng = np.random.default_rng(seed)
    op = random_vector_row(rng)
    accelerator = random_accelerator(rng)
    design = design_row(accelerator)
    bits_in = int(op[Op.INPUT_BITS]) or accelerator.input_bits
    bits_out = int(op[Op.OUTPUT_BITS]) or accelerator.input_bits
    program = list(program_of(accelerator, op, None).unrolled())
    reads = [item.input_bytes for item in program if isinstance(item, Load)]
    writes = [item.output_bytes for item in program if isinstance(item, Store)]
    assert max(reads) <= design[Design.INPUT_HALF]
    assert max(writes) <= design[Design.OUTPUT_HALF]
    assert sum(item.ops for item in program if isinstance(item, VectorOperate)) == op[Op.VECTOR_OPS]
    for sizes, bits, elements in (
        (reads, bits_in, op[Op.IN_ELEMENTS]),
        (writes, bits_out, op[Op.OUT_ELEMENTS]),
    ):
        assert 0 <= sum(sizes) * 8 - elements * bits < 8 * len(sizes)


def test_the_batched_estimate_costs_every_pair_as_one_by_one():
    rng = np.random.default_rng(5)
    accelerators = [random_accelerator(rng) for _ in range(3)]
    ops = np.stack([random_row(rng) for _ in range(20)])
    pairs = [(d, o) for d in range(3) for o in range(20)]
    tiles = np.stack([random_tile(rng, ops[o]) for _, o in pairs])
    designs = np.stack([design_row(a) for a in accelerators])
    pair_design, pair_op = np.array(pairs).T
    costs = estimate(designs, ops, pair_design.copy(), pair_op.copy(), tiles)
    for row, (d, o), tile in zip(costs, pairs, tiles, strict=True):
        np.testing.assert_array_equal(row, cost_of(accelerators[d], ops[o], tile))
