"""Which tiles pass which operator, and how sockets share tensors."""

from __future__ import annotations

import pytest

from dovetail.arch.rdu import Rdu
from dovetail.errors import MappingError
from dovetail.mappers.rdu.axes import passed
from dovetail.mappers.rdu.lowering import lower, product
from dovetail.mappers.rdu.sharding import shard
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo import NETWORKS
from dovetail.sim.rdu.pipeline import STREAMS

ROW = STREAMS.index("row")


@pytest.fixture(scope="module")
def network():
    return NETWORKS["llama2_7b_prefill"](sequence=256, layers=1)


def through(network, name, tensor, axis):
    op = next(op for op in network.operators if op.name == name)
    return passed(op, tensor, axis, network)


@pytest.mark.parametrize(
    ("operator", "tensor", "axis", "found"),
    [
        ("attention_norm", "embedding", 1, 1),
        ("attention_norm", "embedding", 2, None),  # a norm needs its features
        ("attention.query", "layer0.attention_norm", 1, 1),
        ("attention.query", "layer0.attention_norm", 2, None),  # summed
        ("attention.query_split", "layer0.attention.query", 2, 2),  # heads are split off
        ("attention.query_heads", "layer0.attention.query_split", 1, 2),
        ("attention.query_heads", "layer0.attention.query_split", 2, 1),
        ("attention.scores", "layer0.attention.scale", 2, 2),
        ("attention.scores", "layer0.attention.key_rope", 2, None),  # all keys, every query
        ("attention.scores", "layer0.attention.key_rope", 1, 1),
        ("attention.softmax", "layer0.attention.mask", 3, None),
        ("attention.merge", "layer0.attention.merge_heads", 2, 2),
    ],
)
def test_an_axis_passes_or_does_not(network, operator, tensor, axis, found):
    assert through(network, f"layer0.{operator}", tensor, axis) == found


def test_a_square_transpose_that_looks_like_none_passes_nothing_square():
    net = NetworkBuilder("square")
    x = net.transpose(net.input("x", (3, 8, 8)), (0, 2, 1), name="turn")
    network = net.build([x])
    assert [through(network, "turn", "x", axis) for axis in range(3)] == [0, None, None]


def test_images_pass_row_by_row_but_no_global_pool():
    net = NetworkBuilder("image")
    x = net.conv2d(net.input("x", (2, 4, 8, 8)), 6, 3, padding=1, name="conv")
    wise = net.depthwise(x, 3, padding=1, name="wise")
    network = net.build([net.global_pool(wise, name="pool")])
    assert [through(network, "conv", "x", axis) for axis in range(4)] == [0, None, 2, 3]
    assert through(network, "wise", "conv", 1) == 1
    assert through(network, "pool", "wise", 2) is None
    assert through(network, "pool", "wise", 0) == 0


def test_megatrons_rules_come_out(network):
    found = shard(network, 8)
    assert found.summed == {"layer0.attention.output", "layer0.ffn.down"}
    assert not found.gathered
    whole = {op.name for op in network.operators if found.parts[op.name] == 1}
    assert whole == {
        "embedding", "layer0.attention_norm", "layer0.attention_add", "layer0.ffn_norm",
        "layer0.ffn_add", "final_norm", "last_token", "last",
    }  # fmt: skip


def test_work_and_weights_are_shared_and_conserved(network):
    one, eight = (lower(network, Rdu(sockets=sockets)) for sockets in (1, 8))

    def total(pipeline, sockets):
        matrices = [s for s in pipeline.stages if s.kind == "matrix"]
        macs = sum(s.work[0] * s.work[1] * s.work[2] * s.work[3] for s in matrices)
        weights = sum(r.size for s in matrices for r in s.reads if r.weight)
        return sockets * macs, sockets * weights

    assert total(one, 1)[0] == network.macs
    assert total(eight, 8) == total(one, 1)
    kinds = [stage.kind for stage in eight.stages]
    assert kinds.count("all_reduce") == 2
    assert kinds.count("all_gather") == 0


def test_a_split_that_heads_do_not_divide_is_gathered():
    network = NETWORKS["vit_b16"]()  # 12 heads on 8 sockets
    kinds = [stage.kind for stage in lower(network, Rdu(sockets=8)).stages]
    assert "all_gather" in kinds


def test_a_cache_is_read_in_part_and_only_its_new_token_is_written():
    network = NETWORKS["llama2_7b_decode"](context=99, layers=1)
    pipeline = lower(network, Rdu())
    stages = dict(zip(pipeline.operators, pipeline.stages, strict=True))
    assert stages["layer0.attention.key_rope"].returned
    assert stages["layer0.attention.key_rope"].output == 4096 * 2
    sizes = [read.size for read in stages["layer0.attention.scores"].reads if not read.producer]
    assert sizes == [99 * 4096 * 2]
    assert "layer0.attention.key_cache" not in stages  # joins memory, moves nothing


def test_a_product_of_any_einsum_multiplies_to_its_macs():
    for name in ("resnet18", "mobilenet_v2", "s3d"):
        for op in NETWORKS[name]().operators:
            if op.einsum is not None:
                groups, rows, columns, depth = product(op.einsum)
                assert groups * rows * columns * depth == op.macs


def test_weights_beyond_hbm_lie_in_ddr_and_beyond_both_nowhere(network):
    size = sum(t.elements * 2 for t in network.tensors if t.is_parameter)
    near = lower(network, Rdu(hbm_gib=64))
    far = lower(network, Rdu(hbm_gib=size / 2 / 2**30))
    assert not any(read.far for stage in near.stages for read in stage.reads)
    assert any(read.far for stage in far.stages for read in stage.reads)
    with pytest.raises(MappingError, match="add sockets"):
        lower(network, Rdu(hbm_gib=0.1, ddr_gib=0.1))
