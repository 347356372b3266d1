"""ZigZag's mappings: the golden rows import as built by hand, orders are allocated as it does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Spatial, Temporal
from dovetail.mappers.formats import read_mappings
from dovetail.mappers.formats.zigzag import read_document, read_zigzag
from dovetail.sim.nest import MappingBatch, analyse_batch
from tests.mappers.spatial.spatial_cases import array, layer
from tests.sim.nest.cases import table
from tests.sim.nest.test_zigzag import fixed, searched

FIXED = {row["case"]: row for row in table("zigzag_cases")}
SEARCHED = {
    f"{row['arch']}-{row['layer']}-{row['lpf']}-{i}": row
    for i, row in enumerate(table("zigzag_search"))
}
HOLES = "eyeriss_like-rn18_conv3_s2-ws"
"""Stride 2 under a tap of 1: ZigZag keeps only the elements that are read, we their hull."""


def assert_same(einsum: Any, accelerator: Any, ours: Any, theirs: Any) -> None:
    """Costs of both, also where a tile does not fit."""
    batch = MappingBatch.of(einsum, accelerator, [ours, theirs])
    cost = analyse_batch(einsum, accelerator, batch)
    assert cost.valid[0] == cost.valid[1]
    assert cost.energy_pj[0] == cost.energy_pj[1]
    assert cost.cycles[0] == cost.cycles[1]


@pytest.mark.parametrize("name", FIXED)
def test_given_mappings_import(name: str) -> None:
    row, case = FIXED[name], fixed(FIXED[name])
    found = read_zigzag(row["temporal_mapping_per_level"], row["spatial"], case.einsum, case.array)
    assert_same(case.einsum, case.array, found, case.mapping)


@pytest.mark.parametrize("name", SEARCHED)
def test_searched_mappings_import(name: str) -> None:
    row, case = SEARCHED[name], searched(SEARCHED[name])
    found = read_zigzag(row["temporal_mapping"], row["spatial_mapping"], case.einsum, case.array)
    assert_same(case.einsum, case.array, found, case.mapping)


@pytest.mark.parametrize("name", [name for name in FIXED if name != HOLES])
def test_orders_are_allocated_to_memories_as_zigzag_does(name: str) -> None:
    row, case = FIXED[name], fixed(FIXED[name])
    order = {
        "spatial_mapping": json.loads(row["spatial"]),
        "temporal_ordering": json.loads(row["temporal_order_inner_to_outer"]),
    }
    given = read_zigzag(row["temporal_mapping_per_level"], row["spatial"], case.einsum, case.array)
    assert read_document(order, case.einsum, case.array, "f", "") == given


def test_files_of_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "zigzag.yaml"
    path.write_text(
        "spatial_mapping: {x: {K: 4}, y: {C: 3}}\n"
        "temporal_mapping: {O: [[(C, 3), (FX, 3)], [(FY, 3), (OX, 7)], [(OY, 7), (K, 2)]],\n"
        "  W: [[], [(C, 3), (FX, 3), (FY, 3)], [(OX, 7), (OY, 7), (K, 2)]],\n"
        "  I: [[], [(C, 3), (FX, 3), (FY, 3), (OX, 7)], [(OY, 7), (K, 2)]]}\n"
    )
    found = read_mappings(path, {"conv": layer()}, array())
    assert found["conv"].operator == "conv"
    assert found["conv"].nodes == (
        Keep("dram", ("input", "weight", "output")),
        Temporal("K", 2),
        Temporal("P", 7),
        Keep("glb", ("input", "output")),
        Temporal("Q", 7),
        Keep("glb", ("weight",)),
        Temporal("R", 3),
        Keep("rf_o", ("output",)),
        Temporal("S", 3),
        Temporal("C", 3),
        Keep("rf_w", ("weight",)),
        Keep("rf_i", ("input",)),
        Spatial("K", 4, "x"),
        Spatial("C", 3, "y"),
    )
    path.write_text(
        "- name: other\n  temporal_ordering: [[K, 8]]\n"
        "- name: default\n"
        "  spatial_mapping:\n    D1:\n    - K, 4\n    D2:\n    - C, 3\n"
        "  temporal_ordering:\n  - [FX, 3]\n  - [K, '*']\n  - OX, 7\n"
    )
    loops = [
        (node.rank, node.count)
        for node in read_mappings(path, {"conv": layer()}, array())["conv"].nodes
        if isinstance(node, Temporal)
    ]
    assert loops == [("R", 3), ("P", 7), ("C", 3), ("Q", 7), ("K", 2), ("S", 3)]


GOOD = {"temporal_mapping": {"O": [[], [], []], "W": [[], [], []], "I": [[], [], []]}}


def levels(o: object) -> dict[str, object]:
    return {"temporal_mapping": {"O": o, "W": [[], [], []], "I": [[], [], []]}}


BAD = {
    "no operands": ({"temporal_mapping": {"O": []}}, "must have O, W and I"),
    "no table": ({"temporal_mapping": 3}, "must have O, W and I"),
    "levels": (levels([[]]), "temporal_mapping.O: must be 3 lists of loops, for rf_o, glb, dram"),
    "no level": (levels([3, [], []]), "3: must be a list of loops"),
    "no pair": (levels([[["K"]], [], []]), "must be a rank and a count"),
    "rank": (levels([[["X", 2]], [], []]), "unknown rank 'X'"),
    "count": (levels([[["K", -2]], [], []]), "count -2: must be a whole number of at least 1"),
    "order": (levels([[["K", 2]], [], []]), "are not those of output"),
    "dimension": (GOOD | {"spatial_mapping": {"a": {}, "b": {}, "c": {}}}, "no dimension 'c'"),
    "no spatial": (GOOD | {"spatial_mapping": 3}, "spatial_mapping: 3: must be"),
    "no spread": (GOOD | {"spatial_mapping": {"x": 3}}, "must be {K: 32} or"),
    "no order": ({"temporal_ordering": 3}, "temporal_ordering: 3: must be a list"),
    "no entry": ([{"name": "x"}, {"name": "y"}], "no temporal_mapping or temporal_ordering"),
    "many": ({"temporal_ordering": [["K", 1]] * 501}, "must be a list"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_mappings_are_refused(case: str) -> None:
    document, words = BAD[case]
    with pytest.raises(MappingError) as caught:
        read_document(document, layer(), array(), "f.yaml", "conv")
    assert words in str(caught.value)
    assert str(caught.value).startswith("f.yaml: ")


def test_an_order_that_no_memory_takes_is_refused() -> None:
    document = {"temporal_ordering": [], "spatial_mapping": {"x": {"P": 4}, "y": {"C": 3}}}
    stores = array().stores
    small = array(stores=(*stores[:3], stores[3].__class__("glb", stores[3].operands, ("x", "y"),
                                                           4.0), stores[4]))  # fmt: skip
    with pytest.raises(MappingError, match="memory 'glb' holds 4 B of tiles: too little"):
        read_document(document, layer(), small, "f", "")
