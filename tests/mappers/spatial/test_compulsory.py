"""The bound from an operator's size lies below every mapping, and is reached where it can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch.spatial import Store
from dovetail.cli.map_operators import convolution
from dovetail.mappers.found import OBJECTIVES, value_of
from dovetail.mappers.spatial.compulsory import lower_bound
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.sim.nest import analyse_batch
from tests.mappers.spatial.spatial_cases import ALL, array

SHAPES = st.fixed_dictionaries(
    {rank: st.integers(1, 9) for rank in "NGKCPQ"}
    | {rank: st.integers(1, 3) for rank in ("R", "S", "stride", "dilation")}
)


@settings(max_examples=40)
@given(SHAPES, st.sampled_from([(), ("weight",), ALL]), st.booleans(), st.integers(0, 99))
def test_no_mapping_lies_below(
    shape: dict[str, int], latched: tuple[str, ...], reads_zeros: bool, seed: int
) -> None:
    accelerator = array(latched=latched, reads_zeros=reads_zeros)
    space = Mapspace(convolution(shape), accelerator)
    rng = np.random.default_rng(seed)
    points = [space.draw(rng) for _ in range(20)]
    cost = analyse_batch(space.einsum, accelerator, space.encode(points))
    for objective in OBJECTIVES:
        values = value_of(cost.cycles, cost.energy_pj, objective)
        bound = lower_bound(space.einsum, accelerator, objective)
        assert 0 < bound <= values.min() * (1 + 1e-9)


def test_it_is_exact_for_one_memory_and_one_mac() -> None:
    stores = (Store("dram", ALL, (), access_bits=8, read_pj=3.0, write_pj=5.0),)
    accelerator = array(stores=stores, dimensions=(), unrolls=())
    space = Mapspace(convolution({}), accelerator)
    cost = analyse_batch(
        space.einsum, accelerator, space.encode([space.draw(np.random.default_rng(0))])
    )
    assert cost.energy_pj[0] == pytest.approx(3.0 + 3.0 + 5.0 + 0.2)
    assert lower_bound(space.einsum, accelerator, "energy") == pytest.approx(cost.energy_pj[0])
    assert lower_bound(space.einsum, accelerator, "latency") == cost.cycles[0] == 1.0
