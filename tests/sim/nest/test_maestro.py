"""Equality with MAESTRO's counts for one of its dataflows on 100 layers of its networks.

Three differences are derived. Whenever K advances, MAESTRO takes the first window of its 64
channels for still there. With a single output position it writes a sum once for every 64 channels,
though it could stay in the PE meanwhile. It reads as many results out of L2 as there were without a
stride.
"""

from __future__ import annotations

import pytest

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.ir.mapping import Keep, Mapping, Spatial, Temporal
from dovetail.sim.nest import analyse
from tests.sim.nest.cases import ALL, convolution, table

ROWS = table("maestro_kcp_ws")
CLUSTERS, PES = 4, 64
ARRAY = SpatialArray(
    "maestro",
    (("clusters", CLUSTERS), ("pes", PES)),
    (Store("l1", ALL, sliding=True), Store("l2", ALL, ("clusters", "pes"))),
    (("clusters", ("K",)), ("pes", ("C",))),
)


def test_all_rows_are_there():
    assert len(ROWS) == 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['network']}-{row['layer']}")
def test_counts(row):
    k, c, r, s, y, x, stride = (int(row[e]) for e in ("K", "C", "R", "S", "Y", "X", "stride"))
    p, q = (y - r) // stride + 1, (x - s) // stride + 1
    mapping = Mapping(
        (
            Keep("l2", ALL),
            Temporal("K", k // CLUSTERS),
            Temporal("C", c // PES),
            Temporal("P", p),
            Temporal("Q", q),
            Spatial("K", CLUSTERS, "clusters"),
            Spatial("C", PES, "pes"),
            Keep("l1", ALL),
            Temporal("R", r),
            Temporal("S", s),
        ),
        "conv",
    )
    layer = convolution({"K": k, "C": c, "P": p, "Q": q, "R": r, "S": s}, stride)
    cost = analyse(layer, ARRAY, mapping)
    assert cost.macs == cost.padded_macs == int(row["macs"])
    assert cost.level("l1", "input").reads == int(row["input_l1_read"])
    assert cost.level("l1", "weight").reads == int(row["weight_l1_read"])
    assert cost.level("l1", "weight").fills == int(row["weight_l1_write"])
    assert cost.level("l2", "weight").reads == int(row["weight_l2_read"])
    output = cost.level("l2", "output")
    again = c // PES if p * q == 1 else 1
    assert output.updates * again == int(row["output_l2_write"])
    results = (output.updates - output.reductions) // (p * q)
    assert results * (y - r + 1) * (x - s + 1) == int(row["output_l2_read"])
    kept = PES * (k // CLUSTERS - 1) * r * s
    assert cost.level("l2", "input").reads - kept == int(row["input_l2_read"])
