from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.ir.tensor import INT8, INT32
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.elementary import NORM_PARAMETERS

SETTINGS = settings(max_examples=60, deadline=None)
small = st.integers(1, 4)


def _builder(*shape: int) -> tuple[NetworkBuilder, str]:
    net = NetworkBuilder("net")
    return net, net.input("x", shape)


@SETTINGS
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.integers(1, 3))
def test_same_padding_keeps_the_rounded_up_quotient(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    net, x = _builder(1, 2, size, size + 1)
    y = net.conv2d(x, 3, kernel, stride=stride, padding="same", dilation=dilation)
    assert net.shape(y) == (1, 3, -(-size // stride), -(-(size + 1) // stride))


@SETTINGS
@given(st.lists(small, max_size=3), st.lists(small, max_size=3))
def test_elementwise_shapes_broadcast_as_numpy(a: list[int], b: list[int]) -> None:
    net = NetworkBuilder("net")
    left, right = net.input("a", a), net.input("b", b)
    try:
        expected = np.broadcast_shapes(tuple(a), tuple(b))
    except ValueError:
        with pytest.raises(NetworkError, match=r"operator 'add'.*broadcast"):
            net.add(left, right)
    else:
        assert net.shape(net.add(left, right)) == expected


@SETTINGS
@given(st.lists(small, min_size=2, max_size=4), st.data())
def test_moving_shapes_follow_numpy(shape: list[int], data: st.DataObject) -> None:
    net, x = _builder(*shape)
    array = np.zeros(shape)
    axes = data.draw(st.permutations(range(len(shape))))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert net.shape(net.transpose(x, axes)) == array.transpose(axes).shape
    assert net.shape(net.concat([x, x, x], axis)) == np.concatenate([array] * 3, axis).shape
    assert net.shape(net.slice(x, axis, 0, 1)) == array.take([0], axis).shape
    assert net.shape(net.flatten(x)) == array.reshape(shape[0], -1).shape
    indices = net.input("i", (5, 2), INT32)
    assert net.shape(net.gather(x, indices)) == array[np.zeros((5, 2), dtype=int)].shape


@SETTINGS
@given(st.lists(st.sampled_from(["a", "a_2", "a_2_2", "b"]), min_size=1, max_size=12))
def test_names_are_unique(wanted: list[str]) -> None:
    net, x = _builder(1, 3, 4, 4)
    for name in wanted:
        x = net.conv2d(x, 3, 1, bias=True, name=name)
    operators = net.build([x]).operators
    assert len({op.name for op in operators}) == len(wanted)
    assert operators[0].name == wanted[0]


def test_scopes_nest_and_name_everything() -> None:
    net, x = _builder(2, 8)
    with net.scope("layer0"), net.scope("ffn"):
        y = net.linear(x, 4, name="up")
    z = net.linear(y, 4)
    network = net.build([z])
    assert y == "layer0.ffn.up"
    assert network.operators[0].inputs == ("x", "layer0.ffn.up.weight", "layer0.ffn.up.bias")
    assert z == "linear"


def test_contractions_count_their_work() -> None:
    net, x = _builder(2, 6, 8, 8)
    dense = net.conv2d(x, 12, 3, padding=1)
    grouped = net.conv2d(x, 12, 3, padding=1, groups=3)
    alone = net.depthwise(x, 3, padding=1, multiplier=2)
    network = net.build([dense, grouped, alone])
    macs = [op.macs for op in network.operators]
    assert macs == [2 * 64 * 12 * 54, 2 * 64 * 12 * 18, 2 * 64 * 12 * 9]
    assert [op.kind for op in network.operators] == ["conv2d", "conv2d", "depthwise_conv2d"]
    assert network.parameters == 12 * 54 + 12 * 18 + 12 * 9


def test_pooling_counts_window_elements() -> None:
    net, x = _builder(1, 4, 7, 7)
    y = net.pool(x, "maxpool", 3, stride=2)
    z = net.pool(x, "maxpool", 2, ceil=True)
    g = net.global_pool(x)
    network = net.build([y, z, g])
    assert [net.shape(t) for t in (y, z, g)] == [(1, 4, 3, 3), (1, 4, 4, 4), (1, 4, 1, 1)]
    assert [op.vector_ops for op in network.operators] == [4 * 9 * 9, 4 * 16 * 4, 4 * 49]


@pytest.mark.parametrize(("kind", "shape"), [(k, (2, 6, 5)) for k in NORM_PARAMETERS])
def test_norm_parameters_follow_their_axis(kind: str, shape: tuple[int, ...]) -> None:
    net, x = _builder(*shape)
    network = net.build([net.norm(x, kind)])
    axis, count = NORM_PARAMETERS[kind]
    assert network.parameters == count * shape[axis]


def test_weights_can_be_shared() -> None:
    net, tokens = NetworkBuilder("net"), "tokens"
    tokens = net.input(tokens, (2, 3), INT32)
    table = net.parameter("table", (10, 4))
    x = net.gather(table, tokens)
    logits = net.linear(x, 10, bias=False, weight=table)
    network = net.build([logits])
    assert network.parameters == 40
    assert net.shape(logits) == (2, 3, 10)
    assert network.macs == 2 * 3 * 4 * 10


def test_formats_reach_the_tensors() -> None:
    net = NetworkBuilder("net", INT8)
    x = net.input("x", (1, 4))
    network = net.build([net.linear(x, 2)])
    assert {str(t.format) for t in network.tensors} == {"int8"}


Step = Callable[[NetworkBuilder, str], object]
MISTAKES: list[tuple[Step, str]] = [
    (lambda net, x: net.conv2d("nothing", 4, 3), "has no tensor 'nothing'"),
    (lambda net, x: net.conv2d(x, 4, 9), "operator 'conv2d': window"),
    (lambda net, x: net.conv2d(x, 4, 3, groups=4), "groups 4 must divide input channels 6"),
    (lambda net, x: net.conv2d(x, 4, 3, groups=0), "groups 0 must divide"),
    (lambda net, x: net.conv2d(x, 4, 3, padding="valid"), "padding 'valid'"),
    (lambda net, x: net.conv2d(x, 4, 3, stride=0), "must be >= 1"),
    (lambda net, x: net.conv2d(x, 0, 3), "must be >= 1"),
    (lambda net, x: net.conv2d(net.flatten(x), 4, 3), r"must be \(N, C, H, W\)"),
    (lambda net, x: net.linear(net.reshape(x, (384,)), 4), "needs 2 dimensions"),
    (lambda net, x: net.linear(net.flatten(x), 4, weight=x), "do not fit"),
    (lambda net, x: net.matmul(x, net.reshape(x, (384,))), "at least 2 dimensions"),
    (lambda net, x: net.matmul(x, net.reshape(x, (6, 64))), "do not fit"),
    (lambda net, x: net.pool(x, "median", 2), "'median' is none of"),
    (lambda net, x: net.norm(x, "weight"), "'weight' is none of"),
    (lambda net, x: net.norm(net.reshape(x, (384,)), "layernorm"), "needs 2 dimensions"),
    (lambda net, x: net.activation(x, "swoosh"), "unknown vector operator 'swoosh'"),
    (lambda net, x: net.concat([], 0), "axis 0 lies outside a tensor of 0 dimensions"),
    (lambda net, x: net.concat([x, net.flatten(x)], 1), "do not join"),
    (lambda net, x: net.concat([x, x], 4), "axis 4 lies outside a tensor of 4"),
    (lambda net, x: net.reshape(x, (5, 5)), "does not reshape"),
    (lambda net, x: net.transpose(x, (0, 1, 1, 2)), "do not permute"),
    (lambda net, x: net.slice(x, 1, 4, 7), "outside extent 6"),
    (lambda net, x: net.slice(x, 1, 3, 3), "outside extent 6"),
    (lambda net, x: net.build(["nothing"]), "has no operators"),
    (lambda net, x: (net.flatten(x), net.build(["y"])), "unwritten tensor 'y'"),
    (lambda net, x: net.parameter("p", (1, 0)), "must be >= 1"),
]


@pytest.mark.parametrize(("step", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_mistakes_are_one_line(step: Step, words: str) -> None:
    net, x = _builder(1, 6, 8, 8)
    with pytest.raises(NetworkError, match=words) as caught:
        step(net, x)
    assert "\n" not in str(caught.value)


def test_parameter_names_do_not_collide() -> None:
    net, x = _builder(1, 4)
    net.parameter("linear.weight", (1,))
    with pytest.raises(NetworkError, match=r"already has a tensor 'linear\.weight'"):
        net.linear(x, 2)
