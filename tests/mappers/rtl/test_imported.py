"""Imported integers on the RTL machine: codes against those that LiteRT's reference kernels make.

The golden file holds two models and every int8 tensor of one image each; its source stands in it.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dovetail.errors import AcceleratorError, MappingError
from dovetail.ir.network import Network
from dovetail.mappers.rtl.imported import imported
from dovetail.networks.builder import NetworkBuilder
from dovetail.networks.quantized import Addition, Convolution, Layer, Pooling, QuantizedNetwork
from dovetail.networks.tflite_codes import codes_of, load_codes
from dovetail.networks.tflite_export import to_tflite
from dovetail.networks.tflite_import import from_tflite
from dovetail.networks.tflite_ops.reading import read_graph
from dovetail.sim.values_network import reference, requantized, sums
from dovetail.verify.networks import MICRO, imported_subject

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/litert.json").read_text())["models"]


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


class Model:
    """A golden model: its network, its integers, and LiteRT's codes."""

    def __init__(self, name: str) -> None:
        data = unpacked(GOLDEN[name]["file"])
        self.network = from_tflite(data, name)
        self.made = imported(self.network, codes_of(read_graph(data, name), self.network))
        self.tensors = GOLDEN[name]["tensors"]

    def codes(self, name: str) -> NDArray[np.int64]:
        """LiteRT's (C, H, W) codes of an activation."""
        stored = self.tensors[name]
        codes = np.frombuffer(unpacked(stored["codes"]), np.int8).reshape(stored["shape"])
        image = codes[0].transpose(2, 0, 1) if codes.ndim == 4 else codes.T
        return image.reshape(self.made.tensor(name).shape).astype(np.int64)

    def sums(self, layer: Layer) -> NDArray[np.int64]:
        """Sums of a layer of LiteRT's inputs."""
        return sums(self.made, layer, [self.codes(name) for name in layer.inputs])


@pytest.fixture(scope="module", params=sorted(GOLDEN))
def model(request: pytest.FixtureRequest) -> Model:
    return Model(request.param)


def double_rounded(acc: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    """gemmlowp: to 32 bits, ties away from 0, then shifted right, ties away from 0."""
    fraction, exponent = math.frexp(scale)
    multiplier = round(fraction * 2**31)
    product = acc * multiplier
    nudged = product + np.where(product >= 0, 2**30, 1 - 2**30)
    high = np.where(nudged >= 0, nudged >> 31, -(-nudged >> 31))
    assert exponent <= 0
    rest, half = high & ((1 << -exponent) - 1), (1 << -exponent) // 2
    return (high >> -exponent) + (rest > half - 1 + (high < 0) if exponent else 0)


def test_sums_are_exactly_those_of_tflite(model: Model) -> None:
    """With the rounding of its reference kernels every code of every convolution is the same."""
    tensor, compared = model.network.tensor, 0
    for layer in model.made.layers:
        if not isinstance(layer, Convolution) or layer.name == "classifier":
            continue  # a fully connected layer rounds once
        op = next(op for op in model.network.operators if op.name == layer.name)
        x, weight, y = tensor[layer.input], tensor[op.inputs[1]], tensor[layer.output]
        law = layer.requantization
        acc = model.sums(layer) + law.bias[:, None, None]
        steps = [x.quantization.scales[0] * s / y.quantization.scales[0]
                 for s in weight.quantization.scales]  # fmt: skip
        codes = np.stack([double_rounded(a, s) for a, s in zip(acc, steps, strict=True)])
        codes = np.clip(codes + y.quantization.zero_points[0], law.low, law.high)
        np.testing.assert_array_equal(codes, model.codes(layer.output))
        compared += codes.size
    assert compared > 7000


def test_means_differ_at_negative_ties_only(model: Model) -> None:
    """TFLite rounds ties of a mean away from 0, the gates round them up."""
    for layer in model.made.layers:
        if isinstance(layer, Pooling) and layer.kind == "sum":
            acc, taps = model.sums(layer), math.prod(layer.window.kernel)
            codes = np.sign(acc) * ((np.abs(acc) + taps // 2) // taps)
            np.testing.assert_array_equal(codes, model.codes(layer.output))
            made = requantized(model.made, layer.requantization, acc)
            tie = (acc < 0) & (2 * acc % (2 * taps) == taps)
            np.testing.assert_array_equal(made - codes, tie)


def test_codes_differ_by_the_rounding_only(model: Model) -> None:
    """One code in 50 at most, by 1; sums of two tensors and the greatest of some are the same."""
    for layer in model.made.layers:
        made = requantized(model.made, layer.requantization, model.sums(layer))
        distance = np.abs(made - model.codes(layer.output))
        if isinstance(layer, Convolution):
            assert distance.max() <= 1, layer.name
            assert (distance > 0).mean() <= 0.02, layer.name
        elif isinstance(layer, Addition) or layer.kind == "max":
            assert not distance.any(), layer.name


def test_whole_networks_end_within_a_few_codes(model: Model) -> None:
    image = model.codes(model.made.input)
    values = reference(model.made, image)
    distance = np.abs(values[model.made.output] - model.codes(model.made.output))
    assert distance.max() <= 3


# What is refused


def small() -> tuple[Network, dict[str, NDArray[Any]]]:
    builder = NetworkBuilder("net")
    x = builder.input("x", (1, 3, 8, 8))
    x = builder.activation(builder.conv2d(x, 4, 3, bias=True, name="conv"), "relu")
    data = to_tflite(builder.build([builder.conv2d(x, 4, 1, name="head")]))
    network = from_tflite(data, "net")
    return network, codes_of(read_graph(data, "net"), network)


def changed(network: Network, name: str, **changes: Any) -> Network:
    tensors = tuple(replace(t, **changes) if t.name == name else t for t in network.tensors)
    return replace(network, tensors=tensors)


def test_the_last_layer_makes_codes_not_sums() -> None:
    made = imported(*small())
    assert isinstance(made, QuantizedNetwork)
    assert not any(tensor.wide for tensor in made.tensors)


def test_scales_are_needed() -> None:
    network, codes = small()
    with pytest.raises(MappingError, match="tensor 'x' has no scale"):
        imported(changed(network, "x", quantization=None), codes)


def test_weights_must_be_symmetric() -> None:
    network, codes = small()
    name = network.operators[0].inputs[1]
    quantization = network.tensor[name].quantization
    assert quantization is not None
    shifted = replace(quantization, zero_points=(1,) * len(quantization.scales))
    with pytest.raises(MappingError, match="has a zero point"):
        imported(changed(network, name, quantization=shifted), codes)


def test_designs_must_have_operands_of_eight_bits() -> None:
    network, codes = small()
    with pytest.raises(AcceleratorError, match="operands of 16 and 8 bits"):
        imported_subject(network, codes, MICRO.replace({"input_bits": 16}), 1, 0)
    subject = imported_subject(network, codes, MICRO, 2, 0)
    assert subject.images.shape == (2, 3, 8, 8)


def test_codes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    data = unpacked(GOLDEN["small"]["file"])
    path.write_bytes(data)
    network = from_tflite(data, "net")
    codes = load_codes(path, network)
    assert set(codes) == {t.name for t in network.tensors if t.is_parameter}
    assert all(codes[name].shape == network.tensor[name].shape for name in codes)
