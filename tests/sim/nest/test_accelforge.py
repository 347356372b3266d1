"""Equality with accelforge, count for count, on 15 chains of matrix products, fused and not.

Its `read` is what a memory reads downwards (reads) and upwards (drains), its `write` fills and
updates, in bits.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Node, Temporal
from dovetail.ir.operator import Access, Einsum
from dovetail.sim.nest import analyse_tree
from dovetail.sim.nest.boundary import accesses
from tests.sim.nest.cases import ALL, plain, table

CASES = defaultdict(list)
for _row in table("accelforge_matmuls"):
    CASES[_row["mapping"], int(_row["n_einsums"]), int(_row["M"]), int(_row["KN"])].append(_row)
BUFFER, MEMORY = (
    Store(name, ALL, ("x",), read_pj=1.0, write_pj=1.0) for name in ("GlobalBuffer", "MainMemory")
)
ARRAY = SpatialArray("simple", (("x", 1),), (BUFFER, MEMORY), sum_bits=8, mac_pj=1.0)


def chain(n: int, m: int, kn: int) -> dict[str, Einsum]:
    """Products T(i+1) = T(i) W(i) by the names that accelforge gives them."""
    return {
        f"Matmul{i}": Einsum(
            (("m", m), (f"n{i}", kn), (f"n{i + 1}", kn)),
            (Access(f"T{i}", plain("m", f"n{i}")), Access(f"W{i}", plain(f"n{i}", f"n{i + 1}"))),
            Access(f"T{i + 1}", plain("m", f"n{i + 1}")),
        )
        for i in range(n)
    }


def tree(fused: bool, n: int, m: int, kn: int) -> Mapping:
    sums = tuple(f"T{i}" for i in range(n + 1))
    weights = tuple(f"W{i}" for i in range(n))

    def branch(i: int, *around: Node) -> Mapping:
        inner = (Temporal(f"n{i}", kn), Temporal(f"n{i + 1}", kn))
        return Mapping((*around, *inner), f"Matmul{i}")

    if not fused:
        kept = [Keep("GlobalBuffer", (sums[i], weights[i], sums[i + 1])) for i in range(n)]
        branches = tuple(branch(i, kept[i], Temporal("m", m)) for i in range(n))
        return Mapping((Keep("MainMemory", sums + weights),), children=branches)
    outside = Keep("MainMemory", (sums[0], sums[-1], *weights))
    nodes = (outside, Keep("GlobalBuffer", weights), Temporal("m", m), Keep("GlobalBuffer", sums))
    return Mapping(nodes, children=tuple(branch(i) for i in range(n)))


def test_all_cases_are_there():
    assert len(CASES) == 15


@pytest.mark.parametrize("case", CASES)
def test_counts(case):
    mapping, n, m, kn = case
    einsums = chain(n, m, kn)
    costs = analyse_tree(einsums, ARRAY, tree(mapping.startswith("fused"), n, m, kn))
    rows = CASES[case]
    assert sum(cost.energy_pj for cost in costs.values()) == float(rows[0]["energy_total"])
    assert sum(cost.cycles for cost in costs.values()) == float(rows[0]["latency_total"])
    for row in rows:
        cost = costs[row["einsum"]]
        if row["action"] == "compute":
            assert cost.padded_macs == float(row["count"])
            continue
        roles = {a.tensor: role for role, a in accesses(einsums[row["einsum"]]).items()}
        level = cost.level(row["component"], roles[row["tensor"]])
        bits = level.read_bits if row["action"] == "read" else level.write_bits
        assert bits == float(row["count"])
