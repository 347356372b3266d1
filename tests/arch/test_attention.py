"""The attention family's parameters, area and knobs."""

from __future__ import annotations

import math

import pytest

from dovetail.arch import presets
from dovetail.arch.attention import AttentionArray
from dovetail.errors import AcceleratorError

FUSEMAX = presets.load("fusemax")
assert isinstance(FUSEMAX, AttentionArray)


def test_the_paper_s_machine() -> None:
    assert FUSEMAX.peak_macs_per_cycle == 65_536
    bandwidth = FUSEMAX.dram_bytes_per_cycle * FUSEMAX.clock_mhz * 1e6
    assert bandwidth == pytest.approx(400 * 2**30, rel=1e-15)
    assert FUSEMAX.buffer_bytes == 16 * 2**20
    assert FUSEMAX.array == "256 x 256 + 256 1D, fusemax"
    # 2D PEs 12.08 cm2, all 12.209 cm2; buffer 94.18 mm2 (45 nm).
    assert FUSEMAX.pe_area_mm2 == pytest.approx(1220.9, rel=1e-3)
    assert FUSEMAX.area_mm2 - FUSEMAX.pe_area_mm2 == pytest.approx(94.18)


@pytest.mark.parametrize("name", presets.names("attention"))
def test_presets_are_legal_and_come_back(name: str) -> None:
    a = presets.load(name)
    assert a.validate() == []
    assert presets.from_dict(a.to_dict()) == a
    assert a.area_mm2 > 0
    assert all(
        a.replace({k: v}).validate() == [] for k, vs in a.default_knobs().items() for v in vs
    )


def test_an_exponential_unit_and_registers_take_area() -> None:
    assert FUSEMAX.replace({"exp_unit": True}).area_mm2 - FUSEMAX.area_mm2 == pytest.approx(
        256 * 8240 / 1e6
    )
    assert FUSEMAX.replace({"rf_words": 13}).area_mm2 - FUSEMAX.area_mm2 == pytest.approx(
        65_536 * 354.67 / 1e6
    )


def test_unlimited_bandwidth_has_no_knob_values_but_its_own() -> None:
    a = FUSEMAX.replace({"dram_gb_per_s": "unlimited"})
    assert a.dram_bytes_per_cycle == math.inf
    assert a.default_knobs()["dram_gb_per_s"] == (math.inf,)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("binding", "fused", "must be one of fusemax, architecture, cascade, flat, unfused"),
        ("dim", 2, "must be a whole number within 4 to 4096"),
        ("exp_unit", "maybe", "must be true or false"),
        ("rows", 3, "unknown key 'rows'"),
    ],
)
def test_illegal_values(key: str, value: object, told: str) -> None:
    with pytest.raises(AcceleratorError, match=told):
        FUSEMAX.replace({key: value})
