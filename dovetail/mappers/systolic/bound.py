"""Placing tiles in the scratchpads, and what regular tiles cost.

A candidate is placed and costed in a few dozen floating-point operations: the pixel tile that fits
beside tn output and tc input channels, then the lockstep sum of `dovetail.sim.closed_form` as if
all tiles were alike. Mappers rank candidates by it; the winner is costed exactly.

Both functions stand inside loops over the pairs of a block and choose instead of branching, so that
several pairs are worked on at once; what is chosen from may be nonsense where it is not chosen.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy import ceil, floor  # these stay floating-point in compiled code; those of math do not

from dovetail.ir.space import FloatArray
from dovetail.mappers.systolic.terms import Term
from dovetail.sim.columns import IS, OS
from dovetail.sim.kernel import inlined

LATENCY, ENERGY, EDP = range(3)


@inlined
def _outputs_within(
    pixels: float, kernel: float, stride: float, reach: float, size: float, count: float
) -> float:
    """Most outputs along one axis whose input span is at most `pixels`; below 1 if none."""
    touching = floor((pixels - reach) / stride) + 1 if pixels >= reach else 0.0
    apart = floor(pixels / kernel) if stride > reach else 0.0
    single = 1.0 if kernel <= pixels else 0.0  # the rows between its taps are skipped
    whole = min((count - 1) * stride + reach, count * kernel, size) <= pixels
    return count if whole else max(touching, apart, single)


@inlined
def place(
    terms: FloatArray, lane: int, tn: float, tc: float, limit: float
) -> tuple[float, float, float, float]:
    """Largest tile of tn output and tc input channels that fits the scratchpads.

    Args:
        terms: of a block, from `fill_terms`.
        lane: the pair.
        tn: units of output channels.
        tc: units of input channels.
        limit: most output pixels, over all groups of the tile.

    Returns:
        Groups, images, rows and columns of outputs; rows are cut before columns, images before
        rows. Parts are evened out, so that the last tile is not much smaller. Groups are 0 if no
        tile fits.
    """
    G, N, P, Q = (
        terms[Term.G + lane], terms[Term.N + lane], terms[Term.P + lane], terms[Term.Q + lane]
    )  # fmt: skip
    high, wide, room = terms[Term.HIGH + lane], terms[Term.WIDE + lane], terms[Term.ROOM_W + lane]
    weights = tn * tc * terms[Term.KERNEL + lane]
    max_in = floor(terms[Term.ROOM_IN + lane] / tc)
    max_out = floor(terms[Term.ROOM_OUT + lane] / tn)
    allowed = min(max_out, limit)
    whole = (P * Q <= allowed) & (high * wide <= max_in)
    images = max(1.0, min(N, floor(allowed / (P * Q)), floor(max_in / (high * wide))))
    most = 1.0
    if (tn == terms[Term.K + lane]) & (tc == terms[Term.C + lane]):
        most = terms[Term.MOST_G + lane]
    groups = min(
        most, floor(limit / (N * P * Q)), floor(room / weights), floor(max_out / (N * P * Q)),
        floor(max_in / (N * high * wide)),
    )  # fmt: skip
    groups = ceil(G / ceil(G / max(1.0, groups)))
    rows = min(
        floor(allowed / Q),
        _outputs_within(
            floor(max_in / wide), terms[Term.R + lane], terms[Term.STRIDE_H + lane],
            terms[Term.REACH_H + lane], terms[Term.HEIGHT + lane], P,
        ),
    )  # fmt: skip
    columns = min(
        allowed,
        _outputs_within(
            floor(max_in / terms[Term.ONE_HIGH + lane]), terms[Term.S + lane],
            terms[Term.STRIDE_W + lane], terms[Term.REACH_W + lane], terms[Term.WIDTH + lane], Q,
        ),
    )  # fmt: skip
    fits = (weights <= room) & (max_in >= 1) & (max_out >= 1)
    fits = fits & (whole | (rows >= 1) | (columns >= 1))
    tg = groups if whole & (images >= N) & (G > 1) else 1.0
    tb = ceil(N / ceil(N / images)) if whole else 1.0
    tp = P if whole else (ceil(P / ceil(P / rows)) if rows >= 1 else 1.0)
    tq = Q if whole | (rows >= 1) else ceil(Q / ceil(Q / columns))
    return tg if fits else 0.0, tb, tp, tq


@inlined
def key_of(objective: int, cycles: float, energy: float, traffic: float) -> float:
    """What a mapper minimises; latency breaks ties by traffic, energy by latency."""
    if objective == LATENCY:
        return cycles + 1e-9 * traffic
    if objective == ENERGY:
        return energy * (1.0 + 1e-12 * cycles)
    return cycles * energy


@inlined
def _folds(total: float, tile: float, edge: float) -> float:
    """Sum over the tiles of a dimension of ceil(extent / edge)."""
    full = floor(total / tile)
    return full * ceil(tile / edge) + ceil((total - full * tile) / edge)


class Energy(NamedTuple):
    """What moves within the chip, whichever loop is the inner one.

    Attributes:
        words_in: inputs read from their scratchpad.
        words_w: weights.
        sums: partial sums, in units of output channels.
        macs: products of one unit of each channel.
    """

    words_in: float
    words_w: float
    sums: float
    macs: float


@inlined
def _key(
    terms: FloatArray, lane: int, objective: int,
    cycles: float, in_bytes: float, w_bytes: float, out_bytes: float, moved: Energy,
) -> float:  # fmt: skip
    """Cost key from cycles, bytes of DRAM traffic and what moves within the chip."""
    traffic = in_bytes + w_bytes + out_bytes
    if objective == LATENCY:
        return key_of(objective, cycles, 0.0, traffic)
    units = terms[Term.UNIT_K + lane] * terms[Term.UNIT_C + lane]
    energy = (
        traffic * terms[Term.DRAM_PJ + lane]
        + (moved.words_in * terms[Term.BYTES_IN + lane] + in_bytes) * terms[Term.INPUT_PJ + lane]
        + (moved.words_w * terms[Term.BYTES_W + lane] + w_bytes) * terms[Term.WEIGHT_PJ + lane]
        + moved.sums * terms[Term.UNIT_K + lane] * terms[Term.BYTES_SUM + lane]
        * terms[Term.OUTPUT_PJ + lane]
        + moved.macs * units * terms[Term.PASSES + lane] * terms[Term.MAC_PJ + lane]
    )  # fmt: skip
    return key_of(objective, cycles, energy, traffic)


@inlined
def regular_keys(
    terms: FloatArray, lane: int, objective: int,
    tg: float, tb: float, tp: float, tq: float, tn: float, tc: float,
) -> tuple[float, float]:  # fmt: skip
    """Cost keys of a tiling were all its tiles alike, output channels or pixels the inner loop.

    Args:
        terms: of a block, from `fill_terms`.
        lane: the pair.
        objective: LATENCY, ENERGY or EDP.
        tg: groups of a tile.
        tb: its images.
        tp: its output rows.
        tq: its output columns.
        tn: its units of output channels.
        tc: its units of input channels.
    """
    rows, cols = terms[Term.ROWS + lane], terms[Term.COLS + lane]
    N, P, Q = terms[Term.N + lane], terms[Term.P + lane], terms[Term.Q + lane]
    K, C, groups = terms[Term.K + lane], terms[Term.C + lane], terms[Term.G + lane]
    kernel = terms[Term.KERNEL + lane]
    pixels, depth = N * P * Q, C * kernel
    np_, nq = ceil(P / tp), ceil(Q / tq)
    nm = ceil(N / tb) * np_ * nq
    nn, nk, ng = ceil(K / tn), ceil(C / tc), ceil(groups / tg)
    m = tb * tp * tq
    still_out = terms[Term.DATAFLOW + lane] == OS
    still_in = terms[Term.DATAFLOW + lane] == IS
    across = _folds(pixels if still_in else K, m if still_in else tn, cols)
    down = _folds(pixels if still_out else depth, m if still_out else tc * kernel, rows)
    stay = 0.0 if still_out else terms[Term.STAY + lane]
    skew = terms[Term.SKEW + lane]
    stream, fills = K if still_in else pixels, nn if still_in else nm
    if still_out:
        stream, fills = depth * terms[Term.STREAMED + lane], nk
    outer = ng * nm * nn
    steps = outer * nk
    passes, arrays = terms[Term.PASSES + lane], terms[Term.ARRAYS + lane]
    engine = groups * across * down * (stream * passes + fills * (stay + skew))
    waves = groups * across * down * fills / steps  # folds of one step
    if arrays > 1:
        engine *= ceil(waves / arrays) / waves
    compute = engine / steps
    if terms[Term.OVERLAP + lane] > 0:
        once = stream * passes / fills
        compute = stay + (ceil(waves / arrays) - 1) * max(once, stay) + once + skew
    compute += terms[Term.WORK_MORE + lane]

    bandwidth, latency = terms[Term.BANDWIDTH + lane], terms[Term.LATENCY + lane]
    again_h = max(0.0, terms[Term.REACH_H + lane] - terms[Term.STRIDE_H + lane])
    again_w = max(0.0, terms[Term.REACH_W + lane] - terms[Term.STRIDE_W + lane])
    high = terms[Term.HIGH + lane] + (np_ - 1) * again_h
    wide = terms[Term.WIDE + lane] + (nq - 1) * again_w
    in_bytes = groups * N * C * high * wide * terms[Term.BYTES_IN + lane]
    w_bytes = groups * K * depth * terms[Term.BYTES_W + lane]
    out_bytes = groups * pixels * K * terms[Term.BYTES_OUT + lane]
    load_in = in_bytes / (ng * nm * nk * bandwidth)  # of one tile
    load_w = w_bytes / (ng * nn * nk * bandwidth)
    epilogue = groups * pixels * K * terms[Term.EPILOGUE + lane]
    store = max(out_bytes / bandwidth, epilogue) / outer + terms[Term.STORE_MORE + lane]
    full = latency + load_in + load_w
    first = max(compute, store + full)
    deep = outer * (first + (nk - 1) * max(compute, full))
    # Weights move, the input tile stays; or the other way round.
    moving_w = ng * nm * (first + (nn - 1) * max(compute, store + latency + load_w))
    moving_in = ng * nn * (first + (nm - 1) * max(compute, store + latency + load_in))
    macs = groups * pixels * K * depth
    sums = groups * pixels * K
    words_in = macs / K * (nn if still_in else across)
    words_w = macs / pixels * (down if still_out else (across if still_in else nm))
    energy = Energy(words_in, words_w, sums * (nk if still_out else down), macs)
    # The first load and the last store stand alone; beside the first tile nothing is loaded twice.
    by_k, by_pixels = (nn > 1) | (nm == 1), nm == 1
    total = deep if nk > 1 else (moving_w if by_k else moving_in)
    cycles = total + compute - first + full + store
    reads = in_bytes if (nk == 1) & by_k else in_bytes * nn
    writes = w_bytes if (nk == 1) & (not by_k) else w_bytes * nm
    inner_k = _key(terms, lane, objective, cycles, reads, writes, out_bytes, energy)
    total = deep if nk > 1 else (moving_w if by_pixels else moving_in)
    cycles = total + compute - first + full + store
    reads = in_bytes if (nk == 1) & by_pixels else in_bytes * nn
    writes = w_bytes if (nk == 1) & (not by_pixels) else w_bytes * nm
    inner_pixels = _key(terms, lane, objective, cycles, reads, writes, out_bytes, energy)
    return inner_k, inner_pixels
