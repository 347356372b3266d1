"""Large language models, each reading a prompt (prefill) and writing a token (decode).

Both take any batch and length. Decode is given the keys and values of `context` tokens and returns
them longer by one, as in `dovetail.networks.zoo.decoders`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.tensor import INT32
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.attention import (
    Cache,
    LayerSpec,
    parallel_layer,
    transformer_layer,
)


@dataclass(frozen=True, slots=True)
class Llm:
    """A family of decoder layers.

    Attributes:
        name: of its two networks, with `_prefill` and `_decode` after it.
        title: what it is.
        source: where it stands.
        layer: every layer.
        layers: how many.
        vocabulary: tokens.
        tokens: longest sequence.
        tied: whether the head shares the embedding's table.
        parallel: whether attention and feed-forward run side by side, as Falcon's.
        alibi: whether scores are biased by distance, and embeddings normalized, as BLOOM's.
        image_tokens: that a vision tower puts before a prompt, as LLaVA's.
    """

    name: str
    title: str
    source: str
    layer: LayerSpec
    layers: int
    vocabulary: int
    tokens: int
    tied: bool = False
    parallel: bool = False
    alibi: bool = False
    image_tokens: int = 0


def _llama(
    width: int, heads: int, hidden: int, key_heads: int | None = None, head_width: int = 128
) -> LayerSpec:
    return LayerSpec(
        width, heads, head_width, hidden, key_heads, norm="rmsnorm", activation="swiglu",
        bias=False, causal=True, rope=True,
    )  # fmt: skip


LLMS = (
    Llm(
        "llama2_70b", "Llama-2-70B (69.0 G parameters)", "Touvron et al., arXiv 2307.09288.",
        _llama(8192, 64, 28672, 8), 80, 32000, 4096,
    ),
    Llm(
        "mistral_7b", "Mistral-7B (7.24 G parameters)", "Jiang et al., arXiv 2310.06825.",
        _llama(4096, 32, 14336, 8), 32, 32000, 32768,
    ),
    Llm(
        "bloom_176b", "BLOOM (176.2 G parameters)", "BigScience, arXiv 2211.05100.",
        LayerSpec(14336, 112, 128, 57344, causal=True), 70, 250880, 2048, tied=True, alibi=True,
    ),
    Llm(
        "falcon_40b", "Falcon-40B (41.3 G parameters)", "Almazrouei et al., arXiv 2311.16867.",
        LayerSpec(8192, 128, 64, 32768, 8, bias=False, causal=True, rope=True),
        60, 65024, 2048, tied=True, parallel=True,
    ),
    Llm(
        "llava15_7b", "LLaVA-1.5-7B (7.05 G parameters): an image and a prompt",
        "Liu et al., arXiv 2310.03744.",
        _llama(4096, 32, 11008), 32, 32000, 4096, image_tokens=576,
    ),
)  # fmt: skip

CLIP = LayerSpec(width=1024, heads=16, head_width=64, hidden=4096)
CLIP_LAYERS, CLIP_PATCH, CLIP_PIXELS = 23, 14, 336
"""CLIP ViT-L/14 at 336 pixels without its last layer, whose features LLaVA leaves out."""


def prefill(llm: Llm) -> Callable[..., Network]:
    """The network of a model that reads a prompt."""
    length, count = min(llm.tokens - llm.image_tokens, 2048), llm.layers

    def network(*, batch: int = 1, sequence: int = length, layers: int = count) -> Network:
        return _build(llm, "prefill", batch, sequence, 0, layers)

    return _documented(network, llm, "prefill", "reading a prompt", "sequence", "of the prompt")


def decode(llm: Llm) -> Callable[..., Network]:
    """The network of a model that writes a token."""
    length, count = min(llm.tokens, 2048) - 1, llm.layers

    def network(*, batch: int = 1, context: int = length, layers: int = count) -> Network:
        if context < 1:
            raise NetworkError(f"{llm.name}_decode: context {context} must be at least 1 token")
        return _build(llm, "decode", batch, 1, context, layers)

    return _documented(
        network, llm, "decode", "writing one token per sequence", "context", "that are cached"
    )


def _documented(
    network: Callable[..., Network], llm: Llm, phase: str, does: str, length: str, what: str
) -> Callable[..., Network]:
    network.__name__ = network.__qualname__ = f"{llm.name}_{phase}"
    most = llm.tokens - (llm.image_tokens if phase == "prefill" else 1)
    network.__doc__ = (
        f"{llm.title}, {does}.\n\n"
        "    Args:\n"
        "        batch: sequences per inference.\n"
        f"        {length}: tokens {what}, at most {most}.\n"
        "        layers: transformer layers.\n\n"
        f"    References:\n        {llm.source}\n    "
    )
    return network


def _build(llm: Llm, phase: str, batch: int, tokens: int, context: int, layers: int) -> Network:
    name = f"{llm.name}_{phase}"
    image = llm.image_tokens if phase == "prefill" else 0
    if image + tokens + context > llm.tokens:
        raise NetworkError(
            f"{name}: {image + tokens + context} tokens exceed the model's {llm.tokens}: shorten "
            "sequence or context"
        )
    net = NetworkBuilder(name)
    table = net.parameter("token_table", (llm.vocabulary, llm.layer.width))
    x = net.gather(table, net.input("tokens", (batch, tokens), INT32), name="embedding")
    if image:
        x = net.concat((_vision(net, batch, llm.layer.width), x), axis=1, name="joined")
    if llm.alibi:
        x = net.norm(x, llm.layer.norm, name="embedding_norm")
    caches: list[str] = []
    for index in range(layers):
        with net.scope(f"layer{index}"):
            x, cache = _layer(net, x, llm, context)
        caches += [cache.key, cache.value]
    x = net.norm(x, llm.layer.norm, name="final_norm")
    if net.shape(x)[1] > 1:
        x = net.slice(x, 1, net.shape(x)[1] - 1, net.shape(x)[1], name="last_token")
    x = net.reshape(x, (batch, llm.layer.width), name="last")
    head = table if llm.tied else None
    return net.build([net.linear(x, llm.vocabulary, bias=False, weight=head, name="head"), *caches])


def _layer(net: NetworkBuilder, x: str, llm: Llm, context: int) -> tuple[str, Cache]:
    batch, tokens, _ = net.shape(x)
    spec = llm.layer
    past = None
    if context:
        shape = (batch, spec.key_heads or spec.heads, context, spec.head_width)
        past = Cache(net.input("past_key", shape), net.input("past_value", shape))
    if llm.parallel:
        return parallel_layer(net, x, spec, cache=past)
    bias = net.input("alibi", (spec.heads, 1, context + tokens)) if llm.alibi else None
    return transformer_layer(net, x, spec, cache=past, score_bias=bias)


def _vision(net: NetworkBuilder, batch: int, width: int) -> str:
    """Tokens (batch, 576, width) of an image: CLIP's layers, then a projector of two products."""
    image = net.input("image", (batch, 3, CLIP_PIXELS, CLIP_PIXELS))
    side = CLIP_PIXELS // CLIP_PATCH
    with net.scope("vision"):
        x = net.conv2d(image, CLIP.width, CLIP_PATCH, stride=CLIP_PATCH, name="patches")
        x = net.reshape(x, (batch, CLIP.width, side * side), name="patch_list")
        x = net.transpose(x, (0, 2, 1), name="patch_tokens")
        token = net.parameter("class_token", (1, 1, CLIP.width))
        token = net.vector("expand", (token,), (batch, 1, CLIP.width), name="class_tokens")
        x = net.concat((token, x), axis=1, name="class_and_patches")
        table = net.parameter("position_table", (1, side * side + 1, CLIP.width))
        x = net.norm(net.add(x, table, name="position_add"), "layernorm", name="first_norm")
        for index in range(CLIP_LAYERS):
            with net.scope(f"layer{index}"):
                x, _ = transformer_layer(net, x, CLIP)
        x = net.slice(x, 1, 1, side * side + 1, name="patches_only")
        x = net.activation(net.linear(x, width, name="project"), "gelu")
        return net.linear(x, width, name="project_again")


PREFILLS = tuple(prefill(llm) for llm in LLMS)
DECODES = tuple(decode(llm) for llm in LLMS)
