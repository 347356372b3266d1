"""Our mapping file: an exact round trip, and one line for everything that is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.ir import strict_yaml
from dovetail.ir.mapping import Keep, Mapping, Spatial, Temporal
from dovetail.mappers.formats import read_mappings, write_mappings
from dovetail.mappers.formats.own import KEY, read, to_text

NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["N", "y", "no", "null", "~", "1", "1e3", "2020-01-01", "a: b", "- a", "#", "{", "'", '"', "é"]
)
COUNTS = st.integers(1, 2**50)
NODES = st.one_of(
    st.builds(Keep, NAMES, st.lists(NAMES, min_size=1, max_size=3, unique=True).map(tuple)),
    st.builds(Temporal, NAMES, COUNTS),
    st.builds(Spatial, NAMES, COUNTS, NAMES),
)
NESTS = st.lists(NODES, max_size=6).map(tuple)


@st.composite
def trees(draw: st.DrawFn, names: list[str]) -> Mapping:
    nodes = draw(NESTS)
    if len(names) == 1 and draw(st.booleans()):
        return Mapping(nodes, operator=names[0])
    cut = draw(st.integers(1, len(names)))
    parts = [part for part in (names[:cut], names[cut:]) if part]
    if len(parts) == 1 and draw(st.booleans()):
        parts = [[name] for name in names]
    return Mapping(nodes, children=tuple(
        Mapping(draw(NESTS), operator=part[0]) if len(part) == 1 else draw(trees(part))
        for part in parts
    ))  # fmt: skip


@st.composite
def files(draw: st.DrawFn) -> dict[str, Mapping]:
    names = draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))
    cut = draw(st.integers(0, len(names)))
    alone = {name: Mapping(draw(NESTS), operator=name) for name in names[:cut]}
    if names[cut:]:
        tree = draw(trees(names[cut:]))
        alone |= dict.fromkeys(names[cut:], tree)
    return alone


@settings(max_examples=60)
@given(files(), NAMES)
def test_what_is_written_is_read(mappings: dict[str, Mapping], accelerator: str) -> None:
    text = to_text(mappings, accelerator)
    document = strict_yaml.parse(text, "f", MappingError)
    assert read(document, "f") == mappings
    assert document["accelerator"] == accelerator


def test_a_file_reads_well(tmp_path: Path) -> None:
    nodes = (Keep("dram", ("input", "weight", "output")), Temporal("K", 4), Spatial("C", 3, "x"))
    path = tmp_path / "m.yaml"
    write_mappings(path, {"conv1": Mapping(nodes, operator="conv1")}, "eyeriss_v1")
    assert path.read_text().splitlines() == [
        "dovetail-mapping: 1",
        "accelerator: eyeriss_v1",
        "mappings:",
        "- operator: conv1",
        "  nest:",
        "  - {keep: [input, weight, output], in: dram}",
        "  - {for: K, count: 4}",
        "  - {spread: C, count: 3, along: x}",
    ]
    assert read_mappings(path) == {"conv1": Mapping(nodes, operator="conv1")}
    write_mappings(path, {})
    assert read_mappings(path) == {}


HEAD = "dovetail-mapping: 1\nmappings:\n"


def entry(node: str) -> str:
    return f"{HEAD}- operator: a\n  nest:\n  - {node}\n"


BAD = {
    "no list": (f"{KEY}: 1\nmappings: 3\n", "mappings: 3: must be a list"),
    "no mappings": (f"{KEY}: 1\n", "'mappings' is missing"),
    "version": (f"{KEY}: 2\nmappings: []\n", "dovetail-mapping: 2: this Dovetail reads version 1"),
    "unknown key": (f"{HEAD}\nnetwork: x\n", "unknown key 'network'"),
    "no table": (f"{HEAD}- 3\n", r"mappings[0]: 3: must hold"),
    "no nest": (f"{HEAD}- operator: a\n", "mappings[0]: 'nest' is missing"),
    "no leaf": (f"{HEAD}- nest: []\n", "either 'operator' or 'children'"),
    "two leaves": (f"{HEAD}- {{operator: a, children: [], nest: []}}\n", "either 'operator' or"),
    "no children": (f"{HEAD}- {{children: [], nest: []}}\n", "mappings[0].children: is empty"),
    "twice": (f"{HEAD}" + "- {operator: a, nest: []}\n" * 2, "operator 'a' is mapped twice"),
    "no node": (entry("4"), "mappings[0].nest[0]: 4: must be {keep:"),
    "two nodes": (entry("{for: K, spread: C, count: 2}"), "must be {keep:"),
    "negative": (entry("{for: K, count: -3}"), "nest[0].count: -3: must be a whole number from 1"),
    "zero": (entry("{for: K, count: 0}"), "count: 0: must be"),
    "fraction": (entry("{for: K, count: 1.5}"), "count: 1.5: must be"),
    "truth": (entry("{for: K, count: true}"), "count: True: must be"),
    "huge count": (entry("{for: K, count: 9999999999999999999}"), "must be a whole number"),
    "no count": (entry("{for: K}"), "nest[0]: 'count' is missing"),
    "no dimension": (entry("{spread: K, count: 2}"), "'along' is missing"),
    "stray key": (entry("{for: K, count: 2, along: x}"), "unknown key 'along'"),
    "empty keep": (entry("{keep: [], in: dram}"), "must name tensors"),
    "kept twice": (entry("{keep: [a, a], in: dram}"), "each once"),
    "number": (entry("{for: 3, count: 2}"), "nest[0].for: 3: must be a name"),
    "list as name": (entry("{for: [K], count: 2}"), "for: ['K']: must be a name"),
    "duplicate key": (entry("{for: K, for: C, count: 2}"), "line 5: key 'for' stands twice"),
    "no YAML": (f"{HEAD}- [", "not valid YAML"),
    "tag": (f"{HEAD}- !!python/object/apply:os.system [ls]\n", "not valid YAML"),
    "alias": (f"{KEY}: &a 1\nmappings: [*a]\n", "aliases are not read"),
    "deep": (f"{HEAD}- {'[' * 100}{']' * 100}\n", "nested deeper than 40 levels"),
    "scalar": ("dovetail-mapping", "no mapping file"),
    "empty": ("", "not Dovetail's own"),
}


@pytest.mark.parametrize("case", BAD)
def test_wrong_files_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, words = BAD[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(MappingError) as caught:
        read_mappings(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert words in message or case == "scalar"
    assert "\n" not in message


def test_children_nest_only_so_deep() -> None:
    document: dict[str, object] = {"operator": "a", "nest": []}
    text = to_text({"a": Mapping((), operator="a")})
    for _ in range(60):
        document = {"nest": [], "children": [document]}
    mapping = Mapping((), operator="a")
    for _ in range(60):
        mapping = Mapping((), children=(mapping,))
    text = to_text({"a": mapping})
    with pytest.raises(MappingError, match="nested deeper"):
        strict_yaml.parse(text, "f", MappingError)


def test_too_many_nodes_are_refused() -> None:
    mapping = Mapping((Temporal("K", 1),) * 1001, operator="a")
    document = strict_yaml.parse(to_text({"a": mapping}), "f", MappingError)
    with pytest.raises(MappingError, match="1001 nodes: at most 1000"):
        read(document, "f")


def test_huge_and_unreadable_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    path.write_bytes(b"#" * (4 << 20) + b"\n")
    with pytest.raises(MappingError, match="larger than 4 MiB, which no mapping file is"):
        read_mappings(path)
    path.write_bytes(bytes(range(128, 256)))
    with pytest.raises(MappingError, match="not UTF-8"):
        read_mappings(path)
    with pytest.raises(MappingError, match="cannot be read: Is a directory"):
        read_mappings(tmp_path)
    with pytest.raises(MappingError, match="No such file"):
        read_mappings(tmp_path / "none.yaml")
    with pytest.raises(MappingError, match="cannot be read"):
        read_mappings("nul\0byte.yaml")
