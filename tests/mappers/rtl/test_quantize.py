"""Laws of the quantizer: its integers mean what the real network computes."""

from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import MappingError, NetworkError
from dovetail.mappers.rtl.calibrate import calibrate, synthetic
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.quantize import quantize
from dovetail.mappers.rtl.twins import structure, twins_of
from dovetail.mappers.schedule import schedule
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.quantized import Addition, Convolution, Pooling
from dovetail.networks.registry import load_network
from dovetail.sim.interpreter import execute
from dovetail.sim.values_network import reference
from dovetail.verify.networks import MICRO

TWINS = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder")


def small(name="small"):
    """Every kind of operator that has a twin: 6 channels of 9 x 7 pixels, 5 classes."""
    net = NetworkBuilder(name)
    x = net.input("image", (1, 6, 9, 7))
    x = net.conv2d(x, 8, 3, stride=(2, 1), padding="same", bias=True, name="stem")
    x = net.activation(net.norm(x, "batchnorm"), "relu")
    y = net.conv2d(x, 8, 3, padding=2, dilation=2, groups=4, name="grouped")
    x = net.activation(net.add(y, x), "relu", name="joined")
    x = net.activation(net.depthwise(x, (1, 3), padding=(0, 1)), "clip", name="six")
    x = net.pool(x, "maxpool", 3, stride=2, padding=1, name="top")
    x = net.pool(x, "avgpool", (2, 2), stride=1, name="mean")
    x = net.activation(net.linear(net.flatten(x), 12, name="hidden"), "relu", name="hot")
    return net.build([net.softmax(net.linear(x, 5, name="classifier"))])


def run_both(network, *, scale=1.0, **bits):
    """Codes and real values of one image that calibration did not see."""
    twins = twins_of(network, schedule(network))
    parameters = synthetic(network, 0)
    images = np.random.default_rng(9).random((5, *twins.input.shape), dtype=np.float32) * scale
    net = quantize(network, parameters=parameters, images=images[:4], **bits)
    real = calibrate(twins, parameters, images[4:]).values
    top, limit = images[:4].max(), 1 << (net.activation_bits - 1)
    codes = np.round(images[4] / top * (2 * limit - 1)) - limit
    return net, reference(net, np.clip(codes, -limit, limit - 1).astype(np.int64)), real


def agreement(net, codes, real, name):
    a = (codes[name] - net.tensor(name).zero_point).ravel().astype(np.float64)
    b = real[name].ravel().astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("name", [*TWINS, "small"])
def test_integers_follow_the_real_network(name):
    net, codes, real = run_both(small() if name == "small" else load_network(name))
    assert min(agreement(net, codes, real, t.name) for t in net.tensors) > 0.98
    assert codes[net.output].argmax() == real[net.output].argmax()


def test_more_bits_follow_it_closer():
    outputs = []
    for bits in (4, 8, 12):
        net, codes, real = run_both(small(), activation_bits=bits, weight_bits=bits)
        outputs.append(agreement(net, codes, real, net.output))
    assert outputs[0] < outputs[1] < outputs[2]
    assert outputs[2] > 0.99999


def test_the_scale_of_the_images_does_not_matter():
    _, codes, _ = run_both(small(), scale=1.0)
    net, larger, real = run_both(small(), scale=1.0e3)
    assert agreement(net, larger, real, net.output) > 0.995
    assert (codes["image"] == larger["image"]).all()


def test_every_kind_has_its_layer():
    net = quantize(small())
    layers = {layer.name: layer for layer in net.layers}
    assert list(layers) == [
        "stem", "grouped", "add", "depthwise", "top", "mean", "hidden", "classifier"
    ]  # fmt: skip
    assert layers["grouped"].groups == 4
    assert layers["grouped"].window.dilation == (2, 2)
    assert layers["depthwise"].groups == 8
    assert isinstance(layers["add"], Addition)
    assert [layers[name].kind for name in ("top", "mean")] == ["max", "sum"]
    height, width = net.tensor("mean").shape[1:]
    assert layers["hidden"].weight.shape == (12, 8, height, width)
    assert net.tensor(net.output).wide
    assert net.output == "classifier"
    assert net.tensor("hot").zero_point == layers["hidden"].requantization.low == -128


def test_a_clip_ends_at_six():
    net = NetworkBuilder("six")
    x = net.input("image", (1, 2, 4, 4))
    out = net.activation(net.conv2d(x, 3, 1, bias=True, name="conv"), "clip", name="out")
    weight = np.full((3, 2, 1, 1), 10.0, dtype=np.float32)
    bias = np.array([-20.0, 0.0, 5.0], dtype=np.float32)
    images = np.ones((1, 2, 4, 4), dtype=np.float32)
    made = quantize(
        net.build([out]), parameters={"conv.weight": weight, "conv.bias": bias}, images=images
    )
    values = reference(made, np.full((2, 4, 4), 127))[out]
    assert [int(v) for v in values[:, 0, 0]] == [-128, 127, 127]


def test_a_lone_activation_is_a_sum_of_one():
    net = NetworkBuilder("lone")
    x = net.input("image", (1, 4, 5, 5))
    y = net.activation(net.norm(x, "batchnorm"), "relu", name="y")
    made = quantize(net.build([net.add(x, y)]))
    first = made.layers[0]
    assert isinstance(first, Pooling)
    assert first.window.kernel == (1, 1)
    assert first.kind == "sum"


def test_equal_seeds_give_equal_integers():
    a, b, c = (quantize(small(), seed=seed) for seed in (3, 3, 4))
    weights = [np.concatenate([x.weight.ravel() for x in n.layers if isinstance(x, Convolution)])
               for n in (a, b, c)]  # fmt: skip
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


@pytest.mark.parametrize("name", [*TWINS, "resnet50", "mobilenet_v2", "vgg16"])
def test_structure_has_a_layer_for_every_operator_that_computes(name):
    network = load_network(name)
    plan = schedule(network)
    made = structure(network, plan)
    own = [p.operator for p in plan.placements if p.engine != "none"]
    kept = [op.name for op in own if op.kind != "softmax"]
    assert [layer.name for layer in made.layers] == kept
    macs = sum(
        layer.weight.size * int(np.prod(made.tensor(layer.output).shape[1:]))
        for layer in made.layers
        if isinstance(layer, Convolution)
    )
    assert macs == network.macs


def test_structure_and_quantized_network_agree():
    network = small()
    made, shape = quantize(network), structure(network, schedule(network))
    assert [t.shape for t in made.tensors] == [t.shape for t in shape.tensors]
    assert [(type(x), x.name, x.inputs, x.output) for x in made.layers] == [
        (type(x), x.name, x.inputs, x.output) for x in shape.layers
    ]


def network_of(make):
    net = NetworkBuilder("bad")
    x = net.input("image", (1, 4, 6, 6))
    return net.build([make(net, x)])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda net, x: net.activation(net.conv2d(x, 4, 1), "gelu"), "'gelu'.*no RTL twin"),
        (
            lambda net, x: net.mul(net.conv2d(x, 6, 1), net.parameter("g", (6,))),
            r"\[6\] varies within a channel",
        ),
        (
            lambda net, x: net.add(net.conv2d(x, 6, 1), net.parameter("b", (6, 1))),
            r"\[6, 1\] varies within a channel",
        ),
        (lambda net, x: net.concat([x, x], 1), "concat.*no RTL twin.*machine = ideal"),
        (lambda net, x: net.mul(x, x), "mul.*no RTL twin"),
        (lambda net, x: net.matmul(x, x), "weight must be a parameter"),
        (lambda net, x: net.reshape(x, (1, 8, 3, 6)), "order in memory"),
        (lambda net, x: net.linear(net.conv2d(x, 6, 1), 2), r"lies as \(6, 6, 6\)"),
        (lambda net, x: net.vector("maxpool", (x,), (1, 4, 3, 3)), "window is not known"),
        (
            lambda net, x: net.norm(net.activation(net.conv2d(x, 4, 1), "relu"), "batchnorm"),
            "behind a clip",
        ),
    ],
)
def test_what_has_no_twin_says_so(make, message):
    with pytest.raises(MappingError, match=message):
        quantize(network_of(make))


def test_batches_have_no_twin():
    with pytest.raises(MappingError, match="set batch 1"):
        quantize(load_network("resnet8", batch=2))


def test_parameters_must_have_their_shapes():
    network = small()
    parameters = synthetic(network, 0)
    parameters["stem.weight"] = parameters["stem.weight"][:, :1]
    with pytest.raises(MappingError, match=r"'stem'.*'stem.weight' of shape \[8, 6, 3, 3\]"):
        quantize(network, parameters=parameters)
    with pytest.raises(NetworkError, match="images"):
        quantize(network, images=np.zeros((2, 3, 9, 7), dtype=np.float32))


@pytest.mark.parametrize("dataflow", ["ws", "os"])
@pytest.mark.parametrize("name", ["small", "resnet8", "ds_cnn"])
def test_lowered_networks_compute_their_integers(name, dataflow):
    made = quantize(small() if name == "small" else load_network(name))
    executable = lower(made, MICRO.replace({"dataflow": dataflow}))
    image = np.random.default_rng(4).integers(-128, 128, made.tensor(made.input).shape)
    memory = executable.memory(image)
    execute(executable, memory)
    for tensor, values in reference(made, image).items():
        assert (executable.region(tensor).unpack(memory) == values).all(), tensor


def test_imported_networks_have_twins():
    """Poolings of importers know their windows, whichever way they are written."""
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    from dovetail.networks.torch_import import from_torch

    class Pools(torch.nn.Module):
        def forward(self, x):
            x = functional.relu6(functional.max_pool2d(x, 3, stride=2, padding=1))
            x = functional.avg_pool2d(x, (2, 1))
            return functional.adaptive_avg_pool2d(x, 1)

    network = from_torch(Pools(), (torch.zeros(1, 4, 16, 16),), name="pools")
    windows = [layer.window for layer in structure(network, schedule(network)).layers]
    assert [(w.kernel, w.stride) for w in windows] == [
        ((3, 3), (2, 2)), ((2, 1), (2, 1)), ((4, 8), (4, 8))
    ]  # fmt: skip
    assert windows[0].padding[:2] == (1, 1)


def test_an_onnx_network_has_twins():
    pytest.importorskip("onnx")
    from dovetail.networks.onnx_import import load_onnx
    from tests.networks.onnx_models import LIGHT

    network = load_onnx(LIGHT / "light_resnet50.onnx")
    layers = structure(network, schedule(network)).layers
    assert len(layers) == 53 + 16 + 2 + 1  # convolutions, additions, poolings, classifier
