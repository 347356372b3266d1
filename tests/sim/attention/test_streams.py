"""Kernels that stream: every chunk is loaded, computed and stored once, and they overlap."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.sim.attention.streams import SlicedProduct, Streamed
from dovetail.sim.tasks import run

ticks = st.integers(0, 50)


@settings(max_examples=80)
@given(st.integers(1, 40), st.integers(1, 9), ticks, ticks, ticks, ticks)
def test_products(tiles: int, slices: int, array: int, vector: int, load: int, store: int) -> None:
    found = run(SlicedProduct(tiles, slices, array, vector, load, store).program())
    every = {"load": tiles * slices, "product": tiles * slices, "store": tiles}
    assert found.task_count == every | ({"outputs": tiles} if vector else {})
    work = {
        "dram": tiles * (slices * load + store),
        "array": tiles * slices * array,
        "vector": tiles * vector,
    }
    assert max(work.values()) <= found.cycles <= sum(work.values())


@pytest.mark.parametrize(
    ("array", "vector", "load", "store", "per_tile"),
    [
        (50, 0, 20, 40, 200),  # array
        (50, 300, 20, 40, 300),  # 1D PEs
        (10, 0, 50, 40, 240),  # memory
        (10, 100, 50, 40, 240),
        (50, 0, 0, 190, 200),  # stores beside the next tile, as long as two slices are there
    ],
)
def test_the_slowest_engine_sets_the_pace(
    array: int, vector: int, load: int, store: int, per_tile: int
) -> None:
    """Four slices a tile, thousand tiles; what is beside is the first and the last of them."""
    found = run(SlicedProduct(1000, 4, array, vector, load, store).program())
    ends = load + 4 * array + vector + store
    tight = per_tile if store < 100 else per_tile + store - 2 * array
    assert 1000 * per_tile <= found.cycles <= 1000 * tight + ends


@settings(max_examples=80)
@given(st.integers(1, 60), st.lists(st.integers(1, 50), min_size=1, max_size=3), ticks, ticks)
def test_streams(chunks: int, parts: list[int], load: int, store: int) -> None:
    engines = ("array", "vector", "array")
    steps = tuple(zip(engines, parts, strict=False))
    found = run(Streamed(chunks, steps, load, store).program())
    assert found.task_count["load"] == found.task_count["store"] == chunks
    assert all(found.task_count[f"step {i}"] == chunks for i in range(len(parts)))
    busiest = max(found.busy.values())
    assert busiest <= found.cycles <= sum(found.busy.values())


def test_long_streams_cost_their_transient() -> None:
    chunks = 10**10
    assert run(Streamed(chunks, (("array", 7),), 3, 2).program()).cycles == 7 * chunks + 3 + 2
    found = run(SlicedProduct(chunks, 4, 5, 30, 2, 1).program())
    assert found.cycles == 2 + 4 * 5 + 30 * chunks + 1
