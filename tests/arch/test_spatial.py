from __future__ import annotations

import dataclasses
import json
import math
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.spatial import OPERANDS, SpatialArray, Store
from dovetail.arch.technology import DRAM_PJ_PER_BYTE, Technology
from dovetail.errors import AcceleratorError
from tests.arch.spatial_cases import arrays

NAMES = presets.names("spatial")
EYERISS = presets.load("eyeriss_v1")


@given(arrays())
def test_arrays_survive_the_way_through_flat_scalars_and_json(array):
    assert array.validate() == []
    flat = array.to_dict()
    assert all(isinstance(value, str | int | float) for value in flat.values())
    again = json.loads(json.dumps(flat, allow_nan=False))
    assert presets.from_dict(again) == array
    assert array.replace({}) == array


@given(arrays(), st.data())
def test_a_replaced_parameter_is_the_only_one_that_changes(array, data):
    flat = array.to_dict()
    numbers = [key for key, value in flat.items() if type(value) in (int, float)]
    key = data.draw(st.sampled_from(numbers))
    changed = array.replace({key: flat[key]})
    assert changed == array
    other = array.replace({"clock_mhz": 17.0}).to_dict()
    assert {k for k in other if other[k] != flat[k]} <= {"clock_mhz"}


@pytest.mark.parametrize("name", NAMES)
def test_presets_are_legal_and_carry_their_source(name):
    array = presets.load(name)
    assert (array.name, array.family, array.validate()) == (name, "spatial", [])
    assert (resources.files(presets) / f"{name}.yaml").read_text().startswith("# ")
    assert presets.from_dict(array.to_dict()) == array
    assert 0.05 < array.area_mm2 < 20
    assert math.isfinite(array.dram_bytes_per_cycle)
    assert {operand: array.hierarchy(operand)[-1].name for operand in OPERANDS} == dict.fromkeys(
        OPERANDS, "dram"
    )


@pytest.mark.parametrize(
    ("name", "pes", "tera_ops"),
    [
        ("eyeriss_v1", 168, 0.0672),  # Chen, ISSCC 2016: 33.6 GMAC/s at 200 MHz
        ("nvdla_small", 64, 0.128),  # nv_small.spec at 1 GHz
        ("nvdla_large", 2048, 4.096),  # nv_large.spec at 1 GHz
        ("shidiannao", 64, 0.128),
        ("simba", 1024, 4.01),  # Shao, MICRO 2019: 4.01 TOPS a chiplet
        ("gemmini_spatial", 256, 0.512),
        ("tpu_like", 1024, 2.048),
        ("eyeriss_like", 168, 0.336),
    ],
)
def test_presets_have_the_published_peak(name, pes, tera_ops):
    array = presets.load(name)
    assert array.peak_macs_per_cycle == pes
    assert 2e-6 * pes * array.clock_mhz == pytest.approx(tera_ops, rel=0.03)


def test_memory_sizes_of_eyeriss():
    sizes = {store.name: store.capacity_bytes * 8 / 16 for store in EYERISS.stores[:3]}
    assert sizes == {"input_rf": 12, "weight_rf": 224, "sum_rf": 24}  # words
    assert sum(store.capacity_bytes for store in EYERISS.stores[3:5]) == 108 * 1024
    assert EYERISS.sram_bytes == 108 * 1024 + 168 * (24 + 448 + 48)


def test_energies_come_from_the_technology_where_none_are_given():
    simba = presets.load("simba")
    tech = Technology(16)
    buffer = simba.stores[3]
    assert buffer.derived == ("read_pj", "write_pj")
    assert buffer.read_pj == buffer.write_pj == tech.sram_pj_per_byte(32 * 1024) * 8
    assert simba.stores[-1].read_pj == DRAM_PJ_PER_BYTE["ddr4"] * 8
    assert simba.mac_pj == tech.mac_pj(8, 8, 24)
    larger = simba.replace({"memories.weight_buffer.capacity_kib": 128})
    assert larger.stores[3].read_pj == tech.sram_pj_per_byte(128 * 1024) * 8
    assert simba.replace({"node_nm": 45}).mac_pj == Technology(45).mac_pj(8, 8, 24)
    given_one = simba.replace({"memories.weight_buffer.read_pj": 3})
    assert (given_one.stores[3].read_pj, given_one.stores[3].derived) == (3, ("write_pj",))
    assert simba.replace({"mac_pj": 1, "node_nm": 7}).mac_pj == 1
    assert EYERISS.replace({"memories.glb.capacity_kib": 1}).stores[4].read_pj == 15


def test_knobs_reach_every_level():
    changed = EYERISS.replace(
        {"array.x": 16, "memories.glb.capacity_kib": 64, "memories.glb.sliding": "true",
         "unrolls.y": "R C", "memories.dram.write_bits_per_cycle": "unlimited"}
    )  # fmt: skip
    glb = changed.stores[4]
    assert (changed.dimensions, glb.capacity_bytes) == ((("x", 16), ("y", 12)), 65536)
    assert glb.sliding
    assert changed.unrolls[1] == ("y", ("R", "C"))
    assert changed.stores[-1].write_bits_per_cycle == math.inf


def test_area_adds_up():
    tech = Technology(28)
    glb = Store("glb", OPERANDS, ("x",), capacity_bytes=1024)
    rf = Store("rf", OPERANDS, (), capacity_bytes=64, area_mm2=0.5)
    dram = Store("dram", OPERANDS, ("x",))
    array = SpatialArray("a", (("x", 4),), (rf, glb, dram), vector_lanes=2)
    pes, lanes = 4 * tech.pe_mm2(8, 8, 32), 2 * tech.vector_lane_mm2
    assert array.area_mm2 == pytest.approx(pes + lanes + 4 * 0.5 + tech.sram_mm2(1024))
    assert array.sram_bytes == 1024 + 4 * 64


def broken(**changes):
    return dataclasses.replace(EYERISS, **changes).validate()


def with_store(which, **changes):
    stores = tuple(
        dataclasses.replace(store, **changes) if store.name == which else store
        for store in EYERISS.stores
    )
    return broken(stores=stores)


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (broken(stores=()), "memories: must be at least one"),
        (broken(dimensions=()), "array: needs at least one dimension"),
        (broken(dimensions=(("x", 0), ("y", 1))), "array.x = 0: must be a whole number"),
        (broken(dimensions=(("x", 65536), ("y", 65536))), "at most 16,777,216"),
        (broken(unrolls=(("q", ("K",)),)), "unrolls.q: no dimension of the array; it has x, y"),
        (broken(unrolls=(("x", ("K", "K")),)), "unrolls.x = ('K', 'K')"),
        (broken(sum_bits=0), "sum_bits = 0: must be a whole number within 1 to 128 bit"),
        (broken(node_nm=2), "node_nm = 2: must be a number within 3 to 90 nm"),
        (broken(latched=("psum",)), "latched = ('psum',)"),
        (broken(stores=EYERISS.stores[:-1]), "memories.glb is the outermost memory"),
        (broken(stores=EYERISS.stores + EYERISS.stores[-1:]), "memories: 'dram' stands twice"),
        (with_store("glb", serves=("x", "z")), "'z' is no dimension; the array has x, y"),
        (with_store("glb", bypass=("weight",)), "'weight' does not live there"),
        (with_store("glb", buffering="triple"), "must be one of ideal, single, double"),
        (with_store("glb", read_pj=-1), "read_pj = -1: must be a number within 0"),
        (with_store("glb", name="mac"), "components of a report"),
        (with_store("sum_rf", capacity_bytes=1), "'sum_rf' holds 1 B; one element of output needs"),
        (with_store("sum_rf", capacity_bytes=3, buffering="double"), "half of 'sum_rf' holds 1.5"),
        (with_store("input_rf", serves=("x",)), ""),
        (with_store("dram", serves=("x",)), "serves all dimensions; add y"),
        (with_store("dram", capacity_bytes=1e9), "its capacity must be 'unlimited'"),
        (with_store("dram", bypass=("input",)), "must hold input, weight and output without"),
        (with_store("weight_rf", serves=("x", "y")), ""),
        (with_store("filter_glb", serves=("x",)), ""),
    ],
)  # fmt: skip
def test_an_illegal_design_says_why(reasons, words):
    if not words:
        assert reasons == []
        return
    assert any(words in reason for reason in reasons), reasons
    assert all(len(reason.splitlines()) == 1 for reason in reasons)


def test_memories_form_a_tree():
    inner = Store("inner", OPERANDS, ("x",), capacity_bytes=64)
    outer = Store("outer", OPERANDS, ("y",), capacity_bytes=64)
    dram = Store("dram", OPERANDS, ("x", "y"))
    array = SpatialArray("a", (("x", 2), ("y", 2)), (inner, outer, dram))
    assert (
        "memories.outer.serves lacks x, which memories.inner below it serves"
        in (array.validate()[0])
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("memories.glb.capacity_kib", -3, "memories.glb.capacity_kib = -3: must be a number"),
        ("memories.l2.capacity_kib", 1, "unknown memory; it has input_rf"),
        ("memories.glb.size", 1, "memories.glb: unknown key 'size'; legal keys: name, operands"),
        ("memories.glb", 1, "unknown key 'memories.glb'"),
        ("memories", "glb", "name one parameter of it, e.g. memories.input_rf.capacity_kib=64"),
        ("array", 4, "e.g. array.x=8"),
        ("array.z", 4, "unknown key 'array.z'; legal keys: array.x, array.y"),
        ("array.x", 4.5, "array.x = 4.5: must be a whole number within 1 to 65536 PEs"),
        ("array.x", True, "array.x = True"),
        ("rows", 4, "unknown key 'rows'; legal keys: name, array, memories"),
        ("clock_mhz", math.nan, "clock_mhz = nan"),
        ("memories.glb.operands", "input psum", "must be a list of distinct names among input"),
        ("memories.glb.buffering", "none", "must be one of ideal, single, double"),
        ("memories.glb.sliding", "maybe", "must be true or false"),
        ("memories.glb.write_bits_per_cycle", "both", "or 'unlimited' or 'shared'"),
        ("memories.glb.name", "a b", "must be letters, digits and underscores"),
        ("reads_zeros", 1, "reads_zeros = 1: must be true or false"),
    ],
)
def test_a_wrong_knob_is_named(key, value, words):
    with pytest.raises(AcceleratorError) as caught:
        EYERISS.replace({key: value})
    message = str(caught.value)
    assert message.startswith("--set: ")
    assert words in message
    assert len(message.splitlines()) == 1


@settings(max_examples=30)
@given(st.dictionaries(st.text(max_size=12), st.integers() | st.text(max_size=5), max_size=4))
def test_any_dictionary_is_an_array_or_a_reason(values):
    with pytest.raises(AcceleratorError):
        SpatialArray.from_dict(values)


def test_parameters_are_listed():
    names = [name for name, *_ in SpatialArray.parameters()]
    assert len(names) == len(set(names))
    assert {"array.DIM", "sum_bits", "memories.M.capacity_kib", "memories.M.buffering"} <= {*names}
