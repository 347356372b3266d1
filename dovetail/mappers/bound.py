"""Placing tiles in the scratchpads, and what regular tiles cost.

A candidate is placed and costed in a few dozen floating-point operations: the pixel tile that fits
beside tn output and tc input channels, then the lockstep sum of `dovetail.sim.closed_form` as if
all tiles were alike. Mappers rank candidates by it; the winner is costed exactly.
"""

from __future__ import annotations

from enum import auto

from numpy import ceil, floor  # these stay floating-point in compiled code; those of math do not

from dovetail.arch.table import Column, Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import operand_bits, operand_passes
from dovetail.sim.columns import IS, OS, Op
from dovetail.sim.kernel import kernel
from dovetail.sim.tiles import widest_span

LATENCY, ENERGY, EDP = range(3)


class Term(Column):
    """What all tilings of one operator on one design share (float64)."""

    ROWS = auto()
    COLS = auto()
    ARRAYS = auto()
    DATAFLOW = auto()
    PASSES = auto()
    G = auto()
    N = auto()
    K = auto()
    C = auto()
    P = auto()
    Q = auto()
    KERNEL = auto()  # R S
    R = auto()
    S = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    REACH_H = auto()  # rows that one window spans
    REACH_W = auto()
    HEIGHT = auto()
    WIDTH = auto()
    HIGH = auto()  # input rows that all outputs span
    WIDE = auto()
    ONE_HIGH = auto()  # input rows that one output spans
    ROOM_IN = auto()  # elements in half the input scratchpad
    ROOM_W = auto()
    ROOM_OUT = auto()
    BANDWIDTH = auto()
    LATENCY = auto()
    BYTES_IN = auto()  # per element
    BYTES_W = auto()
    BYTES_OUT = auto()
    EPILOGUE = auto()  # cycles per output element
    OVERLAP = auto()


TERMS = len(Term)


@kernel
def fill_terms(design: FloatArray, op: IntArray, terms: FloatArray) -> None:
    """Fills the shared terms of a (design, operator) pair.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY.
        terms: (TERMS,), written.
    """
    bits_in, bits_w, bits_out = operand_bits(design, op)
    P, Q, R, S = op[Op.P], op[Op.Q], op[Op.R], op[Op.S]
    sh, sw, dh, dw = op[Op.STRIDE_H], op[Op.STRIDE_W], op[Op.DILATION_H], op[Op.DILATION_W]
    H, W = op[Op.HEIGHT], op[Op.WIDTH]
    terms[Term.ROWS] = design[Design.ROWS]
    terms[Term.COLS] = design[Design.COLS]
    terms[Term.ARRAYS] = design[Design.ARRAYS]
    terms[Term.DATAFLOW] = design[Design.DATAFLOW]
    terms[Term.PASSES] = operand_passes(design, bits_in, bits_w)
    terms[Term.G] = op[Op.G]
    terms[Term.N] = op[Op.N]
    terms[Term.K] = op[Op.K]
    terms[Term.C] = op[Op.C]
    terms[Term.P] = P
    terms[Term.Q] = Q
    terms[Term.KERNEL] = R * S
    terms[Term.R] = R
    terms[Term.S] = S
    terms[Term.STRIDE_H] = sh
    terms[Term.STRIDE_W] = sw
    terms[Term.REACH_H] = (R - 1) * dh + 1
    terms[Term.REACH_W] = (S - 1) * dw + 1
    terms[Term.HEIGHT] = H
    terms[Term.WIDTH] = W
    terms[Term.HIGH] = widest_span(P, R, sh, dh, H)
    terms[Term.WIDE] = widest_span(Q, S, sw, dw, W)
    terms[Term.ONE_HIGH] = widest_span(1, R, sh, dh, H)
    terms[Term.ROOM_IN] = floor(design[Design.INPUT_HALF] * 8 / bits_in)
    terms[Term.ROOM_W] = floor(design[Design.WEIGHT_HALF] * 8 / bits_w)
    terms[Term.ROOM_OUT] = floor(design[Design.OUTPUT_HALF] * 8 / design[Design.ACCUMULATOR_BITS])
    terms[Term.BANDWIDTH] = design[Design.BANDWIDTH]
    terms[Term.LATENCY] = design[Design.LATENCY]
    terms[Term.BYTES_IN] = bits_in / 8
    terms[Term.BYTES_W] = bits_w / 8
    terms[Term.BYTES_OUT] = bits_out / 8
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * P * Q
    terms[Term.OVERLAP] = design[Design.OVERLAP]
    terms[Term.EPILOGUE] = op[Op.EPILOGUE_OPS] / outputs / design[Design.LANES]


@kernel
def _outputs_within(
    pixels: float, kernel: float, stride: float, reach: float, size: float, count: float
) -> float:
    """Most outputs along one axis whose input span is at most `pixels`; below 1 if none."""
    if min((count - 1) * stride + reach, count * kernel, size) <= pixels:
        return count
    touching = floor((pixels - reach) / stride) + 1 if pixels >= reach else 0.0
    apart = floor(pixels / kernel) if stride > reach else 0.0
    single = 1.0 if kernel <= pixels else 0.0  # the rows between its taps are skipped
    return max(touching, apart, single)


@kernel
def place(
    terms: FloatArray, tn: float, tc: float, limit: float
) -> tuple[float, float, float, float]:
    """Largest tile of tn output and tc input channels that fits the scratchpads.

    Args:
        terms: from `fill_terms`.
        tn: output channels.
        tc: input channels.
        limit: most output pixels, over all groups of the tile.

    Returns:
        Groups, images, rows and columns of outputs; rows are cut before columns, images before
        rows. Parts are evened out, so that the last tile is not much smaller. Groups are 0 if no
        tile fits.
    """
    weights = tn * tc * terms[Term.KERNEL]
    max_in, max_out = floor(terms[Term.ROOM_IN] / tc), floor(terms[Term.ROOM_OUT] / tn)
    if weights > terms[Term.ROOM_W] or max_in < 1 or max_out < 1:
        return 0.0, 0.0, 0.0, 0.0
    P, Q, N = terms[Term.P], terms[Term.Q], terms[Term.N]
    high, wide = terms[Term.HIGH], terms[Term.WIDE]
    allowed = min(max_out, limit)
    if P * Q <= allowed and high * wide <= max_in:
        if N > 1:
            images = min(N, floor(allowed / (P * Q)), floor(max_in / (high * wide)))
            if images < N:
                return 1.0, ceil(N / ceil(N / images)), P, Q
        groups = terms[Term.G]
        if groups > 1:
            whole = tn == terms[Term.K] and tc == terms[Term.C]
            groups = min(
                groups if whole else 1.0,
                floor(limit / (N * P * Q)),
                floor(terms[Term.ROOM_W] / weights),
                floor(max_out / (N * P * Q)),
                floor(max_in / (N * high * wide)),
            )
            groups = ceil(terms[Term.G] / ceil(terms[Term.G] / max(1.0, groups)))
        return groups, N, P, Q
    rows = min(
        floor(allowed / Q),
        _outputs_within(
            floor(max_in / wide), terms[Term.R], terms[Term.STRIDE_H], terms[Term.REACH_H],
            terms[Term.HEIGHT], P,
        ),
    )  # fmt: skip
    if rows >= 1:
        return 1.0, 1.0, ceil(P / ceil(P / rows)), Q
    columns = min(
        allowed,
        _outputs_within(
            floor(max_in / terms[Term.ONE_HIGH]), terms[Term.S], terms[Term.STRIDE_W],
            terms[Term.REACH_W], terms[Term.WIDTH], Q,
        ),
    )  # fmt: skip
    if columns >= 1:
        return 1.0, 1.0, 1.0, ceil(Q / ceil(Q / columns))
    return 0.0, 0.0, 0.0, 0.0


@kernel
def key_of(objective: int, cycles: float, energy: float, traffic: float) -> float:
    """What a mapper minimises; latency breaks ties by traffic, energy by latency."""
    if objective == LATENCY:
        return cycles + 1e-9 * traffic
    if objective == ENERGY:
        return energy * (1.0 + 1e-12 * cycles)
    return cycles * energy


@kernel
def _parts(total: float, tile: float) -> float:
    """Number of tiles of a dimension; most are whole, and a division takes a while."""
    return 1.0 if tile == total else ceil(total / tile)


@kernel
def _folds(total: float, tile: float, edge: float) -> float:
    """Sum over the tiles of a dimension of ceil(extent / edge)."""
    if tile == total:
        return ceil(total / edge)
    full = floor(total / tile)
    return full * ceil(tile / edge) + ceil((total - full * tile) / edge)


@kernel
def regular_key(
    design: FloatArray, terms: FloatArray, objective: int, order: int,
    tg: float, tb: float, tp: float, tq: float, tn: float, tc: float,
) -> float:  # fmt: skip
    """Cost key of a tiling were all its tiles alike.

    Args:
        design: row of `Design` columns.
        terms: from `fill_terms`.
        objective: LATENCY, ENERGY or EDP.
        order: 0 if output channels are the inner tile loop, 1 if pixels are.
        tg: groups of a tile.
        tb: its images.
        tp: its output rows.
        tq: its output columns.
        tn: its output channels.
        tc: its input channels.
    """
    rows, cols, K, C = terms[Term.ROWS], terms[Term.COLS], terms[Term.K], terms[Term.C]
    kernel, groups = terms[Term.KERNEL], terms[Term.G]
    pixels, depth = terms[Term.N] * terms[Term.P] * terms[Term.Q], C * kernel
    np_, nq = _parts(terms[Term.P], tp), _parts(terms[Term.Q], tq)
    nm = _parts(terms[Term.N], tb) * np_ * nq
    nn, nk, ng = _parts(K, tn), _parts(C, tc), _parts(groups, tg)
    m = tb * tp * tq
    dataflow = int(terms[Term.DATAFLOW])
    skew = rows + cols - 2
    if dataflow == OS:
        across, down = _folds(K, tn, cols), _folds(pixels, m, rows)
        stream, fills = depth, nk
    elif dataflow == IS:
        across, down = _folds(pixels, m, cols), _folds(depth, tc * kernel, rows)
        stream, fills, skew = K, nn, skew + rows
    else:
        across, down = _folds(K, tn, cols), _folds(depth, tc * kernel, rows)
        stream, fills, skew = pixels, nm, skew + rows
    outer = ng * nm * nn
    steps = outer * nk
    engine = groups * across * down * (stream * terms[Term.PASSES] + fills * skew)
    if terms[Term.ARRAYS] > 1:
        waves = groups * across * down * fills / steps  # folds of one step
        engine *= ceil(waves / terms[Term.ARRAYS]) / waves
    compute = engine / steps
    if terms[Term.OVERLAP] > 0:
        folds = ceil(groups * across * down * fills / steps / terms[Term.ARRAYS])
        once = stream * terms[Term.PASSES] / fills
        compute = (folds - 1) * max(once, skew - rows - cols + 2) + once + skew

    bandwidth, latency = terms[Term.BANDWIDTH], terms[Term.LATENCY]
    high = terms[Term.HIGH] + (np_ - 1) * max(0.0, terms[Term.REACH_H] - terms[Term.STRIDE_H])
    wide = terms[Term.WIDE] + (nq - 1) * max(0.0, terms[Term.REACH_W] - terms[Term.STRIDE_W])
    in_bytes = groups * terms[Term.N] * C * high * wide * terms[Term.BYTES_IN]
    w_bytes = groups * K * depth * terms[Term.BYTES_W]
    out_bytes = groups * pixels * K * terms[Term.BYTES_OUT]
    load_in = in_bytes / (ng * nm * nk * bandwidth)  # of one tile
    load_w = w_bytes / (ng * nn * nk * bandwidth)
    store = max(out_bytes / bandwidth, groups * pixels * K * terms[Term.EPILOGUE]) / outer
    full = latency + load_in + load_w
    if nk > 1:
        total = outer * (max(compute, store + full) + (nk - 1) * max(compute, full))
        in_bytes *= nn
        w_bytes *= nm
    elif (order == 0 and nn > 1) or nm == 1:  # weights move, the input tile stays
        stays = max(compute, store + latency + load_w)
        total = ng * nm * (max(compute, store + full) + (nn - 1) * stays)
        w_bytes *= nm
    else:
        stays = max(compute, store + latency + load_in)
        total = ng * nn * (max(compute, store + full) + (nm - 1) * stays)
        in_bytes *= nn
    # The first load and the last store stand alone; beside the first tile nothing is loaded twice.
    cycles = total + compute - max(compute, store + full) + full + store
    traffic = in_bytes + w_bytes + out_bytes
    if objective == LATENCY:
        return key_of(objective, cycles, 0.0, traffic)
    macs = groups * pixels * K * depth
    sums = groups * pixels * K
    if dataflow == OS:
        words_in, words_w, sums = macs / K * across, macs / pixels * down, sums * nk
    elif dataflow == IS:
        words_in, words_w, sums = macs / K * nn, macs / pixels * across, sums * down
    else:
        words_in, words_w, sums = macs / K * across, macs / pixels * nm, sums * down
    energy = (
        traffic * design[Design.DRAM_PJ]
        + (words_in * terms[Term.BYTES_IN] + in_bytes) * design[Design.INPUT_PJ]
        + (words_w * terms[Term.BYTES_W] + w_bytes) * design[Design.WEIGHT_PJ]
        + sums * design[Design.ACCUMULATOR_BITS] / 4 * design[Design.OUTPUT_PJ]
        + macs * terms[Term.PASSES] * design[Design.MAC_PJ]
    )
    return key_of(objective, cycles, energy, traffic)
