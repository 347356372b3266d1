"""What attention designs keep on chip."""

from __future__ import annotations

import pytest

from dovetail.arch import presets
from dovetail.arch.attention import AttentionArray
from dovetail.errors import MappingError
from dovetail.mappers.attention.choose import choose
from dovetail.mappers.attention.flat import _table, choose_flat, footprint, published, search_flat
from dovetail.mappers.attention.resident import choose_resident
from dovetail.sim.attention.estimate import attention_cost
from dovetail.sim.attention.work import AttentionWork, Resident

FUSEMAX, FLAT = presets.load("fusemax"), presets.load("flat")
assert isinstance(FUSEMAX, AttentionArray)
assert isinstance(FLAT, AttentionArray)


def encoder(width: int, length: int) -> AttentionWork:
    return AttentionWork(64 * 12, length, length, width, width)


@pytest.mark.parametrize(
    ("design", "width", "length", "tiles"),
    [
        ("fusemax", 64, 1024, 4),  # all queries of a head
        ("fusemax", 64, 2**20, 128),  # 251 tiles fit: the largest power of two
        ("fusemax", 128, 2**20, 64),
        ("flat_cascade", 64, 2**20, 64),  # scores and weights of a tile beside each query
    ],
)
def test_resident_query_tiles(design: str, width: int, length: int, tiles: int) -> None:
    a = presets.load(design)
    assert isinstance(a, AttentionArray)
    assert choose_resident(a, encoder(width, length)).query_tiles == tiles


def test_resident_tiles_fit_and_divide() -> None:
    for queries in (1, 300, 5000, 70_000):
        for kib in (256, 1024, 4096):
            a = FUSEMAX.replace({"buffer_kib": kib})
            work = AttentionWork(1, queries, 4096, 64, 32)
            count = choose_resident(a, work).query_tiles
            assert -(-queries // 256) % count == 0
            assert 2 * 256 * (96 + count * 98) <= kib * 1024
    with pytest.raises(MappingError, match=r"16 KiB.*raise buffer_kib or lower dim"):
        choose_resident(FUSEMAX.replace({"buffer_kib": 16}), work)


def test_groups_take_turns_where_a_group_has_too_few_queries() -> None:
    """Two tiles pass while sums drain: three must be there, of as many groups as divide all."""
    short = AttentionWork(64, 100, 4096, 64, 64)
    assert choose_resident(FUSEMAX, short) == Resident(1, 4)
    assert choose_resident(FUSEMAX, AttentionWork(9, 100, 4096, 64, 64)) == Resident(1, 3)
    assert choose_resident(FUSEMAX, AttentionWork(1, 100, 4096, 64, 64)) == Resident(1, 1)
    tight = FUSEMAX.replace({"buffer_kib": 192})
    assert choose_resident(tight, short) == Resident(1, 1)
    assert choose_resident(FUSEMAX, encoder(64, 1024)) == Resident(4, 1)
    stepwise = FUSEMAX.replace({"binding": "architecture"})
    assert choose_resident(stepwise, short) == Resident(1, 1)


def test_the_published_spill_follows_from_the_footprint() -> None:
    """All twelve rows: scores once, all else double-buffered, against 32 MiB."""
    assert len(_table()) == 12
    for (width, length), mapping in _table().items():
        need = footprint(FLAT, encoder(width, length), mapping)
        assert mapping.spilled == pytest.approx(max(0, 1 - FLAT.buffer_bytes / need), abs=1e-12)


@pytest.mark.parametrize("key", _table())
def test_the_search_is_no_worse_than_the_published_mappings(key: tuple[int, int]) -> None:
    work = encoder(*key)
    told, found = (
        attention_cost(FLAT, work, mapping)[0]
        for mapping in (choose_flat(FLAT, work), search_flat(FLAT, work))
    )
    assert found.traffic <= told.traffic
    assert found.cycles <= told.cycles


def test_other_shapes_and_arrays_are_searched() -> None:
    assert published(FLAT, encoder(64, 2048)) is None
    assert published(FLAT.replace({"dim": 128}), encoder(64, 1024)) is None
    mapping = search_flat(FLAT, encoder(64, 2048))
    assert footprint(FLAT, encoder(64, 2048), mapping) * (1 - mapping.spilled) <= FLAT.buffer_bytes
    with pytest.raises(MappingError, match="no mapping of FLAT fits"):
        search_flat(FLAT.replace({"buffer_kib": 8}), encoder(64, 2048))


def test_the_mapper_is_the_binding_s() -> None:
    work = encoder(64, 1024)
    assert choose(presets.load("flat_unfused"), work) is None  # type: ignore[arg-type]
    assert choose(FLAT, work) == published(FLAT, work)
    assert choose(FLAT, work, "search") == search_flat(FLAT, work)
