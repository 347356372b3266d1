"""Tilings of one operator on a systolic array, chosen by cost.

A tiling cuts K (output channels), C (input channels), and the output pixels (images, then rows,
then columns, whole ones first). Partial sums never leave the chip: C is the innermost tile loop.

`greedy`, which searches use, ranks a dozen candidates as if all their tiles were alike and costs
only the best exactly. `exhaustive` walks thousands: K halved step by step, C cut into 1, 2, 3, 4,
6, 8, 12, … parts, and each time every pixel tile that fits; it costs exactly all that come near the
best. Both return the cheapest by cycles, energy or their product. On the RTL machine channels are
cut in whole words, and vector operators are tiled, too.
"""

from __future__ import annotations

import numpy as np

from dovetail.arch.table import Design
from dovetail.errors import UnknownNameError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.bound import key_of, place, regular_key
from dovetail.mappers.systolic.terms import RTL, TERMS, Term, fill_terms
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import ARRAY, NONE, VECTOR, Cost, Op, Tile
from dovetail.sim.kernel import kernel
from dovetail.sim.rtl_closed_form import rtl_cost
from dovetail.sim.streaming import vector_cost
from dovetail.sim.tiles import ceil_div

OBJECTIVES = ("latency", "energy", "edp")
MAPPERS = ("greedy", "exhaustive")
GREEDY, EXHAUSTIVE = range(2)
ROUNDS = 4
"""Times that `greedy` tries the neighbours of its best candidate."""
PROMISING = 2.0
"""A candidate is costed exactly if, were its tiles alike, it cost at most so much of the best."""
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


@kernel
def _cost(design: FloatArray, op: IntArray, tile: IntArray, cost: FloatArray) -> None:
    if design[Design.MACHINE] == RTL:
        rtl_cost(design, op, tile, cost)
    else:
        array_cost(design, op, tile, cost)


@kernel
def _exact(
    design: FloatArray, op: IntArray, tile: IntArray, objective: int, cost: FloatArray
) -> float:
    _cost(design, op, tile, cost)
    energy = 0.0
    for column in range(Cost.MAC_ENERGY, Cost.DRAM_ENERGY + 1):
        energy += cost[column]
    traffic = cost[Cost.DRAM_INPUT] + cost[Cost.DRAM_WEIGHT] + cost[Cost.DRAM_OUTPUT]
    return key_of(objective, cost[Cost.CYCLES], energy, traffic)


@kernel
def _set(
    terms: FloatArray, tile: IntArray, order: int,
    tg: float, tb: float, tp: float, tq: float, tn: float, tc: float,
) -> None:  # fmt: skip
    """Writes a tile of tn and tc units of channels."""
    tile[Tile.G] = int(tg)
    tile[Tile.N] = int(tb)
    tile[Tile.P] = int(tp)
    tile[Tile.Q] = int(tq)
    tile[Tile.K] = int(min(tn * terms[Term.UNIT_K], terms[Term.ALL_K]))
    tile[Tile.C] = int(min(tc * terms[Term.UNIT_C], terms[Term.ALL_C]))
    tile[Tile.ORDER] = order


@kernel
def _exhaustive(
    design: FloatArray, op: IntArray, objective: int, terms: FloatArray, best: IntArray,
    tile: IntArray, cost: FloatArray,
) -> None:  # fmt: skip
    """Costs every promising candidate exactly, starting from the solution in `best`."""
    cols, K, C = int(terms[Term.COLS]), int(terms[Term.K]), int(terms[Term.C])
    lowest = _exact(design, op, best, objective, cost)
    tn = K
    while True:
        cuts = 1
        while True:
            tc = ceil_div(C, cuts)
            limit = np.inf
            while limit >= 1:
                tg, tb, tp, tq = place(terms, tn, tc, limit)
                if tg < 1:
                    break
                for order in range(2 if tc == C and tn < K else 1):
                    rough = regular_key(design, terms, objective, order, tg, tb, tp, tq, tn, tc)
                    if rough > lowest * PROMISING:
                        continue
                    _set(terms, tile, order, tg, tb, tp, tq, tn, tc)
                    key = _exact(design, op, tile, objective, cost)
                    if key < lowest:
                        lowest = key
                        best[:] = tile
                taken = tg * tb * tp * tq
                limit = taken - 1
            if tc == 1:
                break
            cuts = _next_cuts(cuts)
        if tn == 1:
            return
        tn = _narrower(tn, cols)


@kernel
def _next_cuts(cuts: int) -> int:
    """1, 2, 3, 4, 6, 8, 12, 16, …: powers of two, and three times them."""
    power = 1
    while 4 * power <= cuts:
        power *= 2
    return cuts + power


@kernel
def _narrower(tn: int, cols: int) -> int:
    """Half as many output channels, whole array columns if it is more than one array wide."""
    tn = ceil_div(tn, 2)
    return ceil_div(tn, cols) * cols if tn > cols else tn


@kernel
def _try(
    design: FloatArray, terms: FloatArray, objective: int, tn: int, tc: int, limit: float,
    lowest: float, best: IntArray,
) -> float:  # fmt: skip
    """Cost key of the better loop order of a candidate, kept in `best` if below `lowest`."""
    tg, tb, tp, tq = place(terms, tn, tc, limit)
    if tg < 1:
        return np.inf
    found = np.inf
    for order in range(2 if tc == terms[Term.C] and tn < terms[Term.K] else 1):
        key = regular_key(design, terms, objective, order, tg, tb, tp, tq, tn, tc)
        found = min(found, key)
        if key < lowest:
            lowest = key
            _set(terms, best, order, tg, tb, tp, tq, tn, tc)
    return found


@kernel
def _greedy(design: FloatArray, objective: int, terms: FloatArray, best: IntArray) -> float:
    """Ranks few candidates by `regular_key`; returns that of `best`, infinite if none fits.

    For every width it tries the deepest tile and the shallowest that fills the array's rows;
    widths are halved until that stops paying. Then width, depth and pixels of the best are halved
    and doubled as long as one of these pays.
    """
    rows, cols, kernel = int(terms[Term.ROWS]), int(terms[Term.COLS]), int(terms[Term.KERNEL])
    K, C = int(terms[Term.K]), int(terms[Term.C])
    room = int(terms[Term.ROOM_W]) // kernel
    shallow = min(C, ceil_div(rows, kernel))
    unit_k, unit_c = int(terms[Term.UNIT_K]), int(terms[Term.UNIT_C])
    lowest = np.inf
    worse = 0
    tn = K
    while True:
        here = np.inf
        deep = min(C, room // tn)
        if deep >= 1:
            deep = ceil_div(C, ceil_div(C, deep))
            here = _try(design, terms, objective, tn, deep, np.inf, lowest, best)
            lowest = min(here, lowest)
            if shallow < deep:
                key = _try(design, terms, objective, tn, shallow, np.inf, lowest, best)
                here, lowest = min(here, key), min(key, lowest)
        worse = worse + 1 if here > lowest else 0
        if tn == 1 or worse >= 2:
            break
        tn = _narrower(tn, cols)
    if lowest == np.inf:  # where no full rows fit, a single input channel still may
        tn = min(K, max(1, room))
        while lowest == np.inf and tn >= 1:
            lowest = _try(design, terms, objective, tn, 1, np.inf, lowest, best)
            tn = tn // 2
        if lowest == np.inf:
            return lowest
    for _ in range(ROUNDS):
        before = lowest
        tn = best[Tile.K] if unit_k == 1 else ceil_div(best[Tile.K], unit_k)
        tc = best[Tile.C] if unit_c == 1 else ceil_div(best[Tile.C], unit_c)
        pixels = float(best[Tile.G] * best[Tile.N] * best[Tile.P] * best[Tile.Q])
        half = ceil_div(tc, 2)
        lowest = min(lowest, _try(design, terms, objective, tn, tc, pixels / 2, lowest, best))
        if half < tc:
            lowest = min(lowest, _try(design, terms, objective, tn, half, np.inf, lowest, best))
        if tc < C and 2 * tc * tn <= room:
            more = ceil_div(C, max(1, C // (2 * tc)))
            lowest = min(lowest, _try(design, terms, objective, tn, more, np.inf, lowest, best))
        if lowest == before:
            break
    return lowest


@kernel
def _vector(
    design: FloatArray, op: IntArray, objective: int, terms: FloatArray, best: IntArray,
    tile: IntArray, cost: FloatArray,
) -> float:  # fmt: skip
    """Costs tiles of a vector operator of the RTL machine exactly; infinite if none fits.

    An operator's channels are words of its inputs and outputs alike. Channels and pixels are
    halved as long as that pays.
    """
    operands = max(1, op[Op.OPERANDS])
    lowest = np.inf
    tn = int(terms[Term.K])
    while True:
        before = lowest
        last = np.inf
        limit = np.inf
        while limit >= 1:
            tg, tb, tp, tq = place(terms, tn, tn * operands, limit)
            if tg < 1:
                break
            _set(terms, tile, 0, tg, tb, tp, tq, tn, 1)
            key = _exact(design, op, tile, objective, cost)
            if key < lowest:
                lowest = key
                best[:] = tile
            if key > last:
                break
            last = key
            limit = tp * tq / 2
        if tn == 1 or (lowest < np.inf and lowest == before):
            return lowest
        tn = ceil_div(tn, 2)


@kernel
def choose_tile(
    design: FloatArray, op: IntArray, objective: int, mapper: int,
    best: IntArray, tile: IntArray, terms: FloatArray, cost: FloatArray,
) -> bool:  # fmt: skip
    """Writes the cheapest tiling to `best` and its exact cost to `cost`.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY; or VECTOR, on the RTL machine.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        best: row of `Tile` columns, written.
        tile: work space of the same shape.
        terms: work space, (TERMS,).
        cost: row of `Cost` columns, written.

    Returns:
        False if no tiling fits the scratchpads.
    """
    fill_terms(design, op, terms)
    if op[Op.ENGINE] == VECTOR:
        if _vector(design, op, objective, terms, best, tile, cost) == np.inf:
            return False
    else:
        if _greedy(design, objective, terms, best) == np.inf:
            return False
        if mapper == EXHAUSTIVE:
            _exhaustive(design, op, objective, terms, best, tile, cost)
    _cost(design, op, best, cost)
    return True


@kernel
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
    terms = np.zeros(TERMS, dtype=np.float64)
    for i in range(pair_design.shape[0]):
        design, op = designs[pair_design[i]], ops[pair_op[i]]
        engine = op[Op.ENGINE]
        if engine == ARRAY or (engine == VECTOR and design[Design.MACHINE] == RTL):
            if not choose_tile(design, op, objective, mapper, tiles[i], work, terms, costs[i]):
                return i
        elif engine == VECTOR:
            vector_cost(design, op, costs[i])
        else:
            costs[i, :] = 0.0
    return -1


@kernel
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
    terms = np.zeros(TERMS, dtype=np.float64)
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
                if ops[row, Op.ENGINE] == VECTOR and designs[i, Design.MACHINE] != RTL:
                    vector_cost(designs[i], ops[row], costs[row])
                elif not choose_tile(
                    designs[i], ops[row], objective, mapper, tile, work, terms, costs[row]
                ):
                    costs[row, :] = np.nan
            for column in range(totals.shape[1]):
                totals[i, column] += costs[row, column]
