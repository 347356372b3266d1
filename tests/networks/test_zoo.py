from __future__ import annotations

import csv
import inspect
import time
from pathlib import Path

import pytest

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.operators import SCALAR_OPS
from dovetail.networks.zoo import NETWORKS
from dovetail.networks.zoo.mobilenet import round_channels

GOLDEN = Path(__file__).parents[1] / "golden" / "zoo.csv"
LLAMA = {"layers": 32, "D": 4096, "inner": 4096, "S": 11008, "matrices": 3}
GPT2 = {"layers": 12, "D": 768, "inner": 768, "S": 3072, "matrices": 2}


def _golden() -> list[dict[str, str]]:
    lines = [line for line in GOLDEN.read_text().splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", _golden(), ids=lambda row: row["name"])
def test_counts_equal_published_ones(row: dict[str, str]) -> None:
    arguments = dict(argument.split("=") for argument in row["arguments"].split())
    network = NETWORKS[row["name"]](**{name: int(text) for name, text in arguments.items()})
    wanted = float(row["parameters"]) - int(row["statistics"])
    tolerance = float(row["parameters_tolerance"] or 0)
    assert network.parameters == pytest.approx(wanted, rel=tolerance, abs=0)
    if row["macs"]:
        tolerance = float(row["macs_tolerance"])
        assert network.macs == pytest.approx(float(row["macs"]), rel=tolerance)


@pytest.mark.parametrize("name", NETWORKS)
def test_builds_fast_and_always_equal(name: str) -> None:
    start = time.process_time()
    first = NETWORKS[name]()
    assert time.process_time() - start < 1.0
    assert first == NETWORKS[name]()
    assert first.name == name


@pytest.mark.parametrize("name", NETWORKS)
def test_is_topologically_valid_and_has_no_dead_part(name: str) -> None:
    network = NETWORKS[name]()
    written = {t.name for t in network.tensors if t.is_parameter} | set(network.inputs)
    for op in network.operators:
        assert op.einsum or op.is_view or op.kind in SCALAR_OPS
        assert set(op.inputs) <= written
        assert not written & set(op.outputs)
        written |= set(op.outputs)
    assert written == set(network.tensor)
    dead = [t for t, readers in network.consumers.items() if not readers]
    assert set(dead) <= set(network.outputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_batch_multiplies_macs_and_leaves_parameters(name: str) -> None:
    one, three = NETWORKS[name](), NETWORKS[name](batch=3)
    assert three.macs == 3 * one.macs
    assert three.parameters == one.parameters
    with pytest.raises(NetworkError, match="must be >= 1"):
        NETWORKS[name](batch=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_argument_is_documented_and_has_a_default(name: str) -> None:
    function = NETWORKS[name]
    documentation = inspect.getdoc(function) or ""
    parameters = inspect.signature(function).parameters
    assert "batch" in parameters
    for parameter in parameters.values():
        assert parameter.kind is parameter.KEYWORD_ONLY
        assert parameter.default is not parameter.empty
        assert f"\n    {parameter.name}: " in documentation


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("resnet18", {"conv2d", "batchnorm", "relu", "maxpool", "add", "avgpool", "matmul"}),
        ("mobilenet_v2", {"depthwise_conv2d", "clip", "batchnorm", "add"}),
        ("bert_base", {"gather", "layernorm", "softmax", "gelu", "tanh", "transpose", "add"}),
        ("t5", {"gather", "rmsnorm", "softmax", "relu"}),
        ("gpt2_prefill", {"gather", "where", "layernorm", "gelu"}),
        ("gpt2_decode", {"concat", "gather", "softmax"}),
        ("llama2_7b_prefill", {"rope", "rmsnorm", "silu", "mul", "where"}),
        ("llama2_7b_decode", {"rope", "rmsnorm", "silu", "mul", "concat"}),
        ("autoencoder", {"matmul", "batchnorm", "relu"}),
        ("densenet121", {"concat", "avgpool", "maxpool"}),
        ("resnext50", {"conv2d", "add"}),
        ("mobilenet_v3_large", {"depthwise_conv2d", "hard_swish", "hard_sigmoid", "mul", "relu"}),
        ("deeplabv3", {"interpolate", "concat"}),
        ("lraspp", {"interpolate", "sigmoid", "mul"}),
        ("transformer", {"layernorm", "softmax", "where", "relu"}),
        ("nasnet_a", {"depthwise_conv2d", "avgpool", "maxpool", "concat", "slice"}),
        ("s3d", {"conv3d", "maxpool", "concat", "reduce"}),
        ("amoebanet_d", {"conv2d", "avgpool", "maxpool", "concat", "slice"}),
    ],
)
def test_holds_its_operators(name: str, kinds: set[str]) -> None:
    assert kinds <= {op.kind for op in NETWORKS[name]().operators}


def _layer_macs(rows: int, keys: int, spec: dict[str, int]) -> int:
    linear = 4 * spec["D"] * spec["inner"] + spec["matrices"] * spec["D"] * spec["S"]
    return spec["layers"] * rows * (linear + 2 * keys * spec["inner"])


@pytest.mark.parametrize(
    ("name", "layers", "D", "inner", "S"),
    [
        ("bert_base", 12, 768, 768, 3072),
        ("trxl", 18, 1024, 1024, 4096),
        ("t5", 6, 512, 512, 2048),
        ("xlm", 12, 2048, 2048, 8192),
    ],
)  # D, H E and S of FuseMax's workloads, arXiv 2406.10491 section VI
@pytest.mark.parametrize("sequence", [1, 77, 1024])
def test_encoder_macs_follow_the_closed_form(
    name: str, layers: int, D: int, inner: int, S: int, sequence: int
) -> None:
    spec = {"layers": layers, "D": D, "inner": inner, "S": S, "matrices": 2}
    pooler = D * D if name == "bert_base" else 0
    network = NETWORKS[name](sequence=sequence)
    assert network.macs == _layer_macs(sequence, sequence, spec) + pooler


def test_transformer_macs_follow_the_closed_form() -> None:
    width, hidden, source, target = 512, 2048, 50, 20
    encoder = source * (4 * width + 2 * hidden + 2 * source) * width
    own = target * (4 * width + 2 * hidden + 2 * target) * width
    cross = (2 * (target + source) * width + 2 * target * source) * width
    network = NETWORKS["transformer"](source=source, target=target)
    assert network.macs == 6 * (encoder + own + cross)


def test_transformer_counts_what_the_module_of_torch_counts() -> None:
    torch = pytest.importorskip("torch")
    from dovetail.networks.torch_import import from_torch

    module = torch.nn.Transformer(
        num_encoder_layers=2, num_decoder_layers=2, batch_first=True
    )  # fmt: skip
    theirs = from_torch(module, (torch.zeros(1, 50, 512), torch.zeros(1, 20, 512)), name="torch")
    ours = NETWORKS["transformer"](source=50, target=20, layers=2)
    assert (ours.macs, ours.parameters) == (theirs.macs, theirs.parameters)
    for kind in ("layernorm", "softmax", "relu", "add"):
        counts = [[op.kind for op in net.operators].count(kind) for net in (ours, theirs)]
        assert counts[0] == counts[1]


@pytest.mark.parametrize(
    ("family", "spec", "vocabulary"), [("gpt2", GPT2, 50257), ("llama2_7b", LLAMA, 32000)]
)
def test_decoder_macs_follow_the_closed_form(
    family: str, spec: dict[str, int], vocabulary: int
) -> None:
    head = spec["D"] * vocabulary
    prefill = NETWORKS[f"{family}_prefill"](sequence=100)
    assert prefill.macs == _layer_macs(100, 100, spec) + head
    decode = NETWORKS[f"{family}_decode"](context=99)
    assert decode.macs == _layer_macs(1, 100, spec) + head


def test_decode_takes_the_caches_that_prefill_returns() -> None:
    prefill = NETWORKS["gpt2_prefill"](sequence=10, batch=2)
    decode = NETWORKS["gpt2_decode"](context=10, batch=2)
    given = [decode.tensor[name].shape for name in decode.inputs[1:]]
    assert given == [prefill.tensor[name].shape for name in prefill.outputs[1:]]
    returned = [decode.tensor[name].shape for name in decode.outputs[1:]]
    assert returned == [(2, 12, 11, 64)] * 24
    assert decode.tensor[decode.outputs[0]].shape == (2, 50257)


def test_shorter_stacks_have_proportional_layers() -> None:
    def macs(layers: int) -> int:
        network: Network = NETWORKS["bert_base"](layers=layers)
        return network.macs

    assert macs(4) - macs(2) == 2 * (macs(3) - macs(2))


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("gpt2_prefill", {"sequence": 1025}, "1025 tokens exceed the model's 1024"),
        ("gpt2_decode", {"context": 1024}, "1025 tokens exceed"),
        ("llama2_7b_decode", {"context": 0}, "context 0 must be at least 1"),
        ("vit_b16", {"resolution": 225}, "multiple of 16"),
        ("vgg16", {"resolution": 96}, "needs 7 x 7"),
        ("nasnet_a", {"width": 12}, "first cell has 3 channels a state, and needs 4"),
        ("alexnet", {"resolution": 8}, "does not fit"),
        ("s3d", {"frames": 4}, "does not fit"),
        ("s3d", {"frames": 0}, "must be >= 1"),
        ("mobilenet_v1", {"width": 0}, "width multiplier must be positive"),
        ("bert_base", {"sequence": 0}, "must be >= 1"),
        ("resnet50", {"resolution": -1}, "must be >= 1"),
    ],
)
def test_illegal_arguments_are_one_line(name: str, arguments: dict[str, int], words: str) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        NETWORKS[name](**arguments)
    assert "\n" not in str(caught.value)


def test_other_resolutions_reach_the_same_classifier() -> None:
    for resolution in (224, 256, 320):
        assert NETWORKS["vgg16"](resolution=resolution).parameters == 138357544
        assert NETWORKS["alexnet"](resolution=resolution).parameters == 61100840
    assert NETWORKS["resnet50"](resolution=160).parameters == 25557032


@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3", "lraspp"])
def test_segmentation_returns_a_class_score_per_pixel(name: str) -> None:
    network = NETWORKS[name](resolution=96, batch=2)
    assert [network.tensor[x].shape for x in network.outputs] == [(2, 21, 96, 96)]


def test_dilated_stages_keep_an_eighth_of_the_image() -> None:
    network = NETWORKS["fcn_resnet50"]()
    last = network.tensor["layer4.2.relu"]
    assert last.shape == (1, 2048, 28, 28)


def test_round_channels_stays_above_ninety_percent() -> None:
    for channels in (x / 4 for x in range(1, 4000)):
        rounded = round_channels(channels)
        assert rounded % 8 == 0
        assert rounded >= 0.9 * channels
        assert rounded == 8 or abs(rounded - channels) <= 8
