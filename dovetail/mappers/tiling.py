"""Tilings of one operator on a systolic array, chosen by cost.

A tiling cuts K (output channels), C (input channels), and the output pixels (images, then rows,
then columns, whole ones first). The candidates halve K and C step by step, take the largest pixel
tile that fits the scratchpads, and its halves, quarters and eighths: smaller tiles start the array
sooner, larger ones reload less. Partial sums never leave the chip: C is the innermost tile loop.

`exhaustive` costs every candidate exactly; `greedy` ranks them by a bound that needs no sum over
tiles and costs only the best exactly. Both return the cheapest by cycles, energy or their product.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dovetail.errors import UnknownNameError
from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import array_cost, load_cycles, operand_bits, operand_passes
from dovetail.sim.closed_form import store_cycles, vector_cost
from dovetail.sim.columns import ARRAY, IS, OS, VECTOR, Cost, Op, Tile
from dovetail.sim.tiles import ceil_div, packed_bytes, transfer_cycles, widest_span

OBJECTIVES = ("latency", "energy", "edp")
MAPPERS = ("greedy", "exhaustive")
LATENCY, ENERGY, EDP = range(3)
GREEDY, EXHAUSTIVE = range(2)
TILE_COLUMNS = len(Tile)


def objective_code(name: str) -> int:
    """Number of an objective's name.

    Raises:
        UnknownNameError: if it is none of `OBJECTIVES`.
    """
    if name not in OBJECTIVES:
        raise UnknownNameError("mapping objective", name, OBJECTIVES)
    return OBJECTIVES.index(name)


def mapper_code(name: str) -> int:
    """Number of a mapper's name.

    Raises:
        UnknownNameError: if it is none of `MAPPERS`.
    """
    if name not in MAPPERS:
        raise UnknownNameError("mapper", name, MAPPERS)
    return MAPPERS.index(name)


@njit(cache=True)
def _outputs_within(
    pixels: int, kernel: int, stride: int, dilation: int, size: int, count: int
) -> int:
    """Most outputs along one axis whose input span is at most `pixels`; 0 if not even one."""
    if widest_span(count, kernel, stride, dilation, size) <= pixels:
        return count
    reach = (kernel - 1) * dilation + 1
    touching = (pixels - reach) // stride + 1 if pixels >= reach else 0
    return max(touching, pixels // kernel if stride > reach else 0)


@njit(cache=True)
def _pixel_tile(op: IntArray, max_in: int, max_out: int, tile: IntArray) -> bool:
    """Largest pixel tile with <= max_in input and <= max_out output pixels; False if none."""
    N, P, Q = op[Op.N], op[Op.P], op[Op.Q]
    R, S, H, W = op[Op.R], op[Op.S], op[Op.HEIGHT], op[Op.WIDTH]
    sh, sw, dh, dw = op[Op.STRIDE_H], op[Op.STRIDE_W], op[Op.DILATION_H], op[Op.DILATION_W]
    high, wide = widest_span(P, R, sh, dh, H), widest_span(Q, S, sw, dw, W)
    tile[Tile.N] = 1
    tile[Tile.P] = 1
    tile[Tile.Q] = Q
    if P * Q <= max_out and high * wide <= max_in:
        images = min(N, max_out // (P * Q), max_in // (high * wide))
        tile[Tile.N] = ceil_div(N, ceil_div(N, images))
        tile[Tile.P] = P
        return True
    rows = min(max_out // Q, _outputs_within(max_in // wide, R, sh, dh, H, P))
    if rows >= 1:
        tile[Tile.P] = ceil_div(P, ceil_div(P, rows))
        return True
    room = max_in // widest_span(1, R, sh, dh, H)
    columns = min(max_out, _outputs_within(room, S, sw, dw, W, Q))
    if columns < 1:
        return False
    tile[Tile.Q] = ceil_div(Q, ceil_div(Q, columns))
    return True


@njit(cache=True)
def _place(
    design: FloatArray, op: IntArray, tn: int, tc: int, limit: int, tile: IntArray
) -> bool:
    """Fills a tile of tn x tc with at most `limit` output pixels that fits; False if none does."""
    bits_in, bits_w, _ = operand_bits(design, op)
    in_bits = int(design[Design.INPUT_HALF]) * 8
    w_bits = int(design[Design.WEIGHT_HALF]) * 8
    out_bits = int(design[Design.OUTPUT_HALF]) * 8
    weights = tn * tc * op[Op.R] * op[Op.S] * bits_w
    depth = tc * bits_in
    width = tn * int(design[Design.ACCUMULATOR_BITS])
    if weights > w_bits or width > out_bits or depth > in_bits:
        return False
    tile[Tile.K] = tn
    tile[Tile.C] = tc
    tile[Tile.G] = 1
    if not _pixel_tile(op, in_bits // depth, min(out_bits // width, limit), tile):
        return False
    if op[Op.G] > 1 and tn == op[Op.K] and tc == op[Op.C] and tile[Tile.N] == op[Op.N]:
        whole = tile[Tile.P] == op[Op.P] and tile[Tile.Q] == op[Op.Q]
        if whole:
            pixels = op[Op.N] * op[Op.P] * op[Op.Q]
            area = widest_span(
                op[Op.P], op[Op.R], op[Op.STRIDE_H], op[Op.DILATION_H], op[Op.HEIGHT]
            ) * widest_span(op[Op.Q], op[Op.S], op[Op.STRIDE_W], op[Op.DILATION_W], op[Op.WIDTH])
            groups = min(
                op[Op.G],
                limit // pixels,
                w_bits // weights,
                out_bits // (width * pixels),
                in_bits // (depth * op[Op.N] * area),
            )
            tile[Tile.G] = ceil_div(op[Op.G], ceil_div(op[Op.G], max(1, groups)))
    return True


@njit(cache=True)
def _key(objective: int, cycles: float, energy: float, traffic: float) -> float:
    """What the search minimises; latency breaks ties by traffic."""
    if objective == LATENCY:
        return cycles + 1e-9 * traffic
    if objective == ENERGY:
        return energy * (1.0 + 1e-9 * cycles)
    return cycles * energy


@njit(cache=True)
def _split_sum(total: int, tile: int, unit: int) -> int:
    """Sum over the tiles of a dimension of ceil(extent / unit)."""
    full = total // tile
    return full * ceil_div(tile, unit) + ceil_div(total - full * tile, unit)


@njit(cache=True)
def _bound(design: FloatArray, op: IntArray, tile: IntArray, objective: int) -> float:
    """Cost key of a tiling without a sum over its tiles: max(engine, memory) + fill + drain.

    Cycles of edge tiles are exact on one array; halos count as in the interior.
    """
    rows, cols = int(design[Design.ROWS]), int(design[Design.COLS])
    arrays, dataflow = int(design[Design.ARRAYS]), int(design[Design.DATAFLOW])
    bandwidth, latency = design[Design.BANDWIDTH], int(design[Design.LATENCY])
    bits_in, bits_w, bits_out = operand_bits(design, op)
    passes = operand_passes(design, bits_in, bits_w)
    G, N, K, C, P, Q = op[Op.G], op[Op.N], op[Op.K], op[Op.C], op[Op.P], op[Op.Q]
    R, S = op[Op.R], op[Op.S]
    tg, tb, tp, tq = tile[Tile.G], tile[Tile.N], tile[Tile.P], tile[Tile.Q]
    tn, tc = tile[Tile.K], tile[Tile.C]
    ng, np_, nq = ceil_div(G, tg), ceil_div(P, tp), ceil_div(Q, tq)
    nm = ceil_div(N, tb) * np_ * nq
    nn, nk = ceil_div(K, tn), ceil_div(C, tc)
    M, m = N * P * Q, tb * tp * tq
    if dataflow == OS:
        folds = _split_sum(M, m, rows) * _split_sum(K, tn, cols)
        stream, count, fill = C * R * S, nk, rows + cols - 2
    elif dataflow == IS:
        folds = _split_sum(C * R * S, tc * R * S, rows) * _split_sum(M, m, cols)
        stream, count, fill = K, nn, 2 * rows + cols - 2
    else:
        folds = _split_sum(C * R * S, tc * R * S, rows) * _split_sum(K, tn, cols)
        stream, count, fill = M, nm, 2 * rows + cols - 2
    steps = ng * nm * nn * nk
    spread = min(arrays, max(1, G * folds // max(1, ng * nm * nn * nk // count)))
    engine = ceil_div(G * folds, spread) * (stream * passes + count * fill)

    reach_h = (R - 1) * op[Op.DILATION_H] + 1
    reach_w = (S - 1) * op[Op.DILATION_W] + 1
    high = op[Op.HEIGHT] + (np_ - 1) * max(0, reach_h - op[Op.STRIDE_H])
    wide = op[Op.WIDTH] + (nq - 1) * max(0, reach_w - op[Op.STRIDE_W])
    moves_in = nn if nk > 1 or (tile[Tile.ORDER] == 1 and nm > 1) else 1
    moves_w = nm if nk > 1 or (tile[Tile.ORDER] == 0 and nn > 1) else 1
    in_bytes = moves_in * packed_bytes(G * N * C * min(high, P * R) * min(wide, Q * S), bits_in)
    w_bytes = moves_w * packed_bytes(G * K * C * R * S, bits_w)
    out_bytes = packed_bytes(G * M * K, bits_out)
    traffic = in_bytes + w_bytes + out_bytes
    memory = traffic / bandwidth + steps * latency
    tile_in = packed_bytes(
        tg * tc * tb * widest_span(tp, R, op[Op.STRIDE_H], op[Op.DILATION_H], op[Op.HEIGHT])
        * widest_span(tq, S, op[Op.STRIDE_W], op[Op.DILATION_W], op[Op.WIDTH]), bits_in,
    )  # fmt: skip
    first = tile_in + packed_bytes(tg * tn * tc * R * S, bits_w)
    last = store_cycles(
        tg * m * tn, bits_out, bandwidth, op[Op.EPILOGUE_OPS] // (G * M * K),
        int(design[Design.LANES]),
    )  # fmt: skip
    cycles = max(float(engine), memory) + load_cycles(first, bandwidth, latency) + last
    if objective == LATENCY:
        return _key(objective, cycles, 0.0, traffic)
    depth = C * R * S
    if dataflow == OS:
        words_in, words_w = M * depth * _split_sum(K, tn, cols), depth * K * _split_sum(M, m, rows)
        sums = M * K * nk
    elif dataflow == IS:
        words_in, words_w = M * depth * nn, depth * K * _split_sum(M, m, cols)
        sums = M * K * _split_sum(depth, tc * R * S, rows)
    else:
        words_in, words_w = M * depth * _split_sum(K, tn, cols), depth * K * nm
        sums = M * K * _split_sum(depth, tc * R * S, rows)
    energy = (
        traffic * design[Design.DRAM_PJ]
        + (G * words_in * bits_in / 8 + in_bytes) * design[Design.INPUT_PJ]
        + (G * words_w * bits_w / 8 + w_bytes) * design[Design.WEIGHT_PJ]
        + G * sums * design[Design.ACCUMULATOR_BITS] / 4 * design[Design.OUTPUT_PJ]
        + G * M * K * depth * passes * design[Design.MAC_PJ]
    )
    return _key(objective, cycles, energy, traffic)


@njit(cache=True)
def _exact(
    design: FloatArray, op: IntArray, tile: IntArray, objective: int, cost: FloatArray
) -> float:
    array_cost(design, op, tile, cost)
    energy = 0.0
    for column in range(Cost.MAC_ENERGY, Cost.DRAM_ENERGY + 1):
        energy += cost[column]
    traffic = cost[Cost.DRAM_INPUT] + cost[Cost.DRAM_WEIGHT] + cost[Cost.DRAM_OUTPUT]
    return _key(objective, cost[Cost.CYCLES], energy, traffic)


@njit(cache=True)
def choose_tile(
    design: FloatArray, op: IntArray, objective: int, mapper: int,
    best: IntArray, tile: IntArray, cost: FloatArray,
) -> bool:  # fmt: skip
    """Writes the cheapest tiling to `best` and its exact cost to `cost`.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        best: row of `Tile` columns, written.
        tile: work space of the same shape.
        cost: row of `Cost` columns, written.

    Returns:
        False if no tiling fits the scratchpads.
    """
    cols = int(design[Design.COLS])
    rows = int(design[Design.ROWS])
    K, C, RS = op[Op.K], op[Op.C], op[Op.R] * op[Op.S]
    pixels = op[Op.N] * op[Op.P] * op[Op.Q]
    lowest = np.inf
    tn = K
    while True:
        tc = C
        deep = 0
        while True:
            if _place(design, op, tn, tc, pixels * op[Op.G], tile):
                deep += 1
                limit = tile[Tile.G] * tile[Tile.N] * tile[Tile.P] * tile[Tile.Q]
                for _ in range(4):
                    moving = ceil_div(K, tn) > 1 and tc == C
                    for order in range(2 if moving and limit < pixels else 1):
                        tile[Tile.ORDER] = order
                        key = (
                            _bound(design, op, tile, objective)
                            if mapper == GREEDY
                            else _exact(design, op, tile, objective, cost)
                        )
                        if key < lowest:
                            lowest = key
                            best[:] = tile
                    limit = ceil_div(limit, 2)
                    if limit < 1 or not _place(design, op, tn, tc, limit, tile):
                        break
            if tc == 1 or (mapper == GREEDY and deep >= 2) or (deep > 0 and tc * RS <= rows):
                break
            tc = ceil_div(tc, 2)
        if tn == 1 or (tn <= cols and lowest < np.inf):
            break
        tn = ceil_div(tn, 2)
        if tn > cols:
            tn = ceil_div(tn, cols) * cols
    if lowest == np.inf:
        return False
    array_cost(design, op, best, cost)
    return True


@njit(cache=True, nogil=True)
def cost_pairs(
    designs: FloatArray, ops: IntArray, pair_design: IntArray, pair_op: IntArray,
    objective: int, mapper: int, tiles: IntArray, costs: FloatArray,
) -> int:  # fmt: skip
    """Maps and costs (design, operator) pairs.

    Args:
        designs: (designs, len(Design)).
        ops: (operators, len(Op)).
        pair_design: (pairs,) row of `designs`.
        pair_op: (pairs,) row of `ops`.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        tiles: (pairs, len(Tile)), written.
        costs: (pairs, len(Cost)), written.

    Returns:
        -1, or the first pair that has no tiling.
    """
    work = np.zeros(tiles.shape[1], dtype=np.int64)
    for i in range(pair_design.shape[0]):
        design, op = designs[pair_design[i]], ops[pair_op[i]]
        engine = op[Op.ENGINE]
        if engine == ARRAY:
            if not choose_tile(design, op, objective, mapper, tiles[i], work, costs[i]):
                return i
        elif engine == VECTOR:
            vector_cost(design, op, costs[i])
        else:
            costs[i, :] = 0.0
    return -1


@njit(cache=True, nogil=True)
def total_costs(
    designs: FloatArray, ops: IntArray, row_index: IntArray, objective: int, mapper: int,
    totals: FloatArray,
) -> None:  # fmt: skip
    """Maps, costs and adds up each design's own operators.

    Args:
        designs: (n, len(Design)).
        ops: (operators, len(Op)).
        row_index: (n, slots) row of `ops` in each slot of a design's network; -1: absent.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        totals: (n, len(Cost)), written; NaN for a design with an operator that has no tiling.
    """
    tile = np.zeros(TILE_COLUMNS, dtype=np.int64)
    work = np.zeros(TILE_COLUMNS, dtype=np.int64)
    cost = np.zeros(totals.shape[1], dtype=np.float64)
    for i in range(designs.shape[0]):
        totals[i, :] = 0.0
        for slot in range(row_index.shape[1]):
            if row_index[i, slot] < 0:
                continue
            op = ops[row_index[i, slot]]
            if op[Op.ENGINE] == ARRAY:
                if not choose_tile(designs[i], op, objective, mapper, tile, work, cost):
                    totals[i, :] = np.nan
                    break
            elif op[Op.ENGINE] == VECTOR:
                vector_cost(designs[i], op, cost)
            else:
                continue
            totals[i] += cost
