from __future__ import annotations

import math

import pytest

from dovetail.arch import presets
from dovetail.arch.system import System
from dovetail.errors import FidelityError, MappingError, UnknownNameError
from dovetail.flow import map_network, simulate
from dovetail.networks.builder import NetworkBuilder
from tests.test_flow_spatial import SMALL, small_network


def pair(gb_per_s=4.0, **changes):
    other = SMALL.replace({"name": "other", "array.x": 2, "clock_mhz": 500, **changes})
    return System("pair", (("small", SMALL), ("other", other)), gb_per_s, 1000.0)


def branches():
    """Two independent chains that meet in a sum."""
    net = NetworkBuilder("branches")
    x = net.input("x", (1, 4, 6, 6))
    left = net.conv2d(net.conv2d(x, 8, 3, padding=1, name="l1"), 8, 1, name="l2")
    right = net.conv2d(net.conv2d(x, 8, 3, padding=1, name="r1"), 8, 1, name="r2")
    return net.build([net.add(left, right)])


@pytest.fixture(scope="module")
def report():
    return simulate(branches(), pair())


def test_a_report_of_a_system_obeys_the_laws(report):
    system = pair()
    assert report.macs == branches().macs
    moved = report.total["dram_bytes"]
    assert report.cycles >= sum(moved.values()) / system.dram_bytes_per_cycle - 1
    assert report.cycles * report.peak_macs_per_cycle >= report.macs
    for op in report.operators:
        if op.engine != "none":
            assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
            assert op.engine in ("small", "other")
            assert 0 <= op.mapping["start_cycle"] <= report.cycles - op.cycles + 1
    assert report.cycles < sum(op.cycles for op in report.operators)  # they overlap
    assert report.to_dict()["total"]["cycles"] == report.cycles == report.makespan_cycles


def test_operators_wait_for_what_they_read(report):
    start = {op.name: op.mapping["start_cycle"] for op in report.operators}
    end = {op.name: start[op.name] + op.cycles for op in report.operators}
    for first, second in (("l1", "l2"), ("r1", "r2"), ("l2", "add"), ("r2", "add")):
        assert end[first] <= start[second] + 2  # rounded to whole cycles


def test_a_system_of_one_core_is_that_core():
    one = System("one", (("small", SMALL),), 1000.0, 1000.0)
    alone, core = simulate(branches(), one), simulate(branches(), SMALL)
    assert alone.cycles == core.cycles
    assert alone.energy_pj == pytest.approx(core.energy_pj)
    assert alone.total["dram_bytes"] == core.total["dram_bytes"]


def test_two_cores_are_no_slower_than_the_better_one(report):
    single = simulate(branches(), System("one", (("small", SMALL),), 4.0, 1000.0))
    assert report.cycles <= single.cycles


def test_less_shared_bandwidth_is_never_faster(report):
    assert simulate(branches(), pair(1.0)).cycles >= report.cycles


def test_objectives_choose_cores():
    frugal = simulate(small_network(), pair(), objective="energy")
    fast = simulate(small_network(), pair(), objective="latency")
    assert frugal.energy_pj <= fast.energy_pj * (1 + 1e-9)
    assert fast.cycles <= frugal.cycles


def test_cores_of_different_families_share_a_network():
    system = System("mixed", (("small", SMALL), ("edge", presets.load("edge"))), 12.8, 1000.0)
    report = simulate(branches(), system, mapper="random")
    assert math.isfinite(report.energy_pj)
    assert {op.engine for op in report.operators} <= {"small", "edge", "none"}


def test_what_is_wrong_names_the_core():
    with pytest.raises(FidelityError, match="the system family supports estimate"):
        simulate(branches(), pair(), fidelity="cycle")
    with pytest.raises(UnknownNameError, match="unknown mapper 'optimum'"):
        map_network(branches(), pair(), mapper="optimum")
    net = NetworkBuilder("huge")
    huge = net.build([net.conv2d(net.input("x", (1, 1, 40, 40)), 1, 40, name="huge")])
    tiny = presets.load("edge").replace({"rows": 1, "cols": 1, "weight_sram_kib": 1})
    system = System("mixed", (("small", SMALL), ("tiny", tiny)), 12.8, 1000.0)
    with pytest.raises(MappingError, match="core 'tiny': operator 'huge' fits no tiling"):
        simulate(huge, system, mapper="random")
