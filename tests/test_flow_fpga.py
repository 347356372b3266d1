"""The FPGA family through the flow: reports, bounds and refusals."""

from __future__ import annotations

import json

import pytest

from dovetail.arch import presets
from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import DovetailError, FidelityError
from dovetail.flow import Request, map_network, simulate
from dovetail.networks.registry import load_network

DESIGN = presets.load("finn_zcu102")


@pytest.fixture(scope="module")
def mapped():
    return map_network(load_network("resnet8"), DESIGN)


def test_the_report_has_the_common_form(mapped):
    report = mapped.report()
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == load_network("resnet8").macs
    assert len(report.operators) == len(load_network("resnet8").operators)
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1
    total = report.total
    assert total["dram_bytes"] == {"input": 3 * 32 * 32 // 2, "weight": 0, "output": 5}
    assert total["energy_pj"] == 0


def test_cycles_are_the_longest_path_and_no_less_than_the_interval(mapped):
    report = mapped.report()
    assert report.accelerator["reached_interval_cycles"] == mapped.interval_cycles == 16_384
    assert mapped.interval_cycles <= report.cycles <= sum(op.cycles for op in report.operators)
    # The shortcut of a stage runs beside its two convolutions.
    parts = {op.name: op.cycles for op in report.operators}
    aside = parts["stage2.shortcut"] + parts["stage3.shortcut"]
    assert report.cycles == sum(parts.values()) - aside


def test_what_is_used_is_within_the_budget(mapped):
    assert mapped.used == {
        name: mapped.report().accelerator[f"used_{name}"]
        for name in ("lut", "dsp", "bram18", "uram")
    }
    assert all(mapped.used[name] <= DESIGN.budget[name] for name in mapped.used)


def test_the_note_says_how_often_and_with_what(mapped):
    assert mapped.note() == (
        "an inference every 16,384 cycles (12,207 per second) with "
        "40,022 LUT (15%), 97 BRAM18 (5%) of the XCZU9EG"
    )


def test_the_host_does_what_has_no_node(mapped):
    last = mapped.report().operators[-1]
    assert (last.name, last.engine, last.cycles) == ("softmax", "host", 0)


def test_slow_memory_bounds_the_interval():
    slow = DESIGN.replace({"dram_gb_per_s": 0.001})
    mapped = map_network(load_network("resnet8"), slow)
    assert mapped.interval_cycles == (1536 + 5) * 200


def test_objectives_and_mappers():
    report = simulate(load_network("autoencoder"), FpgaDataflow(), mapper="fit")
    assert report.cycles > 0
    wanted = FpgaDataflow(interval_cycles=1024)
    report = simulate(load_network("autoencoder"), wanted, mapper="set_folding")
    assert report.accelerator["reached_interval_cycles"] <= 1024


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request(mapper="greedy"), "unknown mapper 'greedy'"),
        (Request(objective="beauty"), "beauty"),
        (Request(objective="energy"), "no energy is known"),
        (Request(schedule="fused"), "fpga family runs"),
        (Request(mappings={"stem.conv": "a nest"}), "leave out --mapping"),
    ],
)
def test_what_it_does_not_do_is_said_in_one_line(request_, message):
    with pytest.raises(DovetailError, match=message) as error:
        map_network(load_network("resnet8"), DESIGN, request=request_)
    assert "\n" not in str(error.value)


def test_other_fidelities_and_illegal_designs_are_refused(mapped):
    with pytest.raises(FidelityError, match="fpga family supports estimate"):
        mapped.report("cycle")
    with pytest.raises(DovetailError, match="no UltraRAM"):
        map_network(load_network("resnet8"), FpgaDataflow(weight_memory="ultra"))


def test_windows_lie_where_they_are_put():
    network = load_network("resnet8")
    block = map_network(network, DESIGN)
    lut = map_network(network, DESIGN.replace({"window_memory": "distributed"}))
    ultra = presets.load("finn_u280").replace({"window_memory": "ultra"})
    assert map_network(network, ultra).used["uram"] > 0
    assert lut.used["lut"] > block.used["lut"] or lut.interval_cycles > block.interval_cycles
    assert lut.used["bram18"] < block.used["bram18"]
    with pytest.raises(DovetailError, match="window_memory = ultra: the XCZU9EG"):
        map_network(network, DESIGN.replace({"window_memory": "ultra"}))
