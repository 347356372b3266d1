"""The compiled costs of cuts equal `dovetail.sim.nest.boundary`, cut by cut."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.ir.mapping import OPERANDS
from dovetail.mappers.spatial.optimal import choice, tables
from dovetail.mappers.spatial.optimal.lattice import axes
from dovetail.mappers.spatial.optimal.problem import Problem, hierarchies
from dovetail.mappers.spatial.optimal.unrolling import spatial_choices
from dovetail.sim.nest import boundaries
from dovetail.sim.nest.boundary import write_bandwidth
from tests.mappers.spatial.test_optimal import LAYERS, WINDOWS, draw


@pytest.mark.parametrize("seed", range(16))
def test_costs_of_all_cuts_equal_the_analysis(seed: int) -> None:
    array = draw(np.random.default_rng(400 + seed))
    layers = LAYERS + WINDOWS
    einsum = layers[seed % len(layers)]
    levels = hierarchies(einsum, array)[0]
    p = Problem.of(einsum, array, levels)
    extents = np.array([extent for _, extent in einsum.ranks])
    names = [name for name, _ in array.dimensions]
    serves = np.array([[d in store.serves for d in names] for store in array.stores])
    choices = spatial_choices(einsum, array)
    counts = choices[seed % len(choices)]
    temporal = -(-extents // counts.prod(axis=0))
    lattice, points = axes(temporal)
    sizes = choice.room(
        lattice, points, p.edges, p.stores, p.terms, len(extents), p.movable, p.criteria
    )
    _, vectors, made, _ = choice.opened(
        tables.EDP, temporal, counts, serves, array.mac_pj, p.edges, p.stores, p.terms, p.relevant,
        p.bits, p.sum_bits, p.reads_zeros, p.port_criterion, p.criteria, p.slots, p.movable,
        np.empty(sum(sizes[:3])), np.empty(sizes[3], np.int64),
    )  # fmt: skip
    cost, _, tiles, *_ = made
    free = p.edges[p.edges[:, tables.FREE] == 1]
    inner, totals = vectors.T.astype(float), temporal.astype(float)[:, None]
    b, checked = 0, 0
    for role, operand in enumerate(OPERANDS):
        stores = [array.stores[i] for i in levels[role]]
        links = boundaries(einsum, array, operand, stores, counts[:, :, None].astype(float))
        for link in links:
            if link.lower is None and operand not in array.latched:
                continue
            flow = link.flow(totals, inner)
            stall = flow.onload_cycles + flow.offload_cycles + flow.wait_cycles
            rows = np.isfinite(cost[0, b])
            checked += int(rows.sum())
            np.testing.assert_allclose(cost[0, b, rows], flow.energy_pj[rows], rtol=1e-12)
            np.testing.assert_allclose(cost[1, b, rows], stall[rows], rtol=1e-12, atol=1e-9)
            moved = [(flow.upper_read_bits, link.upper, 0), (flow.upper_write_bits, link.upper, 1)]
            if link.lower is not None:
                moved.append((flow.lower_read_bits, link.lower, 0))
                moved.append((flow.lower_write_bits, link.lower, 1))
            shared = np.zeros_like(cost[:, b])
            for (bits, store, write), port in zip(moved, free[b, tables.PORT :], strict=False):
                rate = write_bandwidth(store) if write else store.read_bits_per_cycle
                if port >= 0 and p.port_criterion[port] >= 0:
                    shared[p.port_criterion[port]] += bits / rate
            busy = slice(2, p.criteria - p.slots)
            np.testing.assert_allclose(cost[busy, b][:, rows], shared[busy][:, rows], rtol=1e-12)
            if link.lower is not None:
                relevant = rows & (p.slot_of[b] >= 0)
                np.testing.assert_array_equal(tiles[b, relevant], flow.tile[relevant])
                over = flow.tile * min(p.bits[role], p.sum_bits) > link.lower.tile_bits
                assert not (rows & over).any()
            b += 1
    assert b == cost.shape[1]
    assert checked > 0
