"""Tilings of one operator on a systolic array, chosen by cost.

A tiling cuts K (output channels), C (input channels), and the output pixels (images, then rows,
then columns, whole ones first). Smaller tiles start the array sooner, larger ones reload less.
Partial sums never leave the chip: C is the innermost tile loop.

`exhaustive` halves K step by step, cuts C into 1, 2, 3, 4, 6, 8, 12, ... parts, and costs every
pixel tile that fits exactly; `greedy` ranks few candidates by a bound that needs no sum over tiles
and costs only the best exactly. Both return the cheapest by cycles, energy or their product.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from dovetail.arch.table import Design
from dovetail.errors import UnknownNameError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.bound import TERMS, bound_terms, key_of, tiling_bound
from dovetail.sim.closed_form import array_cost, operand_bits, vector_cost
from dovetail.sim.columns import ARRAY, NONE, VECTOR, Cost, Op, Tile
from dovetail.sim.tiles import ceil_div, widest_span

OBJECTIVES = ("latency", "energy", "edp")
MAPPERS = ("greedy", "exhaustive")
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


@njit(cache=True, error_model="numpy")
def _outputs_within(
    pixels: int, kernel: int, stride: int, dilation: int, size: int, count: int
) -> int:
    """Most outputs along one axis whose input span is at most `pixels`; 0 if not even one."""
    if widest_span(count, kernel, stride, dilation, size) <= pixels:
        return count
    reach = (kernel - 1) * dilation + 1
    touching = (pixels - reach) // stride + 1 if pixels >= reach else 0
    apart = pixels // kernel if stride > reach else 0
    one = 1 if widest_span(1, kernel, stride, dilation, size) <= pixels else 0
    return max(touching, apart, one)


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def _place(design: FloatArray, op: IntArray, tn: int, tc: int, limit: int, tile: IntArray) -> bool:
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


@njit(cache=True, error_model="numpy")
def _exact(
    design: FloatArray, op: IntArray, tile: IntArray, objective: int, cost: FloatArray
) -> float:
    array_cost(design, op, tile, cost)
    energy = 0.0
    for column in range(Cost.MAC_ENERGY, Cost.DRAM_ENERGY + 1):
        energy += cost[column]
    traffic = cost[Cost.DRAM_INPUT] + cost[Cost.DRAM_WEIGHT] + cost[Cost.DRAM_OUTPUT]
    return key_of(objective, cost[Cost.CYCLES], energy, traffic)


@njit(cache=True, error_model="numpy")
def _exhaustive(
    design: FloatArray, op: IntArray, objective: int, best: IntArray, tile: IntArray,
    cost: FloatArray, lowest: float,
) -> float:  # fmt: skip
    """Costs every candidate exactly; `best` and `lowest` hold a first solution, if any."""
    cols = int(design[Design.COLS])
    K, C = op[Op.K], op[Op.C]
    pixels = op[Op.N] * op[Op.P] * op[Op.Q]
    tn = K
    while True:
        cuts = step = 1
        while True:
            tc = ceil_div(C, cuts)
            limit = pixels * op[Op.G]
            while limit >= 1 and _place(design, op, tn, tc, limit, tile):
                for order in range(2 if tc == C and tn < K else 1):
                    tile[Tile.ORDER] = order
                    key = _exact(design, op, tile, objective, cost)
                    if key < lowest:
                        lowest = key
                        best[:] = tile
                taken = tile[Tile.G] * tile[Tile.N] * tile[Tile.P] * tile[Tile.Q]
                limit = taken - 1
            if tc == 1:
                break
            if cuts == 4 * step:
                step *= 2
            cuts += step
        if tn == 1:
            return lowest
        tn = _narrower(tn, cols)


@njit(cache=True, error_model="numpy")
def _narrower(tn: int, cols: int) -> int:
    """Half as many output channels, whole array columns if it is more than one array wide."""
    tn = ceil_div(tn, 2)
    return ceil_div(tn, cols) * cols if tn > cols else tn


@njit(cache=True, error_model="numpy")
def _last_resort(design: FloatArray, op: IntArray, shallow: int, tile: IntArray) -> bool:
    """A tile that leaves rows of the array idle, where none that fills them fits; False if none."""
    tile[Tile.ORDER] = 0
    everything = op[Op.N] * op[Op.P] * op[Op.Q] * op[Op.G]
    tc = shallow
    while True:
        tn = min(op[Op.K], int(design[Design.COLS]))
        while True:
            if _place(design, op, tn, tc, everything, tile):
                return True
            if tn == 1:
                break
            tn = ceil_div(tn, 2)
        if tc == 1:
            return False
        tc = ceil_div(tc, 2)


@njit(cache=True, error_model="numpy")
def _greedy(
    design: FloatArray, op: IntArray, objective: int, best: IntArray, tile: IntArray
) -> float:
    """Ranks few candidates by `tiling_bound`; returns the bound of `best`, infinite if none fits.

    For every width it tries the deepest tile, the shallowest that fills the array's rows, and one
    between them; widths are halved until that stops paying. The winner's pixel tile is then halved
    as long as the shorter first load and last store pay.
    """
    rows, cols = int(design[Design.ROWS]), int(design[Design.COLS])
    bits_w = operand_bits(design, op)[1]
    K, C, RS = op[Op.K], op[Op.C], op[Op.R] * op[Op.S]
    room_w = int(design[Design.WEIGHT_HALF]) * 8 // bits_w // RS
    everything = op[Op.N] * op[Op.P] * op[Op.Q] * op[Op.G]
    terms = np.empty(TERMS, dtype=np.float64)
    bound_terms(design, op, terms)
    shallow = min(C, ceil_div(rows, RS))
    lowest = np.inf
    worse = 0
    tn = K
    while True:
        here = np.inf
        deep = min(C, room_w // tn)
        if deep >= 1:
            deep = ceil_div(C, ceil_div(C, deep))
            middle = ceil_div(deep, 4)
            for choice in range(3):
                tc = deep
                if choice == 1:
                    tc = min(deep, shallow)
                    if tc == deep:
                        break
                elif choice == 2:
                    tc = middle
                    if tc <= shallow:
                        break
                if not _place(design, op, tn, tc, everything, tile):
                    continue
                for order in range(2 if tc == C and tn < K else 1):
                    tile[Tile.ORDER] = order
                    key = tiling_bound(design, op, tile, terms, objective)
                    here = min(here, key)
                    if key < lowest:
                        lowest = key
                        best[:] = tile
        worse = worse + 1 if here > lowest else 0
        if tn == 1 or (lowest < np.inf and (tn <= cols or worse >= 2)):
            break
        tn = _narrower(tn, cols)
    if lowest == np.inf:
        if not _last_resort(design, op, shallow, best):
            return lowest
        lowest = tiling_bound(design, op, best, terms, objective)
    tile[Tile.ORDER] = best[Tile.ORDER]
    limit = best[Tile.G] * best[Tile.N] * best[Tile.P] * best[Tile.Q]
    for _ in range(4):
        limit = ceil_div(limit, 2)
        if not _place(design, op, best[Tile.K], best[Tile.C], limit, tile):
            break
        key = tiling_bound(design, op, tile, terms, objective)
        if key >= lowest:
            break
        lowest = key
        best[:] = tile
    return lowest


@njit(cache=True, error_model="numpy")
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
    found = _greedy(design, op, objective, best, tile) < np.inf
    if mapper == EXHAUSTIVE:
        lowest = _exact(design, op, best, objective, cost) if found else np.inf
        found = _exhaustive(design, op, objective, best, tile, cost, lowest) < np.inf
    if found:
        array_cost(design, op, best, cost)
    return found


@njit(cache=True, error_model="numpy", nogil=True)
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


@njit(cache=True, error_model="numpy", nogil=True)
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
    # A network repeats operators: each distinct one is costed once per design.
    costs = np.zeros((ops.shape[0], totals.shape[1]), dtype=np.float64)
    costed = np.full(ops.shape[0], -1, dtype=np.int64)
    for i in range(designs.shape[0]):
        totals[i, :] = 0.0
        for slot in range(row_index.shape[1]):
            row = row_index[i, slot]
            if row < 0 or ops[row, Op.ENGINE] == NONE:
                continue
            if costed[row] != i:
                costed[row] = i
                if ops[row, Op.ENGINE] == VECTOR:
                    vector_cost(designs[i], ops[row], costs[row])
                elif not choose_tile(
                    designs[i], ops[row], objective, mapper, tile, work, costs[row]
                ):
                    costs[row, :] = np.nan
            for column in range(totals.shape[1]):
                totals[i, column] += costs[row, column]
