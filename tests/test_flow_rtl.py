"""The flow on the RTL machine: both fidelities agree on whole networks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dovetail.arch.systolic import SystolicArray
from dovetail.cli.reading import summary
from dovetail.errors import AcceleratorError, MappingError
from dovetail.flow import map_network, read_report, simulate, timings
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.shape import misfit
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.sim.cycle import compile_executable, run_chain
from dovetail.sim.trace import chrome_trace

EIGHT = SystolicArray(
    rows=8, cols=8, machine="rtl", fold_overlap="full", clock_mhz=200, dram_gb_per_s=1.6,
    input_sram_kib=16, weight_sram_kib=16, output_sram_kib=16,
)  # fmt: skip
DESIGNS = {
    "ws": EIGHT,
    "gaps": dataclasses.replace(EIGHT, fold_overlap="none"),
    "os": dataclasses.replace(EIGHT, dataflow="os", cols=16),
    "wide": dataclasses.replace(EIGHT, rows=16, cols=16, bus_bits=128, weight_sram_kib=64),
}
NETWORKS = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder")


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", NETWORKS)
def test_estimate_equals_cycle_in_every_column(name, design):
    mapped = map_network(load_network(name), DESIGNS[design])
    closed, simulated = read_report(mapped), read_report(mapped, "cycle")
    assert closed.operators == simulated.operators
    assert closed.cycles > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_an_image_under_these_tilings_takes_the_same_cycles(name):
    mapped = map_network(load_network(name), EIGHT)
    executable = lower(mapped.layers.network, EIGHT, mapped.tilings)
    timing = run_chain(compile_executable(executable, EIGHT))
    assert timing.total == read_report(mapped).cycles


@pytest.mark.parametrize("mapper", ["greedy", "exhaustive"])
@pytest.mark.parametrize("objective", ["latency", "energy", "edp"])
def test_tilings_are_legal(mapper, objective):
    for design in DESIGNS.values():
        mapped = map_network(load_network("resnet8"), design, objective=objective, mapper=mapper)
        for name, tile in mapped.tilings.items():
            assert misfit(mapped.layers.shapes[name], design, tile) == ""


def test_exhaustive_is_never_slower_than_greedy():
    for design in DESIGNS.values():
        greedy, exhaustive = (
            simulate(load_network("mobilenet_v1_025"), design, mapper=mapper).cycles
            for mapper in ("greedy", "exhaustive")
        )
        assert exhaustive <= greedy


def test_overlap_pays_on_the_layers_of_resnet():
    gaps, full = (
        simulate(load_network("resnet8"), DESIGNS[name]).operators for name in ("gaps", "ws")
    )
    pairs = [(g.cycles, f.cycles) for g, f in zip(gaps, full, strict=True) if g.engine == "array"]
    assert all(f <= g for g, f in pairs)
    assert sum(f for _, f in pairs) < 0.9 * sum(g for g, _ in pairs)


def test_a_final_softmax_is_left_to_the_host():
    net = NetworkBuilder("net")
    x = net.linear(net.input("x", (1, 16)), 8)
    report = simulate(net.build([net.softmax(x, name="soft")]), EIGHT)
    soft = report.operators[-1]
    assert (soft.name, soft.engine, soft.cycles) == ("soft", "host", 0)
    assert sum(soft.dram_bytes.values()) == 0
    assert summary(report).endswith("1 left to the host")


def test_what_has_no_twin_is_named():
    net = NetworkBuilder("net")
    x = net.activation(net.conv2d(net.input("x", (1, 8, 8, 8)), 8, 3), "gelu", name="bend")
    with pytest.raises(MappingError, match=r"'bend' \(gelu\) has no RTL twin"):
        simulate(net.build([x]), EIGHT)


def test_scratchpads_too_small_are_named():
    tiny = dataclasses.replace(EIGHT, weight_sram_kib=0.5)
    with pytest.raises(MappingError, match="one output word over one input word"):
        simulate(load_network("resnet8"), tiny)
    with pytest.raises(AcceleratorError, match="machine 'rtl' with arrays = 2"):
        simulate(load_network("resnet8"), dataclasses.replace(EIGHT, arrays=2))


def test_a_trace_shows_segments_behind_their_fetch():
    mapped = map_network(load_network("resnet8"), EIGHT)
    found = list(timings(mapped, trace=True))
    starts = [min(event.start for event in timing.events) for timing in found if timing]
    assert min(starts) > 2 * EIGHT.dram_latency_cycles
    names = [placement.operator.name for placement in mapped.plan.placements]
    shown = chrome_trace(names, found, EIGHT.clock_mhz)
    assert shown["otherData"]["cycles"] == read_report(mapped).cycles


def test_stall_causes_add_up():
    for op in simulate(load_network("ds_cnn"), EIGHT, fidelity="cycle").operators:
        if op.cycles:
            assert op.compute_cycles + sum(op.stall_cycles.values()) == op.cycles
            assert np.all([value >= 0 for value in op.stall_cycles.values()])
            assert op.cycles * EIGHT.peak_macs_per_cycle >= op.macs
