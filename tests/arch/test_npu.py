"""Parameters of the NPU family, and its presets."""

from __future__ import annotations

import pytest

from dovetail.arch import presets
from dovetail.arch.npu import EthosU
from dovetail.arch.npu_cores import CORES
from dovetail.errors import AcceleratorError


def test_every_preset_is_legal_and_survives_a_round_trip() -> None:
    names = presets.names("npu")
    assert {f"ethos_{core.replace('-', '_')}" for core in CORES} <= set(names)
    for name in names:
        design = presets.load(name)
        assert design.validate() == []
        assert EthosU.from_dict(design.to_dict()) == design


@pytest.mark.parametrize(
    ("name", "macs", "array"),
    [("u55-32", 32, "1x1x1x4x8"), ("u55-128", 128, "1x1x2x8x8"), ("u65-512", 512, "2x2x2x8x8")],
)
def test_macs_are_micro_blocks_of_dot_products(name: str, macs: int, array: str) -> None:
    design = EthosU(core=name)
    assert design.peak_macs_per_cycle == macs == int(name.partition("-")[2])
    assert design.array == array


def test_memory_modes_say_where_things_stay() -> None:
    places = {
        mode: (design.feature_maps.name, design.constants.name)
        for mode in ("shared_sram", "dedicated_sram", "sram_only")
        for design in [EthosU(memory_mode=mode)]
    }
    assert places == {
        "shared_sram": ("sram", "dram"),
        "dedicated_sram": ("dram", "dram"),
        "sram_only": ("sram", "sram"),
    }


def test_bandwidths_are_parts_of_the_port() -> None:
    design = presets.load("ethos_u65_256")
    assert isinstance(design, EthosU)
    assert design.sram_port.bytes_per_cycle == 16
    assert design.dram_bytes_per_cycle == 12
    assert presets.load("ethos_u55_32").dram_bytes_per_cycle == 1


def test_an_unknown_configuration_is_one_line() -> None:
    with pytest.raises(AcceleratorError, match=r"core = 'u55-48': must be one of u55-32, u55-64"):
        EthosU.from_dict({"core": "u55-48"})
