from __future__ import annotations

import dataclasses
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.systolic import SystolicArray
from dovetail.errors import AcceleratorError

EDGE = presets.load("edge")


def error(values):
    with pytest.raises(AcceleratorError) as caught:
        SystolicArray.from_dict(values, "chip.yaml")
    message = str(caught.value)
    assert message.startswith("chip.yaml: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 500
    return message


@pytest.mark.parametrize("field", [f for f in fields(SystolicArray) if "low" in f.metadata])
def test_every_number_has_a_legal_range_with_its_default_inside(field):
    law = field.metadata
    assert law["low"] <= field.default <= law["high"]
    assert law["doc"]
    for value in (law["low"], law["high"]):
        assert getattr(SystolicArray.from_dict({field.name: value}), field.name) == value
    for value in (law["low"] - 1, law["high"] * 2):
        message = error({field.name: value})
        assert f"{field.name} = {value!r}" in message
        assert f"{law['low']:g} to {law['high']:g}" in message


@pytest.mark.parametrize("key", ["rows", "clock_mhz"])
@pytest.mark.parametrize(
    "value",
    ["32", True, None, float("nan"), float("inf"), -float("inf"), [32], {"a": 1}, 10**400],
    ids=repr,
)
def test_wrong_numbers_are_refused_by_key_value_and_range(key, value):
    message = error({key: value})
    assert f"{key} = " in message
    assert "number within" in message


def test_fractions_of_a_count_are_refused():
    assert "rows = 1.5: must be a whole number within 1 to 4096 PEs" in error({"rows": 1.5})
    assert SystolicArray.from_dict({"rows": 8.0}).rows == 8
    assert isinstance(SystolicArray.from_dict({"rows": 8.0}).rows, int)


def test_a_number_that_python_cannot_print_is_refused():
    assert "rows = a huge int" in error({"rows": 16**5000})


def test_wrong_choices_list_the_legal_ones():
    assert "must be one of ws, os, is" in error({"dataflow": "rs"})
    assert "dram = 'sram'" in error({"dram": "sram"})
    assert "must be a text" in error({"dataflow": 1})
    assert len(error({"dataflow": "a\nb" * 10**5})) < 200


def test_unknown_keys_list_the_legal_ones():
    message = error({"row": 4})
    assert "unknown key 'row'" in message
    assert "rows, cols" in message
    assert "unknown key" in error({"a\nb": 4})


@given(
    st.dictionaries(
        st.sampled_from([f.name for f in fields(SystolicArray)]) | st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none()),
    )
)
def test_any_values_make_a_design_or_one_line(values):
    message = ""
    try:
        design = SystolicArray.from_dict(values, "any")
    except AcceleratorError as caught:
        message = str(caught)
    else:
        assert SystolicArray.from_dict(design.to_dict()) == design
        assert all("half of" in reason for reason in design.validate())
    assert len(message.splitlines()) <= 1


def test_an_illegal_design_is_a_value_with_reasons():
    assert EDGE.validate() == []
    wide = dataclasses.replace(EDGE, rows=0, dataflow="rs")
    reasons = wide.validate()
    assert len(reasons) == 2
    assert any("rows = 0" in reason for reason in reasons)


@pytest.mark.parametrize("operand", ["input", "weight", "output"])
def test_a_scratchpad_half_must_hold_one_tile(operand):
    bits = 32 if operand == "output" else 8
    need = 2 * 32 * 32 * bits // 8
    fits = dataclasses.replace(EDGE, **{f"{operand}_sram_kib": need / 1024})
    small = dataclasses.replace(EDGE, **{f"{operand}_sram_kib": (need - 2) / 1024})
    assert fits.validate() == []
    (reason,) = small.validate()
    assert f"half of '{operand}_sram' holds {need // 2 - 1} B" in reason
    assert f"enlarge {operand}_sram_kib" in reason


def test_replace_checks_as_from_dict_does():
    assert EDGE.replace({"rows": 16}) == dataclasses.replace(EDGE, rows=16)
    with pytest.raises(AcceleratorError, match=r"--set: rows = 0"):
        EDGE.replace({"rows": 0})


def test_derived_figures():
    assert EDGE.peak_macs_per_cycle == 1024
    assert dataclasses.replace(EDGE, arrays=4).peak_macs_per_cycle == 4096
    assert EDGE.dram_bytes_per_cycle == pytest.approx(25.6)
    assert EDGE.dram_latency_cycles == 50
    assert dataclasses.replace(EDGE, dram_latency_ns=100.1).dram_latency_cycles == 51
    pad = EDGE.scratchpad("weight")
    assert (pad.name, pad.capacity_bytes, pad.tile_bytes) == ("weight_sram", 65536, 32768)
    assert pad.operands == ("weight",)


def test_area_is_the_sum_of_its_parts():
    parts = (
        {"rows": 1, "cols": 1, "vector_lanes": 1},
        {"rows": 33, "cols": 1, "vector_lanes": 1},
        {"rows": 1, "cols": 1, "vector_lanes": 33},
    )
    base, pes, lanes = (dataclasses.replace(EDGE, **part).area_mm2 for part in parts)
    tech = EDGE.technology
    assert pes - base == pytest.approx(32 * tech.pe_mm2(8, 8, 32))
    assert lanes - base == pytest.approx(32 * tech.vector_lane_mm2)
    bigger = dataclasses.replace(EDGE, input_sram_kib=65.0)
    assert bigger.area_mm2 - EDGE.area_mm2 == pytest.approx(tech.sram_mm2(1024))
    four = dataclasses.replace(EDGE, arrays=4)
    assert four.area_mm2 - EDGE.area_mm2 == pytest.approx(3 * 1024 * tech.pe_mm2(8, 8, 32))


RTL = SystolicArray(rows=8, cols=8, machine="rtl")


def test_the_rtl_machine_is_legal_and_says_what_breaks_its_laws():
    assert RTL.validate() == []
    for change, law in (
        ({"rows": 1}, "rows = 1"),
        ({"arrays": 2}, "arrays = 2"),
        ({"input_bits": 17}, "input_bits = 17"),
        ({"weight_bits": 1}, "weight_bits = 1"),
        ({"accumulator_bits": 40}, "accumulator_bits = 40"),
        ({"dataflow": "is"}, "'is'"),
        ({"bus_bits": 48}, "power of two"),
        ({"bus_bits": 128}, "must divide rows x input_bits = 64 bit"),
        ({"rows": 12}, "must divide rows x input_bits = 96 bit"),
        ({"cols": 4}, "must divide cols x input_bits = 32 bit"),
        ({"weight_bits": 4}, "must divide cols x weight_bits = 32 bit"),
    ):
        assert any(law in reason for reason in dataclasses.replace(RTL, **change).validate())
        assert dataclasses.replace(RTL, **change, machine="ideal").validate() == []


def test_figures_of_the_rtl_machine():
    fast = dataclasses.replace(RTL, clock_mhz=1000, dram_gb_per_s=12.8)
    assert fast.dram_bytes_per_cycle == 8  # no more than the bus carries
    slow = dataclasses.replace(RTL, clock_mhz=1000, dram_gb_per_s=1.2345)
    assert slow.dram_bytes_per_cycle == int(1.2345 * 256) / 256
    assert dataclasses.replace(slow, machine="ideal").dram_bytes_per_cycle == 1.2345
    assert dataclasses.replace(RTL, cols=16, vector_lanes=99).lanes == 8
    assert RTL.half_words("input") == 64 * 1024 // 2 // 8
    assert RTL.half_words("output") == 64 * 1024 // 2 // 32
    assert dataclasses.replace(RTL, weight_sram_kib=2**20).half_words("weight") == 65535
