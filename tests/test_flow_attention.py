"""The attention family through the flow: reports, fusion, bounds and refusals."""

from __future__ import annotations

import json

import pytest

from dovetail.arch import presets
from dovetail.errors import DovetailError, MappingError, UnknownNameError
from dovetail.flow import Request, map_network, simulate
from dovetail.ir.tensor import NumberFormat
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.networks.zoo.encoders import bert_base

DESIGNS = presets.names("attention")
FUSED = [name for name in DESIGNS if name != "flat_unfused"]


@pytest.fixture(scope="module")
def bert():
    return bert_base(layers=1, sequence=512)


@pytest.mark.parametrize("fidelity", ["estimate", "cycle"])
@pytest.mark.parametrize("name", DESIGNS)
def test_the_report_has_the_common_form(bert, name, fidelity):
    report = simulate(bert, presets.load(name), fidelity=fidelity)
    assert json.loads(json.dumps(report.to_dict(), allow_nan=False)) == report.to_dict()
    assert report.macs == bert.macs
    assert {op.name for op in report.operators} == {op.name for op in bert.operators}
    assert len(report.operators) == len(bert.operators)
    assert sum(op.vector_ops for op in report.operators) == sum(
        op.vector_ops for op in bert.operators
    )
    for op in report.operators:
        assert op.cycles == op.compute_cycles + sum(op.stall_cycles.values())
        assert all(count >= 0 for count in op.stall_cycles.values())
        assert 0 <= op.utilization <= 1
    moved = sum(report.total["dram_bytes"].values())
    assert report.cycles >= report.macs / report.peak_macs_per_cycle
    assert report.cycles >= moved / report.dram_bytes_per_cycle - len(report.operators)


@pytest.mark.parametrize("name", FUSED)
def test_attention_runs_as_one(bert, name):
    ops = {op.name: op for op in simulate(bert, presets.load(name)).operators}
    host = ops["layer0.attention.scores"]
    softmax = next(op for op in ops.values() if op.kind == "softmax")
    mix = ops["layer0.attention.mix"]
    assert {softmax.fused_into, mix.fused_into} == {host.name}
    assert (softmax.cycles, mix.cycles, mix.macs) == (0, 0, 0)
    assert host.macs == 2 * 12 * 512 * 512 * 64
    # What comes from memory is written into the buffer, and read from it at least once.
    loaded = host.dram_bytes["input"] + host.dram_bytes["weight"]
    assert host.sram_bytes["buffer_write"] >= loaded
    assert host.sram_bytes["buffer_read"] > loaded
    # Queries, keys, values and the result are all that moves; scores never do.
    words = 4 * 12 * 512 * 64 if name != "flat" else 0
    if words:
        assert sum(host.dram_bytes.values()) == 2 * words


def test_unfused_scores_go_through_memory(bert):
    ops = {op.name: op for op in simulate(bert, presets.load("flat_unfused")).operators}
    scores, mix = ops["layer0.attention.scores"], ops["layer0.attention.mix"]
    assert scores.dram_bytes["output"] == mix.dram_bytes["input"] == 2 * 12 * 512 * 512
    assert scores.macs == mix.macs == 12 * 512 * 512 * 64
    assert not any(op.fused_into == scores.name and op.kind == "softmax" for op in ops.values())


def test_fused_is_faster(bert):
    cycles = {name: simulate(bert, presets.load(name)).cycles for name in DESIGNS}
    assert cycles["fusemax"] < cycles["fusemax_architecture"] < cycles["flat"]
    assert cycles["flat"] < cycles["flat_unfused"]


@pytest.mark.parametrize("name", ["vit_b16", "t5", "trxl", "transformer", "gpt2_decode"])
def test_every_softmax_of_a_transformer_is_attention(name):
    network = load_network(name)
    mapped = map_network(network, presets.load("fusemax"))
    softmaxes = sum(op.kind == "softmax" for op in network.operators)
    assert len(mapped.attention) == softmaxes > 0
    assert f"{softmaxes} of {softmaxes} softmax operators run in attention" in mapped.note()
    report = mapped.report()
    assert report.macs == network.macs
    assert len(report.operators) == len(network.operators)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("network", ["vit_b16", "t5", "gpt2_decode"])
def test_the_estimate_is_near_the_simulation(network, name):
    mapped = map_network(load_network(network), presets.load(name))
    estimate, cycle = (mapped.report(fidelity).cycles for fidelity in ("estimate", "cycle"))
    assert estimate == pytest.approx(cycle, rel=0.02)


def test_grouped_queries_and_masks():
    net = NetworkBuilder("grouped")
    query = net.input("query", (2, 8, 64, 32))
    key = net.input("key", (2, 2, 96, 32))
    value = net.input("value", (2, 2, 96, 16))
    scores = net.activation(net.matmul(query, key, transpose_b=True), "where", name="mask")
    out = net.matmul(net.softmax(scores), value)
    mapped = map_network(net.build([out]), presets.load("fusemax"))
    (found,) = mapped.attention.values()
    work = found.work
    assert (work.groups, work.queries, work.keys) == (4, 4 * 64, 96)
    assert (work.query_width, work.value_width, work.score_ops) == (32, 16, 1)


def test_convolutions_are_products_of_their_windows():
    net = NetworkBuilder("conv")
    x = net.input("x", (2, 16, 10, 10))
    net_out = net.conv2d(x, 32, 3, padding="same", name="conv")
    (conv,) = simulate(net.build([net_out]), presets.load("fusemax")).operators
    assert conv.macs == 2 * 100 * 32 * 16 * 9
    assert conv.dram_bytes["input"] == 2 * 2 * 100 * 16 * 9
    assert conv.compute_cycles == 16 * 9  # one tile of 200 x 32 outputs


def test_attention_of_torch_modules_is_found():
    torch = pytest.importorskip("torch")
    from dovetail.networks.torch_import import from_torch

    layer = torch.nn.TransformerEncoderLayer(64, 4, 128, batch_first=True).eval()
    network = from_torch(layer, (torch.zeros(2, 32, 64),), name="layer")
    (found,) = map_network(network, presets.load("fusemax")).attention.values()
    work = found.work
    assert (work.groups, work.queries, work.keys) == (8, 32, 32)
    assert (work.query_width, work.value_width) == (16, 16)


def test_scores_that_are_read_elsewhere_are_not_fused():
    net = NetworkBuilder("shared")
    x = net.input("x", (1, 2, 64, 32))
    scores = net.matmul(x, x, transpose_b=True, name="scores")
    out = net.matmul(net.softmax(scores), x, name="mix")
    network = net.build([out, scores])
    mapped = map_network(network, presets.load("fusemax"))
    assert not mapped.attention
    assert "nothing runs fused" in mapped.note()
    assert mapped.report().macs == network.macs


def test_refusals(bert):
    fusemax = presets.load("fusemax")
    net = NetworkBuilder("wide")
    wide = net.build([net.linear(net.input("x", (4, 8), NumberFormat("int", 24)), 3, name="fc")])
    with pytest.raises(MappingError, match=r"'fc' reads 'x' of 24 bit; the PEs of 'fusemax' take"):
        simulate(wide, fusemax)
    with pytest.raises(UnknownNameError, match="unknown mapper 'serach'"):
        map_network(bert, fusemax, mapper="serach")
    with pytest.raises(MappingError, match="the attention family runs operators one by one"):
        map_network(bert, fusemax, request=Request(schedule="fused"))
    with pytest.raises(MappingError, match="leave out --mapping"):
        map_network(bert, fusemax, request=Request(mappings={"x": 1}))
    with pytest.raises(MappingError, match="raise buffer_kib or lower dim"):
        map_network(bert, fusemax.replace({"buffer_kib": 64}))
    with pytest.raises(DovetailError, match="dim = 2: must be"):
        map_network(bert, fusemax.replace({"dim": 4}).replace({"dim": 2}))


def test_the_search_moves_no_more_than_the_published_mapping():
    bert, flat = bert_base(layers=1, sequence=1024), presets.load("flat").replace({"name": "f"})
    found = {}
    for mapper in ("published", "search"):
        report = map_network(bert, flat, mapper=mapper).report()
        found[mapper] = sum(report.total["dram_bytes"].values())
    assert found["search"] <= found["published"]
