"""Transformer encoders: BERT, ViT, and the encoders of T5, XLM and Transformer-XL.

T5, XLM and Transformer-XL have the dimensions of FuseMax's workloads (arXiv 2406.10491, section
VI): D model, E = F head, H heads, S feed-forward. Tables of positions grow with sequences that
are longer than the published ones.
"""

from __future__ import annotations

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.tensor import INT32
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.zoo.attention import LayerSpec, transformer_layer

BERT = LayerSpec(width=768, heads=12, head_width=64, hidden=3072, pre_norm=False)
VIT_B = LayerSpec(width=768, heads=12, head_width=64, hidden=3072)
T5 = LayerSpec(
    width=512, heads=8, head_width=64, hidden=2048, norm="rmsnorm", activation="relu", bias=False,
    scaled=False,
)  # fmt: skip
XLM = LayerSpec(width=2048, heads=16, head_width=128, hidden=8192, pre_norm=False)
TRXL = LayerSpec(
    width=1024, heads=16, head_width=64, hidden=4096, pre_norm=False, activation="relu",
    attention_bias=False,
)  # fmt: skip

T5_BUCKETS = 32


def bert_base(*, batch: int = 1, sequence: int = 128, layers: int = 12) -> Network:
    """BERT-base with embeddings and pooler: 11.2 GMAC at 128 tokens, 109.5 M parameters.

    Args:
        batch: sequences per inference.
        sequence: tokens of a sequence.
        layers: transformer layers.

    References:
        Devlin et al., BERT, NAACL 2019.
    """
    net = NetworkBuilder("bert_base")
    x = _tokens(net, batch, sequence, 30522, BERT.width)
    x = net.add(x, _positions(net, sequence, 512, BERT.width), name="position_add")
    kinds = net.input("token_types", (batch, sequence), INT32)
    table = net.parameter("token_type_table", (2, BERT.width))
    x = net.add(x, net.gather(table, kinds, name="token_type"), name="token_type_add")
    x = net.norm(x, BERT.norm, name="embedding_norm")
    x = _stack(net, x, BERT, layers)
    first = net.slice(x, 1, 0, 1, name="first_token")
    first = net.reshape(first, (batch, BERT.width), name="first")
    pooled = net.activation(net.linear(first, BERT.width, name="pooler"), "tanh")
    return net.build([x, pooled])


def vit_b16(*, batch: int = 1, resolution: int = 224, classes: int = 1000) -> Network:
    """ViT-B/16, 17.56 GMAC, 86.57 M parameters.

    Args:
        batch: images per inference.
        resolution: rows and columns of an image in pixels, a multiple of 16.
        classes: outputs of the classifier.

    References:
        Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021.
    """
    if resolution % 16:
        raise NetworkError(f"vit_b16: resolution {resolution} must be a multiple of 16")
    net = NetworkBuilder("vit_b16")
    x = net.input("image", (batch, 3, resolution, resolution))
    x = net.conv2d(x, VIT_B.width, 16, stride=16, bias=True, name="patches")
    patches = (resolution // 16) ** 2
    x = net.reshape(x, (batch, VIT_B.width, patches), name="patch_rows")
    x = net.transpose(x, (0, 2, 1), name="patch_tokens")
    token = net.parameter("class_token", (1, 1, VIT_B.width))
    if batch > 1:
        token = net.vector("expand", (token,), (batch, 1, VIT_B.width), name="class_tokens")
    x = net.concat((token, x), axis=1, name="tokens")
    positions = net.parameter("positions", (1, patches + 1, VIT_B.width))
    x = net.add(x, positions, name="position_add")
    x = net.norm(_stack(net, x, VIT_B, 12), VIT_B.norm, name="final_norm")
    x = net.slice(x, 1, 0, 1, name="first_token")
    x = net.reshape(x, (batch, VIT_B.width), name="first")
    return net.build([net.linear(x, classes, name="classifier")])


def t5(*, batch: int = 1, sequence: int = 512, layers: int = 6) -> Network:
    """Encoder of T5-small with relative position bias: D 512, E 64, H 8, S 2048.

    Args:
        batch: sequences per inference.
        sequence: tokens of a sequence.
        layers: transformer layers.

    References:
        Raffel et al., Exploring the Limits of Transfer Learning, JMLR 2020, section 2.1.
    """
    net = NetworkBuilder("t5")
    x = _tokens(net, batch, sequence, 32128, T5.width)
    buckets = net.input("position_buckets", (sequence, sequence), INT32)
    table = net.parameter("position_bias_table", (T5_BUCKETS, T5.heads))
    bias = net.gather(table, buckets, name="position_bias")
    bias = net.transpose(bias, (2, 0, 1), name="position_bias_heads")
    x = _stack(net, x, T5, layers, score_bias=bias)
    return net.build([net.norm(x, T5.norm, name="final_norm")])


def xlm(*, batch: int = 1, sequence: int = 512, layers: int = 12) -> Network:
    """XLM (English masked model): D 2048, E 128, H 16, S 8192.

    Args:
        batch: sequences per inference.
        sequence: tokens of a sequence.
        layers: transformer layers.

    References:
        Lample and Conneau, Cross-lingual Language Model Pretraining, NeurIPS 2019.
    """
    net = NetworkBuilder("xlm")
    x = _tokens(net, batch, sequence, 30145, XLM.width)
    x = net.add(x, _positions(net, sequence, 512, XLM.width), name="position_add")
    x = net.norm(x, XLM.norm, name="embedding_norm")
    return net.build([_stack(net, x, XLM, layers)])


def trxl(*, batch: int = 1, sequence: int = 512, layers: int = 18) -> Network:
    """Transformer-XL large as an encoder: D 1024, E 64, H 16, S 4096.

    Plain self-attention, as FuseMax models it: no relative position term, no memory of earlier
    segments, and one embedding table instead of adaptive ones.

    Args:
        batch: sequences per inference.
        sequence: tokens of a sequence.
        layers: transformer layers.

    References:
        Dai et al., Transformer-XL, ACL 2019.
    """
    net = NetworkBuilder("trxl")
    x = _tokens(net, batch, sequence, 267735, TRXL.width)
    return net.build([_stack(net, x, TRXL, layers)])


def _stack(
    net: NetworkBuilder, x: str, spec: LayerSpec, layers: int, *, score_bias: str | None = None
) -> str:
    for layer in range(layers):
        with net.scope(f"layer{layer}"):
            x, _ = transformer_layer(net, x, spec, score_bias=score_bias)
    return x


def _tokens(net: NetworkBuilder, batch: int, sequence: int, vocabulary: int, width: int) -> str:
    tokens = net.input("tokens", (batch, sequence), INT32)
    return net.gather(net.parameter("token_table", (vocabulary, width)), tokens, name="embedding")


def _positions(net: NetworkBuilder, sequence: int, published: int, width: int) -> str:
    table = net.parameter("position_table", (max(published, sequence), width))
    return net.slice(table, 0, 0, sequence, name="position")
