"""Extents that do not tile: the optimal mapper pads them in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import OPERANDS, Keep, Mapping, Temporal
from dovetail.ir.operator import Einsum
from dovetail.mappers.spatial.optimal import optimal, size
from dovetail.mappers.spatial.optimal.padding import totals
from dovetail.sim.nest import analyse
from tests.mappers.spatial import brute_force
from tests.mappers.spatial.test_optimal import compare, conv, draw


@pytest.mark.parametrize(
    ("least", "expected"),
    [
        (1, (1,)), (7, (7,)), (11, (11, 12)), (22, (22,)), (64, (64,)), (127, (127, 128, 132)),
        (197, (197, 198)), (50257, (50257, 50258, 50260, 50274, 50400)),
    ],
)  # fmt: skip
def test_totals_of_one_rank(least: int, expected: tuple[int, ...]) -> None:
    assert totals(least) == expected


def test_totals_follow_their_rule() -> None:
    assert all(list(totals(n)) == brute_force.totals(n) for n in range(1, 600))


PRIMES = (
    conv(11, 2, 2, 1),
    conv(3, 1, 13, 1),
    conv(1, 11, 3, 1),
    conv(2, 1, 11, 2),
    conv(2, 13, 1, 1),
)


@pytest.mark.parametrize("seed", range(10))
def test_finds_the_optimum_of_all_mappings_with_padding(seed: int) -> None:
    compare(PRIMES[seed % len(PRIMES)], draw(np.random.default_rng(500 + seed)))


@pytest.mark.parametrize("seed", range(3))
def test_a_window_slides_over_padding(seed: int) -> None:
    given = draw(np.random.default_rng(600 + seed))
    stores = tuple(replace(store, sliding=True) for store in given.stores)
    compare(conv(1, 1, 11, 2), replace(given, stores=stores), composite=True)


def test_size_counts_padding() -> None:
    array = replace(draw(np.random.default_rng(1)), unrolls=())
    assert size(PRIMES[0], array) == brute_force.best(PRIMES[0], array)[1]


def product(p: int, k: int, c: int) -> Einsum:
    return conv(k, c, p, 1)


def test_a_prime_matrix_is_tiled_as_its_even_neighbour() -> None:
    near = Store(
        "near", OPERANDS, ("x",), capacity_bytes=400, access_bits=8, read_pj=0.1, write_pj=0.1,
        read_bits_per_cycle=1e9,
    )  # fmt: skip
    far = Store("far", OPERANDS, ("x",), access_bits=8, read_pj=100, write_pj=100)
    array = SpatialArray("toy", (("x", 1),), (near, far), (), sum_bits=8, mac_pj=0.1)
    einsum = product(127, 127, 4)
    padded = Mapping(
        (
            Keep("far", OPERANDS), Temporal("K", 8), Temporal("P", 8),
            Keep("near", OPERANDS), Temporal("K", 16), Temporal("P", 16), Temporal("C", 4),
        ),
        "op",
    )  # fmt: skip
    found = optimal(einsum, array, "energy")
    assert found.proven
    assert found.value <= analyse(einsum, array, padded).energy_pj
    # Without padding 127 rows or none are a tile: more than twice as much.
    assert found.value < 2.2e6


@pytest.mark.parametrize("objective", ["latency", "energy"])
def test_197_tokens_cost_no_more_than_198(objective: str) -> None:
    array = presets.load("simba")
    assert isinstance(array, SpatialArray)
    einsum, neighbour = product(197, 768, 768), product(198, 768, 768)
    found, other = optimal(einsum, array, objective), optimal(neighbour, array, objective)
    replayed = analyse(einsum, array, other.mapping)
    value = replayed.cycles if objective == "latency" else replayed.energy_pj
    assert found.proven
    assert found.value <= value * (1 + 1e-9)
