"""Cases are legal, repeatable, and survive a file."""

import dataclasses
import json

import numpy as np
import pytest

from dovetail.errors import ProblemError, StudyError
from dovetail.sim import interpreter
from dovetail.sim.values_network import reference
from dovetail.verify.campaign import case_of, parse_name
from dovetail.verify.case import Case, load_case
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


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layers": 3}', '{"layers": [{"kin": 1}]}'])
def test_a_file_without_a_case_is_an_error(tmp_path, text):
    path = tmp_path / "case.json"
    path.write_text(text)
    with pytest.raises(StudyError, match="holds no case"):
        load_case(path)


@pytest.mark.parametrize("name", ["", "1-2", "a-b-c", "1-2-3-4"])
def test_a_name_that_is_none_is_an_error(name):
    with pytest.raises(ProblemError, match="names no case"):
        parse_name(name)
