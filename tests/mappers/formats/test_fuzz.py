"""Whatever stands in a mapping file: mappings, or one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dovetail.errors import MappingError
from dovetail.mappers.formats import read_mappings
from dovetail.sim.nest import faults
from tests.mappers.spatial.spatial_cases import array, layer

OWN = {
    "dovetail-mapping": 1,
    "accelerator": "small",
    "mappings": [
        {
            "operator": "conv",
            "nest": [
                {"keep": ["input", "weight", "output"], "in": "dram"},
                {"for": "K", "count": 8},
                {"spread": "C", "count": 3, "along": "y"},
            ],
        },
        {"nest": [], "children": [{"operator": "b", "nest": []}]},
    ],
}
TIMELOOP = {
    "mapping": [
        {"target": name, "type": "temporal", "factors": ["K=2", "C=1"], "permutation": "KC"}
        for name in ("rf_i", "rf_w", "rf_o")
    ]
    + [
        {"target": "dram", "type": "temporal", "factors": ["P=7", "C=0"], "permutation": ["C"]},
        {"target": "glb", "type": "spatial", "factors": "K2 C3", "permutation": "KC", "split": 1},
        {"target": "glb", "type": "datatype", "keep": ["Inputs"], "bypass": ["Weights"]},
    ]
}
ZIGZAG = {
    "spatial_mapping": {"x": {"K": 4}, "y": ["C, 3"]},
    "temporal_mapping": {
        "O": [[["K", 2]], [], []],
        "W": [[], [["K", 2]], []],
        "I": [[["K", 2]], [], []],
    },
}
ORDER = [
    {
        "name": "default",
        "spatial_mapping": {"x": ["K, 4"]},
        "temporal_ordering": [["K", 2], ["C", "*"], "OX, 7"],
    }
]
ODD = st.sampled_from(
    [None, True, 0, -1, 1, 2, 2**70, 1.5, float("nan"), float("inf"), "", "K", "x", "*", "K, 2",
     "K,", "C9999999999999999999999", [], {}, [[]], ["K"], [["K", 2]], {"K": 2}, {"a": {}}, "glb",
     "\x00", "é", "2020-01-01", ["Weights"], [1, 2, 3]]
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Keys on the way to every part of a document."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def spoiled(document: Any, path: tuple[Any, ...], odd: Any, drop: bool) -> Any:
    if not path:
        return odd
    result = copy.deepcopy(document)
    parent = result
    for key in path[:-1]:
        parent = parent[key]
    if drop:
        del parent[path[-1]]
    else:
        parent[path[-1]] = odd
    return result


@pytest.mark.parametrize("document", [OWN, TIMELOOP, ZIGZAG, ORDER])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_spoiled_file_is_read_or_refused(document: Any, tmp_path: Path, data: Any) -> None:
    for _ in range(data.draw(st.integers(1, 2))):
        paths = list(places(document))
        path = data.draw(st.sampled_from(paths))
        document = spoiled(document, path, data.draw(ODD), bool(path) and data.draw(st.booleans()))
    file = tmp_path / "f.yaml"
    file.write_text(json.dumps(document))
    message = ""
    found = {}
    try:
        found = read_mappings(file, {"conv": layer()}, array())
    except MappingError as error:
        message = str(error)
    assert "\n" not in message
    assert not message or message.startswith(str(file))
    for mapping in found.values():
        assert isinstance(faults(layer(), array(), mapping), list)
