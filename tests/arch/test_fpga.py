from __future__ import annotations

import json
import math

import pytest

from dovetail.arch import presets
from dovetail.arch.devices import DEVICES
from dovetail.arch.fpga import FpgaDataflow
from dovetail.arch.system import System
from dovetail.errors import AcceleratorError

NAMES = presets.names("fpga")


def test_devices_hold_what_their_data_sheets_say():
    """DS891 (ZU9EG, ZU3EG), DS890 (VU9P), DS963 (U280); in blocks of 36 Kib."""
    rows = {n: (d.lut, d.ff, d.dsp, d.bram18 // 2, d.uram) for n, d in DEVICES.items()}
    assert rows == {
        "zcu102": (274_080, 548_160, 2_520, 912, 0),
        "ultra96": (70_560, 141_120, 360, 216, 0),
        "u280": (1_303_680, 2_607_360, 9_024, 2_016, 960),
        "vcu1525": (1_182_240, 2_364_480, 6_840, 2_160, 960),
    }
    # A CLB has eight LUTs and sixteen flip-flops, whatever the device.
    assert all(d.ff == 2 * d.lut and d.lut % 8 == 0 for d in DEVICES.values())


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_legal_and_survive_json(name):
    design = presets.load(name)
    assert isinstance(design, FpgaDataflow)
    assert (design.name, design.family, design.validate()) == (name, "fpga", [])
    flat = json.loads(json.dumps(design.to_dict(), allow_nan=False))
    assert presets.from_dict(flat) == design
    assert design.replace({}) == design
    assert design.budget["lut"] == design.share * design.device.lut
    assert design.area_mm2 == 0


def test_the_defaults_are_legal_and_have_no_bounds():
    design = FpgaDataflow()
    assert design.validate() == []
    assert math.isinf(design.dram_bytes_per_cycle)
    assert design.to_dict()["interval_cycles"] == "least"
    assert design.replace({"interval_cycles": 1000}).interval_cycles == 1000
    assert design.replace({"interval_cycles": 1000}).replace(
        {"interval_cycles": "least"}
    ) == design  # fmt: skip
    listed = [name for name, *_ in FpgaDataflow.parameters()]
    assert listed == [key for key in design.to_dict() if key != "family"]


def test_the_peak_follows_the_budget():
    assert FpgaDataflow(share=1.0).peak_macs_per_cycle == 2_520
    wide = FpgaDataflow(share=1.0, input_bits=32, weight_bits=32)
    assert wide.peak_macs_per_cycle == 1_260  # two slices each
    assert FpgaDataflow(share=0.5).peak_macs_per_cycle == 1_260
    binary = FpgaDataflow(share=1.0, input_bits=1, weight_bits=1, multipliers="lut")
    assert binary.peak_macs_per_cycle == int(274_080 / (1.1 * 2 * 2))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"boards": "zcu102"}, "unknown key 'boards'"),
        ({"board": "zcu104"}, "must be one of zcu102, ultra96, u280, vcu1525"),
        ({"share": 0}, "within 0.01 to 1"),
        ({"weight_bits": 0}, "within 1 to 32 bit"),
        ({"interval_cycles": "fast"}, "or 'least'"),
        ({"weight_memory": "flash"}, "must be one of block, distributed, ultra"),
        ({"name": "two\nlines"}, "a text of 1 to 200 printable characters"),
        ({"name": ""}, "a text of 1 to 200 printable characters"),
        ({"name": 3}, "a text of 1 to 200 printable characters"),
    ],
)
def test_wrong_values_are_refused_in_one_line(values, message):
    with pytest.raises(AcceleratorError, match=message) as error:
        FpgaDataflow.from_dict(values)
    assert "\n" not in str(error.value)


def test_illegal_designs_are_values_with_reasons():
    assert "no UltraRAM" in FpgaDataflow(weight_memory="ultra").validate()[0]
    assert FpgaDataflow(board="u280", weight_memory="ultra").validate() == []
    assert "weight_bits" in FpgaDataflow(weight_bits=99).validate()[0]


def test_a_pipeline_is_no_core_of_a_system():
    system = System.from_dict({"cores": ["simba", "finn_zcu102"]})
    assert system.validate() == [
        "cores.finn_zcu102: family 'fpga' runs whole networks: it is no core"
    ]
