from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.arch.table import Design, design_row
from dovetail.errors import UnknownNameError
from dovetail.mappers.systolic.bound import regular_keys
from dovetail.mappers.systolic.terms import TERMS, fill_terms
from dovetail.mappers.systolic.tiling import (
    EXHAUSTIVE,
    GREEDY,
    MAPPERS,
    OBJECTIVES,
    mapper_code,
    objective_code,
)
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import Cost, Op, Tile
from tests.sim.cases import best_tile, random_accelerator, random_einsum_row
from tests.sim.reference import bits_of, tile_ranges, touched

SEEDS = st.integers(0, 2**40)
RANKS = "GNPQKC"


def rows_of(op, part, axis):
    names = {
        "P": (Op.R, Op.STRIDE_H, Op.DILATION_H, Op.PAD_TOP, Op.HEIGHT),
        "Q": (Op.S, Op.STRIDE_W, Op.DILATION_W, Op.PAD_LEFT, Op.WIDTH),
    }[axis]
    return len(touched(part.start, len(part), *(int(op[column]) for column in names)))


def fits(accelerator, op, tile):
    """Whether the footprints of every tile fit half a scratchpad, enumerated."""
    design = design_row(accelerator)
    bits_in, bits_w = bits_of(op, design)
    tg, tb, tp, tq, tn, tc = (int(tile[Tile[rank]]) for rank in RANKS)
    high = max(rows_of(op, part, "P") for part in tile_ranges(int(op[Op.P]), tp))
    wide = max(rows_of(op, part, "Q") for part in tile_ranges(int(op[Op.Q]), tq))
    inputs = -(-tg * tb * tc * high * wide * bits_in // 8)
    weights = -(-tg * tn * tc * int(op[Op.R] * op[Op.S]) * bits_w // 8)
    sums = -(-tg * tb * tp * tq * tn * accelerator.accumulator_bits // 8)
    halves = design[[Design.INPUT_HALF, Design.WEIGHT_HALF, Design.OUTPUT_HALF]]
    return bool((np.array([inputs, weights, sums]) <= halves).all())


@settings(max_examples=300)
@given(SEEDS, st.sampled_from(OBJECTIVES), st.sampled_from(MAPPERS))
def test_every_tile_fits_half_its_scratchpad(seed, objective, mapper):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    found = best_tile(accelerator, op, objective, mapper)
    smallest = np.ones(len(Tile), dtype=np.int64)
    assert (found is not None) >= fits(accelerator, op, smallest)
    if found is not None:
        tile, _ = found
        assert fits(accelerator, op, tile)
        assert all(1 <= tile[Tile[rank]] <= op[Op[rank]] for rank in RANKS)


@settings(max_examples=200)
@given(SEEDS, st.sampled_from(OBJECTIVES))
def test_exhaustive_is_never_worse_than_greedy(seed, objective):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    greedy = best_tile(accelerator, op, objective, "greedy")
    exhaustive = best_tile(accelerator, op, objective, "exhaustive")
    assert (greedy is None) == (exhaustive is None)
    assume(greedy)

    def value(found):
        energy = found[1][Cost.MAC_ENERGY : Cost.DRAM_ENERGY + 1].sum()
        cycles = found[1][Cost.CYCLES]
        return {"latency": cycles, "energy": energy, "edp": energy * cycles}[objective]

    assert value(exhaustive) <= value(greedy) * (1 + 1e-6)


def small_case(rng):
    """An operator with few enough tilings to try all of them."""
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    op[[Op.G, Op.N]] = 1
    op[[Op.K, Op.C]] = rng.integers(1, 7, size=2)
    op[[Op.R, Op.S, Op.STRIDE_H, Op.STRIDE_W, Op.DILATION_H, Op.DILATION_W]] = 1
    op[[Op.PAD_TOP, Op.PAD_LEFT, Op.EPILOGUE_OPS]] = 0
    op[[Op.P, Op.Q]] = op[[Op.HEIGHT, Op.WIDTH]] = rng.integers(1, 7, size=2)
    return accelerator, op


def test_exhaustive_is_close_to_the_best_of_all_tilings():
    """All distinct tile counts of P, Q, K and C in both orders; the gap is printed by -rP."""
    ratios = []
    for seed in range(150):
        accelerator, op = small_case(np.random.default_rng(seed))
        design, cost, best = design_row(accelerator), np.zeros(len(Cost)), np.inf
        splits = [
            sorted({-(-int(op[Op[rank]]) // parts) for parts in range(1, int(op[Op[rank]]) + 1)})
            for rank in "PQKC"
        ]
        for p, q, k, c, order in itertools.product(*splits, (0, 1)):
            tile = np.array([1, 1, p, q, k, c, order])
            if fits(accelerator, op, tile):
                array_cost(design, op, tile, cost)
                best = min(best, cost[Cost.CYCLES])
        found = best_tile(accelerator, op, "latency", "exhaustive")
        assert (found is None) == (best == np.inf)
        if found is not None:
            ratios.append(found[1][Cost.CYCLES] / best)
    print(f"exhaustive / best: mean {np.mean(ratios):.4f}, worst {np.max(ratios):.3f}")
    assert np.mean(ratios) < 1.03


@settings(max_examples=200)
@given(SEEDS, st.sampled_from([0, 1]))
def test_regular_tiles_are_ranked_by_their_cost(seed, order):
    """Where all tiles are alike the key is exact but for the first and the last step's traffic."""
    rng = np.random.default_rng(seed)
    accelerator, op = dataclasses.replace(random_accelerator(rng), arrays=1), np.ones(len(Op))
    op = op.astype(np.int64)
    op[[Op.PAD_TOP, Op.PAD_LEFT, Op.EPILOGUE_OPS]] = 0
    op[[Op.INPUT_BITS, Op.WEIGHT_BITS, Op.OUTPUT_BITS]] = 8
    design, tile = design_row(accelerator), np.ones(len(Tile), dtype=np.int64)
    design[Design.BANDWIDTH] = 1.0
    parts = dict(zip(RANKS, rng.integers(1, 6, size=len(RANKS)), strict=True))
    tiles = dict(zip(RANKS, rng.integers(1, 12, size=len(RANKS)), strict=True))
    if parts["P"] * parts["Q"] > 1:
        tiles["N"] = 1
    if parts["Q"] > 1:
        tiles["P"] = 1
    for rank in RANKS:
        op[Op[rank]], tile[Tile[rank]] = parts[rank] * tiles[rank], tiles[rank]
    op[[Op.HEIGHT, Op.WIDTH]], tile[Tile.ORDER] = op[[Op.P, Op.Q]], order
    terms, cost = np.zeros(TERMS), np.zeros(len(Cost))
    fill_terms(design, op, terms)
    array_cost(design, op, tile, cost)
    extents = [float(tile[Tile[rank]]) for rank in RANKS]
    key = regular_keys(terms, 0, 0, *extents)[order]
    assert abs(key - cost[Cost.CYCLES]) <= 2 * (cost[Cost.FILL] + cost[Cost.DRAIN]) + 1


def test_codes_follow_the_names():
    assert (mapper_code("greedy"), mapper_code("exhaustive")) == (GREEDY, EXHAUSTIVE)
    assert [objective_code(name) for name in OBJECTIVES] == [0, 1, 2]
    with pytest.raises(UnknownNameError, match="did you mean energy"):
        objective_code("enrgy")
    with pytest.raises(UnknownNameError, match="mapper"):
        mapper_code("best")
