"""Equality of the analysis with a literal walk through random loop nests, count for count."""

from __future__ import annotations

import math

from hypothesis import given, settings

from dovetail.ir.mapping import Temporal
from dovetail.sim.nest import analyse, faults
from tests.sim.nest.draws import Nest, nests
from tests.sim.nest.reference import walk

COUNTS = ("reads", "fills", "updates", "drains", "reductions", "spatial_reductions")


@settings(max_examples=60, deadline=None)
@given(nests())
def test_counts_are_those_of_a_literal_walk(nest: Nest) -> None:
    assert faults(nest.einsum, nest.array, nest.mapping) == []
    cost = analyse(nest.einsum, nest.array, nest.mapping)
    literal = walk(nest.einsum, nest.array, nest.mapping.nodes)
    steps = math.prod(e.count for e in nest.mapping.nodes if isinstance(e, Temporal))
    assert cost.compute_cycles == steps
    assert {(e.store, e.operand) for e in cost.levels} == set(literal)
    for level in cost.levels:
        place = literal[level.store, level.operand]
        found = {name: getattr(level, name) for name in COUNTS}
        where = (level.store, level.operand)
        assert (where, found) == (where, {name: place.counts[name] for name in COUNTS})
        assert level.tile_elements == place.tile
