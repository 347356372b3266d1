from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import AcceleratorError, FidelityError, MappingError, UnknownNameError
from dovetail.flow import map_network, read_report, simulate, timings
from dovetail.ir.tensor import FLOAT32, INT4, INT8, NumberFormat
from dovetail.mappers.systolic.batch import batch_totals, energy_pj
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import NETWORKS, ds_cnn, resnet8
from dovetail.sim.columns import NONE, Cost, Op
from tests.sim.cases import random_accelerator

EDGE = presets.load("edge")
PRESETS = {name: presets.load(name) for name in presets.names("systolic")}
FORMATS = (FLOAT32, INT8, INT4, NumberFormat("int", 16))


def random_network(rng):
    """Convolutions of every kind, matrix products, and what stands between them."""
    net = NetworkBuilder("random", FORMATS[rng.integers(len(FORMATS))])
    channels = int(rng.choice([1, 3, 8, 12]))
    size = tuple(int(x) for x in rng.integers(6, 20, size=2))
    x = net.input("x", (int(rng.choice([1, 2, 3])), channels, *size))
    for _ in range(int(rng.integers(1, 6))):
        x = _layer(net, rng, x)
    x = net.flatten(x)
    x = net.linear(x, int(rng.integers(1, 30)), bias=bool(rng.integers(2)))
    return net.build([net.softmax(x)])


def _layer(net, rng, x):
    channels = net.shape(x)[1]
    kernel = tuple(int(k) for k in rng.choice([1, 2, 3, 5], size=2))
    stride = tuple(int(s) for s in rng.choice([1, 1, 2, 3], size=2))
    dilation = int(rng.choice([1, 1, 2]))
    padding = (4, 5, 5, 4) if rng.random() < 0.3 else 4
    match rng.integers(5):
        case 0:
            y = net.conv2d(x, 4 * channels, kernel, stride=stride, padding=padding)
        case 1:
            y = net.depthwise(x, kernel, stride=stride, padding=padding, dilation=dilation)
        case 2:
            y = net.conv2d(x, 2 * channels, kernel, groups=channels, padding=4, dilation=dilation)
        case 3:
            y = net.add(net.conv2d(x, channels, 1), x)
        case _:
            y = net.pool(x, "maxpool", 2, stride=2) if min(net.shape(x)[2:]) > 1 else x
    for kind in ("relu", "gelu"):
        if rng.random() < 0.5:
            y = net.activation(y, kind)
    return y


@settings(max_examples=120)
@given(st.integers(0, 2**40), st.sampled_from(["latency", "energy", "edp"]))
def test_both_fidelities_report_the_same(seed, objective):
    rng = np.random.default_rng(seed)
    network, accelerator = random_network(rng), random_accelerator(rng)
    mapper = str(rng.choice(["greedy", "exhaustive"]))
    try:
        mapped = map_network(network, accelerator, objective=objective, mapper=mapper)
    except MappingError:
        assume(False)
    estimate, cycle = read_report(mapped), read_report(mapped, "cycle")
    assert estimate.operators == cycle.operators
    assert_lawful(network, estimate)


@pytest.mark.parametrize("mapper", ["greedy", "exhaustive"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_both_fidelities_report_the_same_over_zoo_and_presets(name, mapper):
    network = NETWORKS[name]()
    for accelerator in PRESETS.values():
        mapped = map_network(network, accelerator, mapper=mapper)
        estimate = read_report(mapped)
        assert estimate.operators == read_report(mapped, "cycle").operators
        assert_lawful(network, estimate)


def assert_lawful(network, report):
    """Physical laws of any report."""
    assert sorted(op.name for op in report.operators) == sorted(op.name for op in network.operators)
    assert report.macs == network.macs
    macs = {op.name: op.macs for op in network.operators}
    peak, bandwidth = report.peak_macs_per_cycle, report.dram_bytes_per_cycle
    for op in report.operators:
        assert op.macs == macs[op.name]
        assert 0 <= op.utilization <= 1
        assert all(value >= 0 for value in op.stall_cycles.values())
        if not op.fused_into and op.engine != "none":
            assert op.compute_cycles + sum(op.stall_cycles.values()) == op.cycles
            assert op.cycles * peak >= op.macs
            assert op.cycles * bandwidth >= sum(op.dram_bytes.values()) * (1 - 1e-12)
    total = report.total
    assert total["cycles"] == sum(op.cycles for op in report.operators)
    assert sum(total["energy_by_component_pj"].values()) == pytest.approx(total["energy_pj"])
    assert 0 <= total["utilization"] <= total["array_utilization"] <= 1


def test_timings_trace_every_operator_but_views():
    mapped = map_network(resnet8(), EDGE)
    found = list(timings(mapped, trace=True))
    assert [timing is None for timing in found] == [row[Op.ENGINE] == NONE for row in mapped.rows]
    for timing in found:
        assert timing is None or timing.cycles == max(event.end for event in timing.events)


def test_views_and_fused_operators_take_no_time_and_no_traffic():
    net = NetworkBuilder("net")
    x = net.activation(net.conv2d(net.input("x", (1, 4, 8, 8)), 8, 3), "relu", name="relu")
    report = simulate(net.build([net.flatten(x, name="flat")]), EDGE)
    conv, relu, flat = report.operators
    assert (conv.engine, relu.engine, flat.engine) == ("array", "vector", "none")
    assert relu.fused_into == conv.name
    for op in (relu, flat):
        assert op.cycles == sum(op.dram_bytes.values()) == 0
    assert sum(flat.energy_pj.values()) == 0
    assert relu.energy_pj == {"vector": relu.vector_ops * EDGE.technology.vector_op_pj}


def test_fused_operators_share_the_energy_of_the_vector_unit():
    net = NetworkBuilder("net")
    x = net.conv2d(net.input("x", (1, 4, 8, 8)), 8, 3)
    x = net.activation(net.norm(x, "batchnorm", name="norm"), "gelu", name="gelu")
    host, norm, gelu = simulate(net.build([x]), EDGE).operators
    assert host.energy_pj["vector"] == 0
    for op in (norm, gelu):
        share = op.vector_ops * EDGE.technology.vector_op_pj
        assert op.energy_pj["vector"] == pytest.approx(share)


def test_energy_is_what_moves_times_its_price():
    report = simulate(resnet8(), EDGE, mapper="greedy")
    total, tech = report.total, EDGE.technology
    dram = sum(total["dram_bytes"].values())
    price = EDGE.scratchpad("input").pj_per_byte
    moved = total["sram_bytes"]["input_write"] + total["sram_bytes"]["input_read"]
    parts = total["energy_by_component_pj"]
    assert parts["dram"] == pytest.approx(dram * 1300 / 8)
    assert parts["mac"] == pytest.approx(report.macs * tech.mac_pj(8, 8, 32))
    assert parts["vector"] == pytest.approx(total["vector_ops"] * tech.vector_op_pj)
    assert parts["input_sram"] == pytest.approx(moved * price, rel=1e-6)


BETTER = {
    "bandwidth": {"dram_gb_per_s": 3.0},
    "latency": {"dram_latency_ns": 0.0},
    "scratchpads": {"input_sram_kib": 2.0, "weight_sram_kib": 2.0, "output_sram_kib": 2.0},
}


@pytest.mark.parametrize("what", BETTER)
@pytest.mark.parametrize("preset", sorted(PRESETS))
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder"])
def test_better_memory_is_never_slower(what, preset, name):
    base = PRESETS[preset]
    change = {key: getattr(base, key) * factor for key, factor in BETTER[what].items()}
    better = dataclasses.replace(base, **change)
    network = NETWORKS[name]()
    slow, fast = (
        sum(op.cycles for op in simulate(network, a).operators if op.engine == "array")
        for a in (base, better)
    )
    assert fast <= slow


def test_reports_are_json_with_the_documented_keys():
    document = json.loads(json.dumps(simulate(ds_cnn(), EDGE, fidelity="cycle").to_dict()))
    assert document["fidelity"] == "cycle"
    assert document["schema"] == 1
    assert SystolicArray.from_dict(document["accelerator"]) == EDGE
    for key in ("cycles", "latency_ms", "energy_pj", "edp_pj_s", "macs", "stall_cycles"):
        assert document["total"][key]
    for op in document["operators"]:
        assert {"name", "cycles", "stall_cycles", "compute_cycles", "utilization"} <= op.keys()
    cycles = sum(op["cycles"] for op in document["operators"])
    assert document["total"]["cycles"] == cycles
    assert document["total"]["latency_ms"] == pytest.approx(cycles / 500e3)


def test_a_network_costs_what_its_batched_twin_says():
    network = NETWORKS["mobilenet_v2"]()
    mapped = map_network(network, EDGE, mapper="greedy")
    rows = mapped.rows[mapped.rows[:, Op.ENGINE] != NONE]
    totals = batch_totals(design_row(EDGE)[None], rows, np.arange(len(rows)))
    report = read_report(mapped)
    assert totals[0, Cost.CYCLES] == report.cycles
    assert energy_pj(totals)[0] == pytest.approx(report.energy_pj, rel=1e-12)


def test_errors_say_what_to_change():
    network = resnet8()
    small = dataclasses.replace(EDGE, weight_sram_kib=1.0)
    with pytest.raises(AcceleratorError, match=r"half of 'weight_sram' holds 512 B.*enlarge"):
        simulate(network, small)
    with pytest.raises(FidelityError, match=r"'rtl'.*estimate, cycle"):
        simulate(network, EDGE, fidelity="rtl")
    with pytest.raises(UnknownNameError, match="latency"):
        simulate(network, EDGE, objective="latnecy")
    with pytest.raises(UnknownNameError, match="greedy"):
        simulate(network, EDGE, mapper="greddy")


def test_an_operator_that_fits_no_tiling_is_named():
    net = NetworkBuilder("net")
    huge = net.conv2d(net.input("x", (1, 1, 40, 40)), 1, 40, name="huge")
    tiny = SystolicArray(rows=1, cols=1, weight_sram_kib=1.0)
    for mapper in ("greedy", "exhaustive"):
        with pytest.raises(MappingError, match="'huge' fits no tiling"):
            simulate(net.build([huge]), tiny, mapper=mapper)
