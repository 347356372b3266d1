"""Columns of the numeric tables that the batched models read and write.

An operator and a tiling each become one row of numbers, so that thousands of them cost array
operations. Rows of operators come from `dovetail.mappers.schedule`, rows of designs from
`dovetail.arch.table`.
"""

from __future__ import annotations

from enum import auto

from dovetail.arch.systolic import DATAFLOWS
from dovetail.arch.table import Column

ENGINES = ("none", "array", "vector")
NONE, ARRAY, VECTOR = range(3)
WS, OS, IS = (DATAFLOWS.index(name) for name in ("ws", "os", "is"))


class Op(Column):
    """Columns of an operator row (int64). Bits of 0 mean: the accelerator's operand width."""

    ENGINE = auto()
    G = auto()
    N = auto()
    K = auto()
    C = auto()
    P = auto()
    Q = auto()
    R = auto()
    S = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    DILATION_H = auto()
    DILATION_W = auto()
    PAD_TOP = auto()
    PAD_LEFT = auto()
    HEIGHT = auto()
    WIDTH = auto()
    INPUT_BITS = auto()
    WEIGHT_BITS = auto()
    OUTPUT_BITS = auto()
    EPILOGUE_OPS = auto()  # fused scalar operations, over all outputs
    IN_ELEMENTS = auto()  # of a vector operator
    OUT_ELEMENTS = auto()
    VECTOR_OPS = auto()
    OPERANDS = auto()  # tensors that a vector operator of the RTL machine reads
    WIDE = auto()  # 1 if the RTL machine stores whole accumulators


class Tile(Column):
    """Columns of a tiling row (int64): tile extents per rank, and the order of the tile loops."""

    G = auto()
    N = auto()
    P = auto()
    Q = auto()
    K = auto()
    C = auto()
    ORDER = auto()  # 0: K inside P (weights move), 1: P inside K (inputs move)


class Cost(Column):
    """Columns of a cost row (float64; counts are exact integers below 2^53)."""

    CYCLES = auto()
    IDEAL = auto()  # stall-free engine cycles, untiled
    ENGINE = auto()  # engine cycles as tiled
    FILL = auto()
    DRAIN = auto()
    DRAM_INPUT = auto()  # bytes
    DRAM_WEIGHT = auto()
    DRAM_OUTPUT = auto()
    INPUT_READ = auto()  # scratchpad bytes towards the engine
    WEIGHT_READ = auto()
    OUTPUT_READ = auto()
    OUTPUT_WRITE = auto()
    MAC_OPS = auto()
    VECTOR_OPS = auto()
    MAC_ENERGY = auto()  # pJ
    VECTOR_ENERGY = auto()
    INPUT_ENERGY = auto()
    WEIGHT_ENERGY = auto()
    OUTPUT_ENERGY = auto()
    DRAM_ENERGY = auto()
