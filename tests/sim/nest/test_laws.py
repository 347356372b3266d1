"""Laws that every mapping obeys."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.ir.mapping import Keep, Mapping, Node, Spatial, Temporal
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.sim.nest import MappingBatch, analyse, analyse_batch, faults
from dovetail.sim.nest.boundary import accesses
from tests.sim.nest.draws import Nest, nests, paths

EXAMPLES = settings(max_examples=40, deadline=None)


def cost_of(nest: Nest, nodes: list[Node] | None = None, **fields: object):
    array = replace(nest.array, **fields)
    mapping = nest.mapping if nodes is None else Mapping(tuple(nodes), "op")
    return analyse(nest.einsum, array, mapping)


@EXAMPLES
@given(nests())
def test_every_multiply_accumulate_gets_its_operands(nest: Nest) -> None:
    cost = cost_of(nest, latched=())
    assert cost.padded_macs >= cost.macs == nest.einsum.macs
    for operand in accesses(nest.einsum):
        inner = next(level for level in cost.levels if level.operand == operand)
        if operand == "output":
            assert inner.updates + inner.spatial_reductions == cost.padded_macs
        elif inner.instances * cost.compute_cycles == cost.padded_macs:
            assert inner.reads == cost.padded_macs


@EXAMPLES
@given(nests())
def test_every_result_arrives_once(nest: Nest) -> None:
    """What is written first rather than added is the output, padding included."""
    cost = cost_of(nest)
    top = next(level for level in reversed(cost.levels) if level.operand == "output")
    assert top.store == nest.array.stores[-1].name
    assert top.updates - top.reductions == top.tile_elements


@EXAMPLES
@given(nests())
def test_cycles_are_bounded_below(nest: Nest) -> None:
    cost = cost_of(nest)
    assert cost.cycles >= cost.steady_cycles >= cost.compute_cycles
    parts = cost.onload_cycles + cost.compute_cycles + cost.wait_cycles + cost.offload_cycles
    assert cost.cycles >= parts
    assert cost.cycles in (parts, cost.steady_cycles)
    assert cost.cycles * nest.array.peak_macs_per_cycle >= cost.macs
    assert 0 < cost.utilization <= 1


@EXAMPLES
@given(nests())
def test_energy_is_additive(nest: Nest) -> None:
    """All energies of this test are small whole numbers, so that sums are exact."""
    cost = cost_of(nest)
    assert cost.energy_pj == cost.mac_pj + sum(level.energy_pj for level in cost.levels)
    energies = {store.name: (store.read_pj, store.write_pj) for store in nest.array.stores}
    for level in cost.levels:
        read_pj, write_pj = energies[level.store]
        accesses = level.read_accesses * read_pj + level.write_accesses * write_pj
        assert level.energy_pj == accesses


@EXAMPLES
@given(nests(), st.integers(0, 3), st.sampled_from([2.0, 8.0, 1e9]))
def test_more_bandwidth_is_never_slower(nest: Nest, which: int, factor: float) -> None:
    stores = list(nest.array.stores)
    level = which % len(stores)
    write = stores[level].write_bits_per_cycle
    stores[level] = replace(
        stores[level],
        read_bits_per_cycle=stores[level].read_bits_per_cycle * factor,
        write_bits_per_cycle=None if write is None else write * factor,
    )
    assert cost_of(nest, stores=tuple(stores)).cycles <= cost_of(nest).cycles


@EXAMPLES
@given(nests(), st.data())
def test_a_larger_tile_never_moves_more(nest: Nest, data: st.DataObject) -> None:
    """A Keep that moves out across a loop holds more, and is filled and drained no more often.

    But where a stride skips elements: a larger tile may then hold what none of the smaller did.
    """
    nest = replace(nest, einsum=dense(nest.einsum))
    nodes = list(nest.mapping.nodes)
    movable = [
        i
        for i, node in enumerate(nodes[1:], 1)
        if isinstance(node, Keep) and isinstance(nodes[i - 1], Temporal)
    ]
    assume(movable)
    at = data.draw(st.sampled_from(movable))
    keep = nodes[at]
    assert isinstance(keep, Keep)
    moved = [*nodes[: at - 1], keep, nodes[at - 1], *nodes[at + 1 :]]
    before, after = (
        cost_of(nest, path).level(keep.memory, keep.tensors[0]) for path in (nodes, moved)
    )
    assert after.tile_elements >= before.tile_elements
    assert after.fills <= before.fills
    assert after.drains <= before.drains


def dense(einsum: Einsum) -> Einsum:
    """The operator with all strides and dilations 1."""
    first, *others = einsum.operands
    ones = tuple(Affine(tuple((rank, 1) for rank, _ in term.terms)) for term in first.indices)
    return replace(einsum, operands=(Access(first.tensor, ones), *others))


def signature(nest: Nest, rank: str) -> tuple[bool, ...]:
    return tuple(rank in access.ranks for access in accesses(nest.einsum).values())


@EXAMPLES
@given(nests())
def test_loops_that_move_the_same_operands_commute(nest: Nest) -> None:
    """But for a sliding window, which follows the innermost of them."""
    stores = tuple(replace(store, sliding=False) for store in nest.array.stores)
    nodes = list(nest.mapping.nodes)
    for i, (outer, inner) in enumerate(itertools.pairwise(nodes)):
        if isinstance(outer, Keep) or isinstance(inner, Keep):
            continue
        spatial = isinstance(outer, Spatial) or isinstance(inner, Spatial)
        if spatial or signature(nest, outer.rank) == signature(nest, inner.rank):
            swapped = [*nodes[:i], inner, outer, *nodes[i + 2 :]]
            assert cost_of(nest, swapped, stores=stores) == cost_of(nest, stores=stores)


@EXAMPLES
@given(nests())
def test_a_loop_of_one_iteration_changes_nothing(nest: Nest) -> None:
    nodes = [e for e in nest.mapping.nodes if isinstance(e, Keep) or e.count > 1]
    assert cost_of(nest, nodes) == cost_of(nest)


@EXAMPLES
@given(nests(), st.data())
def test_batches_equal_single_mappings(nest: Nest, data: st.DataObject) -> None:
    temporal = [e for e in nest.mapping.nodes if isinstance(e, Temporal)]
    spread = [e for e in nest.mapping.nodes if isinstance(e, Spatial)]
    mappings = [nest.mapping]
    for _ in range(data.draw(st.integers(0, 4))):
        order = list(data.draw(st.permutations(temporal)))
        mappings.append(
            Mapping(tuple(data.draw(paths(nest.einsum, nest.array, order, spread))), "op")
        )
    batch = MappingBatch.of(nest.einsum, nest.array, mappings)
    assert len(batch) == len(mappings)
    found = [analyse(nest.einsum, nest.array, mapping) for mapping in mappings]
    for given_as in (mappings, batch):
        costs = analyse_batch(nest.einsum, nest.array, given_as)
        assert costs.valid.all()
        for name in ("cycles", "energy_pj", "compute_cycles", "onload_cycles", "wait_cycles"):
            assert getattr(costs, name).tolist() == [getattr(cost, name) for cost in found]
    for i, cost in enumerate(found):
        decoded = batch.mapping(i, nest.einsum, nest.array, "op")
        assert analyse(nest.einsum, nest.array, decoded) == cost


@EXAMPLES
@given(nests(), st.data())
def test_batches_find_the_same_mappings_invalid(nest: Nest, data: st.DataObject) -> None:
    nodes = list(nest.mapping.nodes)
    at = data.draw(st.integers(0, len(nodes) - 1))
    match nodes[at]:
        case Keep(memory, tensors):
            other = data.draw(st.sampled_from(["m0", "m1", "nowhere"]))
            change: list[Node] = [Keep(other, tensors), Keep(memory, ("bias",))]
        case Temporal(rank, count):
            change = [Temporal("Z", count), Temporal(rank, max(1, count - 1))]
        case Spatial(rank, count, dimension):
            change = [Spatial(rank, count + 1, dimension), Spatial(rank, count, "z")]
    changed = data.draw(st.sampled_from([[], *([e] for e in change)]))
    stores = tuple(
        replace(store, capacity_bytes=data.draw(st.integers(1, 64))) for store in nest.array.stores
    )
    array = replace(nest.array, stores=stores)
    mapping = Mapping((*nodes[:at], *changed, *nodes[at + 1 :]), "op")
    valid = not faults(nest.einsum, array, mapping)
    costs = analyse_batch(nest.einsum, array, [mapping])
    assert costs.valid.tolist() == [valid]
    assert (costs.cycles[0] < float("inf")) == valid
