"""The optimal mapper where it cannot do what it is asked, or not in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError, UnknownNameError
from dovetail.ir.mapping import Spatial
from dovetail.mappers.spatial.optimal import optimal, size
from dovetail.sim.nest import analyse
from tests.mappers.spatial.brute_force import best
from tests.mappers.spatial.test_optimal import LAYERS, conv, draw


def preset(name: str) -> SpatialArray:
    found = presets.load(name)
    assert isinstance(found, SpatialArray)
    return found


def shrunk(array: SpatialArray, name: str, capacity_bytes: float) -> SpatialArray:
    stores = tuple(
        replace(s, capacity_bytes=capacity_bytes) if s.name == name else s for s in array.stores
    )
    return replace(array, stores=stores)


def test_says_what_to_enlarge_if_nothing_fits() -> None:
    array = shrunk(preset("tpu_like"), "rf_2B", 1.0)
    with pytest.raises(MappingError) as error:
        optimal(conv(4, 4, 4, 3), array)
    assert str(error.value) == (
        "memory 'rf_2B' holds 1 B of tiles; the smallest need 2 B (output 2 B): enlarge it to 2 B "
        "or let it bypass an operand"
    )


@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_out_of_time_the_bound_still_holds(objective: str) -> None:
    einsum, array = conv(24, 12, 20, 3), preset("tpu_like")
    whole = optimal(einsum, array, objective)
    early = optimal(einsum, array, objective, time_limit_s=0.0)
    assert early.value == pytest.approx(
        {"latency": early.cost.cycles, "energy": early.cost.energy_pj}.get(
            objective, early.cost.cycles * early.cost.energy_pj
        )
    )
    assert early.bound <= whole.value * (1 + 1e-9)
    assert early.value >= whole.value * (1 - 1e-9)
    assert early.proven == (early.gap == 0)
    assert whole.proven
    assert not whole.interrupted


def test_given_spatial_counts_stay() -> None:
    array = preset("tpu_like")
    found = optimal(conv(40, 24, 6, 3), array, "energy", spatial={"D1": {"K": 8}, "D2": {"C": 3}})
    spatial = {n.rank: n.count for n in found.mapping.nodes if isinstance(n, Spatial)}
    assert spatial == {"K": 8, "C": 3}
    assert found.value >= optimal(conv(40, 24, 6, 3), array, "energy").value


@pytest.mark.parametrize(
    ("spatial", "kind", "message"),
    [
        ({"D1": {"K": 33}}, MappingError, "dimension 'D1' has 32 PEs; the spatial counts given"),
        ({"D1": {"C": 2}}, MappingError, "rank C cannot be spread 2-fold over dimension 'D1'"),
        ({"D3": {"C": 2}}, UnknownNameError, "unknown dimension 'D3'"),
        ({"D1": {"k": 2}}, UnknownNameError, "unknown rank 'k'"),
    ],
)  # fmt: skip
def test_illegal_spatial_counts_are_named(
    spatial: dict[str, dict[str, int]], kind: type[Exception], message: str
) -> None:
    array = replace(preset("tpu_like"), unrolls=(("D1", ("K",)), ("D2", ("C",))))
    with pytest.raises(kind, match=message):
        optimal(conv(40, 24, 6, 3), array, spatial=spatial)


def test_the_same_call_finds_the_same_mapping() -> None:
    einsum, array = conv(12, 8, 10, 3), preset("eyeriss_v1")
    assert optimal(einsum, array, "edp").mapping == optimal(einsum, array, "edp").mapping


def test_large_primes_work() -> None:
    found = optimal(conv(1009, 499, 97, 1), preset("tpu_like"))
    assert found.proven
    assert found.cost == analyse(conv(1009, 499, 97, 1), preset("tpu_like"), found.mapping)


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_size_counts_the_mapspace(seed: int) -> None:
    array = replace(draw(np.random.default_rng(seed)), unrolls=())
    assert size(LAYERS[seed], array) == best(LAYERS[seed], array)[1]
