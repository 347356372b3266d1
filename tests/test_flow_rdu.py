"""The RDU family through the flow: reports, both fidelities, refusals, and its design space."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest

import dovetail.envs
from dovetail.arch import presets
from dovetail.arch.knobs import DesignSpace
from dovetail.arch.rdu import Rdu
from dovetail.envs.codesign import CoDesignProblem
from dovetail.errors import DovetailError
from dovetail.flow import Request, map_network, map_scheduled, simulate
from dovetail.networks.elastic.family import ElasticFamily
from dovetail.networks.registry import load_network
from dovetail.networks.zoo import NETWORKS
from tests.envs.test_codesign import StubOracle

DESIGN = presets.load("sn40l")


@pytest.fixture(scope="module")
def mapped():
    return map_network(load_network("resnet8"), DESIGN)


@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
def test_the_report_has_the_common_form(mapped, fidelity):
    report = mapped.report(fidelity)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == load_network("resnet8").macs
    assert [op.name for op in report.operators] == [op.name for op in mapped.network.operators]
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1
        assert op.cycles <= report.cycles
    assert report.cycles <= sum(op.cycles for op in report.operators)
    assert 0 < report.total["utilization"] < 1
    assert report.energy_pj == pytest.approx(mapped.report().energy_pj)


def test_both_fidelities_have_the_same_columns_and_close_times(mapped):
    both = [mapped.report(fidelity) for fidelity in ("estimate", "cycle")]
    for one, other in zip(*(report.operators for report in both), strict=True):
        assert one.stall_cycles.keys() == other.stall_cycles.keys()
        assert one.dram_bytes == other.dram_bytes
        assert one.mapping == other.mapping
    assert both[0].cycles == pytest.approx(both[1].cycles, rel=0.01)


def test_traffic_of_one_section_is_inputs_weights_and_outputs():
    network = load_network("resnet8")
    report = simulate(network, DESIGN, mapper="greedy")
    assert report.accelerator["sections"] == 1
    weights = sum(2 * t.elements for t in network.tensors if t.is_parameter)
    sides = [sum(2 * network.tensor[n].elements for n in names)
             for names in (network.inputs, network.outputs)]  # fmt: skip
    assert report.total["dram_bytes"] == {
        "input": sides[0], "weight": weights, "output": sides[1]
    }  # fmt: skip
    apart = simulate(network, DESIGN, mapper="unfused")
    assert sum(apart.total["dram_bytes"].values()) > 3 * sum(report.total["dram_bytes"].values())


def test_sockets_share_products_and_weights():
    network = NETWORKS["llama2_7b_prefill"](sequence=256, layers=1)
    one = simulate(network, DESIGN, mapper="greedy")
    eight = simulate(network, presets.load("sn40l_node"), mapper="greedy")
    assert eight.total["energy_by_component_pj"]["mac"] == pytest.approx(
        one.total["energy_by_component_pj"]["mac"]
    )
    assert eight.cycles < one.cycles
    rows = {op.name: op for op in eight.operators}
    assert rows["layer0.ffn.down"].stall_cycles["sockets"] > 0
    assert "sockets" not in rows["layer0.ffn.gate"].stall_cycles


def test_the_note_says_what_is_fused(mapped):
    assert "1 sections of 29 stages (29.0 a section), started by hardware" in mapped.note()


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(mapper="best"), "unknown mapper 'best'"),
        (Request(objective="beauty"), "beauty"),
        (Request(objective="energy"), "cut for latency"),
        (Request(schedule="fused"), "leave out --schedule"),
        (Request(mappings={"stem.conv": "a nest"}), "leave out --mapping"),
    ],
)
def test_what_it_does_not_do_is_said_in_one_line(request_, message):
    with pytest.raises(DovetailError, match=message) as error:
        map_scheduled(load_network("resnet8"), DESIGN, request_)
    assert "\n" not in str(error.value)


def test_the_presets_are_the_papers():
    assert DESIGN.units == 1040
    assert DESIGN.sram_bytes == 520 * 2**20
    tera = 2 * DESIGN.peak_macs_per_cycle * DESIGN.clock_mhz * 1e6 / 1e12
    assert tera == pytest.approx(638, rel=0.002)
    assert presets.load("sn40l_node").peak_macs_per_cycle == 8 * DESIGN.peak_macs_per_cycle
    assert DESIGN.area_mm2 == pytest.approx(2 * 650)  # two dies, each below 650 mm2
    assert DESIGN.replace({"pmu_kib": 256}).area_mm2 < DESIGN.area_mm2
    assert DESIGN.replace({"rows": 5}).area_mm2 == pytest.approx(650)
    assert DESIGN.launch_cycles < DESIGN.replace({"orchestration": "software"}).launch_cycles


def test_bad_parameters_are_refused():
    for values, message in (
        ({"sockets": 0}, "sockets = 0"),
        ({"orchestration": "none"}, "hardware, software"),
        ({"pcus": 5}, "unknown key 'pcus'"),
    ):
        with pytest.raises(DovetailError, match=message):
            DESIGN.replace(values)
    assert "sockets" in Rdu(sockets=0).validate()[0]


def test_designs_are_searched_for_a_network():
    gymnasium.register_envs(dovetail.envs)
    knobs = {"tile_columns": (2, 4), "pmu_kib": (128.0, 512.0), "orchestration":
             ("hardware", "software")}  # fmt: skip
    env = gymnasium.make(
        "dovetail/Accelerator-v0", network="resnet8", base="sn40l", knobs=knobs, mapper="greedy"
    )
    env.reset(seed=0)
    slow = env.step(np.array([1, 1, 1]))[-1]["metrics"]["latency_ms"]
    env.reset(seed=0)
    fast = env.step(np.array([1, 1, 0]))[-1]["metrics"]["latency_ms"]
    assert slow - fast == pytest.approx(0.0095, rel=0.01)  # one start by the host, not the AGCUs
    for field in ("energy_mj", "area_mm2", "utilization"):
        assert env.unwrapped.problem.metrics.index(field) >= 0


def test_networks_and_designs_are_searched_together():
    family = ElasticFamily()
    space = DesignSpace(DESIGN, DESIGN.default_knobs())
    problem = CoDesignProblem(family, StubOracle(family), space, mapper="greedy")
    designs = problem.space.sample(np.random.default_rng(0), 4)
    metrics = problem.evaluate(designs).metrics
    for row, each in enumerate(designs):
        report = simulate(problem.network(each), problem.accelerator(each), mapper="greedy")
        assert metrics["latency_ms"][row] == report.latency_ms
        assert metrics["area_mm2"][row] == report.area_mm2
        assert metrics["energy_mj"][row] == pytest.approx(report.energy_pj * 1e-9)
