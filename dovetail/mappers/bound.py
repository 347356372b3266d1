"""What a tiling costs at least, without a sum over its tiles.

max(engine, memory) + first load + last store, in floating point: exact where one of the two hides
the other everywhere, halos count as in the interior. Mappers rank candidates by it.
"""

from __future__ import annotations

from enum import auto
from math import ceil, floor

from numba import njit

from dovetail.arch.table import Column, Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import operand_bits, operand_passes
from dovetail.sim.columns import IS, OS, Op, Tile

LATENCY, ENERGY, EDP = range(3)


class Term(Column):
    """Products that all tilings of one operator on one design share (float64)."""

    ROWS = auto()
    COLS = auto()
    ARRAYS = auto()
    DATAFLOW = auto()
    PASSES = auto()
    GROUPS = auto()
    PIXELS = auto()  # N P Q
    DEPTH = auto()  # C R S
    KERNEL = auto()  # R S
    IN_BYTES = auto()  # per input pixel, all groups and channels of one image
    W_BYTES = auto()  # all weights
    OUT_BYTES = auto()
    HALO_H = auto()
    HALO_W = auto()
    BYTES_IN = auto()  # per element
    BYTES_W = auto()
    BYTES_OUT = auto()
    EPILOGUE = auto()  # cycles per output element


TERMS = len(Term)


@njit(cache=True, error_model="numpy")
def bound_terms(design: FloatArray, op: IntArray, terms: FloatArray) -> None:
    """Fills the shared terms of a (design, operator) pair.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY.
        terms: (TERMS,), written.
    """
    bits_in, bits_w, bits_out = operand_bits(design, op)
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * op[Op.P] * op[Op.Q]
    terms[Term.ROWS] = design[Design.ROWS]
    terms[Term.COLS] = design[Design.COLS]
    terms[Term.ARRAYS] = design[Design.ARRAYS]
    terms[Term.DATAFLOW] = design[Design.DATAFLOW]
    terms[Term.PASSES] = operand_passes(design, bits_in, bits_w)
    terms[Term.GROUPS] = op[Op.G]
    terms[Term.PIXELS] = op[Op.N] * op[Op.P] * op[Op.Q]
    terms[Term.KERNEL] = op[Op.R] * op[Op.S]
    terms[Term.DEPTH] = op[Op.C] * terms[Term.KERNEL]
    terms[Term.BYTES_IN] = bits_in / 8
    terms[Term.BYTES_W] = bits_w / 8
    terms[Term.BYTES_OUT] = bits_out / 8
    terms[Term.IN_BYTES] = op[Op.G] * op[Op.N] * op[Op.C] * terms[Term.BYTES_IN]
    terms[Term.W_BYTES] = op[Op.G] * op[Op.K] * terms[Term.DEPTH] * terms[Term.BYTES_W]
    terms[Term.OUT_BYTES] = outputs * terms[Term.BYTES_OUT]
    reach_h = (op[Op.R] - 1) * op[Op.DILATION_H] + 1
    reach_w = (op[Op.S] - 1) * op[Op.DILATION_W] + 1
    terms[Term.HALO_H] = max(0, reach_h - op[Op.STRIDE_H])
    terms[Term.HALO_W] = max(0, reach_w - op[Op.STRIDE_W])
    terms[Term.EPILOGUE] = op[Op.EPILOGUE_OPS] / outputs / design[Design.LANES]


@njit(cache=True, error_model="numpy")
def key_of(objective: int, cycles: float, energy: float, traffic: float) -> float:
    """What a mapper minimises; latency breaks ties by traffic, energy by latency."""
    if objective == LATENCY:
        return cycles + 1e-9 * traffic
    if objective == ENERGY:
        return energy * (1.0 + 1e-12 * cycles)
    return cycles * energy


@njit(cache=True, error_model="numpy")
def _folds(total: float, tile: float, edge: float) -> float:
    """Sum over the tiles of a dimension of ceil(extent / edge)."""
    full = floor(total / tile)
    return full * ceil(tile / edge) + ceil((total - full * tile) / edge)


@njit(cache=True, error_model="numpy")
def tiling_bound(
    design: FloatArray, op: IntArray, tile: IntArray, terms: FloatArray, objective: int
) -> float:
    """Cost key of a tiling.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY.
        tile: row of `Tile` columns.
        terms: from `bound_terms`.
        objective: LATENCY, ENERGY or EDP.
    """
    rows, cols = terms[Term.ROWS], terms[Term.COLS]
    kernel, depth, pixels = terms[Term.KERNEL], terms[Term.DEPTH], terms[Term.PIXELS]
    groups, K = terms[Term.GROUPS], float(op[Op.K])
    tb, tp, tq = float(tile[Tile.N]), float(tile[Tile.P]), float(tile[Tile.Q])
    tg, tn, tc = float(tile[Tile.G]), float(tile[Tile.K]), float(tile[Tile.C])
    np_, nq = ceil(op[Op.P] / tp), ceil(op[Op.Q] / tq)
    nm = ceil(op[Op.N] / tb) * np_ * nq
    nn, nk, ng = ceil(K / tn), ceil(op[Op.C] / tc), ceil(groups / tg)
    m = tb * tp * tq
    dataflow = int(terms[Term.DATAFLOW])
    if dataflow == OS:
        across, down = _folds(K, tn, cols), _folds(pixels, m, rows)
        stream, fills, skew = depth, nk, rows + cols - 2
    elif dataflow == IS:
        across, down = _folds(pixels, m, cols), _folds(depth, tc * kernel, rows)
        stream, fills, skew = K, nn, 2 * rows + cols - 2
    else:
        across, down = _folds(K, tn, cols), _folds(depth, tc * kernel, rows)
        stream, fills, skew = pixels, nm, 2 * rows + cols - 2
    engine = groups * across * down * (stream * terms[Term.PASSES] + fills * skew)
    steps = ng * nm * nn * nk
    if terms[Term.ARRAYS] > 1:
        waves = groups * across * down * fills / steps  # folds of one step
        engine *= ceil(waves / terms[Term.ARRAYS]) / waves

    high = min(op[Op.HEIGHT] + (np_ - 1) * terms[Term.HALO_H], float(op[Op.P] * op[Op.R]))
    wide = min(op[Op.WIDTH] + (nq - 1) * terms[Term.HALO_W], float(op[Op.Q] * op[Op.S]))
    in_bytes, w_bytes = terms[Term.IN_BYTES] * high * wide, terms[Term.W_BYTES]
    if nk > 1 or (tile[Tile.ORDER] == 1 and nm > 1):
        in_bytes *= nn
    if nk > 1 or (tile[Tile.ORDER] == 0 and nn > 1):
        w_bytes *= nm
    traffic = in_bytes + w_bytes + terms[Term.OUT_BYTES]
    bandwidth, latency = design[Design.BANDWIDTH], design[Design.LATENCY]
    memory = traffic / bandwidth + steps * latency
    pixels_in = (high / np_) * (wide / nq)
    first = tg * tc * (tb * pixels_in * terms[Term.BYTES_IN] + kernel * tn * terms[Term.BYTES_W])
    last = tg * m * tn
    drain = max(last * terms[Term.BYTES_OUT] / bandwidth, last * terms[Term.EPILOGUE])
    cycles = max(engine, memory) + latency + first / bandwidth + drain
    if objective == LATENCY:
        return key_of(objective, cycles, 0.0, traffic)
    macs = groups * pixels * K * depth
    if dataflow == OS:
        words_in, words_w, sums = macs / K * across, macs / pixels * down, groups * pixels * K * nk
    elif dataflow == IS:
        words_in, words_w = macs / K * nn, macs / pixels * across
        sums = groups * pixels * K * down
    else:
        words_in, words_w = macs / K * across, macs / pixels * nm
        sums = groups * pixels * K * down
    energy = (
        traffic * design[Design.DRAM_PJ]
        + (words_in * terms[Term.BYTES_IN] + in_bytes) * design[Design.INPUT_PJ]
        + (words_w * terms[Term.BYTES_W] + w_bytes) * design[Design.WEIGHT_PJ]
        + sums * design[Design.ACCUMULATOR_BITS] / 4 * design[Design.OUTPUT_PJ]
        + macs * terms[Term.PASSES] * design[Design.MAC_PJ]
    )
    return key_of(objective, cycles, energy, traffic)
