"""Exported torch modules: counts by hand formulas, every operator class, clear errors."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from dovetail.errors import NetworkError  # noqa: E402
from dovetail.ir.network import Network  # noqa: E402
from dovetail.networks.onnx_import import load_onnx  # noqa: E402
from dovetail.networks.torch_import import from_torch  # noqa: E402
from tests.networks.onnx_models import LIGHT  # noqa: E402


class Function(nn.Module):
    """A module of one function."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


def traced(function: Any, *shapes: tuple[int, ...]) -> Network:
    return from_torch(Function(function), tuple(torch.zeros(s) for s in shapes), name="function")


def kinds(network: Network) -> list[str]:
    return [op.kind for op in network.operators]


class SmallCnn(nn.Module):
    """Strided, depthwise and pointwise convolutions and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 8, 3, groups=8, padding="same"),
            nn.Hardswish(),
            nn.Conv2d(8, 16, 1),
            nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(16, 10)
        )

    def forward(self, x: Any) -> Any:
        return self.head(self.features(x))


def test_small_cnn() -> None:
    module = SmallCnn().train()
    network = from_torch(module, (torch.zeros(2, 3, 32, 32),), name="cnn")
    pixels = 2 * 16 * 16
    assert network.macs == pixels * (8 * 27 + 8 * 9 + 16 * 8) + 2 * 16 * 10
    assert network.parameters == sum(p.numel() for p in module.parameters())
    assert kinds(network) == [
        "conv2d", "batchnorm", "relu", "depthwise_conv2d", "hard_swish", "conv2d", "maxpool",
        "avgpool", "flatten", "dropout", "matmul",
    ]  # fmt: skip
    assert network.tensor[network.outputs[0]].shape == (2, 10)
    assert network.tensor["features.0.weight"].is_parameter
    assert module.training
    assert module.head[2].training


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer, both with a residual."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Embedding(100, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, tokens: Any) -> Any:
        x = self.table(tokens)
        batch, length, width = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def test_transformer_block() -> None:
    batch, length, width = 2, 12, 32
    module = TransformerBlock(width, 4)
    tokens = torch.zeros(batch, length, dtype=torch.long)
    network = from_torch(module, (tokens,), name="block")
    projections = batch * length * width * width * (3 + 1 + 4 + 4)
    scores = 2 * batch * length * length * width
    assert network.macs == projections + scores
    assert network.parameters == sum(p.numel() for p in module.parameters())
    assert kinds(network).count("softmax") == 1
    assert kinds(network).count("layernorm") == 2
    assert "gather" in kinds(network)
    softmax = next(op for op in network.operators if op.kind == "softmax")
    assert network.tensor[softmax.outputs[0]].shape == (batch, 4, length, length)


def test_multihead_attention_module() -> None:
    module = nn.MultiheadAttention(32, 4, batch_first=True)
    wrapped = Function(lambda x: module(x, x, x, need_weights=False)[0])
    wrapped.inner = module
    network = from_torch(wrapped, (torch.zeros(2, 7, 32),), name="attention")
    assert network.macs == 2 * 7 * 32 * 32 * 4 + 2 * 2 * 7 * 7 * 32


def test_grouped_query_attention() -> None:
    def attend(q: Any, k: Any, v: Any) -> Any:
        return F.scaled_dot_product_attention(q, k, v, enable_gqa=True)

    network = traced(attend, (2, 8, 5, 16), (2, 2, 9, 16), (2, 2, 9, 16))
    assert network.macs == 2 * (2 * 8 * 5 * 9 * 16)


def test_alexnet_agrees_with_the_onnx_graph() -> None:
    def layer(c: int, k: int, size: int, **options: Any) -> list[nn.Module]:
        return [nn.Conv2d(c, k, size, **options), nn.ReLU()]

    module = nn.Sequential(
        *layer(3, 96, 11, stride=4), nn.MaxPool2d(3, 2),
        *layer(96, 256, 5, padding=2, groups=2), nn.MaxPool2d(3, 2),
        *layer(256, 384, 3, padding=1), *layer(384, 384, 3, padding=1, groups=2),
        *layer(384, 256, 3, padding=1, groups=2), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(), nn.LazyLinear(4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(),
        nn.Linear(4096, 1000), nn.Softmax(1),
    )  # fmt: skip
    module(torch.zeros(1, 3, 224, 224))
    network = from_torch(module, (torch.zeros(1, 3, 224, 224),), name="alexnet")
    assert network.parameters == sum(p.numel() for p in module.parameters())
    wanted = load_onnx(LIGHT / "light_bvlc_alexnet.onnx")
    convolutions = [
        [op.macs for op in n.operators if op.kind == "conv2d"] for n in (network, wanted)
    ]
    assert convolutions[0] == convolutions[1]


@pytest.mark.parametrize(
    ("function", "shapes", "macs"),
    [
        (lambda a, b: a @ b, ((3, 4, 5), (5, 6)), 3 * 4 * 5 * 6),
        (torch.bmm, ((3, 4, 5), (3, 5, 6)), 3 * 4 * 5 * 6),
        (torch.mm, ((4, 5), (5, 6)), 4 * 5 * 6),
        (torch.addmm, ((6,), (4, 5), (5, 6)), 4 * 5 * 6),
        (torch.addmm, ((4, 6), (4, 5), (5, 6)), 4 * 5 * 6),
        (lambda a, b: a @ b, ((4, 5), (7, 5, 6)), 7 * 4 * 5 * 6),
        (lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b), ((2, 3, 4, 5), (2, 3, 6, 5)),
         2 * 3 * 4 * 5 * 6),
        (lambda a, b: torch.einsum("...ij,jk->...ik", a, b), ((2, 4, 5), (5, 6)), 2 * 4 * 5 * 6),
        (F.conv1d, ((1, 4, 20), (6, 4, 3)), 18 * 6 * 12),
        (F.conv2d, ((1, 4, 9, 9), (6, 4, 3, 3)), 49 * 6 * 36),
        (F.conv_transpose2d, ((1, 4, 5, 5), (4, 6, 3, 3)), 25 * 4 * 6 * 9),
    ],
)  # fmt: skip
def test_contractions(function: Any, shapes: tuple[tuple[int, ...], ...], macs: int) -> None:
    assert traced(function, *shapes).macs == macs


@pytest.mark.parametrize(
    ("function", "shape", "kind"),
    [
        (lambda x: x.permute(0, 2, 1), (2, 3, 4), "transpose"),
        (lambda x: x.transpose(0, 1), (1, 3, 4), "reshape"),
        (lambda x: x[:, 1:3], (2, 5), "slice"),
        (lambda x: x[:, 0], (2, 5), "slice"),
        (lambda x: x.expand(4, -1), (1, 5), "expand"),
        (lambda x: torch.cat([x, x], 1), (2, 5), "concat"),
        (lambda x: x.chunk(2, 1)[1], (2, 6), "split"),
        (lambda x: x.mean((1, 2)), (2, 3, 4), "reduce"),
        (lambda x: x.max(1)[0], (2, 3), "reduce"),
        (lambda x: F.pad(x, (1, 1)), (2, 3), "pad"),
        (lambda x: F.pixel_shuffle(x, 2), (1, 8, 3, 3), "depth_to_space"),
        (lambda x: F.avg_pool2d(x, 3, 2, 1), (1, 2, 9, 9), "avgpool"),
        (lambda x: F.adaptive_avg_pool2d(x, 4), (1, 2, 10, 10), "avgpool"),
        (lambda x: F.group_norm(x, 2), (1, 4, 5, 5), "groupnorm"),
        (lambda x: x * 2.0 + 1.0, (3, 4), "mul"),
        (lambda x: F.interpolate(x, scale_factor=2.0), (1, 2, 4, 4), "resize"),
        (lambda x: x.half(), (3, 4), "cast"),
        (lambda x: x.add_(1.0), (3, 4), "add"),
    ],
)
def test_operators_keep_shape_and_kind(function: Any, shape: tuple[int, ...], kind: str) -> None:
    network = traced(function, shape)
    assert kind in kinds(network)
    wanted = function(torch.zeros(shape))
    assert network.tensor[network.outputs[0]].shape == tuple(wanted.shape)


def test_adaptive_pooling_counts_overlapping_windows() -> None:
    network = traced(lambda x: F.adaptive_avg_pool2d(x, 3), (1, 1, 10, 10))
    spans = [4, 4, 4]
    assert network.operators[0].vector_ops == sum(spans) ** 2
    whole = traced(lambda x: F.adaptive_avg_pool2d(x, 1), (1, 3, 7, 7))
    assert whole.operators[0].vector_ops == 3 * 49


def test_in_place_results_are_what_follows_read() -> None:
    def function(x: Any) -> Any:
        y = x * 2
        y.relu_()
        return y + 1

    network = traced(function, (2, 3))
    assert kinds(network) == ["mul", "relu", "add"]
    assert network.operators[2].inputs == network.operators[1].outputs


def test_tied_weights_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(50, 8)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = self.table.weight

        def forward(self, tokens: Any) -> Any:
            return self.head(self.table(tokens))

    network = from_torch(Tied(), (torch.zeros(1, 4, dtype=torch.long),), name="tied")
    assert network.parameters == 50 * 8


def test_constants_fold() -> None:
    table = nn.Embedding(16, 8)
    module = Function(lambda x: x + table(torch.arange(x.shape[1])))
    module.table = table
    network = from_torch(module, (torch.zeros(2, 5, 8),), name="positions")
    assert kinds(network) == ["add"]
    assert network.parameters == 5 * 8


def test_half_precision_formats() -> None:
    module = nn.Linear(4, 4).to(torch.bfloat16)
    network = from_torch(module, (torch.zeros(1, 4, dtype=torch.bfloat16),), name="half")
    assert {str(t.format) for t in network.tensors} == {"bfloat16"}


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (torch.linalg.svdvals, (4, 4), r"cannot be imported"),
        (lambda x: x[x > 0], (4, 4), r"torch value 'index' is u0|depends on data"),
        (lambda x: x if x.sum() > 0 else -x, (4, 4), r"cannot be exported by torch.export"),
        (lambda x: torch.fft.fft(x), (4, 4), r"complex64 cannot be imported"),
    ],
)
def test_what_cannot_be_imported_is_named(
    function: Any, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        traced(function, shape)
    assert "\n" not in str(caught.value)


def test_macs_match_torch_flop_counter() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    module, x = SmallCnn().eval(), torch.zeros(2, 3, 32, 32)
    with FlopCounterMode(display=False) as counter:
        module(x)
    network = from_torch(module, (x,), name="cnn")
    assert 2 * network.macs == counter.get_total_flops()
    assert math.prod(network.tensor[network.outputs[0]].shape) == 20


class WritesAPart(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 0] = x[:, 1] * 3
        return y * 2


def test_a_write_into_a_part_reaches_the_whole():
    network = from_torch(WritesAPart(), (torch.randn(2, 3, 4),), name="part")
    last = network.operators[-1]
    (scatter,) = (op for op in network.operators if op.kind == "scatter")
    assert last.inputs == scatter.outputs
    assert [op.kind for op in network.operators].count("mul") == 2
