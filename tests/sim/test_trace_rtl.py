"""Traces of simulator and gates on parallel tracks."""

from __future__ import annotations

import json

import pytest

from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.quantize import quantize
from dovetail.networks.builder import NetworkBuilder
from dovetail.sim.cycle import run_executable
from dovetail.sim.trace_rtl import GATES, SIMULATED, write_comparison
from dovetail.verify.networks import MICRO
from tests.sim.fake_gates import gates_like


@pytest.fixture(scope="module")
def ran():
    net = NetworkBuilder("two")
    x = net.input("image", (1, 12, 10, 9))
    x = net.activation(net.conv2d(x, 20, 3, padding=1, name="conv"), "relu")
    made = quantize(net.build([net.pool(x, "maxpool", 2, name="pool")]))
    design = MICRO.replace({"input_sram_kib": 1, "output_sram_kib": 1})
    executable = lower(made, design)
    return executable, run_executable(executable, design, trace=True)


def written(path, *arguments, **options):
    write_comparison(path, *arguments, 200.0, **options)
    return json.loads(path.read_text())


def spans_of(data, process):
    keys = ("name", "tid", "ts", "dur")
    return [
        tuple(event[key] for key in keys)
        for event in data["traceEvents"]
        if event["ph"] == "X" and event["pid"] == process
    ]


def test_equal_runs_give_equal_tracks(ran, tmp_path):
    executable, timing = ran
    data = written(tmp_path / "t.json", executable, timing, gates_like(timing))
    simulated, gates = (spans_of(data, process) for process in (SIMULATED, GATES))
    assert simulated == gates
    assert len(simulated) == len(timing.trace) + 2
    facts = data["otherData"]
    assert facts["instructions_that_differ"] == 0
    assert set(facts["cycles"].values()) == {timing.total}
    assert set(facts["instructions"].values()) == {len(timing.trace)}
    names = {event["args"]["name"] for event in data["traceEvents"] if event["ph"] == "M"
             and event["name"] == "process_name"}  # fmt: skip
    assert len(names) == 2


def test_segments_follow_each_other_and_hold_their_instructions(ran, tmp_path):
    executable, timing = ran
    data = written(tmp_path / "t.json", executable, timing, None)
    events = [event for event in data["traceEvents"] if event["ph"] == "X"]
    operators = [event for event in events if event["tid"] == 1]
    assert [event["name"] for event in operators] == ["conv", "pool"]
    assert [event["args"]["cycles"] for event in operators] == timing.cycles.tolist()
    assert operators[0]["ts"] == 0
    assert operators[1]["ts"] == pytest.approx(operators[0]["dur"])
    for event in events:
        name = event["args"].get("operator", event["name"])
        host = next(o for o in operators if o["name"] == name)
        assert event["ts"] >= host["ts"]
        assert event["ts"] + event["dur"] <= host["ts"] + host["dur"] + 1e-6
    titles = {event["tid"]: event["name"] for event in events if event["tid"] > 1}
    assert titles[4] == "store output"


def test_a_late_instruction_says_so(ran, tmp_path):
    executable, timing = ran
    data = written(tmp_path / "t.json", executable, timing, gates_like(timing, late=7))
    assert data["otherData"]["instructions_that_differ"] == 1
    late = [
        event["args"]
        for event in data["traceEvents"]
        if event["args"].get("ends_later_by") or event["args"].get("starts_later_by")
    ]
    assert [(args["starts_later_by"], args["ends_later_by"]) for args in late] == [(0, 7)]
    assert sorted(data["otherData"]["cycles"].values()) == [timing.total, timing.total + 7]


def test_instructions_beyond_the_limit_are_left_out(ran, tmp_path):
    executable, timing = ran
    data = written(tmp_path / "t.json", executable, timing, gates_like(timing), max_events=5)
    for process in (SIMULATED, GATES):
        assert len(spans_of(data, process)) == 5 + 2
