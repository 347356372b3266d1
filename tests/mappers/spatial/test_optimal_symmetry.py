"""Spatial counts that are left out cost what some that stay cost."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.cli.map_operators import parse_op
from dovetail.ir.mapping import OPERANDS
from dovetail.mappers.found import OBJECTIVES
from dovetail.mappers.spatial.optimal import optimal
from dovetail.mappers.spatial.optimal.symmetry import distinct
from dovetail.mappers.spatial.optimal.unrolling import Ints, spatial_choices

SQUARE = parse_op("K=2,C=2,P=3,Q=3,R=2,S=2")
OBLONG = parse_op("K=2,C=2,P=3,Q=3,R=2,S=1")


def array(serves: tuple[str, ...], y: tuple[str, ...] = ("P", "Q")) -> SpatialArray:
    inner = Store("inner", OPERANDS, serves, capacity_bytes=40, read_pj=3, write_pj=2)
    outer = Store("outer", OPERANDS, ("x", "y"), read_pj=50, write_pj=60)
    sizes = (("x", 2), ("y", 3))
    return SpatialArray("a", sizes, (inner, outer), (("x", ("P", "Q")), ("y", y)), mac_pj=1)


def values(given: SpatialArray, counts: Ints, objective: str) -> set[float]:
    found = set()
    for one in counts:
        spatial = {
            name: {rank: int(n) for (rank, _), n in zip(SQUARE.ranks, row, strict=True) if n > 1}
            for (name, _), row in zip(given.dimensions, one, strict=True)
        }
        found.add(round(optimal(SQUARE, given, objective, spatial=spatial).value, 6))
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("given", [array(()), array(("x",)), array((), ("P",))])
def test_what_is_left_out_costs_the_same(given: SpatialArray, objective: str) -> None:
    every = spatial_choices(SQUARE, given)
    some = distinct(SQUARE, given, every)
    assert len(some) < len(every)
    assert values(given, some, objective) == values(given, every, objective)


def test_only_equals_are_left_out() -> None:
    def left(einsum: object, given: SpatialArray) -> list[list[int]]:
        assert isinstance(einsum, type(SQUARE))
        kept = distinct(einsum, given, spatial_choices(einsum, given))
        return sorted(np.unique(kept.prod(axis=1)[:, [-4, -3]], axis=0).tolist())

    # A window of unlike sides has no like rows and columns; a store may tell dimensions apart.
    both = left(OBLONG, array(()))
    assert all([q, p] in both for p, q in both)
    assert not all([q, p] in left(SQUARE, array(())) for p, q in left(SQUARE, array(())))
    assert len(distinct(OBLONG, array(("x",)), spatial_choices(OBLONG, array(("x",))))) == len(
        spatial_choices(OBLONG, array(("x",)))
    )
