"""3-D convolutions and poolings: values, counts, importers, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from dovetail.errors import NetworkError
from dovetail.ir.tensor import Tensor
from dovetail.ir.window import Windows
from dovetail.networks import operators
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.onnx_import import from_onnx_model
from tests.networks.convolutions import convolve, volumes
from tests.networks.onnx_models import model, weights
from tests.networks.test_operators import run_einsum

Case = tuple[tuple[int, ...], tuple[int, ...], Windows, int]


def _clip(*shape: int) -> tuple[NetworkBuilder, str]:
    net = NetworkBuilder("net")
    return net, net.input("x", shape)


@settings(max_examples=15, deadline=None)
@given(volumes(), st.integers(0, 2**32 - 1))
def test_the_einsum_computes_the_convolution(case: Case, seed: int) -> None:
    x_shape, w_shape, window, groups = case
    rng = np.random.default_rng(seed)
    arrays = {"x": rng.integers(-9, 10, x_shape), "w": rng.integers(-9, 10, w_shape)}
    made = (x_shape[0], w_shape[0], *window.outputs(x_shape[2:]))
    tensors = Tensor("x", x_shape), Tensor("w", w_shape, is_parameter=True), Tensor("y", made)
    op = operators.conv3d("conv", *tensors, window, groups)
    assert np.array_equal(
        run_einsum(op, arrays, made), convolve(**arrays, window=window, groups=groups)
    )
    assert op.macs == math.prod(made) * math.prod(w_shape[1:])
    assert op.einsum is not None
    assert [rank for rank, _ in op.einsum.ranks] == list("NGKCOPQTRS")
    depthwise = groups > 1 and x_shape[1] == groups
    assert op.kind == ("depthwise_conv3d" if depthwise else "conv3d")


def test_the_builder_infers_shapes_and_work() -> None:
    net, x = _clip(2, 6, 8, 16, 16)
    y = net.conv3d(x, 12, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2), groups=3, bias=True)
    same = net.conv3d(x, 6, (3, 3, 1), stride=2, padding="same", groups=6)
    z = net.pool3d(y, "maxpool", (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
    g = net.global_pool(z)
    network = net.build([same, g])
    assert [net.shape(t) for t in (y, same, z, g)] == [
        (2, 12, 8, 8, 8), (2, 6, 4, 8, 8), (2, 12, 8, 4, 4), (2, 12, 1, 1, 1),
    ]  # fmt: skip
    conv, depthwise, pool, mean = network.operators
    assert [conv.kind, depthwise.kind] == ["conv3d", "depthwise_conv3d"]
    assert conv.macs == 2 * 12 * 8 * 8 * 8 * 2 * 75
    assert depthwise.macs == 2 * 6 * 4 * 8 * 8 * 9
    assert [pool.vector_ops, mean.vector_ops] == [2 * 12 * 8 * 16 * 9, 2 * 12 * 8 * 16]
    assert network.parameters == 12 * 2 * 75 + 12 + 6 * 9


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "words"),
    [
        (9, 1, 0, "operator 'conv3d': window of 9 taps"),
        (3, 0, 0, "must be >= 1"),
        (3, 1, "valid", "operator 'conv3d': padding 'valid'"),
        (3, 2**40, 0, "exceed 2"),
        (3, 1, -1, "padding >= 0"),
    ],
)
def test_mistakes_are_one_line(kernel: int, stride: int, padding: int | str, words: str) -> None:
    net, x = _clip(1, 6, 8, 8, 8)
    with pytest.raises(NetworkError, match=words) as caught:
        net.conv3d(x, 4, kernel, stride=stride, padding=padding)
    assert "\n" not in str(caught.value)


def test_wrong_tensors_are_named() -> None:
    net, image = _clip(1, 6, 8, 8)
    with pytest.raises(NetworkError, match=r"input 'x' .* must be \(N, C, D, H, W\)"):
        net.conv3d(image, 4, 3)
    with pytest.raises(NetworkError, match="groups 4 must divide input channels 6"):
        net.conv3d(net.input("clip", (1, 6, 8, 8, 8)), 4, 3, groups=4)
    with pytest.raises(NetworkError, match="'median' is none of"):
        net.pool3d("clip", "median", 2)


def test_windows_have_one_entry_per_dimension() -> None:
    ones, zeros = (1, 1, 1), (0, 0, 0)
    with pytest.raises(NetworkError, match="differ in number of dimensions"):
        Windows((3, 3, 3), (1, 1), zeros, zeros, ones)
    assert Windows((3, 3, 3), ones, zeros, zeros, ones).flat is None
    flat = Windows((3, 2), (1, 2), (0, 1), (2, 3), (1, 1)).flat
    assert flat is not None
    assert flat.padding == (0, 1, 2, 3)


def test_importers_agree_with_the_builder() -> None:
    torch = pytest.importorskip("torch")
    from dovetail.networks.torch_import import from_torch

    net, x = _clip(1, 4, 6, 9, 9)
    y = net.conv3d(
        x, 8, (3, 3, 2), stride=(1, 2, 1), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2
    )
    y = net.pool3d(y, "maxpool", (2, 1, 1))
    built = net.build([net.global_pool(y)])
    conv = torch.nn.Conv3d(
        4, 8, (3, 3, 2), stride=(1, 2, 1), padding=(1, 0, 1), dilation=(1, 2, 1), groups=2,
        bias=False,
    )  # fmt: skip
    module = torch.nn.Sequential(conv, torch.nn.MaxPool3d((2, 1, 1)), torch.nn.AdaptiveAvgPool3d(1))
    traced = from_torch(module, (torch.zeros(1, 4, 6, 9, 9),), name="net")
    attributes = {
        "strides": [1, 2, 1], "pads": [1, 0, 1, 1, 0, 1], "dilations": [1, 2, 1], "group": 2,
    }  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], **attributes),
        helper.make_node("MaxPool", ["y"], ["z"], kernel_shape=[2, 1, 1], strides=[2, 1, 1]),
        helper.make_node("GlobalAveragePool", ["z"], ["g"]),
    ]
    imported = from_onnx_model(
        model(nodes, {"x": (1, 4, 6, 9, 9)}, ["g"], {"w": weights(8, 2, 3, 3, 2)})
    )
    for other in (traced, imported):
        assert [op.kind for op in other.operators] == [op.kind for op in built.operators]
        for mine, yours in zip(built.operators, other.operators, strict=True):
            shapes = [n.tensor[o.outputs[0]].shape for n, o in ((built, mine), (other, yours))]
            assert shapes[0] == shapes[1]
            assert mine.vector_ops == yours.vector_ops
            if mine.einsum and yours.einsum:
                assert mine.einsum.ranks == yours.einsum.ranks
                indices = [o.indices for e in (mine.einsum, yours.einsum) for o in e.operands]
                assert indices[:2] == indices[2:]
