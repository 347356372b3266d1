"""Placing tiles in the scratchpads, and what regular tiles cost.

A candidate is placed and costed in a few dozen floating-point operations: the pixel tile that fits
beside tn output and tc input channels, then the lockstep sum of `dovetail.sim.closed_form` as if
all tiles were alike. Mappers rank candidates by it; the winner is costed exactly.
"""

from __future__ import annotations

from numpy import ceil, floor  # these stay floating-point in compiled code; those of math do not

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray
from dovetail.mappers.systolic.terms import Term
from dovetail.sim.columns import IS, OS
from dovetail.sim.kernel import kernel

LATENCY, ENERGY, EDP = range(3)


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
        tn: units of output channels.
        tc: units of input channels.
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
                terms[Term.MOST_G] if whole else 1.0,
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
        tn: its units of output channels.
        tc: its units of input channels.
    """
    rows, cols, K, C = terms[Term.ROWS], terms[Term.COLS], terms[Term.K], terms[Term.C]
    kernel, groups = terms[Term.KERNEL], terms[Term.G]
    pixels, depth = terms[Term.N] * terms[Term.P] * terms[Term.Q], C * kernel
    np_, nq = _parts(terms[Term.P], tp), _parts(terms[Term.Q], tq)
    nm = _parts(terms[Term.N], tb) * np_ * nq
    nn, nk, ng = _parts(K, tn), _parts(C, tc), _parts(groups, tg)
    m = tb * tp * tq
    dataflow = int(terms[Term.DATAFLOW])
    stay, skew = terms[Term.STAY], terms[Term.SKEW]
    if dataflow == OS:
        across, down = _folds(K, tn, cols), _folds(pixels, m, rows)
        stream, fills, stay = depth * terms[Term.STREAMED], nk, 0.0
    elif dataflow == IS:
        across, down = _folds(pixels, m, cols), _folds(depth, tc * kernel, rows)
        stream, fills = K, nn
    else:
        across, down = _folds(K, tn, cols), _folds(depth, tc * kernel, rows)
        stream, fills = pixels, nm
    outer = ng * nm * nn
    steps = outer * nk
    engine = groups * across * down * (stream * terms[Term.PASSES] + fills * (stay + skew))
    if terms[Term.ARRAYS] > 1:
        waves = groups * across * down * fills / steps  # folds of one step
        engine *= ceil(waves / terms[Term.ARRAYS]) / waves
    compute = engine / steps
    if terms[Term.OVERLAP] > 0:
        folds = ceil(groups * across * down * fills / steps / terms[Term.ARRAYS])
        once = stream * terms[Term.PASSES] / fills
        compute = stay + (folds - 1) * max(once, stay) + once + skew
    compute += terms[Term.WORK_MORE]

    bandwidth, latency = terms[Term.BANDWIDTH], terms[Term.LATENCY]
    high = terms[Term.HIGH] + (np_ - 1) * max(0.0, terms[Term.REACH_H] - terms[Term.STRIDE_H])
    wide = terms[Term.WIDE] + (nq - 1) * max(0.0, terms[Term.REACH_W] - terms[Term.STRIDE_W])
    in_bytes = groups * terms[Term.N] * C * high * wide * terms[Term.BYTES_IN]
    w_bytes = groups * K * depth * terms[Term.BYTES_W]
    out_bytes = groups * pixels * K * terms[Term.BYTES_OUT]
    load_in = in_bytes / (ng * nm * nk * bandwidth)  # of one tile
    load_w = w_bytes / (ng * nn * nk * bandwidth)
    store = max(out_bytes / bandwidth, groups * pixels * K * terms[Term.EPILOGUE]) / outer
    store += terms[Term.STORE_MORE]
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
    pes = terms[Term.UNIT_K] * terms[Term.UNIT_C]
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
        + sums * terms[Term.UNIT_K] * design[Design.ACCUMULATOR_BITS] / 4 * design[Design.OUTPUT_PJ]
        + macs * pes * terms[Term.PASSES] * design[Design.MAC_PJ]
    )
    return key_of(objective, cycles, energy, traffic)
