"""Layers of networks, and how errors of rounding are counted."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import NetworkError, ProblemError
from dovetail.networks.bits.layers import layer_graph
from dovetail.networks.bits.sensitivity import given, normal_distortion, perturbations, proxy
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

OPTIONS = [(w, a) for w in (2, 4, 8) for a in (2, 4, 8)]


def test_layers_of_resnet18_are_its_weights_and_macs():
    network = load_network("resnet18")
    graph = layer_graph(network)
    assert len(graph) == 21
    assert graph.macs.sum() == network.macs
    assert graph.layers[0].kernel == 49
    assert (graph.layers[0].stride, graph.layers[0].fan_in, graph.layers[0].outputs) == (2, 147, 64)
    assert graph.size_mb([(8, 8)]).sum() == graph.parameters.sum() / 1e6
    assert graph.gbops([(8, 4)]).sum() == pytest.approx(network.macs * 32 / 1e9)
    assert (graph.edges[:, 0] < graph.edges[:, 1]).all()


def test_edges_cross_everything_but_layers():
    net = NetworkBuilder("branches")
    x = net.input("x", (1, 4, 8, 8))
    a = net.conv2d(x, 4, 1, name="a")
    b = net.conv2d(net.activation(a, "relu"), 4, 3, padding=1, name="b")
    c = net.conv2d(net.add(a, b), 4, 1, name="c")
    graph = layer_graph(net.build([c]))
    assert [layer.name for layer in graph.layers] == ["a", "b", "c"]
    assert graph.edges.tolist() == [[0, 1], [0, 2], [1, 2]]


def test_a_weight_that_two_layers_share_counts_once():
    net = NetworkBuilder("tied")
    x = net.input("x", (2, 8))
    y = net.linear(x, 8, bias=False, name="first")
    z = net.linear(y, 8, bias=False, weight="first.weight", name="second")
    assert layer_graph(net.build([z])).parameters.tolist() == [64, 0]


def test_networks_without_weights_are_refused():
    net = NetworkBuilder("plain")
    x = net.input("x", (1, 4, 8, 8))
    with pytest.raises(NetworkError, match="no layer with weights"):
        layer_graph(net.build([net.activation(x, "relu")]))


def test_errors_of_rounding_are_those_of_the_quantizer_that_loses_least():
    # Max 1960, table II: the optimum of three even levels on a normal distribution is 0.1902.
    assert normal_distortion(2) == pytest.approx(0.1902, abs=2e-4)
    draws = np.random.default_rng(0).normal(size=200_000)
    errors = [normal_distortion(bits) for bits in (2, 3, 4, 6, 8)]
    assert errors == sorted(errors, reverse=True)
    step = 1 / 7 * 2.6  # some step of 15 levels cannot do better
    rounded = np.clip(np.round(draws / step), -7, 7) * step
    assert errors[2] <= ((draws - rounded) ** 2).mean() * 1.02


def test_perturbations_add_up_over_weights_and_inputs():
    graph = layer_graph(load_network("resnet8"))
    share = proxy(graph)
    assert share.sum() == pytest.approx(1)
    table = perturbations(share, share, OPTIONS)
    assert table.shape == (len(graph), 9)
    expected = share[3] * (normal_distortion(2) + normal_distortion(8))
    assert table[3, OPTIONS.index((2, 8))] == pytest.approx(expected)
    assert (table.argmin(axis=1) == OPTIONS.index((8, 8))).all()


def test_given_sensitivities_name_every_layer():
    graph = layer_graph(load_network("resnet8"))
    values = {layer.name: float(place) for place, layer in enumerate(graph.layers)}
    assert given(graph, values).tolist() == list(values.values())
    first = graph.layers[0].name
    for wrong, words in (
        ({**values, first: -1.0}, "must be a number >= 0"),
        ({**values, first: "much"}, "must be a number >= 0"),
        ({**values, "other": 1.0}, "'other' is none"),
        ({k: v for k, v in values.items() if k != first}, f"'{first}' is missing"),
        (3, "is missing"),
    ):
        with pytest.raises(ProblemError, match=words):
            given(graph, wrong)
