"""The closed form of a tiled operator on the RTL machine.

The steps are those of `dovetail.sim.closed_form`, in whole words and with the durations of
`dovetail.sim.rtl_timing`; before them the segment is fetched and the first entry read:

    T = fetch + L_0 + sum_i max(C_i, S_(i-1) + L_(i+1)) + S_last.

It equals `dovetail.sim.cycle` where every instruction takes at least as long as its queue reads the
entries up to the next one, so that reading never shows.
"""

from __future__ import annotations

import math

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import _part, _run, _step, loads_input, loads_weight
from dovetail.sim.columns import OS, VECTOR, Cost, Op, Tile
from dovetail.sim.energy import fill_energy
from dovetail.sim.kernel import kernel
from dovetail.sim.rtl_timing import (
    ENTRY_BYTES,
    FETCH,
    channel_share,
    load_duration,
    multiply_duration,
    segment_overhead,
    store_duration,
    vector_duration,
)
from dovetail.sim.tiles import ceil_div, first_clipped


@kernel
def joined_groups(rows: int, cols: int, groups: int, outputs: int, depth: int) -> int:
    """Fewest groups that fill whole words of inputs and of outputs, or all."""
    down, across = rows // math.gcd(rows, depth), cols // math.gcd(cols, outputs)
    return min(groups, down * across // math.gcd(down, across))


@kernel
def rtl_extents(design: FloatArray, op: IntArray) -> tuple[int, int, int]:
    """G, K and C of an operator, its groups joined to dense ones."""
    groups, outputs, depth = op[Op.G], op[Op.K], op[Op.C]
    if op[Op.ENGINE] == VECTOR:
        return 1, outputs, 1
    rows, cols = int(design[Design.ROWS]), int(design[Design.COLS])
    joined = joined_groups(rows, cols, groups, outputs, depth)
    return ceil_div(groups, joined), joined * outputs, joined * depth


@kernel
def stored_step(kernel: int, stride: int, dilation: int) -> int:
    """Every so many input rows (or columns) are kept on chip."""
    return math.gcd(stride, dilation) if kernel > 1 else stride


@kernel
def stored_rows(
    first: int, count: int, kernel: int, stride: int, dilation: int, pad: int, size: int
) -> int:
    """Input rows (or columns) that a tile of `count` outputs from `first` keeps on chip."""
    step = stored_step(kernel, stride, dilation)
    low = first * stride - pad
    high = low + (count - 1) * stride + (kernel - 1) * dilation
    start = low + max(0, ceil_div(-low, step)) * step
    return max(0, (min(high, size - 1) - start) // step + 1)


@kernel
def _input_beats(pixels: int, words: int, word_beats: int, vector: bool) -> int:
    """Bus words of an input tile; vector instructions take one word at least."""
    return word_beats if vector and pixels == 0 else pixels * words * word_beats


@kernel
def _entries(inner: int, count: int, head: int, tail: int) -> int:
    """Entries of one queue for a loop over tiles that each take `inner` entries."""
    alike = max(0, count - head - tail)
    alone = min(head, count) + max(0, count - head - alike)
    return (alone + min(alike, 1)) * inner + (2 if alike > 1 else 0)


@kernel
def rtl_cost(design: FloatArray, op: IntArray, tile: IntArray, cost: FloatArray) -> None:
    """Costs an operator on the RTL machine under a tiling; writes all `Cost` columns.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns, from `dovetail.mappers.rtl.rows`.
        tile: row of `Tile` columns in the ranks of `rtl_extents`: one image and one group, K and C
            in whole words or all.
        cost: row of `Cost` columns, written.
    """
    rows, cols = int(design[Design.ROWS]), int(design[Design.COLS])
    dataflow, overlap = int(design[Design.DATAFLOW]), int(design[Design.OVERLAP])
    latency, bus = int(design[Design.LATENCY]), int(design[Design.BUS_BYTES])
    share = channel_share(design[Design.BANDWIDTH])
    bits_in, bits_sum = int(design[Design.INPUT_BITS]), int(design[Design.ACCUMULATOR_BITS])
    vector = op[Op.ENGINE] == VECTOR
    lanes = min(rows, cols) if vector else cols
    depth_word = lanes if vector else rows
    in_beats = depth_word * bits_in // 8 // bus
    w_beats = rows * cols * int(design[Design.WEIGHT_BITS]) // 8 // bus
    out_beats = lanes * (bits_sum if op[Op.WIDE] else bits_in) // 8 // bus
    ng, K, C = rtl_extents(design, op)
    P, Q, R, S = op[Op.P], op[Op.Q], op[Op.R], op[Op.S]
    sh, sw, dh, dw = op[Op.STRIDE_H], op[Op.STRIDE_W], op[Op.DILATION_H], op[Op.DILATION_W]
    top, left, H, W = op[Op.PAD_TOP], op[Op.PAD_LEFT], op[Op.HEIGHT], op[Op.WIDTH]
    tp, tq, tn, tc, order = tile[Tile.P], tile[Tile.Q], tile[Tile.K], tile[Tile.C], tile[Tile.ORDER]
    np_, nq, nn, nk = ceil_div(P, tp), ceil_div(Q, tq), ceil_div(K, tn), ceil_div(C, tc)
    head_p, head_q = ceil_div(top, tp * sh), ceil_div(left, tq * sw)
    tail_p = max(1, np_ - first_clipped(tp, R, sh, dh, top, H))
    tail_q = max(1, nq - first_clipped(tq, S, sw, dw, left, W))
    taps = R * S
    reads = max(1, op[Op.OPERANDS])
    words, words_last = ceil_div(min(tc, C), rows), ceil_div(C - (nk - 1) * tc, rows)

    total = 0
    engine = 0
    in_total = 0
    w_total = 0
    out_total = 0
    w_read = 0
    g = 0
    while g < ng:
        run_g = _run(g, ng, 0, 1)
        p = 0
        while p < np_:
            alike_p = _run(p, np_, head_p, tail_p)
            part_p = _part(P, tp, p)
            high = stored_rows(p * tp, part_p, R, sh, dh, top, H)
            q = 0
            while q < nq:
                alike_q = _run(q, nq, head_q, tail_q)
                part_q = _part(Q, tq, q)
                area = high * stored_rows(q * tq, part_q, S, sw, dw, left, W)
                pixels = part_p * part_q
                n = 0
                while n < nn:
                    alike_n = _run(n, nn, 0, 1)
                    columns = ceil_div(_part(K, tn, n), lanes)
                    run_u = run_g * alike_p * alike_q * alike_n
                    g1, _, p1, q1, n1 = _step(order, -1, g, 0, p, q, n, ng, 1, np_, nq, nn)
                    store_before = 0
                    if g1 >= 0:
                        beats = _part(P, tp, p1) * _part(Q, tq, q1) * out_beats
                        beats *= ceil_div(_part(K, tn, n1), lanes)
                        store_before = store_duration(beats, bus, share)
                    out_total += run_u * pixels * columns * out_beats
                    if vector:
                        busy = busy_last = vector_duration(pixels, reads * taps * columns)
                    else:
                        busy = multiply_duration(
                            dataflow, overlap, rows, cols, pixels, columns, taps * words
                        )
                        busy_last = multiply_duration(
                            dataflow, overlap, rows, cols, pixels, columns, taps * words_last
                        )
                        again = ceil_div(pixels, rows) if dataflow == OS else 1
                        depth = (nk - 1) * words + words_last
                        w_read += run_u * again * columns * taps * depth
                    engine += run_u * ((nk - 1) * busy + busy_last)
                    # The last depth tile runs beside the first load of the next output tile.
                    phase = 0
                    g2, _, p2, q2, n2 = _step(order, 1, g, 0, p, q, n, ng, 1, np_, nq, nn)
                    if g2 >= 0:
                        i_load = 0
                        w_load = 0
                        columns2 = ceil_div(_part(K, tn, n2), lanes)
                        if vector or loads_input(order, nk, np_ * nq, n2):
                            i_load = stored_rows(p2 * tp, _part(P, tp, p2), R, sh, dh, top, H)
                            i_load *= stored_rows(q2 * tq, _part(Q, tq, q2), S, sw, dw, left, W)
                            i_load = _input_beats(
                                i_load, reads * columns2 if vector else words, in_beats, vector
                            )
                        if not vector and loads_weight(order, nk, nn, p2 + q2):
                            w_load = columns2 * taps * words * w_beats
                        in_total += run_u * i_load
                        w_total += run_u * w_load
                        phase = load_duration(i_load + w_load, bus, share, latency)
                    if nk == 1:
                        total += run_u * max(busy_last, store_before + phase)
                    else:
                        # Depth tiles before it run beside the load of the next depth tile.
                        i_word, w_word = area * in_beats, columns * taps * w_beats
                        in_total += run_u * i_word * ((nk - 2) * words + words_last)
                        w_total += run_u * w_word * ((nk - 2) * words + words_last)
                        load = load_duration(words * (i_word + w_word), bus, share, latency)
                        load_last = load_duration(
                            words_last * (i_word + w_word), bus, share, latency
                        )
                        steps = max(busy_last, phase)
                        if nk == 2:
                            steps += max(busy, store_before + load_last)
                        else:
                            steps += max(busy, store_before + load)
                            steps += (nk - 3) * max(busy, load) + max(busy, load_last)
                        total += run_u * steps
                    n += alike_n
                q += alike_q
            p += alike_p
        g += run_g

    columns = ceil_div(min(tn, K), lanes)
    i_load = stored_rows(0, min(tp, P), R, sh, dh, top, H)
    i_load *= stored_rows(0, min(tq, Q), S, sw, dw, left, W)
    i_load = _input_beats(i_load, reads * columns if vector else words, in_beats, vector)
    w_load = 0 if vector else columns * taps * words * w_beats
    beats = _part(P, tp, np_ - 1) * _part(Q, tq, nq - 1) * out_beats
    beats *= ceil_div(_part(K, tn, nn - 1), lanes)

    columns = ceil_div(K, lanes)
    load_entries = _entries(1, nk, 1, 1)
    store_entries = 1
    for rank in (2, 1, 0) if order == 1 else (0, 2, 1):
        count, head, tail = nn, 1, 1
        if rank == 1:
            count, head, tail = np_, max(1, head_p), tail_p
        elif rank == 2:
            count, head, tail = nq, max(1, head_q), tail_q
        load_entries = _entries(load_entries, count, head, tail)
        store_entries = _entries(store_entries, count, head, tail)
    entries = 2 * _entries(load_entries, ng, 1, 1) + _entries(store_entries, ng, 1, 1) + 3
    body = entries * ENTRY_BYTES + ng * columns * cols * 8
    before = segment_overhead(body, share, latency) + FETCH
    fill = before + load_duration(i_load + w_load, bus, share, latency)
    drain = store_duration(beats, bus, share)

    cost[Cost.CYCLES] = fill + total + drain
    cost[Cost.ENGINE] = engine
    cost[Cost.FILL] = fill
    cost[Cost.DRAIN] = drain
    cost[Cost.DRAM_INPUT] = (in_total + i_load) * bus
    cost[Cost.DRAM_WEIGHT] = (w_total + w_load) * bus
    cost[Cost.DRAM_OUTPUT] = out_total * bus
    pixels = ng * P * Q
    sums = columns * pixels
    if vector:
        cost[Cost.IDEAL] = vector_duration(P * Q, reads * taps * columns)
        streamed = sums * reads * taps
        cost[Cost.MAC_OPS] = 0
        cost[Cost.VECTOR_OPS] = (streamed + sums) * lanes
        written = sums
    else:
        depth = (nk - 1) * words + words_last
        cost[Cost.IDEAL] = ng * multiply_duration(
            dataflow, overlap, rows, cols, P * Q, columns, taps * ceil_div(C, rows)
        )
        streamed = sums * taps * depth
        cost[Cost.MAC_OPS] = streamed * rows * cols
        cost[Cost.VECTOR_OPS] = sums * lanes
        written = sums * nk if dataflow == OS else streamed
    cost[Cost.INPUT_READ] = streamed * depth_word * bits_in / 8
    cost[Cost.WEIGHT_READ] = w_read * (w_beats * bus)
    cost[Cost.OUTPUT_WRITE] = written * lanes * bits_sum / 8
    cost[Cost.OUTPUT_READ] = written * lanes * bits_sum / 8
    fill_energy(design, cost)
