from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.ir.program import HardwareLoop, MatrixMultiply
from dovetail.ir.schedule import TileLoop, Tiling
from dovetail.mappers.systolic.lower import lower_array, mapping_of, tile_of
from dovetail.sim.columns import ARRAY, Op, Tile
from dovetail.sim.cycle import run
from tests.sim.cases import random_accelerator, random_einsum_row, random_tile

EDGE = presets.load("edge")
SEEDS = st.integers(0, 2**40)


@given(SEEDS)
def test_a_mapping_keeps_its_tiling(seed):
    rng = np.random.default_rng(seed)
    accelerator, op = random_accelerator(rng), random_einsum_row(rng)
    tile = random_tile(rng, op)
    mapping = mapping_of("op", op, tile, accelerator)
    np.testing.assert_array_equal(tile_of(mapping), tile)
    for rank in "GNPQKC":
        loop = mapping.temporal(rank)
        assert (loop.count - 1) * loop.tile < op[Op[rank]] <= loop.count * loop.tile
    spatial = [loop.count for loop in mapping.loops if loop.spatial]
    assert spatial == [accelerator.rows, accelerator.cols]
    description = mapping.describe()
    assert description["tile_k"] == tile[Tile.K]
    assert description["order"] == ("GNPQKC", "GKNPQC")[tile[Tile.ORDER]]


def test_loops_in_an_order_that_the_engine_does_not_run_are_refused():
    loops = tuple(TileLoop(rank, 1, 1, "dram") for rank in "CGNPQK")
    with pytest.raises(MappingError, match="CGNPQK: must be GNPQKC or GKNPQC"):
        tile_of(Tiling("op", loops))
    with pytest.raises(MappingError, match="no temporal loop over Q"):
        Tiling("op", loops[:3]).temporal("Q")


def instructions(body):
    return sum(
        1 + instructions(item.body) if isinstance(item, HardwareLoop) else 1 for item in body
    )


def big_convolution():
    """1000 x 1000 outputs of 3 x 3 windows over 40 channels, padded."""
    op = np.ones(len(Op), dtype=np.int64)
    op[Op.ENGINE] = ARRAY
    op[Op.P] = op[Op.Q] = op[Op.HEIGHT] = op[Op.WIDTH] = 1000
    op[Op.R] = op[Op.S] = 3
    op[Op.K], op[Op.C], op[Op.EPILOGUE_OPS] = 20, 40, 0
    op[Op.INPUT_BITS] = op[Op.WEIGHT_BITS] = op[Op.OUTPUT_BITS] = 8
    return op


def big_product():
    """4000 x 4000 x 4000."""
    op = big_convolution()
    op[[Op.Q, Op.R, Op.S, Op.WIDTH, Op.PAD_TOP, Op.PAD_LEFT]] = [1, 1, 1, 1, 0, 0]
    op[[Op.P, Op.HEIGHT, Op.K, Op.C]] = 4000
    return op


@pytest.mark.parametrize(
    ("op", "tile", "steps", "size"),
    [
        (big_product(), [1, 1, 33, 1, 33, 33, 0], 122**3, 80),
        (big_product(), [1, 1, 33, 1, 33, 33, 1], 122**3, 80),
        (big_convolution(), [1, 1, 3, 3, 8, 8, 0], 334**2 * 3 * 5, 600),
    ],
    ids=["product", "product, pixels inside", "padded convolution"],
)
def test_a_million_tiles_take_few_instructions_and_little_time(op, tile, steps, size):
    mapping, design = mapping_of("big", op, np.array(tile), EDGE), design_row(EDGE)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        program = lower_array(EDGE, op, mapping)
        timing = run(program, design)
        seconds.append(time.process_time() - start)
    counts = [count for item, count in timing.runs if isinstance(item, MatrixMultiply)]
    assert sum(counts) == steps > 5 * 10**5
    print(f"{instructions(program.body)} instructions, {min(seconds) * 1e3:.1f} ms")
    assert instructions(program.body) < size
    assert min(seconds) < 0.05


@settings(max_examples=50)
@given(SEEDS)
def test_instructions_do_not_grow_with_tiles(seed):
    rng = np.random.default_rng(seed)
    op = big_convolution()
    tile = random_tile(rng, op)
    grown = op.copy()
    columns = [Op.P, Op.Q, Op.HEIGHT, Op.WIDTH]
    grown[columns] *= 2
    counts = [
        instructions(lower_array(EDGE, row, mapping_of("op", row, tile, EDGE)).body)
        for row in (op, grown)
    ]
    assert counts[1] <= max(1500, counts[0])
