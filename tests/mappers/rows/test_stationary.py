"""The row-stationary mapper: published numbers, and laws against brute force."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.mappers.rows.blocking import LOOPS, RELEVANT, blockings, fetches, fits
from dovetail.mappers.rows.layer import RowLayer, row_layers
from dovetail.mappers.rows.stationary import (
    RowStationaryArray,
    fold_set,
    map_rows,
    replications,
)
from dovetail.networks.registry import load_network

ORDERS = list(permutations(range(LOOPS)))

arrays = st.builds(
    RowStationaryArray, st.integers(4, 20), st.integers(2, 20), st.just(4096), st.just(64)
)


@st.composite
def layers(draw: st.DrawFn) -> RowLayer:
    kind = draw(st.sampled_from(("convolution", "channelwise", "pool")))
    one = kind != "convolution"
    return RowLayer(
        "x", kind, draw(st.integers(1, 2)), draw(st.integers(1, 6)),
        1 if one else draw(st.integers(1, 8)), 1 if one else draw(st.integers(1, 8)),
        draw(st.integers(1, 24)), draw(st.integers(1, 9)),
        draw(st.sampled_from(((1, 1), (3, 3), (5, 2)))), (draw(st.integers(1, 2)),) * 2,
    )  # fmt: skip


@given(st.integers(1, 40), st.integers(1, 200), st.integers(1, 40), st.integers(1, 40))
def test_a_set_lies_on_the_array(high: int, wide: int, rows: int, columns: int) -> None:
    array = RowStationaryArray(rows, columns)
    folding = fold_set(high, wide, array)
    assert 0.125 < folding.utilization(array.pes) <= 1
    for fold, copies in zip(folding.fold, folding.replicas, strict=True):
        assert min(fold, copies) >= 1


@given(layers(), arrays)
def test_replication_covers_all_maps(layer: RowLayer, array: RowStationaryArray) -> None:
    folding = fold_set(layer.kernel[0], layer.rows, array)
    for one in replications(layer, folding):
        ins, outs = one.maps
        assert ins * outs <= math.prod(folding.replicas)
        assert one.counts[0] * ins * one.occupancy[0] == pytest.approx(layer.sums)
        assert one.counts[1] * outs * one.occupancy[1] == pytest.approx(layer.maps)
        assert one.counts[2] == layer.batch * folding.fold[1]


@given(layers(), arrays)
@settings(max_examples=50)
def test_operations_and_energy_are_conserved(layer: RowLayer, array: RowStationaryArray) -> None:
    try:
        one = map_rows(layer, array)
    except MappingError:
        return
    assert one.utilization <= 1 + 1e-9
    assert one.cycles * array.pes * one.utilization == pytest.approx(layer.operations)
    assert sum(one.accesses["register"]) == (3 if layer.kind == "pool" else 4) * layer.operations
    prices = {name: getattr(array, name) for name in one.accesses}
    total = sum(prices[name] * sum(words) for name, words in one.accesses.items())
    assert one.cost == pytest.approx(total + array.mac * layer.operations)


@given(layers(), arrays)
@settings(max_examples=50)
def test_all_data_cross_the_chip_at_least_once(layer: RowLayer, array: RowStationaryArray) -> None:
    try:
        weight, image, output = map_rows(layer, array).accesses["dram"]
    except MappingError:
        return
    taps = 0 if layer.kind == "pool" else math.prod(layer.kernel)
    weights = taps * layer.sums * layer.maps
    assert weight >= weights * (1 - 1e-9)
    assert weight % max(weights, 1) == pytest.approx(0, abs=1e-6)
    if layer.kernel[0] >= layer.stride[0]:  # else folds may skip rows that nothing reads
        maps = layer.batch * layer.groups * layer.inputs
        assert image >= maps * layer.input_size(layer.rows) * (1 - 1e-9)
    assert output >= layer.batch * layer.maps * layer.rows * layer.columns * (1 - 1e-9)


@given(layers(), arrays)
@settings(max_examples=50)
def test_each_objective_is_best_at_its_own(layer: RowLayer, array: RowStationaryArray) -> None:
    try:
        cheap, fast = map_rows(layer, array), map_rows(layer, array, "latency")
    except MappingError:
        return
    assert cheap.cost <= fast.cost
    assert fast.cycles <= cheap.cycles


counts = st.tuples(*[st.sampled_from((1, 2, 3, 4, 6))] * 3)


@given(counts, st.sampled_from(ORDERS), st.sampled_from(ORDERS), st.sampled_from(tuple(RELEVANT)),
       st.data())  # fmt: skip
def test_fetches_are_what_a_walk_through_the_loops_counts(
    total: tuple[int, int, int], outer: tuple[int, ...], inner: tuple[int, ...], kind: str,
    data: st.DataObject,
) -> None:  # fmt: skip
    tiles = blockings(total)
    one = tiles[[data.draw(st.integers(0, len(tiles) - 1))]]
    got = fetches(one, (outer, inner), RELEVANT[kind])
    loops = [(0, loop) for loop in sorted(range(LOOPS), key=lambda loop: -outer[loop])]
    loops += [(1, loop) for loop in sorted(range(LOOPS), key=lambda loop: -inner[loop])]
    for operand, own in enumerate(RELEVANT[kind]):
        for levels, times in ((1, got[0]), (2, got[1])):
            nest = [at for at in loops if at[0] < levels]
            held, changes = None, 0
            for spot in product(*(range(one[0][at]) for at in nest)):
                tile = tuple(i for i, (_, loop) in zip(spot, nest, strict=True) if loop in own)
                changes += tile != held
                held = tile
            tiles_of_operand = math.prod(one[0][at] for at in nest if at[1] in own)
            visits = changes / tiles_of_operand
            assert times[0, operand] == (2 * visits - 1 if operand == 2 else visits)


@given(counts)
def test_blockings_are_all_factorizations(total: tuple[int, int, int]) -> None:
    tiles = blockings(total)
    assert (tiles.prod(axis=1) == total).all()
    assert len({tile.tobytes() for tile in tiles}) == len(tiles)
    triples = [sum(a * b * c == n for a, b, c in product(range(1, n + 1), repeat=3)) for n in total]
    assert len(tiles) == math.prod(triples)


def test_capacity_counts_every_operand() -> None:
    tiles = np.array([[(1, 1, 1), (1, 1, 1), (2, 3, 5)]])
    sizes = (np.array([7, 11, 13]), np.array([1, 1, 1]))
    words = 7 * 6 + 11 * 10 + 13 * 15
    own = RELEVANT["convolution"]
    assert fits(tiles, own, sizes, (words, 31)).all()
    assert not fits(tiles, own, sizes, (words - 1, 31)).any()
    assert not fits(tiles, own, sizes, (words, 30)).any()


def test_networks_of_the_zoo() -> None:
    network = load_network("mobilenet_v1")
    found = row_layers(network)
    assert sum(layer.operations for layer in found if layer.kind != "pool") == network.macs
    spread = row_layers(network, channelwise=True)
    assert {layer.kind for layer in spread} == {"convolution", "channelwise", "pool"}
    assert [one.operations for one in spread] == [one.operations for one in found]


def test_errors_say_what_to_do() -> None:
    layer = RowLayer("big", "convolution", 1, 1, 8, 8, 56, 56, (3, 3))
    with pytest.raises(MappingError, match="'big': no blocking fits a buffer of 100 words"):
        map_rows(layer, RowStationaryArray(buffer_words=100))
    with pytest.raises(MappingError, match="objective 'speed': choose one of energy, latency"):
        map_rows(layer, RowStationaryArray(), "speed")
    with pytest.raises(MappingError, match=r"multiplies \d+ pairs"):
        row_layers(load_network("bert_base"))
