"""Random accelerators, operators and tilings for the tests of the models."""

from __future__ import annotations

import numpy as np

from dovetail.arch.systolic import DATAFLOWS, OVERLAPS, SystolicArray, tile_bytes_needed
from dovetail.arch.table import design_row
from dovetail.ir.program import Program
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.lower import lower_array, lower_vector, mapping_of
from dovetail.mappers.systolic.tiling import cost_pairs, mapper_code, objective_code
from dovetail.sim.columns import ARRAY, VECTOR, Cost, Op, Tile
from dovetail.sim.cycle import run
from dovetail.sim.reading import cost_of_timing

TILED = ("G", "N", "P", "Q", "K", "C")


def random_accelerator(rng: np.random.Generator) -> SystolicArray:
    """A legal design: tiny to medium arrays, scratchpads from just enough to roomy."""
    rows, cols = (int(x) for x in rng.choice([1, 2, 3, 4, 5, 8, 16, 32], size=2))
    input_bits, weight_bits = (int(x) for x in rng.choice([1, 2, 4, 8, 16], size=2))
    accumulator_bits = int(rng.choice([8, 20, 32, 48]))

    def kib(bits: int) -> float:
        need = tile_bytes_needed(rows, cols, bits)
        roomy = need * float(rng.choice([1, 1, 1.5, 4, 20, 300]))
        return max(0.0625, (2 * roomy + int(rng.integers(0, 5))) / 1024)

    return SystolicArray(
        rows=rows,
        cols=cols,
        arrays=int(rng.choice([1, 1, 2, 4])),
        dataflow=str(rng.choice(DATAFLOWS)),
        input_bits=input_bits,
        weight_bits=weight_bits,
        accumulator_bits=accumulator_bits,
        input_sram_kib=kib(input_bits),
        weight_sram_kib=kib(weight_bits),
        output_sram_kib=kib(accumulator_bits),
        vector_lanes=int(rng.choice([1, 3, 8, 64])),
        clock_mhz=float(rng.choice([1, 100, 333, 1000])),
        dram_gb_per_s=float(10 ** rng.uniform(-2.5, 3)),
        dram_latency_ns=float(rng.choice([0, 1, 37, 100, 2000])),
        fold_overlap=str(rng.spawn(1)[0].choice(OVERLAPS)),
    )


def random_einsum_row(rng: np.random.Generator) -> IntArray:
    """A row of `Op` columns: a convolution of any kind, a matrix product or a GEMV."""
    op = np.zeros(len(Op), dtype=np.int64)
    op[Op.ENGINE] = ARRAY
    for column in (Op.G, Op.N, Op.K, Op.C, Op.P, Op.Q, Op.R, Op.S, Op.STRIDE_H, Op.STRIDE_W):
        op[column] = 1
    op[Op.DILATION_H] = op[Op.DILATION_W] = 1
    if rng.random() < 0.3:
        op[Op.P], op[Op.K], op[Op.C] = rng.integers(1, 70, size=3)
        op[Op.P] = 1 if rng.random() < 0.2 else op[Op.P]
        op[Op.G] = rng.choice([1, 1, 2, 7])
        op[Op.HEIGHT], op[Op.WIDTH] = op[Op.P], 1
    else:
        _fill_convolution(rng, op)
    for column in (Op.INPUT_BITS, Op.WEIGHT_BITS, Op.OUTPUT_BITS):
        op[column] = rng.choice([0, 0, 1, 3, 4, 8, 16])
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * op[Op.P] * op[Op.Q]
    op[Op.EPILOGUE_OPS] = outputs * rng.choice([0, 0, 1, 4, 9])
    return op


def _fill_convolution(rng: np.random.Generator, op: IntArray) -> None:
    op[Op.N] = rng.choice([1, 1, 2, 3])
    op[Op.K], op[Op.C] = rng.integers(1, 20, size=2)
    if rng.random() < 0.3:
        op[Op.G] = rng.integers(2, 12)
        if rng.random() < 0.6:
            op[Op.K], op[Op.C] = rng.choice([1, 1, 2]), 1
    for kernel, stride, dilation, pad, size, count in (
        (Op.R, Op.STRIDE_H, Op.DILATION_H, Op.PAD_TOP, Op.HEIGHT, Op.P),
        (Op.S, Op.STRIDE_W, Op.DILATION_W, Op.PAD_LEFT, Op.WIDTH, Op.Q),
    ):
        op[kernel] = rng.choice([1, 2, 3, 3, 5])
        op[stride] = rng.choice([1, 1, 2, 3, 7])
        op[dilation] = rng.choice([1, 1, 2, 4])
        op[pad] = rng.choice([0, 1, 2, 2, 11])
        after = int(rng.choice([0, 1, 2, 11]))
        op[size] = rng.integers(1, 25)
        reach = (op[kernel] - 1) * op[dilation] + 1
        op[size] = max(op[size], reach - op[pad] - after)
        op[count] = (op[size] + op[pad] + after - reach) // op[stride] + 1


def random_vector_row(rng: np.random.Generator) -> IntArray:
    """A row of `Op` columns of a vector operator."""
    op = np.zeros(len(Op), dtype=np.int64)
    op[Op.ENGINE] = VECTOR
    op[Op.IN_ELEMENTS], op[Op.OUT_ELEMENTS] = (int(10**x) for x in rng.uniform(0, 4.5, size=2))
    if rng.random() < 0.3:
        op[Op.IN_ELEMENTS] = op[Op.OUT_ELEMENTS]
    op[Op.IN_ELEMENTS] *= rng.choice([1, 1, 1, 1, 0])
    op[Op.VECTOR_OPS] = int(rng.choice([0, 1, 5, 0.3]) * op[Op.OUT_ELEMENTS])
    op[Op.INPUT_BITS], op[Op.OUTPUT_BITS] = rng.choice([0, 1, 3, 8, 16], size=2)
    return op


def random_row(rng: np.random.Generator) -> IntArray:
    """Any operator row."""
    return random_vector_row(rng) if rng.random() < 0.15 else random_einsum_row(rng)


def random_tile(rng: np.random.Generator, op: IntArray) -> IntArray:
    """Any tiling at all: the models cost tiles that no mapper would choose."""
    tile = np.zeros(len(Tile), dtype=np.int64)
    for rank in TILED:
        extent = max(1, int(op[Op[rank]]))  # a vector operator has none
        parts = int(rng.choice([1, 1, 2, 3, 5, extent]))
        tile[Tile[rank]] = -(-extent // min(parts, extent))
    tile[Tile.ORDER] = rng.integers(0, 2)
    return tile


def best_tile(
    accelerator: SystolicArray, op: IntArray, objective: str = "latency", mapper: str = "greedy"
) -> tuple[IntArray, FloatArray] | None:
    """The tiling that a mapper chooses and its cost; None if none fits."""
    tiles, costs = np.zeros((1, len(Tile)), dtype=np.int64), np.zeros((1, len(Cost)))
    first = np.zeros(1, dtype=np.int64)
    codes = objective_code(objective), mapper_code(mapper)
    failed = cost_pairs(design_row(accelerator)[None], op[None], first, first, *codes, tiles, costs)
    return None if failed >= 0 else (tiles[0], costs[0])


def program_of(accelerator: SystolicArray, op: IntArray, tile: IntArray) -> Program:
    """The Program of an operator row, tiled if it runs on the array."""
    if op[Op.ENGINE] == VECTOR:
        return lower_vector(accelerator, op, "op")
    return lower_array(accelerator, op, mapping_of("op", op, tile, accelerator))


def simulated(
    accelerator: SystolicArray, op: IntArray, tile: IntArray, estimate: FloatArray
) -> FloatArray:
    """The cost row that the cycle simulator finds; what no Program tells, is `estimate`'s."""
    design = design_row(accelerator)
    timing = run(program_of(accelerator, op, tile), design)
    return cost_of_timing(timing, design, op, estimate)


def difference(left: FloatArray, right: FloatArray) -> dict[str, tuple[float, float]]:
    """The columns in which two cost rows differ: counts at all, energies in the last digits."""
    found = {}
    for column in Cost:
        a, b = float(left[column]), float(right[column])
        tolerance = 1e-12 * abs(b) if column >= Cost.MAC_ENERGY else 0.0
        if not abs(a - b) <= tolerance:
            found[column.name] = (a, b)
    return found
