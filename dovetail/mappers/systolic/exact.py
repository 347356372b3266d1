"""The closed form of `dovetail.sim.closed_form` for blocks of tiled operators, to the last bit.

Its sum runs over the neighbourhoods of output tiles, some twenty of them: here every pair of a
block adds one at each step, and makes room for the next pair when it has added all. All counts are
whole numbers below 2^53 in floating point, which divides several at once.

Only where windows touch or have one tap; elsewhere an input's span is counted tap by tap, and
`dovetail.sim.closed_form` does it.
"""

from __future__ import annotations

from enum import IntEnum, auto

from numpy import ceil, floor

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.terms import LANES
from dovetail.sim.closed_form import operand_bits, operand_passes
from dovetail.sim.columns import IS, OS, Op, Tile
from dovetail.sim.kernel import inlined, kernel
from dovetail.sim.tiles import first_clipped


class Lane(IntEnum):
    """Where what is known of each pair, and what was added up, start (float64)."""

    @staticmethod
    def _generate_next_value_(name: str, start: int, count: int, last: list[int]) -> int:
        return count * LANES

    G = auto()
    N = auto()
    K = auto()
    P = auto()
    Q = auto()
    TILE_G = auto()
    TILE_N = auto()
    TILE_K = auto()
    TILE_C = auto()
    TILE_P = auto()
    TILE_Q = auto()
    PARTS_G = auto()  # tiles along each dimension
    PARTS_N = auto()
    PARTS_K = auto()
    PARTS_C = auto()
    PARTS_P = auto()
    PARTS_Q = auto()
    LAST_C = auto()  # extent of the last tile
    ORDER = auto()
    HEAD_P = auto()  # tiles that stand alone at either end
    TAIL_P = auto()
    HEAD_Q = auto()
    TAIL_Q = auto()
    KERNEL = auto()  # R S
    DEPTH = auto()  # C R S
    R = auto()
    S = auto()
    STRIDE_H = auto()
    STRIDE_W = auto()
    PAD_TOP = auto()
    PAD_LEFT = auto()
    HEIGHT = auto()
    WIDTH = auto()
    BITS_IN = auto()
    BITS_W = auto()
    BITS_OUT = auto()
    BANDWIDTH = auto()
    LATENCY = auto()
    EPILOGUE = auto()  # operations per output
    VECTOR_LANES = auto()
    ROWS = auto()
    COLS = auto()
    ARRAYS = auto()
    DATAFLOW = auto()
    OVERLAP = auto()
    PASSES = auto()
    STAY = auto()
    SKEW = auto()
    FOLDS_K = auto()  # ceil(C R S / rows) of a depth tile, and of the last
    LAST_FOLDS_K = auto()
    AT_G = auto()  # the present output tile
    AT_N = auto()
    AT_K = auto()
    AT_P = auto()
    AT_Q = auto()
    CYCLES = auto()
    DRAM_INPUT = auto()  # bytes
    DRAM_WEIGHT = auto()
    DRAM_OUTPUT = auto()
    READ_INPUT = auto()  # words
    READ_WEIGHT = auto()
    SUMS = auto()  # partial sums written


FIELDS = len(Lane) * LANES


@kernel
def windows_touch(op: IntArray) -> bool:
    """Whether what an operator reads of its input is in one stretch, or one tap apiece."""
    rows = op[Op.R] == 1 or (op[Op.DILATION_H] == 1 and op[Op.STRIDE_H] <= op[Op.R])
    columns = op[Op.S] == 1 or (op[Op.DILATION_W] == 1 and op[Op.STRIDE_W] <= op[Op.S])
    return rows and columns


@inlined
def _part(total: float, tile: float, index: float) -> float:
    return min(tile, total - index * tile)


@inlined
def _run(index: float, count: float, head: float, tail: float) -> float:
    """As in `dovetail.sim.closed_form`."""
    alike = count - head - tail - 2
    return alike if (index == head + 1) & (alike > 1) else 1.0


@inlined
def _span(first: float, count: float, taps: float, stride: float, pad: float, size: float) -> float:
    """Distinct input rows (or columns) that `count` outputs from `first` read."""
    low = max(first * stride - pad, 0.0)
    high = min((first + count - 1) * stride - pad + taps - 1, size - 1)
    begin = max(first, ceil(pad / stride))
    end = min(first + count - 1, floor((size - 1 + pad) / stride))
    found = end - begin + 1 if taps == 1 else high - low + 1
    return max(0.0, found)


@inlined
def _packed(elements: float, bits: float) -> float:
    return floor((elements * bits + 7) * 0.125)


@inlined
def _load(size: float, bandwidth: float, latency: float) -> float:
    return latency + ceil(size / bandwidth) if size > 0 else 0.0


@inlined
def _store(f: FloatArray, i: int, elements: float) -> float:
    """Cycles of one output tile's store; none if it has no elements."""
    drain = ceil(_packed(elements, f[Lane.BITS_OUT + i]) / f[Lane.BANDWIDTH + i])
    epilogue = ceil(elements * f[Lane.EPILOGUE + i] / f[Lane.VECTOR_LANES + i])
    return max(drain, epilogue)


@inlined
def _busy(f: FloatArray, i: int, waves: float, stream: float) -> float:
    """Engine cycles of a step."""
    arrays, stay, skew = f[Lane.ARRAYS + i], f[Lane.STAY + i], f[Lane.SKEW + i]
    waves = ceil(waves / arrays) if arrays > 1 else waves
    overlapped = stay + (waves - 1) * max(stream, stay) + stream + skew
    return overlapped if f[Lane.OVERLAP + i] > 0 else waves * (stream + stay + skew)


@inlined
def _elements(f: FloatArray, i: int, g: float, b: float, p: float, q: float, n: float) -> float:
    """Outputs of a tile."""
    groups = _part(f[Lane.G + i], f[Lane.TILE_G + i], g)
    images = _part(f[Lane.N + i], f[Lane.TILE_N + i], b)
    rows = _part(f[Lane.P + i], f[Lane.TILE_P + i], p)
    columns = _part(f[Lane.Q + i], f[Lane.TILE_Q + i], q)
    return groups * images * rows * columns * _part(f[Lane.K + i], f[Lane.TILE_K + i], n)


@inlined
def _area(f: FloatArray, i: int, b: float, p: float, q: float) -> float:
    """Input pixels of a tile."""
    tp, tq = f[Lane.TILE_P + i], f[Lane.TILE_Q + i]
    high = _span(
        p * tp, _part(f[Lane.P + i], tp, p), f[Lane.R + i], f[Lane.STRIDE_H + i],
        f[Lane.PAD_TOP + i], f[Lane.HEIGHT + i],
    )  # fmt: skip
    wide = _span(
        q * tq, _part(f[Lane.Q + i], tq, q), f[Lane.S + i], f[Lane.STRIDE_W + i],
        f[Lane.PAD_LEFT + i], f[Lane.WIDTH + i],
    )  # fmt: skip
    return _part(f[Lane.N + i], f[Lane.TILE_N + i], b) * high * wide


@inlined
def _before(
    f: FloatArray, i: int, g: float, b: float, p: float, q: float, n: float
) -> tuple[float, float, float, float, float]:
    """The output tile before this one; groups are -1 before the first."""
    k_inner = f[Lane.ORDER + i] == 0
    n1 = n - 1 if k_inner else n
    borrow = (n1 < 0) | (not k_inner)
    n1 = f[Lane.PARTS_K + i] - 1 if n1 < 0 else n1
    q1 = q - 1 if borrow else q
    borrow = q1 < 0
    q1 = f[Lane.PARTS_Q + i] - 1 if borrow else q1
    p1 = p - 1 if borrow else p
    borrow = p1 < 0
    p1 = f[Lane.PARTS_P + i] - 1 if borrow else p1
    b1 = b - 1 if borrow else b
    borrow = b1 < 0
    b1 = f[Lane.PARTS_N + i] - 1 if borrow else b1
    n2 = n1 - 1 if borrow & (not k_inner) else n1
    borrow = (n2 < 0) | (borrow & k_inner)
    n2 = f[Lane.PARTS_K + i] - 1 if n2 < 0 else n2
    return g - 1 if borrow else g, b1, p1, q1, n2


@inlined
def _after(
    f: FloatArray, i: int, g: float, b: float, p: float, q: float, n: float
) -> tuple[float, float, float, float, float]:
    """The output tile after this one; groups are their number after the last."""
    k_inner = f[Lane.ORDER + i] == 0
    nn = f[Lane.PARTS_K + i]
    n1 = n + 1 if k_inner else n
    carry = (n1 >= nn) | (not k_inner)
    n1 = 0.0 if n1 >= nn else n1
    q1 = q + 1 if carry else q
    carry = q1 >= f[Lane.PARTS_Q + i]
    q1 = 0.0 if carry else q1
    p1 = p + 1 if carry else p
    carry = p1 >= f[Lane.PARTS_P + i]
    p1 = 0.0 if carry else p1
    b1 = b + 1 if carry else b
    carry = b1 >= f[Lane.PARTS_N + i]
    b1 = 0.0 if carry else b1
    n2 = n1 + 1 if carry & (not k_inner) else n1
    carry = (n2 >= nn) | (carry & k_inner)
    n2 = 0.0 if n2 >= nn else n2
    return g + 1 if carry else g, b1, p1, q1, n2


@inlined
def _add(f: FloatArray, i: int) -> None:
    """Adds one neighbourhood of a pair and steps to the next."""
    g, b, p, q, n = (
        f[Lane.AT_G + i], f[Lane.AT_N + i], f[Lane.AT_P + i], f[Lane.AT_Q + i], f[Lane.AT_K + i]
    )  # fmt: skip
    ng, nb, nn = f[Lane.PARTS_G + i], f[Lane.PARTS_N + i], f[Lane.PARTS_K + i]
    np_, nq, nk = f[Lane.PARTS_P + i], f[Lane.PARTS_Q + i], f[Lane.PARTS_C + i]
    order = f[Lane.ORDER + i]
    runs_g, runs_b, runs_n = _run(g, ng, 0.0, 1.0), _run(b, nb, 0.0, 1.0), _run(n, nn, 0.0, 1.0)
    runs_p = _run(p, np_, f[Lane.HEAD_P + i], f[Lane.TAIL_P + i])
    runs_q = _run(q, nq, f[Lane.HEAD_Q + i], f[Lane.TAIL_Q + i])
    run = runs_g * runs_b * runs_p * runs_q * runs_n if g < ng else 0.0
    still_out, still_in = f[Lane.DATAFLOW + i] == OS, f[Lane.DATAFLOW + i] == IS
    rows, cols, passes = f[Lane.ROWS + i], f[Lane.COLS + i], f[Lane.PASSES + i]
    tc, last_c = f[Lane.TILE_C + i], f[Lane.LAST_C + i]
    kernel, depth = f[Lane.KERNEL + i], f[Lane.DEPTH + i]
    bits_in, bits_w = f[Lane.BITS_IN + i], f[Lane.BITS_W + i]
    bandwidth, latency = f[Lane.BANDWIDTH + i], f[Lane.LATENCY + i]

    groups = _part(f[Lane.G + i], f[Lane.TILE_G + i], g)
    part_n = _part(f[Lane.K + i], f[Lane.TILE_K + i], n)
    m = _part(f[Lane.N + i], f[Lane.TILE_N + i], b) * _part(f[Lane.P + i], f[Lane.TILE_P + i], p)
    m *= _part(f[Lane.Q + i], f[Lane.TILE_Q + i], q)
    volume = groups * m * part_n
    f[Lane.DRAM_OUTPUT + i] += run * _packed(volume, f[Lane.BITS_OUT + i])

    folds_m, folds_n = ceil(m / (rows if still_out else cols)), ceil(part_n / cols)
    folds_k, last_folds_k = f[Lane.FOLDS_K + i], f[Lane.LAST_FOLDS_K + i]
    across = folds_m if still_in else folds_n
    waves = groups * (folds_m * folds_n if still_out else folds_k * across)
    waves_last = groups * (folds_m * folds_n if still_out else last_folds_k * across)
    stream = (tc * kernel if still_out else (part_n if still_in else m)) * passes
    stream_last = last_c * kernel * passes if still_out else stream
    busy, busy_last = _busy(f, i, waves, stream), _busy(f, i, waves_last, stream_last)
    f[Lane.READ_INPUT + i] += run * groups * m * depth * (1.0 if still_in else folds_n)
    again_w = folds_m if still_out | still_in else 1.0
    f[Lane.READ_WEIGHT + i] += run * groups * part_n * depth * again_w
    f[Lane.SUMS + i] += run * volume * (nk if still_out else (nk - 1) * folds_k + last_folds_k)

    g1, b1, p1, q1, n1 = _before(f, i, g, b, p, q, n)
    store_before = _store(f, i, _elements(f, i, g1, b1, p1, q1, n1) if g1 >= 0 else 0.0)
    # The last depth tile runs beside the first load of the next output tile.
    g2, b2, p2, q2, n2 = _after(f, i, g, b, p, q, n)
    next_c = _part(f[Lane.G + i], f[Lane.TILE_G + i], g2) * tc
    in_next = _packed(next_c * _area(f, i, b2, p2, q2), bits_in)
    w_next = _packed(next_c * kernel * _part(f[Lane.K + i], f[Lane.TILE_K + i], n2), bits_w)
    loads_in = (nk > 1) | (n2 == 0) | ((order == 1) & (nb * np_ * nq > 1))
    loads_w = (nk > 1) | (b2 + p2 + q2 == 0) | ((order == 0) & (nn > 1))
    in_next = in_next if loads_in & (g2 < ng) else 0.0
    w_next = w_next if loads_w & (g2 < ng) else 0.0
    phase = _load(in_next + w_next, bandwidth, latency)
    # Depth tiles before it run beside the load of the next depth tile.
    pixels = _area(f, i, b, p, q)
    in_tile, w_tile = groups * tc * pixels, groups * tc * kernel * part_n
    in_last, w_last = groups * last_c * pixels, groups * last_c * kernel * part_n
    in_tile, w_tile = _packed(in_tile, bits_in), _packed(w_tile, bits_w)
    in_last, w_last = _packed(in_last, bits_in), _packed(w_last, bits_w)
    load = _load(in_tile + w_tile, bandwidth, latency)
    load_last = _load(in_last + w_last, bandwidth, latency)
    many = max(busy, store_before + load) + (nk - 3) * max(busy, load) + max(busy, load_last)
    two = max(busy, store_before + load_last)
    one = max(busy_last, store_before + phase)
    steps = max(busy_last, phase) + (two if nk == 2 else many)
    f[Lane.CYCLES + i] += run * (one if nk == 1 else steps)
    in_more = (nk - 2) * in_tile + in_last if nk > 1 else 0.0
    w_more = (nk - 2) * w_tile + w_last if nk > 1 else 0.0
    f[Lane.DRAM_INPUT + i] += run * (in_next + in_more)
    f[Lane.DRAM_WEIGHT + i] += run * (w_next + w_more)

    n += runs_n
    q = q + runs_q if n >= nn else q
    p = p + runs_p if q >= nq else p
    b = b + runs_b if p >= np_ else b
    g = g + runs_g if b >= nb else g
    f[Lane.AT_K + i] = 0.0 if n >= nn else n
    f[Lane.AT_Q + i] = 0.0 if q >= nq else q
    f[Lane.AT_P + i] = 0.0 if p >= np_ else p
    f[Lane.AT_N + i] = 0.0 if b >= nb else b
    f[Lane.AT_G + i] = g


@kernel
def add_neighbourhoods(fields: FloatArray) -> None:
    """Adds one neighbourhood of every pair of a block."""
    for lane in range(LANES):
        _add(fields, lane)


@kernel
def start_pair(design: FloatArray, op: IntArray, tile: IntArray, f: FloatArray) -> None:
    """Starts a pair: first load and last store stand alone.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY, whose windows touch.
        tile: row of `Tile` columns.
        f: the block's fields from this pair's lane on, written.
    """
    bits_in, bits_w, bits_out = operand_bits(design, op)
    rows, cols = design[Design.ROWS], design[Design.COLS]
    tp, tq, tn, tc = tile[Tile.P], tile[Tile.Q], tile[Tile.K], min(tile[Tile.C], op[Op.C])
    f[Lane.G], f[Lane.N], f[Lane.K] = op[Op.G], op[Op.N], op[Op.K]
    f[Lane.P], f[Lane.Q] = op[Op.P], op[Op.Q]
    f[Lane.TILE_G], f[Lane.TILE_N], f[Lane.TILE_K] = tile[Tile.G], tile[Tile.N], tn
    f[Lane.TILE_C], f[Lane.TILE_P], f[Lane.TILE_Q] = tc, tp, tq
    f[Lane.PARTS_G] = ceil(f[Lane.G] / f[Lane.TILE_G])
    f[Lane.PARTS_N] = ceil(f[Lane.N] / f[Lane.TILE_N])
    f[Lane.PARTS_K] = ceil(f[Lane.K] / f[Lane.TILE_K])
    f[Lane.PARTS_C] = ceil(op[Op.C] / f[Lane.TILE_C])
    f[Lane.PARTS_P] = ceil(f[Lane.P] / f[Lane.TILE_P])
    f[Lane.PARTS_Q] = ceil(f[Lane.Q] / f[Lane.TILE_Q])
    f[Lane.LAST_C] = op[Op.C] - (f[Lane.PARTS_C] - 1) * tc
    f[Lane.ORDER] = tile[Tile.ORDER]
    f[Lane.HEAD_P] = ceil(op[Op.PAD_TOP] / (f[Lane.TILE_P] * op[Op.STRIDE_H]))
    f[Lane.HEAD_Q] = ceil(op[Op.PAD_LEFT] / (f[Lane.TILE_Q] * op[Op.STRIDE_W]))
    clipped = first_clipped(
        tp, op[Op.R], op[Op.STRIDE_H], op[Op.DILATION_H], op[Op.PAD_TOP], op[Op.HEIGHT]
    )
    f[Lane.TAIL_P] = max(1, f[Lane.PARTS_P] - clipped)
    clipped = first_clipped(
        tq, op[Op.S], op[Op.STRIDE_W], op[Op.DILATION_W], op[Op.PAD_LEFT], op[Op.WIDTH]
    )
    f[Lane.TAIL_Q] = max(1, f[Lane.PARTS_Q] - clipped)
    f[Lane.KERNEL] = op[Op.R] * op[Op.S]
    f[Lane.DEPTH] = op[Op.C] * f[Lane.KERNEL]
    f[Lane.R], f[Lane.S] = op[Op.R], op[Op.S]
    f[Lane.STRIDE_H], f[Lane.STRIDE_W] = op[Op.STRIDE_H], op[Op.STRIDE_W]
    f[Lane.PAD_TOP], f[Lane.PAD_LEFT] = op[Op.PAD_TOP], op[Op.PAD_LEFT]
    f[Lane.HEIGHT], f[Lane.WIDTH] = op[Op.HEIGHT], op[Op.WIDTH]
    f[Lane.BITS_IN], f[Lane.BITS_W], f[Lane.BITS_OUT] = bits_in, bits_w, bits_out
    f[Lane.BANDWIDTH], f[Lane.LATENCY] = design[Design.BANDWIDTH], design[Design.LATENCY]
    outputs = op[Op.G] * op[Op.N] * op[Op.K] * op[Op.P] * op[Op.Q]
    f[Lane.EPILOGUE] = op[Op.EPILOGUE_OPS] // outputs
    f[Lane.VECTOR_LANES] = design[Design.LANES]
    f[Lane.ROWS], f[Lane.COLS], f[Lane.ARRAYS] = rows, cols, design[Design.ARRAYS]
    f[Lane.DATAFLOW], f[Lane.OVERLAP] = design[Design.DATAFLOW], design[Design.OVERLAP]
    f[Lane.PASSES] = operand_passes(design, bits_in, bits_w)
    f[Lane.STAY] = 0 if design[Design.DATAFLOW] == OS else rows
    f[Lane.SKEW] = rows + cols - 2
    f[Lane.FOLDS_K] = ceil(tc * f[Lane.KERNEL] / rows)
    f[Lane.LAST_FOLDS_K] = ceil(f[Lane.LAST_C] * f[Lane.KERNEL] / rows)
    f[Lane.AT_G] = f[Lane.AT_N] = f[Lane.AT_K] = f[Lane.AT_P] = f[Lane.AT_Q] = 0
    f[Lane.DRAM_OUTPUT] = f[Lane.READ_INPUT] = f[Lane.READ_WEIGHT] = f[Lane.SUMS] = 0
    in_first = _packed(min(tile[Tile.G], op[Op.G]) * tc * _area(f, 0, 0.0, 0.0, 0.0), bits_in)
    w_first = _packed(min(tile[Tile.G], op[Op.G]) * tc * f[Lane.KERNEL] * min(tn, op[Op.K]), bits_w)
    f[Lane.DRAM_INPUT], f[Lane.DRAM_WEIGHT] = in_first, w_first
    last = _elements(
        f, 0, f[Lane.PARTS_G] - 1, f[Lane.PARTS_N] - 1, f[Lane.PARTS_P] - 1, f[Lane.PARTS_Q] - 1,
        f[Lane.PARTS_K] - 1,
    )  # fmt: skip
    fill = _load(in_first + w_first, f[Lane.BANDWIDTH], f[Lane.LATENCY])
    f[Lane.CYCLES] = fill + _store(f, 0, last)
