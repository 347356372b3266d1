"""Draws are valid and repeatable, both encodings cost the same, and the size is a count."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.spatial import Store
from dovetail.errors import MappingError
from dovetail.mappers.spatial.genetic_moves import MOVES, crossover, respread
from dovetail.mappers.spatial.mapspace import BYPASSED, Mapspace, Point
from dovetail.mappers.spatial.mapspace_factors import prime_factors, prime_loops, useful_counts
from dovetail.mappers.spatial.mapspace_size import mapspace_size
from dovetail.sim.nest import analyse, analyse_batch, faults
from tests.mappers.spatial.spatial_cases import ALL, array, layer

SHAPES = st.fixed_dictionaries(
    {rank: st.integers(1, 12) for rank in "KCPQ"} | {rank: st.integers(1, 3) for rank in "RS"}
)


@settings(max_examples=40)
@given(SHAPES, st.integers(0, 2**32))
def test_draws_are_valid_and_cost_the_same_in_both_encodings(
    extents: dict[str, int], seed: int
) -> None:
    space = Mapspace(layer(**extents), array())
    rng = np.random.default_rng(seed)
    points = [space.draw(rng) for _ in range(5)]
    batch = analyse_batch(space.einsum, space.accelerator, space.encode(points))
    assert batch.valid.all()
    for i, point in enumerate(points):
        mapping = space.mapping(point)
        assert not faults(space.einsum, space.accelerator, mapping)
        cost = analyse(space.einsum, space.accelerator, mapping)
        assert cost.cycles == batch.cycles[i]
        assert cost.energy_pj == pytest.approx(batch.energy_pj[i], rel=1e-12)


def test_the_same_seed_draws_the_same_points() -> None:
    space = Mapspace(layer(), array())
    first, second = (space.draw(np.random.default_rng(3)) for _ in range(2))
    assert first == second
    assert first != space.draw(np.random.default_rng(4))


def test_draws_reach_every_order_cut_and_bypass() -> None:
    space = Mapspace(layer(K=2, C=2, P=1, Q=1, R=1, S=1), array(dimensions=()))
    rng = np.random.default_rng(0)
    points = {space.draw(rng) for _ in range(2000)}
    assert {point.loops for point in points} == {((2, 2), (3, 2)), ((3, 2), (2, 2))}
    weights = {point.cuts[1] for point in points}
    assert weights == {(a, b) for a in range(3) for b in (BYPASSED, *range(a, 3))}
    lone = Mapspace(layer(K=2, C=1, P=1, Q=1, R=1, S=1), array(dimensions=()))
    assert len({lone.draw(rng) for _ in range(2000)}) == mapspace_size(lone) == 3 * 5 * 3


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4))
def test_the_size_is_that_of_an_enumeration(k: int, c: int, pes: int) -> None:
    """Only orders of prime loops, spatial counts and cuts, counted one by one."""
    stores = (Store("rf", ("weight",)), Store("dram", ALL, ("x",)))
    small = array(dimensions=(("x", pes),), stores=stores, unrolls=(("x", ("K", "C")),))
    space = Mapspace(layer(K=k, C=c, P=1, Q=1, R=1, S=1), small)
    count = 0
    for over_k, over_c in itertools.product(useful_counts(k, pes), useful_counts(c, pes)):
        if over_k * over_c <= pes:
            loops = [
                *((0, p) for p in prime_factors(-(-k // over_k))),
                *((1, p) for p in prime_factors(-(-c // over_c))),
            ]
            count += len(set(itertools.permutations(loops))) * (len(loops) + 1)
    assert mapspace_size(space) == count


def test_useful_counts_are_the_least_for_their_steps() -> None:
    for extent, limit in itertools.product(range(1, 40), range(1, 20)):
        steps = {-(-extent // count) for count in range(1, min(extent, limit) + 1)}
        counts = useful_counts(extent, limit)
        assert [-(-extent // count) for count in counts] == sorted(steps, reverse=True)
        assert all(-(-extent // (c - 1)) > -(-extent // c) for c in counts if c > 1)


@settings(max_examples=40)
@given(SHAPES, st.integers(0, 2**32))
def test_moves_keep_covering_the_operator(extents: dict[str, int], seed: int) -> None:
    space = Mapspace(layer(**extents), array())
    rng = np.random.default_rng(seed)
    point, other = space.draw(rng), space.draw(rng)
    moves = [move(space, point, rng) for move in MOVES]
    for child in (*moves, crossover(space, point, other, rng)):
        assert Counter(child.loops) == Counter(prime_loops(space.temporal(child.spatial)))
        fitted = space.fit(child, rng)
        if fitted is not None:
            assert not faults(space.einsum, space.accelerator, space.mapping(fitted))


def test_respreading_keeps_the_order_and_the_cuts_of_what_remains() -> None:
    space = Mapspace(layer(K=8, C=2, P=1, Q=1, R=1, S=1), array())
    point = Point(((), ()), ((2, 2), (3, 2), (2, 2), (2, 2)), ((1, 2), (2, 3), (3, 4)))
    spread = respread(space, point, (((2, 4),), ()), np.random.default_rng(0))
    assert spread.loops == ((2, 2), (3, 2))
    assert spread.cuts == ((1, 2), (2, 2), (2, 2))


def test_loops_of_one_rank_are_one_loop_unless_a_memory_cuts_them() -> None:
    space = Mapspace(layer(K=8, C=1, P=1, Q=1, R=1, S=1), array(dimensions=()))
    mapping = space.mapping(Point((), ((2, 2),) * 3, ((0, 0), (1, 1), (0, 1))))
    counts = [node.count for node in mapping.nodes if hasattr(node, "count")]
    assert counts == [4, 2]


def test_too_small_a_memory_is_named() -> None:
    tiny = array()
    stores = (replace(tiny.stores[0], capacity_bytes=0.5), *tiny.stores[1:])
    with pytest.raises(MappingError, match=r"'rf_i' holds tiles of 0.5 B.*enlarge"):
        Mapspace(layer(), replace(tiny, stores=stores)).draw(np.random.default_rng(0))
