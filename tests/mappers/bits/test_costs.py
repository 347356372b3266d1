"""Costs per bit width against the flow."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.arch import presets
from dovetail.errors import MappingError
from dovetail.flow import simulate
from dovetail.ir.tensor import INT8
from dovetail.mappers.bits.costs import bit_costs
from dovetail.networks.bits.layers import layer_graph
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

OPTIONS = [(w, a) for w in (2, 4, 8) for a in (2, 4, 8)]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", ["resnet8", "ds_cnn"])
def test_costs_are_those_of_the_flow_at_the_arrays_own_widths(name, bits):
    network, array = load_network(name), presets.load("edge")
    array = array.replace({"weight_bits": bits, "input_bits": bits})
    costs = bit_costs(network, layer_graph(network), array, [(bits, bits)])
    report = simulate(network, array)
    ms = report.cycles / array.clock_mhz / 1e3
    assert costs.latency_ms.sum() + costs.rest_ms == pytest.approx(ms, rel=1e-12)
    assert costs.energy_mj.sum() + costs.rest_mj == pytest.approx(report.energy_pj * 1e-9)


def test_wider_operands_never_cost_less():
    network = load_network("mobilenet_v1_025")
    array = presets.load("edge").replace({"weight_bits": 4, "input_bits": 2})
    costs = bit_costs(network, layer_graph(network), array, OPTIONS)
    for table in (costs.latency_ms, costs.energy_mj):
        square = table.reshape(-1, 3, 3)
        assert (np.diff(square, axis=1) >= -1e-12).all()
        assert (np.diff(square, axis=2) >= -1e-12).all()
    # Four passes instead of one where both operands are twice as wide as the PEs'.
    both = costs.latency_ms.sum(axis=0)
    assert both[OPTIONS.index((8, 4))] > 2 * both[OPTIONS.index((4, 2))]


def test_arrays_of_one_width_are_refused():
    network = load_network("resnet8")
    array = presets.load("edge").replace({"machine": "rtl"})
    with pytest.raises(MappingError, match="machine 'ideal'"):
        bit_costs(network, layer_graph(network), array, OPTIONS)
    net = NetworkBuilder("int8", INT8)
    x = net.input("x", (1, 4, 8, 8))
    integers = net.build([net.conv2d(x, 4, 3, name="a")])
    costs = bit_costs(integers, layer_graph(integers), presets.load("edge"), [(2, 2), (8, 8)])
    assert costs.energy_mj[0, 0] < costs.energy_mj[0, 1]
