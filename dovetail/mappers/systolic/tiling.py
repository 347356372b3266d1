"""Tilings of one operator on a systolic array, chosen by cost.

A tiling cuts K (output channels), C (input channels), and the output pixels (images, then rows,
then columns, whole ones first). Partial sums never leave the chip: C is the innermost tile loop.

`greedy`, which searches use, ranks a dozen candidates as if all their tiles were alike and costs
only the best exactly (`dovetail.mappers.systolic.greedy`). `exhaustive` walks thousands: K halved
step by step, C cut into 1, 2, 3, 4, 6, 8, 12, … parts, and each time every pixel tile that fits; it
costs exactly all that come near the best. Both return the cheapest by cycles, energy or their
product. On the RTL machine channels are cut in whole words, and vector operators are tiled, too.
"""

from __future__ import annotations

import numpy as np

from dovetail.arch.table import Design
from dovetail.errors import UnknownNameError
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.bound import key_of, place, regular_keys
from dovetail.mappers.systolic.counts import count_cost, count_tiled
from dovetail.mappers.systolic.exact import windows_touch
from dovetail.mappers.systolic.greedy import BESTS, Best, greedy
from dovetail.mappers.systolic.terms import LANES, RTL, TERMS, Term, fill_terms
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import ARRAY, VECTOR, Cost, Op, Tile
from dovetail.sim.kernel import kernel
from dovetail.sim.rtl_closed_form import rtl_cost
from dovetail.sim.streaming import vector_cost
from dovetail.sim.tiles import ceil_div

OBJECTIVES = ("latency", "energy", "edp")
MAPPERS = ("greedy", "exhaustive")
GREEDY, EXHAUSTIVE = range(2)
PROMISING = 2.0
"""A candidate is costed exactly if, were its tiles alike, it cost at most so much of the best."""
TILE_COLUMNS, COST_COLUMNS = len(Tile), len(Cost)


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
                tg, tb, tp, tq = place(terms, 0, tn, tc, limit)
                if tg < 1:
                    break
                roughly = regular_keys(terms, 0, objective, tg, tb, tp, tq, tn, tc)
                for order in range(2 if tc == C and tn < K else 1):
                    if roughly[order] > lowest * PROMISING:
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
            tg, tb, tp, tq = place(terms, 0, tn, tn * operands, limit)
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
def greedy_tiles(
    designs: FloatArray, ops: IntArray, pair_design: IntArray, pair_op: IntArray, objective: int,
    tiles: IntArray,
) -> None:  # fmt: skip
    """Tiles of all pairs that run on the array, from the `greedy` mapper.

    Args:
        designs: (designs, len(Design)).
        ops: (operators, len(Op)).
        pair_design: (pairs,) row of `designs`.
        pair_op: (pairs,) row of `ops`.
        objective: LATENCY, ENERGY or EDP.
        tiles: (pairs, len(Tile)), written; no groups where no tiling fits.
    """
    terms, best = np.ones(TERMS, dtype=np.float64), np.zeros(BESTS, dtype=np.float64)
    waiting = np.zeros(LANES, dtype=np.int64)
    count = 0
    for i in range(pair_op.shape[0]):
        if ops[pair_op[i], Op.ENGINE] == ARRAY:
            fill_terms(designs[pair_design[i]], ops[pair_op[i]], terms[count:])
            waiting[count] = i
            count += 1
        if count == LANES or (i == pair_op.shape[0] - 1 and count > 0):
            greedy(terms, best, objective, count)
            for lane in range(count):
                _take(terms[lane:], best[lane:], tiles[waiting[lane]])
            count = 0


@kernel
def _take(terms: FloatArray, best: FloatArray, tile: IntArray) -> None:
    """Writes the tile that `greedy` found for the pair whose lane the arrays start at."""
    tile[:] = 0
    if best[Best.KEY] < np.inf:
        _set(
            terms, tile, int(best[Best.ORDER]), best[Best.G], best[Best.N], best[Best.P],
            best[Best.Q], best[Best.K], best[Best.C],
        )  # fmt: skip


@kernel
def _finish_tile(
    design: FloatArray, op: IntArray, objective: int, mapper: int, best: IntArray,
    tile: IntArray, terms: FloatArray, cost: FloatArray,
) -> bool:  # fmt: skip
    """Completes the choice of a tile where `greedy_tiles` has not; False if none fits.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY; or VECTOR, on the RTL machine.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        best: row of `Tile` columns, from `greedy_tiles`; written.
        tile: work space of the same shape.
        terms: work space, (TERMS,).
        cost: work space, row of `Cost` columns.
    """
    if op[Op.ENGINE] == VECTOR:
        fill_terms(design, op, terms)
        return _vector(design, op, objective, terms, best, tile, cost) < np.inf
    if best[Tile.G] == 0:
        return False
    if mapper == EXHAUSTIVE:
        fill_terms(design, op, terms)
        _exhaustive(design, op, objective, terms, best, tile, cost)
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
    greedy_tiles(designs, ops, pair_design, pair_op, objective, tiles)
    for i in range(pair_design.shape[0]):
        design, op, cost = designs[pair_design[i]], ops[pair_op[i]], costs[i]
        engine = op[Op.ENGINE]
        if engine == ARRAY or (engine == VECTOR and design[Design.MACHINE] == RTL):
            if not _finish_tile(design, op, objective, mapper, tiles[i], work, terms, cost):
                return i
            _cost(design, op, tiles[i], cost)
        elif engine == VECTOR:
            vector_cost(design, op, cost)
        else:
            cost[:] = 0.0
    return -1


@kernel
def count_pairs(
    designs: FloatArray, ops: IntArray, pair_design: IntArray, pair_op: IntArray,
    objective: int, mapper: int, counts: FloatArray,
) -> None:  # fmt: skip
    """Maps pairs as `cost_pairs` does and tells what time and energy are made of.

    Args:
        designs: (designs, len(Design)).
        ops: (operators, len(Op)).
        pair_design: (pairs,) row of `designs`.
        pair_op: (pairs,) row of `ops`.
        objective: LATENCY, ENERGY or EDP.
        mapper: GREEDY or EXHAUSTIVE.
        counts: (pairs, len(Count)), written; NaN where no tiling fits.
    """
    tiles = np.zeros((pair_op.shape[0], TILE_COLUMNS), dtype=np.int64)
    work = np.zeros(TILE_COLUMNS, dtype=np.int64)
    terms = np.zeros(TERMS, dtype=np.float64)
    cost = np.zeros(COST_COLUMNS, dtype=np.float64)
    greedy_tiles(designs, ops, pair_design, pair_op, objective, tiles)
    for i in range(pair_op.shape[0]):
        design, op = designs[pair_design[i]], ops[pair_op[i]]
        if design[Design.MACHINE] != RTL and op[Op.ENGINE] == VECTOR:
            vector_cost(design, op, cost)
            count_cost(cost, counts[i])
        elif not _finish_tile(design, op, objective, mapper, tiles[i], work, terms, cost):
            tiles[i, Tile.G] = 0
            counts[i] = np.nan
        elif design[Design.MACHINE] == RTL or not windows_touch(op):
            _cost(design, op, tiles[i], cost)
            count_cost(cost, counts[i])
            tiles[i, Tile.G] = 0
    count_tiled(designs, ops, pair_design, pair_op, tiles, counts)
