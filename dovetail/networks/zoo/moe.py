"""Vision transformers whose tokens choose experts: the backbone of M3ViT.

Routing depends on the data, a network here does not: tokens are routed evenly, so that each expert
gets the rows that a balanced gate gives it, and no expert differs from another by more than one.
Whatever the routing, `tokens x chosen` rows go through the experts: multiply-accumulates and
parameters are exact for all of them, the size of each expert's product only for an even one.
"""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.attention import LayerSpec, attention_half, feed_forward_half

M3VIT = LayerSpec(width=192, heads=3, head_width=64, hidden=768)
PATCH = 16


def m3vit(
    *, batch: int = 1, rows: int = 128, columns: int = 256, experts: int = 16, chosen: int = 2,
    expert_hidden: int = 384,
) -> Network:  # fmt: skip
    """M3ViT's backbone, experts in odd layers, 782.7 MMAC, 17.97 M parameters.

    ViT-tiny at Edge-MoE's shapes. Layers 0, 2, … have one MLP, layers 1, 3, … a mixture of
    experts: gate (a product), softmax, top-k, a gather of the rows of each expert, its two
    products, and a scatter that adds each row, times its score, to its token. One task, hence one
    gate per layer; no noise (inference).

    Args:
        batch: images per inference.
        rows: of an image in pixels, a multiple of 16.
        columns: alike.
        experts: of a layer.
        chosen: experts that each token visits.
        expert_hidden: features inside an expert.

    References:
        Liang et al., M3ViT, NeurIPS 2022; Sarkar et al., Edge-MoE, ICCAD 2023 (shapes), and the
        code published with both.
    """
    if min(rows, columns) < PATCH or rows % PATCH or columns % PATCH:
        raise NetworkError(f"m3vit: {rows} x {columns} pixels must be multiples of {PATCH}")
    if not 1 <= chosen <= experts:
        raise NetworkError(f"m3vit: chosen = {chosen} must be within 1 to experts = {experts}")
    net = NetworkBuilder("m3vit")
    x = _tokens(net, batch, rows, columns)
    for layer in range(12):
        with net.scope(f"layer{layer}"):
            x = attention_half(net, x, M3VIT)
            if layer % 2 == 0:
                x = feed_forward_half(net, x, M3VIT)
            else:
                x = _expert_half(net, x, experts, chosen, expert_hidden)
    return net.build([x])


def queues(rows: int, experts: int) -> list[int]:
    """Rows of each expert where `rows` of them are spread evenly, the first experts one more."""
    each, more = divmod(rows, experts)
    return [each + (expert < more) for expert in range(experts)]


def _tokens(net: NetworkBuilder, batch: int, rows: int, columns: int) -> str:
    """Patches behind a class token, with their positions: (batch, tokens, width)."""
    x = net.input("image", (batch, 3, rows, columns))
    x = net.conv2d(x, M3VIT.width, PATCH, stride=PATCH, bias=True, name="patches")
    patches = rows // PATCH * (columns // PATCH)
    x = net.reshape(x, (batch, M3VIT.width, patches), name="patch_rows")
    x = net.transpose(x, (0, 2, 1), name="patch_tokens")
    token = net.parameter("class_token", (1, 1, M3VIT.width))
    if batch > 1:
        token = net.vector("expand", (token,), (batch, 1, M3VIT.width), name="class_tokens")
    x = net.concat((token, x), axis=1, name="tokens")
    positions = net.parameter("positions", (1, patches + 1, M3VIT.width))
    return net.add(x, positions, name="position_add")


def _expert_half(net: NetworkBuilder, x: str, experts: int, chosen: int, hidden: int) -> str:
    """Normalization, experts and residual of one layer, over x (batch, tokens, width)."""
    shape = net.shape(x)
    tokens, width = shape[0] * shape[1], shape[2]
    y = net.norm(x, M3VIT.norm, name="moe_norm")
    with net.scope("moe"):
        y = net.reshape(y, (tokens, width), name="rows")
        scores = net.softmax(net.linear(y, experts, bias=False, name="gate"))
        best, places = net.topk(scores, chosen)
        y = net.gather(y, places, name="dispatch")
        y = net.reshape(y, (tokens * chosen, width), name="queues")
        y = _experts(net, y, queues(tokens * chosen, experts), hidden)
        weights = net.reshape(best, (tokens * chosen, 1), name="weights")
        y = net.mul(y, weights, name="weigh")
        y = net.vector(
            "scatter_reduce", (y, places), (tokens, width),
            work_elements=tokens * chosen * width, name="combine",
        )  # fmt: skip
        y = net.reshape(y, shape, name="merge")
    return net.add(x, y, name="moe_add")


def _experts(net: NetworkBuilder, x: str, lengths: list[int], hidden: int) -> str:
    """Each expert over its rows of x (rows, width), which stand in the experts' order."""
    width, start = net.shape(x)[1], 0
    done = []
    for expert, length in enumerate(lengths):
        with net.scope(f"expert{expert}"):
            if not length:  # its weights are there, but nothing comes to it
                continue
            y = net.slice(x, 0, start, start + length, name="queue")
            y = net.activation(net.linear(y, hidden, name="up"), M3VIT.activation)
            done.append(net.linear(y, width, name="down"))
        start += length
    return net.concat(done, axis=0, name="experts") if len(done) > 1 else done[0]
