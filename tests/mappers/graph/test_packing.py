"""Contiguous placement against enumeration."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.mappers.graph import packing
from dovetail.mappers.graph.packing import Block, pack
from dovetail.mappers.graph.placement import place
from dovetail.mappers.graph.plan import Stay
from tests.mappers.graph.graphs import placeable, problem

BLOCKS = st.lists(
    st.builds(lambda s, n, z: Block(s, s + n, z), st.integers(0, 5), st.integers(0, 4),
              st.integers(1, 5)), min_size=1, max_size=6)  # fmt: skip


def legal(blocks: list[Block], addresses: tuple[int, ...], capacity: int) -> bool:
    rows = list(zip(blocks, addresses, strict=True))
    inside = all(0 <= a and a + b.size <= capacity for b, a in rows)
    return inside and all(
        a.end < b.start or b.end < a.start or x + a.size <= y or y + b.size <= x
        for (a, x), (b, y) in itertools.combinations(rows, 2)
    )


def possible(blocks: list[Block], capacity: int, fixed: dict[int, int]) -> bool:
    """All addresses of all blocks."""
    choices = [
        [fixed[i]] if i in fixed else range(capacity - b.size + 1) for i, b in enumerate(blocks)
    ]
    return any(legal(blocks, chosen, capacity) for chosen in itertools.product(*choices))


def load(blocks: list[Block]) -> int:
    return max(sum(b.size for b in blocks if b.start <= t <= b.end) for t in range(10))


@settings(max_examples=60, deadline=None)
@given(BLOCKS, st.data())
def test_blocks_are_packed_if_and_only_if_they_can_be(
    blocks: list[Block], data: st.DataObject
) -> None:
    blocks = blocks[:4]
    capacity = load(blocks) + data.draw(st.integers(-1, 1))
    some = data.draw(st.sets(st.integers(0, len(blocks) - 1), max_size=2))
    fixed = {i: data.draw(st.integers(0, max(0, capacity - blocks[i].size))) for i in some}
    down = data.draw(st.booleans())
    packed = pack(blocks, capacity, fixed, upside_down=down)
    assert packed.proven
    assert (packed.addresses is not None) == possible(blocks, capacity, fixed)
    if packed.addresses is not None:
        assert legal(blocks, packed.addresses, capacity)
        assert all(packed.addresses[i] == a for i, a in fixed.items())


@settings(max_examples=60, deadline=None)
@given(BLOCKS, st.booleans())
def test_the_exact_search_alone_is_complete(blocks: list[Block], shuffle: bool) -> None:
    capacity = load(blocks)
    over = [
        [j for j, b in enumerate(blocks) if j != i and b.start <= a.end and a.start <= b.end]
        for i, a in enumerate(blocks)
    ]
    found = packing._Search(blocks, over, capacity, {}, 10**6, float("inf")).run()
    items = problem(*[(b.size, None, (0,)) for b in blocks], operators=1)
    stays = tuple(Stay(i, b.start, b.end) for i, b in enumerate(blocks))
    assert (found is not None) == placeable(items, stays, capacity)
    assert found is None or legal(blocks, found, capacity)


@settings(max_examples=40, deadline=None)
@given(BLOCKS)
def test_stays_are_placed_or_a_conflict_is_proven(blocks: list[Block]) -> None:
    items = problem(*[(b.size, None, (0,)) for b in blocks], operators=1)
    stays = tuple(Stay(i, b.start, b.end) for i, b in enumerate(blocks))
    budget = load(blocks)
    found = place(items, stays, budget)
    if found.addresses is not None:
        assert legal(blocks, found.addresses, budget)
    else:
        assert found.proven
        assert not placeable(items, found.conflict, budget)


def test_a_search_that_is_cut_short_proves_nothing() -> None:
    blocks = [Block(0, 1, 3), Block(1, 2, 3)]
    assert pack(blocks, 5).proven
    cut = pack(blocks, 5, max_nodes=0)
    assert cut.addresses is None
    assert not cut.proven
