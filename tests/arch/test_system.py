from __future__ import annotations

import json

import pytest

from dovetail.arch import presets
from dovetail.arch.system import System
from dovetail.errors import AcceleratorError

NAMES = presets.names("system")


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_legal_and_survive_json(name):
    system = presets.load(name)
    assert (system.name, system.validate()) == (name, [])
    flat = json.loads(json.dumps(system.to_dict(), allow_nan=False))
    assert presets.from_dict(flat) == system
    assert system.replace({}) == system
    assert system.area_mm2 == sum(core.area_mm2 for _, core in system.cores)
    total = sum(core.peak_macs_per_cycle * core.clock_mhz for _, core in system.cores)
    assert system.peak_macs_per_cycle * system.clock_mhz == pytest.approx(total, rel=0.01)


def test_cores_come_by_name_with_changes_or_inline():
    system = System.from_dict(
        {
            "cores": [
                "simba",
                {"preset": "edge", "name": "left", "set": {"rows": 8}},
                {"family": "spatial", "name": "own", "array": {"x": 2},
                 "memories": [{"name": "d", "operands": "input weight output", "serves": "x"}]},
            ]
        }
    )  # fmt: skip
    assert [name for name, _ in system.cores] == ["simba", "left", "own"]
    assert system.validate() == []
    assert dict(system.cores)["left"].rows == 8
    assert system.clock_mhz == 2000
    assert presets.from_dict(system.to_dict()) == system
    changed = system.replace({"cores.left.cols": 4, "dram_gb_per_s": 3})
    assert (dict(changed.cores)["left"].cols, changed.dram_gb_per_s) == (4, 3)


def test_no_core_has_more_than_the_shared_bandwidth():
    system = presets.load("hda").replace({"dram_gb_per_s": 4})
    for name, core in system.bounded():
        assert core.dram_bytes_per_cycle * core.clock_mhz / 1e3 <= 4 * (1 + 1e-12), name
    wide = presets.load("hda").replace({"dram_gb_per_s": 1000})
    assert wide.bounded() == wide.cores


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "cores = None: must be a list of 1 to 16 cores"),
        ({"cores": []}, "cores = []"),
        ({"cores": ["simba"] * 17}, "must be a list of 1 to 16 cores"),
        ({"cores": ["simbo"]}, "cores[0].preset = 'simbo': must be one of a100, edge"),
        ({"cores": [5]}, "cores[0] = 5: must be a preset's name"),
        ({"cores": ["hda"]}, "cores[0]: a system is no core of another system"),
        ({"cores": [{"preset": "simba", "sets": {}}]}, "cores[0]: unknown key 'sets'"),
        ({"cores": [{"preset": "simba", "set": 3}]}, "cores[0].set = 3"),
        ({"cores": [{"preset": "simba", "set": {"rows": 3}}]}, "cores[0].set: unknown key 'rows'"),
        ({"cores": [{"preset": "simba", "name": "a b"}]}, "cores[0].name = 'a b'"),
        ({"cores": [{"family": "spatal"}]}, "cores[0]: family = 'spatal'"),
        ({"cores": [{"family": "spatial", "array": 3}]}, "cores[0]: memories = None"),
        ({"cores": ["simba"], "dram_gb_per_s": -1}, "dram_gb_per_s = -1: must be a number within"),
        ({"cores": ["simba"], "dram_gbps": 1}, "unknown key 'dram_gbps'; legal keys: name, cores"),
        ({"cores": ["simba"], "name": 4}, "name = 4: must be a text"),
    ],
)
def test_what_is_wrong_is_named(values, words):
    with pytest.raises(AcceleratorError) as caught:
        System.from_dict(values, "chip.yaml")
    assert str(caught.value).startswith("chip.yaml: ")
    assert words in str(caught.value)


def test_laws_of_systems():
    twins = System.from_dict({"cores": ["simba", "simba"]})
    assert "cores: 'simba' stands twice" in twins.validate()[0]
    rtl = System.from_dict({"cores": [{"preset": "edge", "set": {"machine": "rtl"}}]})
    assert "cores are ideal machines" in rtl.validate()[0]
    small = System.from_dict(
        {"cores": [{"preset": "simba", "set": {"memories.weight_reg.capacity_bytes": 0.5}}]}
    )
    assert small.validate()[0].startswith("cores.simba: 'weight_reg' holds 0.5 B")
    with pytest.raises(AcceleratorError, match=r"unknown key 'cores\.b\.rows'"):
        rtl.replace({"cores.b.rows": 4})
