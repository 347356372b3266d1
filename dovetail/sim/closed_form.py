"""The exact closed form of a tiled operator's time, traffic and energy.

The machine (docs/microarchitecture.md): three in-order queues, load, execute and store, share one
DRAM channel, which serves who asked first; every scratchpad has two halves. While step i computes,
the channel first stores the output finished by step i-1, then loads the operands of step i+1: both
wait for the end of step i-1, and neither can overtake the load of step i. Steps so advance in
lockstep:

    T = L_0 + sum_i max(C_i, S_(i-1) + L_(i+1)) + S_last.

L is a load (DRAM latency once, then bytes over bandwidth), C the engine, S a store (bytes over
bandwidth, or the fused epilogue on the vector unit if that takes longer). Tiles of one kind repeat
along each loop, so the sum runs over the few distinct neighbourhoods, each with its multiplicity:
exact for any number of tiles. `dovetail.sim.cycle` finds the same by simulating the queues.
"""

from __future__ import annotations

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.columns import OS, WS, Cost, Op, Tile
from dovetail.sim.energy import fill_energy
from dovetail.sim.kernel import kernel
from dovetail.sim.tiles import (
    ceil_div,
    engine_cycles,
    first_clipped,
    fold_cycles,
    load_cycles,
    packed_bytes,
    span,
    store_cycles,
)


@kernel
def operand_bits(design: FloatArray, op: IntArray) -> tuple[int, int, int]:
    """Input, weight and output widths in bits: the operator's, or the accelerator's if 0."""
    wide_in, wide_w = int(design[Design.INPUT_BITS]), int(design[Design.WEIGHT_BITS])
    bits_in = op[Op.INPUT_BITS] if op[Op.INPUT_BITS] > 0 else wide_in
    bits_w = op[Op.WEIGHT_BITS] if op[Op.WEIGHT_BITS] > 0 else wide_w
    bits_out = op[Op.OUTPUT_BITS] if op[Op.OUTPUT_BITS] > 0 else wide_in
    return bits_in, bits_w, bits_out


@kernel
def operand_passes(design: FloatArray, bits_in: int, bits_w: int) -> int:
    """Passes that operands wider than the PE's take, slice by slice."""
    return ceil_div(bits_in, int(design[Design.INPUT_BITS])) * ceil_div(
        bits_w, int(design[Design.WEIGHT_BITS])
    )


@kernel
def _run(index: int, count: int, head: int, tail: int) -> int:
    """How many tiles from `index` on have the same neighbourhood.

    Tiles up to `head` and from count - 1 - `tail` on stand alone; those between are alike.
    """
    alike = count - head - tail - 2
    return alike if index == head + 1 and alike > 1 else 1


@kernel
def _part(total: int, tile: int, index: int) -> int:
    return min(tile, total - index * tile)


@kernel
def array_cost(design: FloatArray, op: IntArray, tile: IntArray, cost: FloatArray) -> None:
    """Costs an Einsum on the array under a tiling; writes all `Cost` columns.

    Args:
        design: row of `Design` columns.
        op: row of `Op` columns with engine ARRAY.
        tile: row of `Tile` columns; the tiles must fit (`dovetail.mappers.systolic` sees to it).
        cost: row of `Cost` columns, written.
    """
    rows, cols = int(design[Design.ROWS]), int(design[Design.COLS])
    arrays, dataflow = int(design[Design.ARRAYS]), int(design[Design.DATAFLOW])
    bandwidth, latency = design[Design.BANDWIDTH], int(design[Design.LATENCY])
    lanes, overlap = int(design[Design.LANES]), int(design[Design.OVERLAP])
    bits_in, bits_w, bits_out = operand_bits(design, op)
    passes = operand_passes(design, bits_in, bits_w)
    G, N, K, C, P, Q = op[Op.G], op[Op.N], op[Op.K], op[Op.C], op[Op.P], op[Op.Q]
    R, S = op[Op.R], op[Op.S]
    sh, sw, dh, dw = op[Op.STRIDE_H], op[Op.STRIDE_W], op[Op.DILATION_H], op[Op.DILATION_W]
    top, left, H, W = op[Op.PAD_TOP], op[Op.PAD_LEFT], op[Op.HEIGHT], op[Op.WIDTH]
    tg, tb, tp, tq = tile[Tile.G], tile[Tile.N], tile[Tile.P], tile[Tile.Q]
    tn, tc, order = tile[Tile.K], tile[Tile.C], tile[Tile.ORDER]
    ng, nb, np_, nq = ceil_div(G, tg), ceil_div(N, tb), ceil_div(P, tp), ceil_div(Q, tq)
    nn, nk = ceil_div(K, tn), ceil_div(C, tc)
    nm = nb * np_ * nq
    outputs = G * N * K * P * Q
    epilogue = op[Op.EPILOGUE_OPS] // outputs

    head_p, head_q = ceil_div(top, tp * sh), ceil_div(left, tq * sw)
    tail_p = max(1, np_ - first_clipped(tp, R, sh, dh, top, H))
    tail_q = max(1, nq - first_clipped(tq, S, sw, dw, left, W))
    kernel = R * S
    depth = C * kernel
    last_n, last_c = K - (nn - 1) * tn, C - (nk - 1) * tc
    # Divisions by the array's edges, once per kind of tile instead of once per tile.
    folds_n, last_folds_n = ceil_div(tn, cols), ceil_div(last_n, cols)
    folds_k, last_folds_k = ceil_div(tc * kernel, rows), ceil_div(last_c * kernel, rows)
    stay, skew = 0 if dataflow == OS else rows, rows + cols - 2
    alone = stay + skew

    total = 0
    engine = 0
    in_bytes = 0
    w_bytes = 0
    out_bytes = 0
    in_read = 0
    w_read = 0
    psum_write = 0
    g = 0
    while g < ng:
        run_g = _run(g, ng, 0, 1)
        part_g = _part(G, tg, g)
        b = 0
        while b < nb:
            alike_b = _run(b, nb, 0, 1)
            part_b = _part(N, tb, b)
            p = 0
            while p < np_:
                alike_p = _run(p, np_, head_p, tail_p)
                part_p = _part(P, tp, p)
                span_p = span(p * tp, part_p, R, sh, dh, top, H)
                q = 0
                while q < nq:
                    alike_q = _run(q, nq, head_q, tail_q)
                    part_q = _part(Q, tq, q)
                    run_m = run_g * alike_b * alike_p * alike_q
                    pixels = part_b * span_p * span(q * tq, part_q, S, sw, dw, left, W)
                    m = part_b * part_p * part_q
                    folds_m = 0
                    if dataflow != WS:
                        folds_m = ceil_div(m, rows if dataflow == OS else cols)
                    n = 0
                    while n < nn:
                        alike_n = _run(n, nn, 0, 1)
                        part_n = tn if n < nn - 1 else last_n
                        folds_here = folds_n if n < nn - 1 else last_folds_n
                        run_u = run_m * alike_n
                        # The output tiles before and after this one.
                        g1, b1, p1, q1, n1 = _step(order, -1, g, b, p, q, n, ng, nb, np_, nq, nn)
                        store_before = 0
                        if g1 >= 0:
                            elements = _part(G, tg, g1) * _part(N, tb, b1) * _part(P, tp, p1)
                            elements *= _part(Q, tq, q1) * _part(K, tn, n1)
                            store_before = store_cycles(
                                elements, bits_out, bandwidth, epilogue, lanes
                            )
                        out_bytes += run_u * packed_bytes(part_g * m * part_n, bits_out)
                        volume = part_g * m * part_n
                        depth_in, depth_w = part_g * m * depth, part_g * part_n * depth
                        if dataflow == OS:
                            waves = waves_last = part_g * folds_m * folds_here
                            stream, stream_last = tc * kernel, last_c * kernel
                            in_read += run_u * depth_in * folds_here
                            w_read += run_u * depth_w * folds_m
                            psum_write += run_u * volume * nk
                        else:
                            if dataflow == WS:
                                across, stream = folds_here, m
                                in_read += run_u * depth_in * folds_here
                                w_read += run_u * depth_w
                            else:
                                across, stream = folds_m, part_n
                                in_read += run_u * depth_in
                                w_read += run_u * depth_w * folds_m
                            stream_last = stream
                            waves = part_g * folds_k * across
                            waves_last = part_g * last_folds_k * across
                            psum_write += run_u * volume * ((nk - 1) * folds_k + last_folds_k)
                        if arrays > 1:
                            waves = ceil_div(waves, arrays)
                            waves_last = ceil_div(waves_last, arrays)
                        if overlap:
                            busy = fold_cycles(waves, stream * passes, stay, skew, 1)
                            busy_last = fold_cycles(waves_last, stream_last * passes, stay, skew, 1)
                        else:
                            busy = waves * (stream * passes + alone)
                            busy_last = waves_last * (stream_last * passes + alone)
                        engine += run_u * ((nk - 1) * busy + busy_last)
                        # The last depth tile runs beside the first load of the next output tile.
                        i_load = 0
                        w_load = 0
                        g2, b2, p2, q2, n2 = _step(order, 1, g, b, p, q, n, ng, nb, np_, nq, nn)
                        if g2 >= 0:
                            depth_next = _part(G, tg, g2) * min(tc, C)
                            if loads_input(order, nk, nm, n2):
                                area = _part(N, tb, b2)
                                area *= span(p2 * tp, _part(P, tp, p2), R, sh, dh, top, H)
                                area *= span(q2 * tq, _part(Q, tq, q2), S, sw, dw, left, W)
                                i_load = packed_bytes(depth_next * area, bits_in)
                            if loads_weight(order, nk, nn, b2 + p2 + q2):
                                w_load = packed_bytes(
                                    depth_next * kernel * _part(K, tn, n2), bits_w
                                )
                        in_bytes += run_u * i_load
                        w_bytes += run_u * w_load
                        phase = load_cycles(i_load + w_load, bandwidth, latency)
                        if nk == 1:
                            total += run_u * max(busy_last, store_before + phase)
                        else:
                            # Depth tiles before it run beside the load of the next depth tile.
                            i_load = packed_bytes(part_g * tc * pixels, bits_in)
                            w_load = packed_bytes(part_g * tc * kernel * part_n, bits_w)
                            i_last = packed_bytes(part_g * last_c * pixels, bits_in)
                            w_last = packed_bytes(part_g * last_c * kernel * part_n, bits_w)
                            in_bytes += run_u * ((nk - 2) * i_load + i_last)
                            w_bytes += run_u * ((nk - 2) * w_load + w_last)
                            load = load_cycles(i_load + w_load, bandwidth, latency)
                            load_last = load_cycles(i_last + w_last, bandwidth, latency)
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
            b += alike_b
        g += run_g

    part_c = min(tc, C)
    pixels = min(tb, N) * span(0, min(tp, P), R, sh, dh, top, H)
    pixels *= span(0, min(tq, Q), S, sw, dw, left, W)
    i_load = packed_bytes(min(tg, G) * part_c * pixels, bits_in)
    w_load = packed_bytes(min(tg, G) * part_c * R * S * min(tn, K), bits_w)
    fill = load_cycles(i_load + w_load, bandwidth, latency)
    elements = _part(G, tg, ng - 1) * _part(N, tb, nb - 1) * _part(P, tp, np_ - 1)
    elements *= _part(Q, tq, nq - 1) * _part(K, tn, nn - 1)
    drain = store_cycles(elements, bits_out, bandwidth, epilogue, lanes)

    cost[Cost.CYCLES] = fill + total + drain
    cost[Cost.IDEAL] = engine_cycles(
        dataflow, rows, cols, arrays, G, N * P * Q, K, C * R * S, passes, overlap
    )
    cost[Cost.ENGINE] = engine
    cost[Cost.FILL] = fill
    cost[Cost.DRAIN] = drain
    cost[Cost.DRAM_INPUT] = in_bytes + i_load
    cost[Cost.DRAM_WEIGHT] = w_bytes + w_load
    cost[Cost.DRAM_OUTPUT] = out_bytes
    slices_w = ceil_div(bits_w, int(design[Design.WEIGHT_BITS]))
    slices_in = ceil_div(bits_in, int(design[Design.INPUT_BITS]))
    accumulator = design[Design.ACCUMULATOR_BITS] / 8
    cost[Cost.INPUT_READ] = in_read * slices_w * bits_in / 8
    cost[Cost.WEIGHT_READ] = w_read * slices_in * bits_w / 8
    cost[Cost.OUTPUT_WRITE] = psum_write * accumulator
    # Every partial sum but the first of each output is added to one read back; the last is drained.
    cost[Cost.OUTPUT_READ] = psum_write * accumulator
    cost[Cost.MAC_OPS] = outputs * C * R * S * passes
    cost[Cost.VECTOR_OPS] = op[Op.EPILOGUE_OPS]
    fill_energy(design, cost)


@kernel
def _step(
    order: int, way: int, g: int, b: int, p: int, q: int, n: int,
    ng: int, nb: int, np_: int, nq: int, nn: int,
) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Indices of the output tile after (way 1) or before (-1) this one; g = -1 past an end."""
    if order == 0:
        n += way
        if 0 <= n < nn:
            return g, b, p, q, n
        n = 0 if way > 0 else nn - 1
    q += way
    if 0 <= q < nq:
        return g, b, p, q, n
    q = 0 if way > 0 else nq - 1
    p += way
    if 0 <= p < np_:
        return g, b, p, q, n
    p = 0 if way > 0 else np_ - 1
    b += way
    if 0 <= b < nb:
        return g, b, p, q, n
    b = 0 if way > 0 else nb - 1
    if order == 1:
        n += way
        if 0 <= n < nn:
            return g, b, p, q, n
        n = 0 if way > 0 else nn - 1
    g += way
    if 0 <= g < ng:
        return g, b, p, q, n
    return -1, b, p, q, n


@kernel
def loads_input(order: int, nk: int, nm: int, n: int) -> bool:
    """Whether the first step of an output tile in column n loads its input tile.

    It stays where neither the depth tile nor the pixel tile moved since the step before.
    """
    return nk > 1 or n == 0 or (order == 1 and nm > 1)


@kernel
def loads_weight(order: int, nk: int, nn: int, m: int) -> bool:
    """Whether the first step of an output tile loads its weights; m = 0 at the first pixel tile."""
    return nk > 1 or m == 0 or (order == 0 and nn > 1)
