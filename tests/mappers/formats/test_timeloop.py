"""Timeloop's mappings: the golden cases import as built by hand, export returns them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from dovetail.arch.spatial import SpatialArray, Store
from dovetail.errors import MappingError
from dovetail.ir.mapping import Keep, Mapping, Spatial, Temporal
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.mappers.formats.timeloop import is_timeloop, read_timeloop
from dovetail.mappers.formats.timeloop_write import to_timeloop
from dovetail.mappers.spatial.mapspace import Mapspace
from dovetail.sim.nest import analyse
from tests.mappers.spatial.spatial_cases import ALL, array, layer
from tests.sim.nest.cases import convolution
from tests.sim.nest.test_timeloop import CASES, architecture, factors, mapping, problem

LEVELS = (("RegisterFile", "rf"), ("GlobalBuffer", "gb"), ("DRAM", "dram"))


def document(row: dict[str, str], *, modern: bool = False) -> list[dict[str, Any]]:
    """The file of a row, in the writing of version 0.2 or 0.3."""
    order, split = row["spatial_perm_split"].split("/split")

    def loops(factors: str, permutation: str) -> dict[str, Any]:
        if not modern:
            return {"factors": factors, "permutation": permutation}
        pairs = [f"{part[0]}={part[1:]}" for part in factors.split()]
        return {"factors": pairs, "permutation": list(permutation)}

    entries: list[dict[str, Any]] = [
        {"target": level, "type": "datatype" if modern else "bypass",
         "keep": ["Weights", "Inputs", "Outputs"], "bypass": []}
        for level, _ in LEVELS
    ]  # fmt: skip
    for level, short in LEVELS:
        temporal = loops(row[f"{short}_temporal"], row[f"{short}_perm"])
        entries.append({"target": level, "type": "temporal", **temporal})
    spread = loops(row["spatial"], order)
    entries.append({"target": "GlobalBuffer", "type": "spatial", "split": int(split), **spread})
    return entries


def conv(row: dict[str, str]) -> Einsum:
    return convolution(factors(problem(row)), int(row["stride"]))


@pytest.mark.parametrize("case", CASES)
def test_golden_cases_import(case: str) -> None:
    row = CASES[case]
    einsum, accelerator = conv(row), architecture(row)
    wanted = analyse(einsum, accelerator, mapping(row))
    for modern in (False, True):
        entries = document(row, modern=modern)
        assert is_timeloop(entries)
        assert is_timeloop({"mapping": entries})
        found = read_timeloop(entries, einsum, accelerator)
        assert analyse(einsum, accelerator, found) == wanted
    again = yaml.safe_load(to_timeloop(found, accelerator))
    assert read_timeloop(again, einsum, accelerator) == found


def simple() -> SpatialArray:
    """Timeloop's form needs every operand cut at one place: one memory per level."""
    stores = (
        Store("RF", ALL, (), 512, bypass=("weight", "input")),
        Store("GB", ALL, ("x", "y"), 4096, bypass=("weight",)),
        Store("DRAM", ALL, ("x", "y")),
    )
    return array(stores=stores)


def read(*entries: dict[str, Any], einsum: Einsum | None = None) -> Mapping:
    every = [{"target": name, "type": "temporal"} for name in ("RF", "GB", "DRAM")]
    given = {(entry.get("target"), entry.get("type")) for entry in entries}
    rest = [entry for entry in every if (entry["target"], "temporal") not in given]
    return read_timeloop([*entries, *rest], einsum or layer(), simple())


def test_bypass_rests_and_names_of_newer_problems() -> None:
    found = read(
        {"target": "DRAM", "type": "temporal", "factors": ["M=0", "C=2"], "permutation": "C,M"},
        {"target": "GB[0..0]", "type": "spatial", "factors": "K4 C=3", "split": 1},
        {"target": "GB", "type": "datatype", "keep": ["Inputs", "Output"], "bypass": ["Weights"]},
        {"target": "RF", "type": "bypass", "keep": ["Outputs"], "bypass": ["Inputs", "Filter"]},
    )
    assert found.nodes == (
        Keep("DRAM", ALL),
        Temporal("K", 2),
        Temporal("C", 2),
        Keep("GB", ("input", "output")),
        Spatial("K", 4, "x"),
        Spatial("C", 3, "y"),
        Keep("RF", ("output",)),
    )


def test_levels_may_be_several_of_our_memories() -> None:
    levels = {"Buffer": ["glb"], "Registers": ["rf_i", "rf_w", "rf_o"], "DRAM": ["dram"]}
    entries = [
        {"target": "Buffer", "type": "temporal", "factors": "K2 P7 Q7 R3 S3 C8"},
        {"target": "DRAM", "type": "temporal", "factors": "K4"},
        {"target": "Registers", "type": "temporal", "factors": ""},
    ]
    found = read_timeloop(entries, layer(), array(), levels=levels)
    kept = [node.memory for node in found.nodes if isinstance(node, Keep)]
    assert kept == ["dram", "glb", "rf_i", "rf_w", "rf_o"]
    with pytest.raises(MappingError, match="no target 'Buf'; it has Buffer, DRAM, Registers"):
        read_timeloop(entries, layer(), array(), levels={"Buf": ["glb"]})
    with pytest.raises(MappingError, match="target 'Buffer': 'gbl' is no memory of 'small'"):
        read_timeloop(entries, layer(), array(), levels=levels | {"Buffer": ["gbl"]})


TEMPORAL = {"target": "RF", "type": "temporal"}
BAD = {
    "no list": (3, "must hold a list"),
    "no table": ([3], r"mapping[0]: 3: must hold"),
    "no target": ([{"type": "temporal"}], "mapping[0].target: None"),
    "unknown target": ([{"target": "L2", "type": "temporal"}], "'L2' is no memory of 'small'"),
    "unknown type": ([{"target": "RF", "type": "spatiotemporal"}], "must be one of"),
    "unknown key": ([{**TEMPORAL, "factor": "C2"}], "unknown key 'factor'"),
    "unknown rank": ([{**TEMPORAL, "factors": "X2"}], "unknown rank 'X'"),
    "no factor": ([{**TEMPORAL, "factors": "C"}], "must be a rank and a whole number"),
    "negative": ([{**TEMPORAL, "factors": "C-2"}], "must be a whole number of at least 1"),
    "huge": ([{**TEMPORAL, "factors": "C" + "9" * 50}], "must be a whole number"),
    "imperfect": ([{**TEMPORAL, "factors": ["P=7,3"]}], "imperfect factors are not read"),
    "rank twice": ([{**TEMPORAL, "factors": "C2 C4"}], "rank C stands twice"),
    "order twice": ([{**TEMPORAL, "permutation": "CKC"}], "rank C stands twice"),
    "no order": ([{**TEMPORAL, "permutation": 5}], "permutation: 5: must be"),
    "no factors": ([{**TEMPORAL, "factors": 5}], "factors: 5: must be"),
    "twice": ([TEMPORAL, TEMPORAL], "a second temporal directive for 'RF'"),
    "no split": ([{"target": "GB", "type": "spatial", "split": "x"}], "split: 'x'"),
    "data space": ([{"target": "RF", "type": "datatype", "keep": ["Bias"]}], "'Bias'; known"),
    "kept, too": (
        [{"target": "RF", "type": "datatype", "keep": ["Inputs"], "bypass": ["Inputs"]}],
        "keeps and bypasses input",
    ),
    "no dimension": (
        [
            {"target": "RF", "type": "spatial", "factors": "K2"},
            {"target": "GB", "type": "temporal"},
            {"target": "DRAM", "type": "temporal"},
        ],
        "no dimension below",
    ),
    "missing": ([{"target": "DRAM", "type": "temporal"}], "no directive for memory 'RF'"),
    "many": ([TEMPORAL] * 501, "at most 500"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_mappings_are_refused(case: str) -> None:
    entries, words = BAD[case]
    with pytest.raises(MappingError) as caught:
        read_timeloop(entries, layer(), simple(), source="f.yaml")
    assert words in str(caught.value)
    assert str(caught.value).startswith("f.yaml: ")


def test_two_rests_of_one_rank_are_refused() -> None:
    with pytest.raises(MappingError, match="several factors of 0"):
        read({**TEMPORAL, "factors": "C0"}, {"target": "DRAM", "type": "temporal", "factors": "C0"})


def test_loops_over_ranks_that_the_operator_lacks_are_refused() -> None:
    index = tuple(Affine(((rank, 1),)) for rank in "CK")
    product = Einsum(
        (("C", 4), ("K", 4)),
        (Access("a", index[:1]), Access("b", index)),
        Access("c", index[1:]),
    )
    assert read({**TEMPORAL, "factors": "C4 K4 P1"}, einsum=product).factor("C") == 4
    with pytest.raises(MappingError, match="loop over P of 2 iterations: the operator has no such"):
        read({**TEMPORAL, "factors": "C4 K4 P2"}, einsum=product)


def test_uneven_mappings_do_not_export() -> None:
    space = Mapspace(layer(), simple())
    top = Keep("DRAM", ALL)
    uneven = (top, Keep("GB", ("input",)), Temporal("K", 8), Keep("GB", ("output",)))
    with pytest.raises(MappingError, match="'GB' cuts its operands at several places"):
        to_timeloop(Mapping(uneven, operator="op"), space.accelerator)
    twice = (top, Temporal("K", 2), Temporal("C", 2), Temporal("K", 4))
    with pytest.raises(MappingError, match="one loop per rank and memory"):
        to_timeloop(Mapping(twice, operator="op"), space.accelerator)
    leaf = Mapping((), operator="a")
    with pytest.raises(MappingError, match="these are fused"):
        to_timeloop(Mapping((), children=(leaf,)), space.accelerator)
