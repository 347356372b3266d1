"""The Gemmini model: mappings are read as they ran, and its cycles obey the laws of hardware."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.sim.gemmini import (
    PARAMETERS,
    Layer,
    Machine,
    Parameters,
    TiledMapping,
    Work,
    breakdown,
    cycles,
)
from dovetail.sim.gemmini.cache import bank_conflict, miss_share, misses
from dovetail.sim.gemmini.tiles import tiles

TEXT = "L3[WIO] K12 P2 - L2[WI] N1 K16X - L1[O] K4 C4 P4 C16X - L0[W] P16"
MATMUL = Layer(64, 768, 128, 1, 1, 1)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Layer, TiledMapping]:
    """Convolutions whose tiles divide them or not, in any order of loops."""
    small = st.integers(1, 6)
    kernel = draw(st.sampled_from((1, 3)))
    layer = Layer(
        C=draw(st.sampled_from((3, 16, 48, 64, 256))),
        K=draw(st.sampled_from((2, 16, 64, 72, 256))),
        P=4 * draw(small),
        Q=3 * draw(small),
        R=kernel,
        S=kernel,
        stride=draw(st.integers(1, 2)),
    )
    tile = {rank: draw(st.integers(1, getattr(layer, rank))) for rank in "PQ"}
    tile |= {rank: draw(st.sampled_from((1, kernel))) for rank in "RS"}
    tile |= {rank: min(getattr(layer, rank), 16 * draw(small)) for rank in "CK"}
    order = draw(st.permutations(sorted(tile)))
    return layer, TiledMapping(tuple(tile.items()), tuple(order))


parameters = st.builds(
    Parameters, *(st.floats(one.low, one.high, allow_nan=False) for one in PARAMETERS)
)


def test_a_mapping_gives_tile_and_order() -> None:
    mapping = TiledMapping.parse(TEXT)
    assert dict(mapping.tile) == {"C": 64, "K": 64, "P": 64, "Q": 1, "R": 1, "S": 1}
    assert mapping.order == ("K", "P")


def test_an_empty_level_is_one_loop_over_the_batch() -> None:
    mapping = TiledMapping.parse("L3[WIO] N1 - L2[WI] N1 K16X - L1[O] C8 - L0[W] N1")
    assert mapping.order == ()
    assert dict(mapping.tile)["C"] == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L3[WIO] K2 - L1[O] C8 - L0[W] N1", "has 3 levels"),
        ("L3[WIO] K2 - L2[WI] N1 - L1[O] Z8 - L0[W] N1", "rank 'Z'"),
        ("L3[WIO] K2 - L2[WI] N1 - L1[O] C0 - L0[W] N1", "loop C0"),
        ("L3[WIO] K2 - L2[WI] N2 - L1[O] C1 - L0[W] N1", "loop N2"),
        ("L0[WIO] K2 - L2[WI] N1 - L1[O] C1 - L0[W] N1", "level 'L0"),
        ("L3[WIO] K - L2[WI] N1 - L1[O] C1 - L0[W] N1", "level 'L3"),
    ],
)
def test_a_malformed_mapping_is_refused(text: str, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        TiledMapping.parse(text)


def test_a_layer_without_extent_is_refused() -> None:
    with pytest.raises(MappingError, match="K = 0"):
        Layer(1, 0, 1, 1, 1, 1)


def test_an_even_kernel_computes_one_output_more() -> None:
    assert Layer(8, 8, 56, 56, 2, 2).computed["P"] == 57
    assert Layer(8, 8, 56, 56, 3, 3).computed["P"] == 56
    assert Layer(3, 64, 112, 112, 7, 7, 2).computed["Q"] == 112


def test_a_matrix_product_by_hand() -> None:
    (tile,) = tiles(MATMUL, TiledMapping.parse(TEXT), Machine())
    assert tile.count == 24  # 12 of K x 2 of P
    assert tile.requests == 64 + 64  # rows of 64 B: 64 of inputs, 64 of weights
    assert tile.read_bytes == 2 * 64 * 64
    assert tile.commands == 4 + 4
    assert (tile.blocks, tile.block_rows, tile.block_commands) == (16, 64, 4)
    assert tile.write_bytes == 64 * 64
    assert tile.zero_rows == 0


def test_padding_is_not_read() -> None:
    whole = TiledMapping(tuple({"C": 16, "K": 16, "P": 4, "Q": 4, "R": 3, "S": 3}.items()), ())
    (tile,) = tiles(Layer(16, 16, 4, 4, 3, 3), whole, Machine())
    assert tile.requests == 16 + 9 * 16  # 4 x 4 pixels of 6 x 6, and the weights


def test_misses_follow_random_replacement() -> None:
    assert miss_share(0.5) == miss_share(1.0) == 0.0
    share = miss_share(2.0)
    assert 1 - share == pytest.approx(np.exp(-2 * share), abs=1e-12)
    assert miss_share(50.0) == pytest.approx(1.0)


def test_strides_of_powers_of_two_hit_one_bank() -> None:
    assert bank_conflict(256, Machine()) == 1.0
    assert bank_conflict(128, Machine()) == pytest.approx(1 / 3)
    assert bank_conflict(64, Machine()) == bank_conflict(720, Machine()) == 0.0
    assert bank_conflict(256, Machine(cache_banks=1)) == 0.0


def test_a_layer_that_fits_the_cache_misses_nothing() -> None:
    layer = Layer(16, 16, 8, 8, 3, 3)
    tile = tuple({"C": 16, "K": 16, "P": 8, "Q": 2, "R": 3, "S": 3}.items())
    assert set(misses(layer, TiledMapping(tile, ("Q",)), Machine()).values()) == {0.0}


@given(case=cases(), values=parameters)
@settings(max_examples=60, deadline=None)
def test_no_run_is_faster_than_the_array_or_its_streams(
    case: tuple[Layer, TiledMapping], values: Parameters
) -> None:
    run = breakdown(Work.of([case]), values)
    assert run.cycles[0] >= case[0].macs / 256
    assert run.cycles[0] >= max(run.load[0], run.compute[0], run.store[0]) * (1 - 1e-9)
    assert run.cycles[0] >= run.tiles[0] * values.host


@given(case=cases(), values=parameters, factor=st.floats(1, 8))
@settings(max_examples=60, deadline=None)
def test_more_bandwidth_and_lower_costs_are_never_slower(
    case: tuple[Layer, TiledMapping], values: Parameters, factor: float
) -> None:
    machine = Machine()
    wide = replace(machine, bus_bytes_per_cycle=machine.bus_bytes_per_cycle * factor)
    work = Work.of([case])
    slow = cycles(work, values, machine)[0]
    assert cycles(work, values, wide)[0] <= slow * (1 + 1e-9)
    for one in PARAMETERS:
        cheaper = replace(values, **{one.name: one.low})
        assert cycles(work, cheaper, machine)[0] <= slow * (1 + 1e-9), one.name


@given(case=cases())
@settings(max_examples=60, deadline=None)
def test_tiles_cover_the_layer_and_more_channels_cost_more(
    case: tuple[Layer, TiledMapping],
) -> None:
    layer, mapping = case
    size = dict(mapping.tile)
    kinds = list(tiles(layer, mapping, Machine()))
    expected = 1
    for rank, extent in layer.computed.items():
        expected *= -(-extent // size[rank])
    assert sum(kind.count for kind in kinds) == expected
    twice = replace(layer, K=2 * size["K"] * -(-layer.K // size["K"]))
    once = replace(layer, K=size["K"] * -(-layer.K // size["K"]))
    fewer, more = cycles(Work.of([(once, mapping), (twice, mapping)]), Parameters())
    assert more >= fewer


def test_layers_are_counted_apart() -> None:
    mapping = TiledMapping.parse(TEXT)
    other = (Layer(16, 16, 8, 8, 3, 3), TiledMapping((("C", 16), ("K", 16), ("P", 8), ("Q", 2),
                                                      ("R", 3), ("S", 3)), ("Q",)))  # fmt: skip
    together = cycles(Work.of([(MATMUL, mapping), other]), Parameters())
    alone = [cycles(Work.of([one]), Parameters())[0] for one in ((MATMUL, mapping), other)]
    assert together == pytest.approx(alone)


def test_parameters_survive_an_array() -> None:
    values = Parameters(request=3.0, start=7.0)
    assert Parameters.from_array(values.to_array()) == values
    assert len(values.to_array()) == len(PARAMETERS)
    for one in PARAMETERS:
        assert one.low <= getattr(Parameters(), one.name) <= one.high
