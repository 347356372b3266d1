"""The encoder-decoder transformer."""

from __future__ import annotations

from dataclasses import replace

from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.attention import LayerSpec, decoder_layer, transformer_layer

BASE = LayerSpec(
    width=512, heads=8, head_width=64, hidden=2048, pre_norm=False, activation="relu"
)  # fmt: skip


def transformer(
    *, batch: int = 1, source: int = 128, target: int = 128, layers: int = 6
) -> Network:
    """Transformer (base) between embeddings, as `torch.nn.Transformer`: 44.14 M parameters.

    Both stacks end in a normalization, which that module has and the paper has not. Inputs are
    embedded tokens; neither embedding nor classifier are part of it.

    Args:
        batch: pairs of sequences per inference.
        source: tokens of the encoder's sequence.
        target: tokens of the decoder's sequence.
        layers: of the encoder, and of the decoder.

    References:
        Vaswani et al., Attention Is All You Need, NeurIPS 2017, table 3 (base).
    """
    net = NetworkBuilder("transformer")
    memory = net.input("source", (batch, source, BASE.width))
    x = net.input("target", (batch, target, BASE.width))
    for layer in range(layers):
        with net.scope(f"encoder{layer}"):
            memory, _ = transformer_layer(net, memory, BASE)
    memory = net.norm(memory, BASE.norm, name="encoder_norm")
    for layer in range(layers):
        with net.scope(f"decoder{layer}"):
            x = decoder_layer(net, x, memory, replace(BASE, causal=True))
    return net.build([net.norm(x, BASE.norm, name="decoder_norm")])
