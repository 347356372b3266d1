"""Cases are legal, repeatable, and survive a file."""

import dataclasses
import json

import numpy as np
import pytest

from dovetail.errors import MappingError, NetworkError, ProblemError, StudyError
from dovetail.sim import interpreter
from dovetail.sim.values_network import reference
from dovetail.verify.campaign import case_of, parse_name
from dovetail.verify.case import Case, LayerSpec, load_case
from dovetail.verify.check import Gates, check
from dovetail.verify.draw import draw_case, draw_elaboration, draw_prepared
from dovetail.verify.points import POINTS, points
from dovetail.verify.work import extreme, prepare

NAMES = [(3, elaboration, number) for elaboration in range(6) for number in range(3)]


@pytest.mark.parametrize("number", range(16))
def test_elaborations_are_legal_and_go_through_all_dataflows(number):
    gates = draw_elaboration(5, number)
    assert gates == draw_elaboration(5, number)
    assert not gates.base().validate()
    assert gates.design["rows"] >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_case(name):
    case = draw_case(*name)
    assert case == draw_case(*name) == case_of(case.name)
    assert case != draw_case(name[0], name[1], name[2] + 1)
    assert Case.from_dict(json.loads(json.dumps(case.to_dict()))) == case


@pytest.mark.parametrize("name", NAMES)
def test_a_case_has_the_channel_and_the_data_that_it_says(name):
    case, work = draw_prepared(*name)
    assert work.design.bandwidth_256ths == case.bandwidth
    assert work.design.dram_latency_cycles == case.latency
    assert (prepare(case).memory == work.memory).all()
    assert work.fits(case.elaboration)
    assert set(points(case, work)) <= set(POINTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_interpreter_computes_plain_arithmetic(name):
    work = prepare(dataclasses.replace(draw_case(*name), per_pixel=False))
    memory = work.memory.copy()
    interpreter.execute(work.executable, memory)
    for tensor, values in reference(work.network, work.image).items():
        assert (work.executable.region(tensor).unpack(memory) == values).all()


def test_most_points_are_hit_by_few_cases():
    hit = {p for n in range(120) for p in points(*draw_prepared(0, n % 24, n // 24))}
    assert len(hit) > 0.85 * len(POINTS)


def test_extremes_come_often():
    values = extreme(np.random.default_rng(0), (1000,), 8)
    assert values.min() == -128
    assert values.max() == 127
    assert 50 < (values == -128).sum() < 200


def test_a_file_holds_a_case(tmp_path):
    case = draw_case(0, 1, 2)
    path = tmp_path / "case.json"
    case.save(path)
    assert load_case(path) == case


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"layers": 3}', '{"layers": [{"kin": 1}]}', "[" * 100_000]
)
def test_a_file_without_a_case_is_an_error(tmp_path, text):
    path = tmp_path / "case.json"
    path.write_text(text)
    with pytest.raises(StudyError, match="holds no case"):
        load_case(path)


@pytest.mark.parametrize(
    ("where", "key", "value", "complaint"),
    [
        ("case", "name", 5, "name = 5"),
        ("case", "name", "\x1b[31m", "printable"),
        ("case", "shape", "abc", "shape"),
        ("case", "shape", [1, 2], "shape"),
        ("case", "shape", [1, 2**40, 1], "within 1 to 65,536"),
        ("case", "data", None, "data = None"),
        ("case", "bandwidth", 0, "within 1 to"),
        ("case", "rounds", 10**9, "within 1 to 1,000"),
        ("case", "stalls", True, "stalls = True"),
        ("case", "layers", [], "no layers"),
        ("elaboration", "design", [], "design = "),
        ("elaboration", "param_depth", "8;", "param_depth"),
        ("elaboration", "program_depth", 64.5, "program_depth"),
        ("design", "rows", 0, "rows = 0"),
        ("design", "bus_bits", 24, "power of two"),
        ("layer", "kind", "magic", "must be one of convolution"),
        ("layer", "kernel", [1, 1, 1], "kernel"),
        ("layer", "groups", 0, "groups = 0"),
        ("layer", "outputs", -4, "outputs = -4"),
        ("layer", "wide", "yes", "wide = 'yes'"),
    ],
)
def test_a_file_with_a_wrong_value_is_an_error(tmp_path, where, key, value, complaint):
    values = json.loads(json.dumps(draw_case(0, 0, 1).to_dict()))
    gates = values["elaboration"]
    parts = {"elaboration": gates, "design": gates["design"], "layer": values["layers"][0]}
    parts.get(where, values)[key] = value
    path = tmp_path / "case.json"
    path.write_text(json.dumps(values))
    with pytest.raises(StudyError, match="holds no case") as raised:
        load_case(path)
    assert complaint in str(raised.value)


@pytest.mark.parametrize("changes", [{"shape": (64, 2000, 2000)}, {"outputs": 2**16}])
def test_a_case_that_fills_the_memory_is_refused_before_it_does(changes):
    layer = dataclasses.replace(LayerSpec("convolution"), outputs=changes.get("outputs", 1))
    shape = changes.get("shape", (2**12, 1, 1))
    case = dataclasses.replace(draw_case(0, 0, 1), shape=shape, layers=(layer,))
    with pytest.raises(NetworkError, match="at most 1,048,576"):
        prepare(case)


def test_gates_without_room_for_the_program_are_refused():
    case = draw_case(0, 0, 1)
    gates = dataclasses.replace(case.elaboration, program_depth=1)
    with pytest.raises(MappingError, match="the gates have"):
        check(dataclasses.replace(case, elaboration=gates), Gates("icarus"))


@pytest.mark.parametrize("name", ["", "1-2", "a-b-c", "1-2-3-4"])
def test_a_name_that_is_none_is_an_error(name):
    with pytest.raises(ProblemError, match="names no case"):
        parse_name(name)
