from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.systolic import DATAFLOWS, OVERLAPS, SystolicArray
from dovetail.sim.tiles import (
    engine_cycles,
    first_clipped,
    packed_bytes,
    scratchpad_words,
    span,
    transfer_cycles,
    widest_span,
)
from tests.sim.reference import array_cycles, touched

MANY = settings(max_examples=300)
WINDOWS = st.tuples(
    *(
        st.integers(low, high)
        for low, high in ((0, 8), (1, 8), (1, 6), (1, 8), (1, 7), (0, 12), (1, 30))
    )
)
"""First output, outputs, kernel, stride, dilation, padding, input size."""
PRODUCTS = st.tuples(*(st.integers(1, 40) for _ in range(3)))
ARRAYS = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 4))


@MANY
@given(WINDOWS)
def test_span_is_the_number_of_distinct_rows_read(window):
    _, count, kernel, stride, dilation, _, size = window
    assert span(*window) == len(touched(*window))
    assert span(*window) <= widest_span(count, kernel, stride, dilation, size)


@MANY
@given(WINDOWS)
def test_tiles_before_the_first_clipped_one_stay_inside(window):
    _, tile, kernel, stride, dilation, pad, size = window
    index = first_clipped(tile, kernel, stride, dilation, pad, size)

    def last_row(tile_index):
        return ((tile_index + 1) * tile - 1) * stride + (kernel - 1) * dilation - pad

    assert index == 0 or last_row(index - 1) < size
    assert last_row(index) >= size


@MANY
@given(
    st.sampled_from(DATAFLOWS), ARRAYS, PRODUCTS, st.integers(1, 5), st.integers(1, 4),
    st.sampled_from(OVERLAPS),
)  # fmt: skip
def test_engine_cycles_count_folds_one_by_one(dataflow, arrays, product, groups, passes, overlap):
    rows, cols, count = arrays
    array = SystolicArray(
        rows=rows, cols=cols, arrays=count, dataflow=dataflow, fold_overlap=overlap
    )
    m, n, k = product
    work = DATAFLOWS.index(dataflow), *arrays, groups, m, n, k, passes
    got = engine_cycles(*work, OVERLAPS.index(overlap))
    assert got == array_cycles(array, groups, m, n, k, passes)
    assert got * array.peak_macs_per_cycle >= groups * m * n * k * passes
    assert got <= engine_cycles(*work)


def test_overlap_hides_the_skew_of_all_folds_but_one():
    """A 3x3 convolution of ResNet-8: 64 to 64 channels, 8 x 8 pixels, on an 8 x 8 array."""
    work = 8, 8, 1, 1, 64, 64, 9 * 64, 1
    folds = 8 * 72
    assert engine_cycles(DATAFLOWS.index("ws"), *work, 0) == folds * (64 + 22)
    assert engine_cycles(DATAFLOWS.index("ws"), *work, 1) == folds * 64 + 22


@MANY
@given(st.sampled_from(DATAFLOWS), ARRAYS, PRODUCTS)
def test_words_are_read_once_per_fold_that_needs_them(dataflow, arrays, product):
    rows, cols, _ = arrays
    m, n, k = product
    down, across, stream = {"os": (m, n, k), "ws": (k, n, m), "is": (k, m, n)}[dataflow]
    inputs = weights = sums = 0
    for i in range(0, down, rows):
        for j in range(0, across, cols):
            high, wide = min(rows, down - i), min(cols, across - j)
            edges = {"os": (high, wide, stream), "ws": (stream, wide, high)}
            tile_m, tile_n, tile_k = edges.get(dataflow, (wide, stream, high))
            inputs += tile_m * tile_k
            weights += tile_k * tile_n
            sums += tile_m * tile_n
    code = DATAFLOWS.index(dataflow)
    assert scratchpad_words(code, rows, cols, m, n, k) == (inputs, weights, sums)


@given(st.integers(0, 10**12), st.integers(1, 64), st.floats(1e-4, 1e4))
def test_bytes_and_transfers_round_up(elements, bits, bandwidth):
    size = packed_bytes(elements, bits)
    assert 0 <= size * 8 - elements * bits < 8
    cycles = transfer_cycles(size, bandwidth)
    assert cycles >= size / bandwidth
    assert cycles - 1 < size / bandwidth or cycles == 0
