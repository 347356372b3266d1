"""Generative transformers, once reading a prompt (prefill), once writing a token (decode).

Prefill returns the logits of the last token, and the keys and values of every layer. Decode is
given those of `context` tokens and returns them longer by one.
"""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.tensor import INT32
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.attention import Cache, LayerSpec, transformer_layer

GPT2 = LayerSpec(width=768, heads=12, head_width=64, hidden=3072, causal=True)
GPT2_VOCABULARY, GPT2_TOKENS = 50257, 1024
LLAMA2_7B = LayerSpec(
    width=4096, heads=32, head_width=128, hidden=11008, norm="rmsnorm", activation="swiglu",
    bias=False, causal=True, rope=True,
)  # fmt: skip
LLAMA2_VOCABULARY, LLAMA2_TOKENS = 32000, 4096


def gpt2_prefill(*, batch: int = 1, sequence: int = 1024, layers: int = 12) -> Network:
    """GPT-2 (124 M parameters) reading a prompt.

    Args:
        batch: sequences per inference.
        sequence: tokens of the prompt, at most 1024.
        layers: transformer layers.

    References:
        Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """
    return _gpt2("gpt2_prefill", batch, sequence, 0, layers)


def gpt2_decode(*, batch: int = 1, context: int = 1023, layers: int = 12) -> Network:
    """GPT-2 (124 M parameters) writing one token per sequence.

    Args:
        batch: sequences per inference.
        context: tokens whose keys and values are cached, at most 1023.
        layers: transformer layers.

    References:
        Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """
    return _gpt2("gpt2_decode", batch, 1, _context("gpt2_decode", context), layers)


def llama2_7b_prefill(*, batch: int = 1, sequence: int = 2048, layers: int = 32) -> Network:
    """Llama-2-7B (6.74 G parameters) reading a prompt.

    Args:
        batch: sequences per inference.
        sequence: tokens of the prompt, at most 4096.
        layers: transformer layers.

    References:
        Touvron et al., Llama 2, arXiv 2307.09288.
    """
    return _llama2_7b("llama2_7b_prefill", batch, sequence, 0, layers)


def llama2_7b_decode(*, batch: int = 1, context: int = 2047, layers: int = 32) -> Network:
    """Llama-2-7B (6.74 G parameters) writing one token per sequence.

    Args:
        batch: sequences per inference.
        context: tokens whose keys and values are cached, at most 4095.
        layers: transformer layers.

    References:
        Touvron et al., Llama 2, arXiv 2307.09288.
    """
    return _llama2_7b("llama2_7b_decode", batch, 1, _context("llama2_7b_decode", context), layers)


def _gpt2(name: str, batch: int, tokens: int, context: int, layers: int) -> Network:
    _fits(name, tokens + context, GPT2_TOKENS)
    net = NetworkBuilder(name)
    table = net.parameter("token_table", (GPT2_VOCABULARY, GPT2.width))
    x = net.gather(table, net.input("tokens", (batch, tokens), INT32), name="embedding")
    positions = net.parameter("position_table", (GPT2_TOKENS, GPT2.width))
    positions = net.slice(positions, 0, context, context + tokens, name="position")
    x = net.add(x, positions, name="position_add")
    return _decoder(net, x, GPT2, layers, context, GPT2_VOCABULARY, table)


def _llama2_7b(name: str, batch: int, tokens: int, context: int, layers: int) -> Network:
    _fits(name, tokens + context, LLAMA2_TOKENS)
    net = NetworkBuilder(name)
    table = net.parameter("token_table", (LLAMA2_VOCABULARY, LLAMA2_7B.width))
    x = net.gather(table, net.input("tokens", (batch, tokens), INT32), name="embedding")
    return _decoder(net, x, LLAMA2_7B, layers, context, LLAMA2_VOCABULARY, None)


def _decoder(
    net: NetworkBuilder, x: str, spec: LayerSpec, layers: int, context: int, vocabulary: int,
    head: str | None,
) -> Network:  # fmt: skip
    """Layers, final norm and head over x; `head` is a weight to share, or None for its own."""
    batch, tokens, width = net.shape(x)
    caches: list[str] = []
    for layer in range(layers):
        with net.scope(f"layer{layer}"):
            past = _past(net, (batch, spec.heads, context, spec.head_width)) if context else None
            x, cache = transformer_layer(net, x, spec, cache=past)
        caches += [cache.key, cache.value]
    x = net.norm(x, spec.norm, name="final_norm")
    if tokens > 1:
        x = net.slice(x, 1, tokens - 1, tokens, name="last_token")
    x = net.reshape(x, (batch, width), name="last")
    logits = net.linear(x, vocabulary, bias=False, weight=head, name="head")
    return net.build([logits, *caches])


def _past(net: NetworkBuilder, shape: tuple[int, ...]) -> Cache:
    return Cache(net.input("past_key", shape), net.input("past_value", shape))


def _context(name: str, context: int) -> int:
    if context < 1:
        raise NetworkError(f"{name}: context {context} must be at least 1 cached token")
    return context


def _fits(name: str, tokens: int, limit: int) -> None:
    if tokens > limit:
        raise NetworkError(
            f"{name}: {tokens} tokens exceed the model's {limit}: shorten sequence or context"
        )
