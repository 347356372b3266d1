"""Equality of the analysis with a literal walk through random loop nests, count for count."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.ir.mapping import Keep, Mapping, Temporal
from dovetail.sim.nest import NestCost, analyse, analyse_tree, faults
from dovetail.sim.nest.boundary import accesses
from tests.sim.nest.draws import Nest, nests
from tests.sim.nest.reference import Place, walk

COUNTS = ("reads", "fills", "updates", "drains", "reductions", "spatial_reductions")


@settings(max_examples=40, deadline=None)
@given(nests())
def test_counts_are_those_of_a_literal_walk(nest: Nest) -> None:
    assert faults(nest.einsum, nest.array, nest.mapping) == []
    cost = analyse(nest.einsum, nest.array, nest.mapping)
    check(cost, nest, walk(nest.einsum, nest.array, nest.mapping.nodes))


def check(cost: NestCost, nest: Nest, literal: dict[tuple[str, str], Place]) -> None:
    steps = math.prod(e.count for e in nest.mapping.nodes if isinstance(e, Temporal))
    assert cost.compute_cycles == steps
    assert {(e.store, e.operand) for e in cost.levels} == set(literal)
    for level in cost.levels:
        place = literal[level.store, level.operand]
        found = {name: getattr(level, name) for name in COUNTS}
        where = (level.store, level.operand)
        assert (where, found) == (where, {name: place.counts[name] for name in COUNTS})
        assert level.tile_elements == place.tile


@settings(max_examples=40, deadline=None)
@given(nests(), st.data())
def test_counts_in_a_branch_are_those_of_a_literal_walk(nest: Nest, data: st.DataObject) -> None:
    """An operator in a branch of a tree, whose other branch runs in every outer iteration."""
    nodes = nest.mapping.nodes
    branch = data.draw(st.integers(0, len(nodes)))
    tensors = {role: access.tensor for role, access in accesses(nest.einsum).items()}
    named = [
        Keep(e.memory, tuple(tensors[role] for role in e.tensors)) if isinstance(e, Keep) else e
        for e in nodes
    ]
    loops = tuple(Temporal(rank, extent) for rank, extent in nest.einsum.ranks)
    other = replace(
        nest.einsum,
        operands=tuple(replace(e, tensor=f"other {e.tensor}") for e in nest.einsum.operands),
        output=replace(nest.einsum.output, tensor="other result"),
    )
    keeps = [
        Keep(store.name, tuple(a.tensor for role, a in accesses(other).items() if role in kept))
        for store in reversed(nest.array.stores)
        if (kept := store.operands)
    ]
    tree = Mapping(
        tuple(named[:branch]),
        children=(
            Mapping(tuple(named[branch:]), "op"),
            Mapping((*keeps, *loops), "other"),
        ),
    )
    costs = analyse_tree({"op": nest.einsum, "other": other}, nest.array, tree)
    check(costs["op"], nest, walk(nest.einsum, nest.array, nodes, [branch]))
