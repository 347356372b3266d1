"""TFLite models: what the importer makes of operators, and of networks written by the exporter."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dovetail.errors import MissingExtraError, NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import INT8, Quantization
from dovetail.networks.registry import load_network
from dovetail.networks.tflite_export import to_tflite
from dovetail.networks.tflite_import import from_tflite, load_tflite
from dovetail.networks.tflite_ops.registry import HANDLERS
from dovetail.networks.tflite_ops.writing import Writer

HALF = Quantization((0.5,), (3,))
VIEWS = {"flatten": "reshape"}


def made(
    code: str, inputs: list[tuple[Any, ...]], outputs: list[tuple[int, ...]],
    table: str | None = None, types: tuple[str, ...] = (), **options: Any,
) -> Network:  # fmt: skip
    """A network of one operator: inputs are shapes of activations, or arrays of constants."""
    writer, indices, given = Writer(), [], []
    for position, entry in enumerate(inputs):
        if isinstance(entry, np.ndarray):
            kind = {"int8": "INT8", "int32": "INT32"}[entry.dtype.name]
            indices.append(writer.tensor(f"c{position}", entry.shape, kind, None, entry))
        else:
            kind = types[position] if types else "INT8"
            indices.append(writer.tensor(f"x{position}", entry, kind, HALF))
            given.append(indices[-1])
    written = [writer.tensor(f"y{i}", shape, "INT8", HALF) for i, shape in enumerate(outputs)]
    writer.operator(code, indices, written, table, **options)
    return from_tflite(writer.bytes(given, written), "one")


def codes(*shape: int) -> np.ndarray[Any, Any]:
    return np.arange(np.prod(shape), dtype=np.int32).astype(np.int8).reshape(shape)


def ints(*values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.int32)


def view_of(op: Operator) -> tuple[Any, ...]:
    return VIEWS.get(op.kind, op.kind), op.macs, op.vector_ops, op.window


# Whole networks


@pytest.mark.parametrize(
    "name", ["resnet8", "ds_cnn", "autoencoder", "mobilenet_v1_025", "mobilenet_v2"]
)
def test_what_is_written_is_read_back(name: str) -> None:
    network = load_network(name)
    read = from_tflite(to_tflite(network, seed=1), name)
    wanted = [op for op in network.operators if op.kind != "batchnorm"]
    assert [view_of(op) for op in read.operators] == [view_of(op) for op in wanted]
    for op, other in zip(wanted, read.operators, strict=True):
        if op.einsum:
            assert other.einsum is not None
            assert other.einsum.ranks == op.einsum.ranks
            pairs = zip(op.einsum.operands, other.einsum.operands, strict=True)
            assert all(a.indices == b.indices for a, b in pairs)
            weight = read.tensor[other.inputs[1]]
            assert weight.shape == network.tensor[op.inputs[1]].shape
    shapes = [network.tensor[name].shape for name in (*network.inputs, *network.outputs)]
    assert [read.tensor[name].shape for name in (*read.inputs, *read.outputs)] == shapes


def test_padding_without_a_name_is_the_convolution_s() -> None:
    network = load_network("resnet18")
    read = from_tflite(to_tflite(network), "resnet18")
    assert not [op.name for op in read.operators if op.kind == "pad"]
    (pool,) = (op.window for op in read.operators if op.kind == "maxpool")
    assert pool is not None
    assert (pool.kernel, pool.stride, pool.padding[:2]) == ((3, 3), (2, 2), (1, 1))
    pairs = zip(
        (op for op in network.operators if op.macs), (op for op in read.operators if op.macs),
        strict=True,
    )  # fmt: skip
    for op, other in pairs:
        assert op.einsum is not None
        assert other.einsum is not None
        assert other.einsum.operands[0].indices == op.einsum.operands[0].indices


@pytest.mark.parametrize(
    ("amounts", "padding", "kept"),
    [
        ([[0, 0], [1, 2], [0, 1], [0, 0]], 1, False),
        ([[0, 0], [1, 2], [0, 1], [0, 0]], 0, True),  # the convolution pads, too
        ([[0, 0], [1, 1], [1, 1], [0, 1]], 1, True),  # a channel more
    ],
)
def test_padding_before_a_convolution(amounts: Any, padding: int, kept: bool) -> None:
    writer = Writer()
    x = writer.tensor("x", (1, 6, 6, 2), "INT8", HALF)
    rows, columns, depth = 6 + sum(amounts[1]), 6 + sum(amounts[2]), 2 + sum(amounts[3])
    padded = writer.tensor("padded", (1, rows, columns, depth), "INT8", HALF)
    pads = writer.tensor("amounts", (4, 2), "INT32", None, np.array(amounts, np.int32))
    w = writer.tensor("w", (4, 3, 3, depth), "INT8", HALF, codes(4, 3, 3, depth))
    made = (rows, columns) if padding == 0 else (rows - 2, columns - 2)
    y = writer.tensor("y", (1, *made, 4), "INT8", HALF)
    writer.operator("PAD", [x, pads], [padded], "PadOptions")
    writer.operator(
        "CONV_2D", [padded, w], [y], "Conv2DOptions", Padding=padding, StrideH=1, StrideW=1
    )
    network = from_tflite(writer.bytes([x], [y]), "padded")
    assert ("pad" in [op.kind for op in network.operators]) == kept
    conv = network.operators[-1]
    assert conv.einsum is not None
    assert [i.offset for i in conv.einsum.operands[0].indices[2:]] == (
        [-1, 0] if not kept else [-1, -1] if padding == 0 else [0, 0]
    )
    assert network.tensor["y"].shape == (1, 4, *made)


@pytest.mark.parametrize(("zero", "kept"), [(-128, False), (3, True)])
def test_zeros_before_a_maximum_are_its_own_where_no_code_is_less(zero: int, kept: bool) -> None:
    scale = Quantization((0.5,), (zero,))
    writer = Writer()
    x = writer.tensor("x", (1, 6, 6, 2), "INT8", scale)
    padded = writer.tensor("padded", (1, 8, 8, 2), "INT8", scale)
    amounts = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
    pads = writer.tensor("amounts", (4, 2), "INT32", None, amounts)
    y = writer.tensor("y", (1, 3, 3, 2), "INT8", scale)
    writer.operator("PAD", [x, pads], [padded], "PadOptions")
    writer.operator(
        "MAX_POOL_2D", [padded], [y], "Pool2DOptions", Padding=1, StrideH=2, StrideW=2,
        FilterHeight=3, FilterWidth=3,
    )  # fmt: skip
    network = from_tflite(writer.bytes([x], [y]), "padded")
    assert [op.kind for op in network.operators] == (["pad", "maxpool"] if kept else ["maxpool"])
    window = network.operators[-1].window
    assert window is not None
    assert window.padding == ((0, 0, 0, 0) if kept else (1, 1, 1, 1))


def test_scales_reach_the_tensors() -> None:
    read = from_tflite(to_tflite(load_network("ds_cnn")), "ds_cnn")
    for op in read.operators:
        if op.macs:
            x, weight, bias = (read.tensor[name] for name in op.inputs)
            assert x.quantization is not None
            assert weight.quantization is not None
            assert bias.quantization is not None
            assert weight.quantization.axis == 0
            wanted = np.array(weight.quantization.scales) * x.quantization.scales[0]
            assert np.allclose(bias.quantization.scales, wanted, rtol=1e-6)
            assert weight.entropy_bits is not None
            assert 4 < weight.entropy_bits < 8
            assert weight.size_bytes == weight.elements


def test_same_seed_same_file() -> None:
    network = load_network("autoencoder")
    assert to_tflite(network, seed=3) == to_tflite(network, seed=3)
    assert to_tflite(network, seed=3) != to_tflite(network, seed=4)


@pytest.mark.parametrize(
    ("name", "words"),
    [("densenet121", "(batchnorm)"), ("bert_base", "cannot be written")],
)
def test_what_tflite_cannot_hold(name: str, words: str) -> None:
    with pytest.raises(NetworkError) as error:
        to_tflite(load_network(name))
    assert words in str(error.value)


# Single operators


def test_convolution() -> None:
    weight = Quantization((0.1, 0.2, 0.3), (0, 0, 0), axis=0)
    writer = Writer()
    x = writer.tensor("x", (1, 9, 11, 4), "INT8", HALF)
    w = writer.tensor("w", (3, 3, 2, 4), "INT8", weight, codes(3, 3, 2, 4))
    y = writer.tensor("y;fused", (1, 5, 4, 3), "INT8", HALF)
    writer.operator(
        "CONV_2D", [x, w, -1], [y], "Conv2DOptions", Padding=0, StrideH=2, StrideW=3,
        DilationHFactor=1, DilationWFactor=1, FusedActivationFunction=3,
    )  # fmt: skip
    network = from_tflite(writer.bytes([x], [y]), "conv")
    conv, clip = network.operators
    assert (conv.kind, clip.kind, network.outputs) == ("conv2d", "clip", ("y",))
    assert conv.einsum is not None
    assert conv.einsum.ranks == (
        ("N", 1), ("G", 1), ("K", 3), ("C", 4), ("P", 5), ("Q", 4), ("R", 3), ("S", 2),
    )  # fmt: skip
    assert [i.offset for i in conv.einsum.operands[0].indices] == [0, 0, -1, 0]
    assert network.tensor["x"].shape == (1, 4, 9, 11)
    assert network.tensor["w"].shape == (3, 4, 3, 2)
    stored = network.tensor["w"].quantization
    assert stored is not None
    assert stored.axis == 0
    assert np.allclose(stored.scales, weight.scales)
    assert network.tensor["y"].format == INT8


def test_depthwise_scales_move_with_their_axis() -> None:
    scales = Quantization(tuple(0.1 * i for i in range(1, 9)), (0,) * 8, axis=3)
    writer = Writer()
    x = writer.tensor("x", (1, 5, 5, 4), "INT8", HALF)
    w = writer.tensor("w", (1, 3, 3, 8), "INT8", scales, codes(1, 3, 3, 8))
    y = writer.tensor("y", (1, 3, 3, 8), "INT8", HALF)
    writer.operator(
        "DEPTHWISE_CONV_2D", [x, w], [y], "DepthwiseConv2DOptions", Padding=1, StrideH=1,
        StrideW=1, DepthMultiplier=2,
    )  # fmt: skip
    network = from_tflite(writer.bytes([x], [y]), "depthwise")
    (op,) = network.operators
    assert op.kind == "depthwise_conv2d"
    assert op.macs == 3 * 3 * 8 * 9
    assert network.tensor["w"].shape == (8, 1, 3, 3)
    moved = network.tensor["w"].quantization
    assert moved is not None
    assert moved.axis == 0


@pytest.mark.parametrize(
    ("network", "kind", "macs", "shape"),
    [
        (
            made("FULLY_CONNECTED", [(2, 3, 8), codes(5, 8)], [(2, 3, 5)], "FullyConnectedOptions",
                 KeepNumDims=True),
            "matmul", 240, (2, 3, 5),
        ),
        (
            made("BATCH_MATMUL", [(2, 3, 4, 8), (2, 3, 5, 8)], [(2, 3, 4, 5)],
                 "BatchMatMulOptions", AdjY=True),
            "matmul", 960, (2, 5, 3, 4),
        ),
        (
            made("CONV_3D", [(1, 4, 5, 6, 2), codes(2, 3, 3, 2, 7)], [(1, 3, 3, 4, 7)],
                 "Conv3DOptions", Padding=1, StrideD=1, StrideH=1, StrideW=1),
            "conv3d", 3 * 3 * 4 * 7 * 18 * 2, (1, 7, 3, 3, 4),
        ),
        (
            made("MEAN", [(1, 7, 6, 8), ints(1, 2)], [(1, 8)], "ReducerOptions"),
            "avgpool", 0, (1, 8),
        ),
        (
            made("MEAN", [(1, 7, 6, 8), ints(-1)], [(1, 7, 6, 1)], "ReducerOptions",
                 KeepDims=True),
            "reduce", 0, (1, 1, 7, 6),
        ),
        (
            made("PAD", [(1, 4, 4, 2), ints([0, 0], [1, 2], [0, 1], [0, 0])], [(1, 7, 5, 2)]),
            "pad", 0, (1, 2, 7, 5),
        ),
        (
            made("TRANSPOSE", [(2, 3, 4), ints(2, 0, 1)], [(4, 2, 3)]),
            "transpose", 0, (4, 2, 3),
        ),
        (
            made("CONCATENATION", [(1, 4, 4, 2), (1, 4, 4, 3)], [(1, 4, 4, 5)],
                 "ConcatenationOptions", Axis=-1),
            "concat", 0, (1, 5, 4, 4),
        ),
        (
            made("STRIDED_SLICE", [(4, 6), ints(0, 0), ints(4, 6), ints(2, 2)], [(2, 3)]),
            "slice", 0, (2, 3),
        ),
        (
            made("RESIZE_BILINEAR", [(1, 4, 4, 2), ints(8, 8)], [(1, 8, 8, 2)]),
            "interpolate", 0, (1, 2, 8, 8),
        ),
        (made("HARD_SWISH", [(1, 4)], [(1, 4)]), "hard_swish", 0, (1, 4)),
        (made("LOGISTIC", [(1, 4)], [(1, 4)]), "sigmoid", 0, (1, 4)),
        (made("GELU", [(1, 4)], [(1, 4)]), "gelu", 0, (1, 4)),
        (made("SUB", [(1, 4, 4, 2), (1, 1, 1, 2)], [(1, 4, 4, 2)]), "sub", 0, (1, 2, 4, 4)),
        (
            made("SPLIT", [ints(1), (1, 6)], [(1, 2), (1, 4)], "SplitOptions", NumSplits=2),
            "split", 0, (1, 2),
        ),
        (
            made("GATHER", [codes(10, 4), (3,)], [(3, 4)], "GatherOptions",
                 types=("INT8", "INT32")),
            "gather", 0, (3, 4),
        ),
    ],
)  # fmt: skip
def test_operators(network: Network, kind: str, macs: int, shape: tuple[int, ...]) -> None:
    assert network.operators[0].kind == kind
    assert network.macs == macs
    assert network.tensor[network.outputs[0]].shape == shape
    assert network.tensor[network.outputs[0]].quantization == HALF


def test_transposed_convolution_counts_true_products() -> None:
    network = made(
        "TRANSPOSE_CONV", [ints(1, 8, 8, 3), codes(3, 3, 3, 5), (1, 4, 4, 5)], [(1, 8, 8, 3)],
        "TransposeConvOptions", Padding=0, StrideH=2, StrideW=2,
    )  # fmt: skip
    assert [op.kind for op in network.operators] == ["matmul", "col2im"]
    assert network.macs == 4 * 4 * 5 * 3 * 3 * 3


def test_constants_per_channel_follow_the_channels() -> None:
    network = made("ADD", [(1, 4, 4, 2), codes(2)], [(1, 4, 4, 2)])
    assert network.tensor["c1"].shape == (1, 2, 1, 1)
    assert network.tensor["x0"].shape == (1, 2, 4, 4)


def test_numbers_are_held_by_operators() -> None:
    network = made("MUL", [(1, 4), codes(1)], [(1, 4)])
    assert network.operators[0].inputs == ("x0",)


def test_converted_constants_stay_stored() -> None:
    writer = Writer()
    x = writer.tensor("x", (2, 4), "FLOAT32")
    half = writer.tensor("half", (3, 4), "FLOAT16", None, np.ones((3, 4), np.float16))
    full, y = writer.tensor("full", (3, 4), "FLOAT32"), writer.tensor("y", (2, 3), "FLOAT32")
    writer.operator("DEQUANTIZE", [half], [full])
    writer.operator("FULLY_CONNECTED", [x, full], [y], "FullyConnectedOptions")
    network = from_tflite(writer.bytes([x], [y]), "half")
    assert [op.inputs for op in network.operators] == [("x", "half")]
    assert str(network.tensor["half"].format) == "float16"


def test_unsigned_codes_are_shifted() -> None:
    writer = Writer()
    scale = Quantization((0.5,), (128,))
    x, y = (writer.tensor(name, (1, 4), "UINT8", scale) for name in "xy")
    writer.operator("RELU", [x], [y])
    network = from_tflite(writer.bytes([x], [y]), "unsigned")
    assert network.tensor["x"].quantization == Quantization((0.5,), (0,))


def test_names_are_unique_and_never_empty() -> None:
    writer = Writer()
    tensors = [writer.tensor(name, (1, 4)) for name in ("a", "", "a", "")]
    for source, sink in pairwise(tensors):
        writer.operator("RELU", [source], [sink])
    network = from_tflite(writer.bytes(tensors[:1], tensors[-1:]), "names")
    assert [t.name for t in network.tensors] == ["a", "tensor1", "a_2", "tensor3"]


# What is refused


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made("SVDF", [(1, 4)], [(1, 4)]), "operator 0 ('y0'): SVDF cannot be imported"),
        (lambda: made("CONV_2D", [(1, 4, 4, 2), codes(3, 3, 3, 2)], [(1, 4, 4, 3)],
                      "Conv2DOptions", Padding=1, StrideH=1, StrideW=1),
         "operator 0 (CONV_2D): 'y0' is declared as [1, 4, 4, 3], but computes [1, 2, 2, 3]"),
        (lambda: made("CONV_2D", [(1, 4, 4, 2), codes(3, 3, 3, 2)], [(1, 2, 2, 3)],
                      "Conv2DOptions", Padding=1), "must be >= 1"),
        (lambda: made("CONV_2D", [(1, 4, 4, 3), codes(3, 3, 3, 2)], [(1, 2, 2, 3)],
                      "Conv2DOptions", Padding=1, StrideH=1, StrideW=1), "do not divide"),
        (lambda: made("CONV_2D", [(1, 4, 4, 2), codes(3, 3, 3, 2)], [(1, 2, 2, 3)],
                      "AddOptions"), "options of type"),
        (lambda: made("RESHAPE", [(1, 4), ints(1, 5)], [(1, 5)]), "does not reshape"),
        (lambda: made("ADD", [(1, 4), (1, 3)], [(1, 4)]), "do not broadcast"),
        (lambda: made("RELU", [(1, 4)], [(1, 5)]), "declared as [1, 5]"),
        (lambda: made("RELU", [(0, 4)], [(0, 4)]), "every extent must be >= 1"),
        (lambda: made("RELU", [(-1, 4)], [(-1, 4)]), "every extent must be >= 1"),
        (lambda: made("RELU", [(2**30, 2**30)], [(2**30, 2**30)]), "exceeds 2^48"),
        (lambda: made("TRANSPOSE", [(2, 3), (2,)], [(3, 2)]), "must be a constant of integers"),
        (lambda: made("TRANSPOSE", [(2, 3), ints(0, 0)], [(3, 2)]), "do not permute"),
        (lambda: made("MEAN", [(2, 3), ints(7)], [(2, 1)]), "axis 7"),
    ],
)  # fmt: skip
def test_refused(make: Any, words: str) -> None:
    with pytest.raises(NetworkError) as error:
        make()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_every_handler_names_an_operator_of_the_schema() -> None:
    tflite = pytest.importorskip("tflite")
    known = set(tflite.utils.BUILTIN_OPCODE2NAME.values())
    assert set(HANDLERS) <= known


def test_a_missing_schema_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_tflite(load_network("autoencoder"))
    monkeypatch.setitem(__import__("sys").modules, "tflite", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'dovetail\[tflite\]'"):
        from_tflite(data)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(to_tflite(load_network("autoencoder")))
    assert load_network(str(path)) == load_tflite(path)
    assert load_network(str(path), batch=1).name == "small"
    with pytest.raises(NetworkError, match="batch 2: a TFLite model has fixed shapes"):
        load_network(str(path), batch=2)
    with pytest.raises(NetworkError, match="is not a file"):
        load_tflite(tmp_path)
