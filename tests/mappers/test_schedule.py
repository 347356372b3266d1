from __future__ import annotations

import numpy as np
import pytest

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Access, Affine, Einsum, Operator
from dovetail.ir.tensor import INT4, INT8, Tensor
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.columns import Op


def conv_net():
    net = NetworkBuilder("net")
    return net, net.conv2d(net.input("x", (1, 4, 8, 8)), 8, 3, name="conv")


def hosts(network):
    """Host of each fused operator by name."""
    plan = schedule(network)
    return {op.name: p.operator.name for p in plan.placements for op in p.fused}


def test_elementwise_chains_fuse_into_the_einsum_that_alone_feeds_them():
    net, x = conv_net()
    x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu", name="relu")
    x = net.mul(x, net.parameter("scale", (1, 8, 1, 1)), name="mul")
    assert hosts(net.build([x])) == {"norm": "conv", "relu": "conv", "mul": "conv"}


def test_an_operator_with_two_moving_operands_stands_alone():
    net, x = conv_net()
    other = net.conv2d("x", 8, 3, name="other")
    assert hosts(net.build([net.add(x, other)])) == {}
    net, x = conv_net()
    assert hosts(net.build([net.add(x, x)])) == {}


def test_a_tensor_with_two_readers_must_be_stored():
    net, x = conv_net()
    relu, tanh = net.activation(x, "relu", name="relu"), net.activation(x, "tanh", name="tanh")
    assert hosts(net.build([net.add(relu, tanh)])) == {}


def test_an_output_of_the_network_must_be_stored():
    net, x = conv_net()
    relu = net.activation(x, "relu", name="relu")
    assert hosts(net.build([x, relu])) == {}
    assert hosts(net.build([relu])) == {"relu": "conv"}


@pytest.mark.parametrize("kind", ["softmax", "maxpool"])
def test_vector_operators_start_a_chain_of_their_own(kind):
    net, x = conv_net()
    x = net.pool(x, kind, 2, name=kind) if kind == "maxpool" else net.softmax(x, name=kind)
    x = net.activation(net.norm(x, "batchnorm", name="norm"), "relu", name="relu")
    network = net.build([x])
    assert hosts(network) == {"norm": kind, "relu": kind}
    row = op_rows(network, schedule(network))[1]
    inputs = 8 * 6 * 6  # of the convolution, and the scale and shift of the normalization
    assert row[Op.IN_ELEMENTS] == inputs + 2 * 8
    ops = sum(op.vector_ops for op in network.operators)
    assert row[Op.VECTOR_OPS] == ops


def test_a_view_ends_the_chain():
    net, x = conv_net()
    x = net.activation(net.flatten(x), "relu", name="relu")
    assert hosts(net.build([x])) == {}


def test_what_follows_a_residual_addition_runs_with_it():
    net, x = conv_net()
    other = net.conv2d("x", 8, 3, name="other")
    x = net.activation(net.add(x, other, name="sum"), "relu", name="relu")
    assert hosts(net.build([x])) == {"relu": "sum"}


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_operator_of_the_zoo_is_placed_once(name):
    network = NETWORKS[name]()
    plan = schedule(network)
    placed = [op.name for p in plan.placements for op in (p.operator, *p.fused)]
    assert sorted(placed) == sorted(op.name for op in network.operators)
    rows = op_rows(network, plan)
    ranks = [Op.G, Op.N, Op.K, Op.C, Op.P, Op.Q, Op.R, Op.S]
    macs = [p.operator.macs for p in plan.placements]
    np.testing.assert_array_equal(rows[:, ranks].prod(axis=1), macs)
    works = rows[:, Op.VECTOR_OPS].sum() + rows[:, Op.EPILOGUE_OPS].sum()
    assert works == sum(op.vector_ops for op in network.operators)
    outputs = rows[:, [Op.G, Op.N, Op.K, Op.P, Op.Q]].prod(axis=1)
    assert (rows[:, Op.EPILOGUE_OPS] % np.maximum(outputs, 1) == 0).all()


def test_rows_carry_the_window_and_the_widths():
    net = NetworkBuilder("net", INT8)
    x = net.input("x", (2, 6, 20, 30), INT4)
    y = net.conv2d(x, 12, (3, 5), stride=(2, 1), padding=(1, 2, 3, 4), dilation=(2, 1), groups=3)
    row = op_rows(*((network := net.build([y])), schedule(network)))[0]
    wanted = {
        "G": 3, "N": 2, "K": 4, "C": 2, "R": 3, "S": 5, "P": 10, "Q": 32, "STRIDE_H": 2,
        "STRIDE_W": 1, "DILATION_H": 2, "DILATION_W": 1, "PAD_TOP": 1, "PAD_LEFT": 2,
        "HEIGHT": 20, "WIDTH": 30, "INPUT_BITS": 4, "WEIGHT_BITS": 8, "OUTPUT_BITS": 8,
    }  # fmt: skip
    assert {name: int(row[Op[name]]) for name in wanted} == wanted


def test_floating_tensors_take_the_width_of_the_accelerator():
    net, x = conv_net()
    network = net.build([x])
    row = op_rows(network, schedule(network))[0]
    assert not row[[Op.INPUT_BITS, Op.WEIGHT_BITS, Op.OUTPUT_BITS]].any()


def test_a_gather_reads_only_what_it_returns():
    net = NetworkBuilder("net")
    table, tokens = net.parameter("table", (50000, 64)), net.input("tokens", (1, 7))
    network = net.build([net.gather(table, tokens)])
    row = op_rows(network, schedule(network))[0]
    assert row[Op.IN_ELEMENTS] == row[Op.OUT_ELEMENTS] == 7 * 64


def test_an_einsum_that_no_array_runs_is_named():
    index = {rank: Affine(((rank, 1),)) for rank in "ABZ"}
    einsum = Einsum(
        (("A", 2), ("B", 3), ("Z", 4)),
        (Access("x", (index["A"], index["Z"])), Access("w", (index["Z"], index["B"]))),
        Access("y", (index["A"], index["B"])),
    )
    tensors = (Tensor("x", (2, 4)), Tensor("w", (4, 3), is_parameter=True), Tensor("y", (2, 3)))
    op = Operator("strange", "einsum", ("x", "w"), ("y",), einsum)
    network = Network("net", (op,), tensors, ("x",), ("y",))
    with pytest.raises(MappingError, match=r"'strange'.*'Z'"):
        op_rows(network, schedule(network))


def test_a_parameter_larger_than_a_bias_does_not_ride_along():
    net = NetworkBuilder("net")
    x = net.linear(net.input("x", (128, 64)), 96, name="linear")
    x = net.add(x, net.parameter("scale", (96,)), name="scaled")
    network = net.build([net.add(x, net.parameter("table", (128, 96)), name="shifted")])
    assert hosts(network) == {"scaled": "linear"}  # and "shifted" reads its table on its own
    rows = op_rows(network, schedule(network))
    assert rows[1, Op.IN_ELEMENTS] == 2 * 128 * 96


def test_a_mask_runs_with_the_scores():
    net = NetworkBuilder("net")
    x = net.linear(net.input("x", (8, 4)), 8, name="scores")
    assert hosts(net.build([net.activation(x, "where", name="mask")])) == {"mask": "scores"}


def test_an_operand_read_twice_is_loaded_once():
    net = NetworkBuilder("net")
    x = net.input("x", (8, 4))
    network = net.build([net.mul(x, x)])
    assert op_rows(network, schedule(network))[0, Op.IN_ELEMENTS] == 32


def cached_net(*, read_again=False, returned=True):
    net = NetworkBuilder("net")
    past, new = net.input("past", (2, 10, 4)), net.input("new", (2, 1, 4))
    longer = net.concat((past, new), axis=1, name="cache")
    extra = [net.activation(past, "relu")] if read_again else []
    return net.build([*extra, longer if returned else net.activation(longer, "relu")])


def test_a_cache_grows_in_place():
    network = cached_net()
    row = op_rows(network, schedule(network))[0]
    assert (row[Op.IN_ELEMENTS], row[Op.OUT_ELEMENTS]) == (8, 8)


@pytest.mark.parametrize("case", [{"read_again": True}, {"returned": False}])
def test_a_tensor_that_is_no_cache_is_copied(case):
    network = cached_net(**case)
    row = op_rows(network, schedule(network))[0]
    assert (row[Op.IN_ELEMENTS], row[Op.OUT_ELEMENTS]) == (88, 88)


def test_decoding_reads_weights_and_cache_once():
    network = NETWORKS["llama2_7b_decode"](layers=2)
    moved = op_rows(network, schedule(network))[:, [Op.IN_ELEMENTS, Op.OUT_ELEMENTS]].sum()
    assert moved < 0.01 * network.parameters
