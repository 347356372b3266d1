"""The transformer layer that all transformers of the zoo are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dovetail.networks.builder import NetworkBuilder


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One kind of transformer layer.

    Attributes:
        width: model dimension D.
        heads: query heads H.
        head_width: dimension E = F of one head.
        hidden: feed-forward dimension S.
        key_heads: key and value heads; fewer than `heads` share them (grouped queries).
        norm: `layernorm` or `rmsnorm`.
        pre_norm: True normalizes the input of each half, False its sum with the residual.
        activation: of the feed-forward half; `swiglu` gates it with a third matrix.
        bias: whether the linear layers have biases.
        attention_bias: whether those of the attention have; `bias` by default.
        scaled: whether queries are divided by the square root of `head_width`.
        causal: whether later positions are masked.
        rope: whether queries and keys are rotated by their positions.
    """

    width: int
    heads: int
    head_width: int
    hidden: int
    key_heads: int | None = None
    norm: str = "layernorm"
    pre_norm: bool = True
    activation: str = "gelu"
    bias: bool = True
    attention_bias: bool | None = None
    scaled: bool = True
    causal: bool = False
    rope: bool = False


@dataclass(frozen=True, slots=True)
class Cache:
    """Names of the key and value tensors of one layer, each (batch, key heads, tokens, E)."""

    key: str
    value: str


def transformer_layer(
    net: NetworkBuilder, x: str, spec: LayerSpec, *, cache: Cache | None = None,
    score_bias: str | None = None,
) -> tuple[str, Cache]:  # fmt: skip
    """Adds one layer over x (batch, tokens, width).

    Args:
        net: network to extend.
        x: input.
        spec: kind of layer.
        cache: keys and values of earlier tokens, which the layer's own extend.
        score_bias: tensor added to the attention scores (batch, heads, tokens, tokens).

    Returns:
        Output, shaped as x, and the keys and values of all tokens so far.
    """
    x, cache = _attention_half(net, x, spec, cache, score_bias)
    return feed_forward_half(net, x, spec), cache


def attention_half(net: NetworkBuilder, x: str, spec: LayerSpec) -> str:
    """Adds self-attention over x (batch, tokens, width), its norm and its residual."""
    return _attention_half(net, x, spec)[0]


def _attention_half(
    net: NetworkBuilder, x: str, spec: LayerSpec, cache: Cache | None = None,
    score_bias: str | None = None,
) -> tuple[str, Cache]:  # fmt: skip
    y = _before(net, x, spec, "attention")
    with net.scope("attention"):
        y, cache = _attention(net, y, y, spec, cache, score_bias)
    return _after(net, x, y, spec, "attention"), cache


def parallel_layer(
    net: NetworkBuilder, x: str, spec: LayerSpec, *, cache: Cache | None = None
) -> tuple[str, Cache]:
    """Adds one layer over x (batch, tokens, width) whose halves run side by side, each normalized.

    Args:
        net: network to extend.
        x: input.
        spec: kind of layer, `pre_norm`.
        cache: keys and values of earlier tokens, which the layer's own extend.

    Returns:
        x + attention(norm(x)) + feed-forward(norm(x)), and the keys and values of all tokens.

    References:
        Almazrouei et al., The Falcon Series of Open Language Models, arXiv 2311.16867.
    """
    y = _before(net, x, spec, "attention")
    with net.scope("attention"):
        y, cache = _attention(net, y, y, spec, cache)
    z = _before(net, x, spec, "ffn")
    with net.scope("ffn"):
        z = _feed_forward(net, z, spec)
    return net.add(x, net.add(y, z, name="halves_add"), name="ffn_add"), cache


def decoder_layer(net: NetworkBuilder, x: str, memory: str, spec: LayerSpec) -> str:
    """Adds one layer over x (batch, tokens, width) that also attends to an encoder's output.

    Args:
        net: network to extend.
        x: input.
        memory: output of the encoder (batch, source tokens, width).
        spec: kind of layer; `causal` masks its self-attention only.

    Returns:
        Output, shaped as x.
    """
    y = _before(net, x, spec, "attention")
    with net.scope("attention"):
        y, _ = _attention(net, y, y, spec)
    x = _after(net, x, y, spec, "attention")
    y = _before(net, x, spec, "cross")
    with net.scope("cross"):
        y, _ = _attention(net, y, memory, replace(spec, causal=False))
    return feed_forward_half(net, _after(net, x, y, spec, "cross"), spec)


def feed_forward_half(net: NetworkBuilder, x: str, spec: LayerSpec) -> str:
    """Adds the feed-forward half over x (batch, tokens, width), its norm and its residual."""
    y = _before(net, x, spec, "ffn")
    with net.scope("ffn"):
        y = _feed_forward(net, y, spec)
    return _after(net, x, y, spec, "ffn")


def _before(net: NetworkBuilder, x: str, spec: LayerSpec, part: str) -> str:
    return net.norm(x, spec.norm, name=f"{part}_norm") if spec.pre_norm else x


def _after(net: NetworkBuilder, x: str, y: str, spec: LayerSpec, part: str) -> str:
    """Closes one part of a layer: its residual, and the norm that follows that."""
    x = net.add(x, y, name=f"{part}_add")
    return x if spec.pre_norm else net.norm(x, spec.norm, name=f"{part}_norm")


def _attention(
    net: NetworkBuilder, x: str, memory: str, spec: LayerSpec, cache: Cache | None = None,
    score_bias: str | None = None,
) -> tuple[str, Cache]:  # fmt: skip
    """Attention of x (batch, tokens, width) to `memory`, which is x in self-attention."""
    batch, tokens, _ = net.shape(x)
    query = _heads(net, x, "query", spec, spec.heads)
    key = _heads(net, memory, "key", spec, spec.key_heads or spec.heads)
    value = _heads(net, memory, "value", spec, spec.key_heads or spec.heads)
    if spec.rope:
        query = net.activation(query, "rope", name="query_rope")
        key = net.activation(key, "rope", name="key_rope")
    if cache:
        key = net.concat((cache.key, key), axis=2, name="key_cache")
        value = net.concat((cache.value, value), axis=2, name="value_cache")
    if spec.scaled:
        query = net.activation(query, "mul", name="scale")
    scores = net.matmul(query, key, transpose_b=True, name="scores")
    if score_bias:
        scores = net.add(scores, score_bias, name="score_bias")
    if spec.causal and tokens > 1:
        scores = net.activation(scores, "where", name="mask")
    mixed = net.matmul(net.softmax(scores), value, name="mix")
    inner = spec.heads * spec.head_width
    if tokens > 1:
        mixed = net.transpose(mixed, (0, 2, 1, 3), name="merge_heads")
    mixed = net.reshape(mixed, (batch, tokens, inner), name="merge")
    out = net.linear(mixed, spec.width, bias=_attention_bias(spec), name="output")
    return out, Cache(key, value)


def _heads(net: NetworkBuilder, x: str, name: str, spec: LayerSpec, heads: int) -> str:
    """Projects x (batch, tokens, width) to (batch, heads, tokens, head width)."""
    batch, tokens, _ = net.shape(x)
    y = net.linear(x, heads * spec.head_width, bias=_attention_bias(spec), name=name)
    if tokens == 1:  # the same bytes in the same order: no transpose
        return net.reshape(y, (batch, heads, 1, spec.head_width), name=f"{name}_heads")
    y = net.reshape(y, (batch, tokens, heads, spec.head_width), name=f"{name}_split")
    return net.transpose(y, (0, 2, 1, 3), name=f"{name}_heads")


def _feed_forward(net: NetworkBuilder, x: str, spec: LayerSpec) -> str:
    if spec.activation == "swiglu":
        gate = net.activation(net.linear(x, spec.hidden, bias=spec.bias, name="gate"), "silu")
        up = net.linear(x, spec.hidden, bias=spec.bias, name="up")
        hidden = net.mul(gate, up)
    else:
        hidden = net.linear(x, spec.hidden, bias=spec.bias, name="up")
        hidden = net.activation(hidden, spec.activation)
    return net.linear(hidden, spec.width, bias=spec.bias, name="down")


def _attention_bias(spec: LayerSpec) -> bool:
    return spec.bias if spec.attention_bias is None else spec.attention_bias
