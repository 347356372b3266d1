"""The NPU family through the flow: reports, fidelities, what the host is left with, refusals."""

from __future__ import annotations

import json

import pytest

from dovetail.arch import presets
from dovetail.arch.npu import EthosU
from dovetail.errors import FidelityError, MappingError, UnknownNameError
from dovetail.flow import Request, map_network, simulate
from dovetail.flows.npu import MappedNpu
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

DESIGN = presets.load("ethos_u55_128")


def mapped(name: str, design: EthosU | None = None) -> MappedNpu:
    found = map_network(load_network(name), design or DESIGN)
    assert isinstance(found, MappedNpu)
    return found


@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "autoencoder", "mobilenet_v1_025"])
def test_the_report_has_the_common_form(name: str, fidelity: str) -> None:
    network = load_network(name)
    report = mapped(name).report(fidelity)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == network.macs
    assert [op.name for op in report.operators] != []
    assert {op.name for op in report.operators} == {op.name for op in network.operators}
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1
    assert report.total["energy_pj"] == 0


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "mobilenet_v3_large"])
@pytest.mark.parametrize("preset", ["ethos_u55_256", "ethos_u65_512"])
def test_large_networks_run_wholly_on_the_npu(name: str, preset: str) -> None:
    found = mapped(name, presets.load(preset))
    assert not found.lowered.host
    estimate, cycle = found.report(), found.report("cycle")
    assert estimate.cycles == pytest.approx(cycle.cycles, rel=0.12)
    assert estimate.total["dram_bytes"]["weight"] >= load_network(name).parameters * 0.9


def test_what_has_no_operation_is_the_hosts_and_said_to_be() -> None:
    net = NetworkBuilder("mixed")
    x = net.activation(net.conv2d(net.input("image", (1, 8, 8, 8)), 16, 3, name="conv"), "gelu")
    x = net.norm(net.flatten(x), "layernorm", name="norm")
    found = map_network(net.build([net.linear(x, 4, name="head")]), DESIGN)
    engines = {op.name: op.engine for op in found.report().operators}
    assert engines["norm"] == "host"
    assert engines["conv"] == "array"
    left = "left to the host, at no cost here, 0.0% of the MACs: norm (layernorm has no block"
    assert left in found.note()


def test_the_note_says_how_much_of_the_work_is_the_hosts() -> None:
    network = load_network("alexnet")
    first = next(op for op in network.operators if op.macs)
    note = mapped("alexnet").note()
    assert f"{first.macs / network.macs:.1%} of the MACs: {first.name} (stride of 4 x 4)" in note


def test_attention_is_the_hosts_projections_are_not() -> None:
    found = mapped("vit_b16")
    engines = {op.name: op.engine for op in found.report().operators if op.macs}
    assert "array" in engines.values()
    assert any(why == "product of two activations" for why in found.lowered.host.values())


def test_softmax_is_31_operations() -> None:
    report = mapped("resnet8").report()
    softmax = next(op for op in report.operators if op.kind == "softmax")
    assert softmax.mapping["operations"] == 31
    assert softmax.engine == "vector"


def test_the_autoencoder_is_bound_by_flash_however_many_macs() -> None:
    cycles = {
        name: simulate(load_network("autoencoder"), presets.load(name)).cycles
        for name in ("ethos_u55_32", "ethos_u55_64", "ethos_u55_128", "ethos_u55_256")
    }
    assert max(cycles.values()) == min(cycles.values())
    faster = DESIGN.replace({"dram_rate": 0.25})
    assert simulate(load_network("autoencoder"), faster).cycles == pytest.approx(
        cycles["ethos_u55_128"] / 2, rel=0.01
    )


def test_more_sram_keeps_more_feature_maps_on_chip() -> None:
    base = presets.load("ethos_u65_256")
    network = load_network("mobilenet_v1")
    moved = []
    for size in (64, 192, 384, 1536):
        total = simulate(network, base.replace({"sram_kib": size})).total["dram_bytes"]
        moved.append(total["input"] + total["output"])
    assert moved == sorted(moved, reverse=True)
    assert moved[-1] < moved[0] / 4


def test_all_in_sram_needs_no_transfers() -> None:
    report = mapped("resnet8", DESIGN.replace({"memory_mode": "sram_only"})).report()
    assert sum(report.total["dram_bytes"].values()) == 0
    waiting = {op.kind for op in report.operators if op.stall_cycles.get("weights")}
    assert waiting <= {"softmax"}  # its table still goes into the NPU


def test_what_no_sram_holds_is_said() -> None:
    with pytest.raises(
        MappingError, match=r"must be in SRAM takes [\d,]+ KiB of it at once; .* 256"
    ):
        simulate(load_network("mobilenet_v2"), DESIGN.replace({"sram_kib": 256}))
    with pytest.raises(MappingError, match=r"5,\d+ KiB of it at once.*shared_sram"):  # weights, too
        simulate(load_network("mobilenet_v2"), DESIGN.replace({"memory_mode": "sram_only"}))


def test_a_normalization_on_its_own_is_a_convolution_of_one_tap() -> None:
    found = mapped("densenet121", DESIGN.replace({"sram_kib": 8192}))
    assert not found.lowered.host
    report = found.report()
    alone = [op for op in report.operators if op.kind == "batchnorm" and not op.fused_into]
    assert alone
    assert all(op.cycles and op.mapping["block"] for op in alone)


def test_refusals_are_one_line() -> None:
    network = load_network("resnet8")
    with pytest.raises(FidelityError, match="supports estimate, cycle"):
        simulate(network, DESIGN, fidelity="rtl")
    with pytest.raises(MappingError, match="no energy is known of the npu family"):
        simulate(network, DESIGN, objective="energy")
    with pytest.raises(UnknownNameError):
        simulate(network, DESIGN, mapper="exhaustive")
    with pytest.raises(MappingError, match="loop nests"):
        map_network(network, DESIGN, request=Request(mappings={"stem": object()}))
    with pytest.raises(MappingError, match="holds 2 images: an Ethos-U runs one input"):
        simulate(load_network("resnet8", batch=2), DESIGN)
