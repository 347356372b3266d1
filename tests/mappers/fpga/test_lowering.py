from __future__ import annotations

import pytest

from dovetail.arch.fpga import FpgaDataflow
from dovetail.errors import MappingError
from dovetail.mappers.fpga.lowering import lower
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network

DESIGN = FpgaDataflow()


def built(*layers, shape=(1, 4, 8, 8)):
    net = NetworkBuilder("net")
    x = net.input("x", shape)
    for layer in layers:
        x = layer(net, x)
    return net.build([x])


def nodes(network):
    return {node.name: node for node in lower(network, DESIGN).pipeline.nodes}


@pytest.mark.parametrize("name", ["resnet8", "ds_cnn", "mobilenet_v1", "autoencoder", "vgg16"])
def test_compute_nodes_do_all_multiplications(name):
    network = load_network(name)
    found = lower(network, DESIGN).pipeline.nodes
    compute = [node for node in found if node.kind in ("matrix", "vector")]
    assert sum(node.outputs * node.fan_in * node.vectors for node in compute) == network.macs
    assert len({node.name for node in found}) == len(found)


def test_a_convolution_is_padding_window_and_matrix():
    found = nodes(built(lambda n, x: n.conv2d(x, 6, 3, stride=2, padding=1, name="c")))
    assert list(found) == ["c.pad", "c.window", "c"]
    pad, window, matrix = found.values()
    assert (pad.outputs, pad.vectors) == (4, 9 * 9)  # the last row and column reach no window
    assert (window.slide.size, window.slide.outputs) == ((9, 9), (4, 4))
    assert (window.slide.kernel, window.slide.stride) == ((3, 3), (2, 2))
    assert (matrix.outputs, matrix.fan_in, matrix.vectors) == (6, 36, 16)


def test_a_pointwise_convolution_and_a_product_need_no_window():
    found = nodes(
        built(
            lambda n, x: n.conv2d(x, 6, 1, name="c"),
            lambda n, x: n.flatten(n.global_pool(x, name="p")),
            lambda n, x: n.linear(x, 10, name="l"),
        )
    )
    assert list(found) == ["c", "p", "l"]
    assert (found["p"].kind, found["p"].fan_in, found["p"].vectors) == ("pool", 64, 1)
    assert (found["l"].outputs, found["l"].fan_in, found["l"].vectors) == (10, 6, 1)


def test_depthwise_layers_and_pools_have_windows_of_their_own_order():
    found = nodes(
        built(
            lambda n, x: n.conv2d(x, 4, 3, padding=1, groups=4, name="d"),
            lambda n, x: n.pool(x, "maxpool", 2, stride=2, name="p"),
        )
    )
    assert found["d"].kind == "vector"
    assert (found["d"].outputs, found["d"].fan_in, found["d"].vectors) == (4, 9, 64)
    assert found["d.window"].reader == "d"
    assert found["p.window"].reader == "p"
    assert found["p.window"].slide.depthwise


def test_what_comes_last_without_a_node_stays_with_the_host():
    lowered = lower(load_network("resnet8"), DESIGN)
    assert lowered.host == {"softmax"}


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([lambda n, x: n.activation(x, "relu")], "no layer with weights"),
        ([lambda n, x: n.conv2d(x, 4, 3, groups=2, name="g")], "'g' has 2 groups of 2 to 2"),
        (
            [lambda n, x: n.conv2d(x, 4, 1), lambda n, x: n.activation(x, "gelu")],
            r"\(gelu\) is not monotone",
        ),
        (
            [lambda n, x: n.softmax(n.conv2d(x, 4, 1)), lambda n, x: n.conv2d(x, 4, 1)],
            r"'softmax' \(softmax\) has no node",
        ),
    ],
)
def test_what_no_pipeline_runs_is_said_in_one_line(layers, message):
    with pytest.raises(MappingError, match=message) as error:
        lower(built(*layers), DESIGN)
    assert "\n" not in str(error.value)


def test_batches_and_attention_are_refused():
    with pytest.raises(MappingError, match="a batch of 2"):
        lower(load_network("resnet8", batch=2), DESIGN)
    with pytest.raises(MappingError, match=r"no node|multiplies two activations|not monotone"):
        lower(load_network("vit_b16"), DESIGN)
