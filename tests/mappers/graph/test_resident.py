"""Reports of networks whose activations stay on chip."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.report import OperatorReport, Report
from dovetail.mappers.graph.resident import keep_on_chip, residency
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network


def network() -> Network:
    """A residual block: y is needed by the sum, far away."""
    net = NetworkBuilder("net")
    x = net.input("x", (1, 4, 8, 8))
    y = net.conv2d(x, 8, 1, name="first")
    z = net.conv2d(y, 16, 1, name="wide")
    z = net.conv2d(z, 8, 1, name="narrow")
    return net.build([net.activation(net.add(y, z, name="sum"), "relu", name="act")])


def row(name: str, fused_into: str = "", **dram: int) -> OperatorReport:
    energy = {"dram": float(sum(dram.values()))}
    return OperatorReport(name, "x", "array", fused_into, 0, 0, 10, 5, {}, dram, {"a": 1}, energy,
                          0.5, {})  # fmt: skip


def report() -> Report:
    rows = (
        row("first", input=300, weight=32, output=512),
        row("wide", input=600, weight=128, output=1024),
        row("narrow", input=1100, weight=128, output=512),
        row("sum", input=1024, weight=0, output=512),
        row("act", "sum"),
    )
    return Report("net", {}, "estimate", 1000.0, 1.0, 64, 8.0, rows)


def test_with_room_only_inputs_weights_and_outputs_pass() -> None:
    kept = residency(network(), 2048)
    assert kept.scheduled.traffic.bytes == 0
    assert kept.fetched == {"first": frozenset({"x"})}
    assert kept.stored == {"act"}
    left = keep_on_chip(report(), network(), kept, pj_per_byte=2.0)
    by_name = {r.name: r for r in left.operators}
    assert by_name["first"].dram_bytes == {"input": 256, "weight": 32, "output": 0}
    assert by_name["wide"].dram_bytes == {"input": 0, "weight": 128, "output": 0}
    assert by_name["sum"].dram_bytes == {"input": 0, "weight": 0, "output": 512}
    assert by_name["narrow"].sram_bytes == {"a": 1, "scratchpad_read": 1100,
                                            "scratchpad_write": 512}  # fmt: skip
    assert by_name["wide"].energy_pj == {"dram": pytest.approx(128.0), "scratchpad": 2.0 * 1624}
    assert left.cycles == report().cycles


def test_a_spilled_tensor_passes_once_each_way() -> None:
    kept = residency(network(), 1536)
    assert kept.scheduled.traffic.bytes == 1024
    assert kept.stored == {"first", "act"}
    assert kept.fetched["sum"] == {"first"}
    left = keep_on_chip(report(), network(), kept, pj_per_byte=2.0)
    by_name = {r.name: r for r in left.operators}
    assert by_name["first"].dram_bytes["output"] == 512
    assert by_name["sum"].dram_bytes == {"input": 512, "weight": 0, "output": 512}


def test_an_activation_as_second_factor_stays_too() -> None:
    net = NetworkBuilder("attention")
    x = net.input("x", (1, 4, 4))
    k, v = net.linear(x, 4, name="k"), net.linear(x, 4, name="v")
    made = net.build([net.matmul(k, v, name="mix")])
    rows = tuple(row(name, input=16, weight=16, output=16) for name in ("k", "v", "mix"))
    some = replace(report(), operators=rows)
    left = keep_on_chip(some, made, residency(made, 1024), pj_per_byte=1.0)
    assert left.operators[2].dram_bytes == {"input": 0, "weight": 0, "output": 16}
    assert left.operators[0].dram_bytes["weight"] == 16


def test_a_bias_that_rides_along_costs_nothing_here_either() -> None:
    net = NetworkBuilder("net")
    x = net.input("x", (1, 4, 8, 8))
    y = net.conv2d(x, 8, 1, name="first")
    z = net.conv2d(y, 8, 1, bias=True, name="second")
    made = net.build([net.norm(z, "batchnorm", name="norm")])
    rows = (
        row("first", input=256, weight=32, output=512),
        row("second", input=512, weight=64, output=512),
        row("norm", "second"),
    )
    some = replace(report(), operators=rows)
    left = keep_on_chip(some, made, residency(made, 2048), pj_per_byte=1.0)
    assert left.operators[1].dram_bytes == {"input": 0, "weight": 64, "output": 512}


def test_a_report_of_another_network_is_refused() -> None:
    kept = residency(load_network("resnet8"), 65536)
    with pytest.raises(MappingError, match="operator 'first' is not one of network 'resnet8'"):
        keep_on_chip(report(), load_network("resnet8"), kept, pj_per_byte=1.0)


def test_a_scratchpad_that_is_too_small_is_refused() -> None:
    with pytest.raises(MappingError, match=r"cannot run operator 'wide' of 'net'.*1536 B"):
        residency(network(), 1535)
