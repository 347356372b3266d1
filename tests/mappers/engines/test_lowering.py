"""Operators on FPGA engines: shapes, what rides along, and what is refused."""

from __future__ import annotations

import pytest

from dovetail.arch import presets
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Access, Affine, Einsum, Operator
from dovetail.ir.tensor import NumberFormat, Tensor
from dovetail.mappers.engines.lowering import lower
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.registry import load_network
from dovetail.sim.fpga import edge_moe, engines
from dovetail.sim.fpga.engines import Attend, Linear

EDGE = presets.load("edge_moe_zcu102")
SMALL = presets.load("engines_ultra96")


def built(*layers, shape=(1, 8, 64)):
    net = NetworkBuilder("net")
    x = net.input("x", shape)
    for layer in layers:
        x = layer(net, x)
    return net.build([x])


def all_steps(placed):
    return [step for each in placed for step in each.steps]


def places(network, design=EDGE):
    return {p.operator.name: (p.engine, p.host, len(p.steps)) for p in lower(network, design)}


@pytest.fixture(scope="module")
def m3vit():
    return {p.operator.name: p for p in lower(load_network("m3vit"), EDGE)}


def test_m3vit_takes_the_cycles_of_edge_moe(m3vit):
    work = {name: sum(step.compute for step in p.steps) for name, p in m3vit.items()}
    attention = [f"layer3.attention.{part}" for part in ("scores", "mix")]
    assert [work[name] for name in attention] == [102_168, 102_168]
    assert {work[f"layer3.attention.{p}"] for p in ("query", "key", "value", "output")} == {18_576}
    assert work["layer4.ffn.up"] + work["layer4.ffn.down"] == 148_608
    experts = [name for name in work if name.startswith("layer5.moe.expert")]
    assert sum(work[name] for name in experts) == 148_608
    # Its patch embedding has a unit of its own; the loops of that count as many cycles.
    assert work["patches"] == 8 * 3 * 16 * 8 * 24 == 73_728
    bound = sum(work[n] for n in work if ".attention." in n or ".ffn." in n or ".expert" in n)
    assert bound == 5_126_976


def test_m3vit_loads_the_beats_of_edge_moe(m3vit):
    beats = {name: sum(step.load for step in p.steps) for name, p in m3vit.items()}
    biases = {192: 24, 768: 96, 384: 48}  # 32 bits each
    assert beats["layer0.attention.query"] == 2_304 + biases[192]
    assert beats["layer0.ffn.up"] == 9_216 + biases[768]
    assert beats["layer0.ffn.down"] == 9_216 + biases[192]
    experts = [beats[n] for n in beats if n.startswith("layer1.moe.expert")]
    assert sum(experts) == 147_456 + 16 * (biases[384] + biases[192])
    assert beats["layer1.moe.gate"] == 16 * 12  # no bias


def test_what_rides_along_in_m3vit(m3vit):
    hosts = {name: p.host for name, p in m3vit.items()}
    assert hosts["layer0.attention.scale"] == "layer0.attention.query"
    assert hosts["layer0.attention.softmax"] == "layer0.attention.scores"
    assert hosts["layer0.ffn.gelu"] == "layer0.ffn.up"
    assert hosts["layer1.moe.expert3.gelu"] == "layer1.moe.expert3.up"
    assert hosts["layer1.moe.topk"] == "layer1.moe.softmax"
    assert hosts["layer1.moe.weigh"] == hosts["layer1.moe.combine"] == "layer1.moe.expert15.down"
    assert hosts["layer0.attention_add"] == ""  # as in Edge-MoE, a pass of its own
    (last,) = m3vit["layer1.moe.expert15.down"].steps
    (other,) = m3vit["layer1.moe.expert14.down"].steps
    assert last.moved.input - other.moved.input == (258 + 258 * 192) * 4  # scores and what is there


def test_any_parallelism_has_its_closed_form():
    for queries in (1, 2, 4, 8, 16):
        design = EDGE.replace({"queries": queries})
        for mixes in (False, True):
            step = engines.attend_step(Attend("a", 3, 129, 129, 64, mixes, True), design)
            assert step.compute == edge_moe.attention_cycles(129, 192, queries)
    for inputs, outputs in ((8, 8), (32, 64), (16, 32)):
        design = EDGE.replace({"linear_inputs": inputs, "linear_outputs": outputs})
        (step,) = engines.linear_steps(Linear("l", 10, 100, 70), design)
        assert step.compute == 10 * -(-100 // inputs) * -(-70 // outputs)


def test_few_keys_take_few_queries_at_once():
    design = EDGE.replace({"queries": 16})
    step = engines.attend_step(Attend("a", 1, 40, 3, 8, False, True), design)
    assert step.compute == edge_moe.key_rows(40, 3, 3)


def test_large_matrices_are_cut_along_their_outputs():
    design = EDGE.replace({"weight_buffer_kib": 36})
    steps = list(engines.linear_steps(Linear("l", 10, 192, 768), design))
    assert len(steps) == 8  # 96 outputs of 192 inputs of 16 bits are 36 KiB
    (whole,) = engines.linear_steps(Linear("l", 10, 192, 768), EDGE)
    assert sum(s.compute for s in steps) == whole.compute
    assert sum(s.load for s in steps) == whole.load
    assert sum(s.moved.output for s in steps) == whole.moved.output
    assert sum(s.moved.input for s in steps) == 8 * whole.moved.input
    with pytest.raises(MappingError, match="needs 24 KiB for the weights of 16 outputs"):
        list(engines.linear_steps(Linear("l", 1, 768, 16), EDGE.replace({"weight_buffer_kib": 20})))
    with pytest.raises(
        MappingError, match=r"reads rows of 1,000, longer .* raise row_features \(768\)"
    ):
        list(engines.linear_steps(Linear("l", 1, 1000, 16), EDGE))
    with pytest.raises(MappingError, match="they hold at most 65,536"):
        list(engines.linear_steps(Linear("l", 1, 65_537, 16), EDGE))


def test_slow_memory_holds_weights_back():
    fast, slow = EDGE, EDGE.replace({"dram_gb_per_s": 1.2})  # 4 bytes per cycle
    (one,), (other,) = (engines.linear_steps(Linear("l", 1, 64, 64), d) for d in (fast, slow))
    assert other.load == 8 * one.load
    assert other.moved == one.moved


def test_convolutions_are_products_of_their_windows():
    network = built(lambda net, x: net.conv2d(x, 10, 3, stride=2, padding=1), shape=(2, 4, 8, 8))
    (step,) = all_steps(lower(network, EDGE))
    assert step.rows == 2 * 4 * 4
    assert step.stages[1].cycles == -(-4 * 9 // 16)


def test_windows_are_read_row_by_row():
    network = built(lambda net, x: net.conv2d(x, 10, (3, 5)), shape=(1, 3, 8, 8))
    (step,) = all_steps(lower(network, EDGE))
    assert step.stages[0].cycles == 3 * -(-5 * 3 // 8)  # three rows of five pixels
    assert step.moved.input == step.rows * 3 * 5 * 3 * 4


def test_pooling_reads_every_tap():
    network = built(lambda net, x: net.pool(x, "maxpool", 3, stride=2), shape=(1, 20, 9, 9))
    (placed,) = lower(network, EDGE)
    (step,) = placed.steps
    assert (placed.engine, step.rows, step.compute) == ("stream", 16, 16 * 9 * 3)


def test_products_of_three_are_refused():
    i = (Affine((("I", 1),)),)
    reads = tuple(Access(name, i) for name in ("a", "b", "c"))
    op = Operator(
        "triple", "einsum", ("a", "b", "c"), ("y",), Einsum((("I", 4),), reads, Access("y", i))
    )
    tensors = tuple(Tensor(name, (4,)) for name in "abcy")
    with pytest.raises(MappingError, match=r"'triple' \(einsum\) has no engine"):
        lower(Network("net", (op,), tensors, ("a", "b", "c"), ("y",)), EDGE)


def test_a_scalar_is_a_row_of_one():
    net = NetworkBuilder("net")
    x = net.input("x", ())
    (placed,) = lower(net.build([net.vector("add", (x, x), ())]), EDGE)
    assert (placed.engine, placed.steps[0].compute) == ("stream", 1)


def test_rows_of_scores_have_a_longest():
    def attend(net, x):
        y = net.matmul(x, x, transpose_b=True)
        return net.matmul(net.softmax(y), x)

    assert lower(built(attend, shape=(1, 4096, 8)), EDGE)
    with pytest.raises(MappingError, match="rows of 4,097 scores: the softmax"):
        lower(built(attend, shape=(1, 4097, 8)), EDGE)
    with pytest.raises(MappingError, match="rows of 5,000 scores"):
        lower(built(lambda net, x: net.softmax(x), shape=(1, 5000)), EDGE)


def test_wide_integers_are_refused():
    net = NetworkBuilder("net")
    x = net.linear(net.input("x", (4, 16), NumberFormat("int", 16)), 8)
    with pytest.raises(MappingError, match="reads 16-bit 'x': the engines multiply 8 bits"):
        lower(net.build([x]), SMALL)
    assert lower(net.build([x]), EDGE)


def test_depthwise_and_deformable_convolutions():
    def deformable(net, x):
        offsets = net.input("offsets", (1, 1, 8, 16))
        weight = net.parameter("weight", (5, 1, 3, 3))
        return net.vector("deformable", (x, offsets, weight), net.shape(x))

    form = dict(SMALL.kernel("deformable").parameters)
    for layer in (deformable, lambda net, x: net.depthwise(x, 3, padding=1)):
        network = built(layer, shape=(1, 5, 8, 16))
        (placed,) = lower(network, SMALL)
        (step,) = placed.steps
        assert placed.engine == "deformable"
        assert step.compute == -(-5 // form["channels"]) * form["height"] * form["width"]
        with pytest.raises(MappingError, match="set deformable_channels >= 1 with bits = 8"):
            lower(network, EDGE)
    assert network.operators[0].macs == 5 * 8 * 16 * 9


def test_norms_and_bounds_ride_behind_a_depthwise_convolution():
    def block(net, x):
        x = net.norm(net.depthwise(x, 3, padding=1), "batchnorm")
        return net.activation(net.activation(x, "relu"), "gelu")

    found = places(built(block, shape=(1, 5, 8, 16)), SMALL)
    assert found["batchnorm"] == found["relu"] == ("deformable", "depthwise", 0)
    assert found["gelu"] == ("gelu", "", 1)  # whose lanes are the linear unit's


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (lambda net, x: net.pool3d(x, "maxpool", 2), (1, 4, 8, 8, 8), r"\(maxpool\) has no engine"),
        (lambda net, x: net.norm(x, "rmsnorm"), (1, 8, 64), r"\(rmsnorm\) has no engine"),
        (lambda net, x: net.norm(x, "layernorm"), (1, 8, 64), "there are builds for 192, 384, 768"),
        (lambda net, x: net.norm(x, "layernorm"), (1, 8, 768), "set norm_features = 768"),
        (lambda net, x: net.activation(x, "tanh"), (1, 8, 64), r"\(tanh\) has no engine"),
        (lambda net, x: net.conv2d(x, 4, 3, groups=2), (1, 4, 8, 8), "ungrouped 2-D"),
        (lambda net, x: net.depthwise(x, 3, stride=2, padding=1), (1, 4, 8, 8), "3 x 3 kernels of"),
        (lambda net, x: net.depthwise(x, 5, padding=2), (1, 4, 8, 8), "3 x 3 kernels of"),
        (lambda net, x: net.depthwise(x, 3, padding=1), (1, 4, 9, 70), "images of 9 x 70 pixels"),
        (lambda net, x: net.elementwise("mul", x, x), (1, 8, 64), r"\(mul\) has no engine"),
    ],
)
def test_refusals_name_the_operator_in_one_line(layer, shape, words):
    with pytest.raises(MappingError, match=words) as error:
        lower(built(layer, shape=shape), SMALL)
    assert "\n" not in str(error.value)
    assert "operator '" in str(error.value)


@pytest.mark.parametrize("lacks", ["queries", "gelu_lanes", "norm_lanes"])
def test_engines_that_a_design_lacks_are_named(lacks):
    with pytest.raises(MappingError, match=f"set {lacks} >= 1"):
        lower(load_network("m3vit"), EDGE.replace({lacks: 0}))


def test_what_is_read_twice_does_not_ride():
    def twice(net, x):
        y = net.linear(x, 64)
        return net.add(net.activation(y, "gelu"), y)

    found = places(built(twice))
    assert found["gelu"] == ("gelu", "", 1)
    assert found["add"] == ("stream", "", 1)
    once = places(built(lambda net, x: net.activation(net.linear(x, 64), "relu")))
    assert once["relu"] == ("linear", "linear", 0)


def test_scores_that_no_product_reads_have_a_softmax_of_their_own():
    def bare(net, x):
        return net.softmax(net.matmul(x, x, transpose_b=True))

    found = places(built(bare))
    assert found["softmax"] == ("softmax", "", 1)
    masked = places(load_network("gpt2_prefill"), presets.load("engines_u280"))
    assert masked["layer0.attention.mask"][1] == "layer0.attention.scores"
    assert masked["layer0.attention.softmax"][1] == "layer0.attention.scores"
    assert masked["embedding"][0] == "stream"  # reads its table
