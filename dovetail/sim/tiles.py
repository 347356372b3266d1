"""The arithmetic of one tile on a systolic array: cycles, footprints, transfers.

Every function is compiled by numba and shared by the closed-form estimate, the mappers and the
lowering to a Program, so that a tile means the same everywhere.
"""

from __future__ import annotations

import math

from dovetail.sim.columns import IS, OS, WS
from dovetail.sim.kernel import kernel


@kernel
def ceil_div(a: int, b: int) -> int:
    """Smallest integer >= a / b, for b > 0."""
    return -(-a // b)


@kernel
def packed_bytes(elements: int, bits: int) -> int:
    """Bytes of elements packed without gaps."""
    return (elements * bits + 7) >> 3


@kernel
def transfer_cycles(size_bytes: int, bytes_per_cycle: float) -> int:
    """Cycles that a transfer holds the DRAM channel."""
    return math.ceil(size_bytes / bytes_per_cycle)


@kernel
def engine_cycles(
    dataflow: int, rows: int, cols: int, arrays: int,
    groups: int, m: int, n: int, k: int, passes: int, overlap: int = 0,
) -> int:  # fmt: skip
    """Stall-free cycles of `groups` independent products (m x k)(k x n) on the arrays.

    A fold lays two of the three dimensions on rows and columns and streams the third: OS (m, n | k)
    with rows + cols - 2 cycles of skew; WS (k, n | m) and IS (k, m | n) with rows more to load the
    stationary operand. Folds spread over the arrays and follow each other, with `overlap` while the
    one before still drains. With operands wider than the PE's the streamed dimension passes several
    times.

    References:
        SCALE-Sim (Samajdar et al., ISPASS 2020), its cycle counts of version 3.0.0.
    """
    if dataflow == OS:
        folds, stream, load = ceil_div(m, rows) * ceil_div(n, cols), k, 0
    elif dataflow == WS:
        folds, stream, load = ceil_div(k, rows) * ceil_div(n, cols), m, rows
    else:
        folds, stream, load = ceil_div(k, rows) * ceil_div(m, cols), n, rows
    rounds = ceil_div(groups * folds, arrays)
    return fold_cycles(rounds, stream * passes, load, rows + cols - 2, overlap)


@kernel
def fold_cycles(folds: int, stream: int, load: int, skew: int, overlap: int) -> int:
    """Cycles of folds, one after the other.

    With overlap the next stationary operand is loaded beside the stream of the fold before, into
    the PEs' second registers, and skew shows only once.

    Args:
        folds: at least one.
        stream: cycles of each one's stream.
        load: cycles to load a stationary operand; 0 if none stays.
        skew: cycles until the last PE sees its last operand.
        overlap: 1 if folds overlap, else 0.
    """
    if overlap:
        return load + (folds - 1) * max(stream, load) + stream + skew
    return folds * (load + stream + skew)


@kernel
def span(
    first: int, count: int, kernel: int, stride: int, dilation: int, pad: int, size: int
) -> int:
    """Distinct input rows (or columns) that `count` outputs from `first` read, padding left out."""
    if dilation == 1 and stride <= kernel:  # windows touch: one stretch of rows
        low = max(first * stride - pad, 0)
        high = min((first + count - 1) * stride - pad + kernel - 1, size - 1)
        return max(0, high - low + 1)
    # Tap r of output p reads the row that tap r - stride/g of output p + dilation/g reads, too.
    g = math.gcd(stride, dilation)
    shared = count - dilation // g
    reads = _taps_inside(first, count, 0, kernel, stride, dilation, pad, size)
    return reads - _taps_inside(first, shared, stride // g, kernel, stride, dilation, pad, size)


@kernel
def _taps_inside(
    first: int, count: int, tap: int, kernel: int,
    stride: int, dilation: int, pad: int, size: int,
) -> int:  # fmt: skip
    """How many (output, tap) pairs, taps from `tap` on, read a row of the input."""
    found = 0
    for r in range(tap, kernel):
        row = first * stride + r * dilation - pad
        begin = max(0, ceil_div(-row, stride))
        end = min(count, (size - 1 - row) // stride + 1)
        found += max(0, end - begin)
    return found


@kernel
def widest_span(count: int, kernel: int, stride: int, dilation: int, size: int) -> int:
    """Upper bound of `span` over all positions."""
    return min((count - 1) * stride + (kernel - 1) * dilation + 1, count * kernel, size)


@kernel
def first_clipped(tile: int, kernel: int, stride: int, dilation: int, pad: int, size: int) -> int:
    """Index of the first tile whose window reaches past the last input row."""
    room = size - 1 + pad - (kernel - 1) * dilation
    return (room // stride + 1) // tile if room >= 0 else 0


@kernel
def scratchpad_words(
    dataflow: int, rows: int, cols: int, m: int, n: int, k: int
) -> tuple[int, int, int]:
    """Input reads, weight reads and partial-sum writes of one product, in words.

    Multicast along rows and columns: each word is read once per fold that needs it.
    """
    if dataflow == OS:
        return m * k * ceil_div(n, cols), k * n * ceil_div(m, rows), m * n
    if dataflow == WS:
        return m * k * ceil_div(n, cols), k * n, m * n * ceil_div(k, rows)
    assert dataflow == IS
    return m * k, k * n * ceil_div(m, cols), m * n * ceil_div(k, rows)


@kernel
def load_cycles(size_bytes: int, bandwidth: float, latency: int) -> int:
    """Cycles of one step's loads: DRAM latency once, then the bytes; nothing if there are none."""
    return latency + transfer_cycles(size_bytes, bandwidth) if size_bytes > 0 else 0


@kernel
def store_cycles(elements: int, bits: int, bandwidth: float, epilogue: int, lanes: int) -> int:
    """Cycles of one output tile's store, its fused epilogue streaming through the vector unit."""
    drain = transfer_cycles(packed_bytes(elements, bits), bandwidth)
    return max(drain, ceil_div(elements * epilogue, lanes))
