"""M3ViT: counts against the arrays and loops of Edge-MoE's published code, and even routing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dovetail.errors import NetworkError
from dovetail.networks.zoo.moe import m3vit, queues
from dovetail.sim.fpga import edge_moe

# Arguments of `ViT_compute` (sharc-lab/Edge-MoE, src/ViT_compute.cpp): 12 layers, 6 of each kind.
ARRAYS = {
    "patch_embed_weights": (192, 3, 16, 16), "patch_embed_bias": (192,), "pos_embed": (129, 192),
    "attn_weights": (12, 4, 192, 192), "attn_bias": (12, 4, 192),
    "moe_w_gate": (6, 16, 192),
    "moe_weights_l1": (6, 16, 384, 192), "moe_bias_l1": (6, 16, 384),
    "moe_weights_l2": (6, 16, 192, 384), "moe_bias_l2": (6, 16, 192),
    "vit_weights_l1": (6, 768, 192), "vit_bias_l1": (6, 768),
    "vit_weights_l2": (6, 192, 768), "vit_bias_l2": (6, 192),
    "norm_weights": (12, 2, 192), "norm_bias": (12, 2, 192),
}  # fmt: skip
CLASS_TOKEN = 192
"""Which the code adds to the first position beforehand."""


def test_parameters_are_those_of_the_published_arrays():
    published = sum(math.prod(shape) for shape in ARRAYS.values())
    assert m3vit().parameters == published + CLASS_TOKEN == 17_965_248


def test_macs_by_part():
    network = m3vit()
    gates = sum(op.macs for op in network.operators if op.name.endswith("gate"))
    patches = next(op.macs for op in network.operators if op.name == "patches")
    assert gates == 6 * 129 * 192 * 16
    assert patches == 128 * 3 * 16 * 16 * 192
    # The rest is what the closed forms of Edge-MoE count: 761.5 M.
    assert network.macs - gates - patches == edge_moe.macs(edge_moe.Transformer()) == 761_467_392


def test_experts_get_all_rows_of_their_tokens():
    network = m3vit()
    ups = [op for op in network.operators if op.name.startswith("layer1.moe.expert")]
    rows = [op.einsum.extent("P") for op in ups if op.einsum and op.name.endswith("up")]
    assert rows == [17, 17, *[16] * 14]
    weights = {op.inputs[1] for op in ups if op.einsum}
    assert len(weights) == 2 * 16  # none shared
    kinds = {op.kind for op in network.operators if op.name.startswith("layer1.moe.")}
    assert {"matmul", "softmax", "topk", "gather", "gelu", "scatter_reduce"} <= kinds
    places = network.tensor["layer1.moe.topk.places"]
    assert (places.shape, places.format.kind) == ((129, 2), "int")


@given(st.integers(0, 500), st.integers(1, 40))
def test_queues_are_even(rows, experts):
    lengths = queues(rows, experts)
    assert sum(lengths) == rows
    assert max(lengths) - min(lengths) <= 1


def test_other_sizes():
    small = m3vit(rows=16, columns=16, experts=8, chosen=1, expert_hidden=32)
    # Two tokens: most experts get none, and their weights are not part of the network.
    assert sum(op.name.endswith("up") and "expert" in op.name for op in small.operators) == 6 * 2
    with pytest.raises(NetworkError, match="must be multiples of 16"):
        m3vit(rows=100)
    with pytest.raises(NetworkError, match="chosen = 17 must be within 1 to experts = 16"):
        m3vit(chosen=17)
