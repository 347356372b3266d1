"""On the layers of ZigZag's search, under its spatial counts, our optimum is at least as good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.ir.mapping import Mapping, Spatial
from dovetail.mappers.found import value_of
from dovetail.mappers.spatial.optimal import optimal
from dovetail.sim.nest import analyse
from tests.sim.nest.cases import table
from tests.sim.nest.test_zigzag import searched

ROWS = {(row["arch"], row["layer"], row["lpf"]): row for row in table("zigzag_search")}


def spread(mapping: Mapping) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for node in mapping.nodes:
        if isinstance(node, Spatial):
            found.setdefault(node.dimension, {})[node.rank] = node.count
    return found


@pytest.mark.parametrize("key", ROWS, ids="-".join)
def test_at_least_as_good_and_proven(key: tuple[str, str, str]) -> None:
    case = searched(ROWS[key])
    theirs = analyse(case.einsum, case.array, case.mapping)
    for objective in ("latency", "energy"):
        ours = optimal(case.einsum, case.array, objective, spatial=spread(case.mapping))
        value = value_of(theirs.cycles, theirs.energy_pj, objective)
        assert ours.proven
        assert ours.value <= value * (1 + 1e-9)
        # The same counts as their own choice of a larger space cost no more there.
        free = replace(case.array, unrolls=(("D1", ("K",)), ("D2", ("C",))))
        if objective == "latency" and key[1] != "mbv2_b1_dw":
            assert optimal(case.einsum, free, objective).value <= ours.value * (1 + 1e-9)
