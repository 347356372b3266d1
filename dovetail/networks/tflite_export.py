"""Networks as int8 TFLite models with random weights, for tools that read nothing else.

Shapes, windows, fused activations and the layout of the file are those of the network. Weights
are drawn with He's spread, and scales follow the spread that activations then have, so that codes
neither vanish nor saturate: a file for cost models, compilers and simulators, not for accuracy.
Batch normalizations are folded into the convolution before them. A flattened image is read rows
first (H, W, C), as TFLite stores it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import Quantization, Tensor
from dovetail.networks.shapes import Shape, permuted, same_padding
from dovetail.networks.tflite_ops.drawing import bias_codes, spanning, weight_codes
from dovetail.networks.tflite_ops.writing import Writer

NONE, RELU, RELU6 = 0, 1, 3
SAME, VALID = 0, 1
FUSED = {"relu": RELU, "clip": RELU6}

ELEMENTWISE = {
    "relu": ("RELU", None), "clip": ("RELU6", None), "sigmoid": ("LOGISTIC", None),
    "tanh": ("TANH", None), "hard_swish": ("HARD_SWISH", "HardSwishOptions"),
    "softmax": ("SOFTMAX", "SoftmaxOptions"), "gelu": ("GELU", "GeluOptions"),
    "add": ("ADD", "AddOptions"), "mul": ("MUL", "MulOptions"), "sub": ("SUB", "SubOptions"),
}  # fmt: skip
HOSTS = ("conv2d", "depthwise_conv2d", "matmul", "add", "sub", "mul", "avgpool", "maxpool")
"""Kinds whose options hold a fused activation."""
KEEPS_CODES = ("avgpool", "maxpool", "flatten", "reshape", "squeeze", "unsqueeze", "pad", "relu")
"""Kinds whose output has the quantization of their input."""


def to_tflite(network: Network, *, seed: int = 0) -> bytes:
    """The network as an int8 TFLite model.

    Args:
        network: of convolutions, linear layers, poolings and elementwise operators.
        seed: of weights and scales.

    Raises:
        NetworkError: naming an operator that cannot be written.
        MissingExtraError: if TFLite's schema is not installed.
    """
    export = _Export(network, np.random.default_rng(seed))
    for op in network.operators:
        if op.name not in export.folded:
            export.operator(op)
    inputs = [export.index[name] for name in network.inputs]
    return export.writer.bytes(inputs, [export.index[name] for name in network.outputs])


@dataclass
class _Export:
    """A model while it is written.

    Attributes:
        network: what is written.
        rng: draws weights and scales.
        writer: the file.
        index: of a tensor's number in the file.
        folded: names of operators that are part of the one before them.
        spread: root mean square of an activation's real values, roughly.
    """

    network: Network
    rng: np.random.Generator
    writer: Writer = field(default_factory=Writer)
    index: dict[str, int] = field(default_factory=dict)
    folded: set[str] = field(default_factory=set)
    spread: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.network.inputs:
            self.spread[name] = 1.0
            quantization = spanning(self.rng, 1.0, positive=False)
            self.index[name] = self._activation(self.network.tensor[name], name, quantization)

    def operator(self, op: Operator) -> None:
        """Writes one operator with those folded into it."""
        activation, output = self._tail(op)
        match op.kind:
            case "conv2d" | "depthwise_conv2d":
                self._conv(op, activation, output)
            case "matmul":
                self._linear(op, activation, output)
            case "avgpool" | "maxpool":
                self._pool(op, activation, output)
            case "flatten" | "reshape" | "squeeze" | "unsqueeze":
                self._reshape(op, output)
            case "concat":
                self._concat(op, output)
            case kind if kind in ELEMENTWISE:
                self._elementwise(op, activation, output)
            case _:
                raise self._fail(op, "cannot be written as TFLite")

    def _fail(self, op: Operator, text: str) -> NetworkError:
        return NetworkError(f"operator '{op.name}' ({op.kind}): {text}")

    # Tensors

    def _activation(self, tensor: Tensor, name: str, quantization: Quantization) -> int:
        return self.writer.tensor(name, _rows_first(tensor.shape), "INT8", quantization)

    def _output(self, op: Operator, name: str, activation: int = NONE) -> int:
        """Declares what an operator writes."""
        read = [self.spread[x] for x in op.inputs if x in self.spread]
        spread = math.hypot(*read) if op.kind in ("add", "sub") else max(read)
        if activation != NONE and not op.macs:
            spread /= math.sqrt(2)
        positive = activation != NONE or op.kind in ("relu", "clip", "sigmoid")
        self.spread[name] = spread
        quantization = spanning(self.rng, spread, positive=positive)
        if op.kind in KEEPS_CODES:
            quantization = self._quantization(op.inputs[0])
        elif op.kind == "softmax":
            quantization = Quantization((1 / 256,), (-128,))
        self.index[name] = self._activation(self.network.tensor[name], name, quantization)
        return self.index[name]

    def _quantization(self, name: str) -> Quantization:
        found = self.writer.tensors[self.index[name]].quantization
        assert found is not None
        return found

    def _integers(self, name: str, values: NDArray[np.int32]) -> int:
        return self.writer.tensor(name, values.shape, "INT32", None, values)

    def _weight(
        self, name: str, shape: Shape, axis: int, activation: int
    ) -> tuple[int, Quantization]:
        """A drawn weight; an activation behind it halves the variance, which it makes up for."""
        if name in self.index:
            return self.index[name], self._quantization(name)
        codes, quantization = weight_codes(
            self.rng, shape, axis, 1.0 if activation == NONE else 2.0
        )
        self.index[name] = self.writer.tensor(name, shape, "INT8", quantization, codes)
        return self.index[name], quantization

    def _bias(self, op: Operator, weight: Quantization) -> int:
        source = op.inputs[0]
        step = self._quantization(source).scales[0]
        codes, quantization = bias_codes(self.rng, step, weight, self.spread[source])
        return self.writer.tensor(f"{op.name}.bias", codes.shape, "INT32", quantization, codes)

    # Operators

    def _tail(self, op: Operator) -> tuple[int, str]:
        """Folds what follows into an operator: its fused activation, and what it writes then."""
        output, activation = op.outputs[0], NONE
        follower = self._follower(output)
        if op.macs and follower and follower.kind == "batchnorm":
            self.folded.add(follower.name)
            output = follower.outputs[0]
            follower = self._follower(output)
        if op.kind in HOSTS and follower and follower.kind in FUSED:
            self.folded.add(follower.name)
            output, activation = follower.outputs[0], FUSED[follower.kind]
        return activation, output

    def _follower(self, tensor: str) -> Operator | None:
        """The only reader of a tensor that the network does not return."""
        readers = self.network.consumers[tensor]
        return readers[0] if len(readers) == 1 and tensor not in self.network.outputs else None

    def _conv(self, op: Operator, activation: int, output: str) -> None:
        einsum, depthwise = op.einsum, op.kind == "depthwise_conv2d"
        assert einsum is not None
        k, depth, r, s = self.network.tensor[op.inputs[1]].shape
        moving = einsum.operands[0].indices[2:]
        stride = tuple(i.coefficient(rank) for i, rank in zip(moving, "PQ", strict=True))
        dilation = tuple(i.coefficient(rank) for i, rank in zip(moving, "RS", strict=True))
        begin = tuple(-index.offset for index in moving)
        made = self.network.tensor[op.outputs[0]].shape[2:]
        x, padding = self._padded(op, (r, s), stride, dilation, begin, made)
        shape, axis = ((1, r, s, k), 3) if depthwise else ((k, r, s, depth), 0)
        weight, scales = self._weight(op.inputs[1], shape, axis, activation)
        inputs = [x, weight, self._bias(op, scales)]
        options = {
            "Padding": padding, "StrideH": stride[0], "StrideW": stride[1],
            "DilationHFactor": dilation[0], "DilationWFactor": dilation[1],
            "FusedActivationFunction": activation,
        }  # fmt: skip
        if depthwise:
            channels = self.network.tensor[op.inputs[0]].shape[1]
            options["DepthMultiplier"] = k // channels
        code, table = (
            ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions")
            if depthwise
            else ("CONV_2D", "Conv2DOptions")
        )
        self.writer.operator(code, inputs, [self._output(op, output, activation)], table, **options)

    def _padded(
        self, op: Operator, kernel: Shape, stride: Shape, dilation: Shape, begin: Shape,
        made: Shape,
    ) -> tuple[int, int]:  # fmt: skip
        """The input of a window and its padding; one that TFLite has no name for is written."""
        x = op.inputs[0]
        sizes = self.network.tensor[x].shape[2:]
        spans = zip(sizes, kernel, stride, dilation, begin, made, strict=True)
        end = tuple(max(0, (m - 1) * s + d * (k - 1) + 1 - n - b) for n, k, s, d, b, m in spans)
        if (begin, end) == same_padding(sizes, kernel, stride, dilation):
            return self.index[x], SAME
        if not any(begin + end):
            return self.index[x], VALID
        if op.kind == "avgpool":
            raise self._fail(op, "its padding would count as zeros in TFLite")
        return self._pad(op, x, begin, end), VALID

    def _pad(self, op: Operator, x: str, begin: Shape, end: Shape) -> int:
        amounts = np.array([[0, 0], *zip(begin, end, strict=True), [0, 0]], np.int32)
        n, h, w, c = _rows_first(self.network.tensor[x].shape)
        shape = (n, h + begin[0] + end[0], w + begin[1] + end[1], c)
        quantization, name = self._quantization(x), f"{op.name}.pad"
        made = self.writer.tensor(name, shape, "INT8", quantization)
        inputs = [self.index[x], self._integers(f"{name}.amounts", amounts)]
        if op.kind == "maxpool":  # the least code never wins
            least = np.array([-128], np.int8)
            inputs.append(self.writer.tensor(f"{name}.least", (1,), "INT8", quantization, least))
            self.writer.operator("PADV2", inputs, [made], "PadV2Options")
        else:
            self.writer.operator("PAD", inputs, [made], "PadOptions")
        return made

    def _linear(self, op: Operator, activation: int, output: str) -> None:
        einsum, weight = op.einsum, self.network.tensor[op.inputs[1]]
        assert einsum is not None
        turned = [index.coefficient("C") for index in einsum.operands[1].indices][-1:] == [1]
        if not weight.is_parameter or einsum.extent("G") > 1 or len(weight.shape) != 2:
            raise self._fail(op, "only products with one weight matrix can be written as TFLite")
        shape = weight.shape if turned else weight.shape[::-1]
        index, scales = self._weight(op.inputs[1], shape, 0, activation)
        inputs = [self.index[op.inputs[0]], index, self._bias(op, scales)]
        made = self._output(op, output, activation)
        self.writer.operator(
            "FULLY_CONNECTED", inputs, [made], "FullyConnectedOptions",
            FusedActivationFunction=activation,
            KeepNumDims=len(self.network.tensor[op.inputs[0]].shape) > 2,
        )  # fmt: skip

    def _pool(self, op: Operator, activation: int, output: str) -> None:
        window = op.window
        if window is None or window.dilation != (1, 1):
            raise self._fail(op, "its window cannot be written as TFLite")
        begin = window.padding[:2]
        made = self.network.tensor[op.outputs[0]].shape[2:]
        x, padding = self._padded(op, window.kernel, window.stride, (1, 1), begin, made)
        code = "AVERAGE_POOL_2D" if op.kind == "avgpool" else "MAX_POOL_2D"
        self.writer.operator(
            code, [x], [self._output(op, output)], "Pool2DOptions", Padding=padding,
            StrideH=window.stride[0], StrideW=window.stride[1], FilterHeight=window.kernel[0],
            FilterWidth=window.kernel[1], FusedActivationFunction=activation,
        )  # fmt: skip

    def _reshape(self, op: Operator, output: str) -> None:
        shape = np.array(_rows_first(self.network.tensor[output].shape), np.int32)
        inputs = [self.index[op.inputs[0]], self._integers(f"{op.name}.shape", shape)]
        self.writer.operator("RESHAPE", inputs, [self._output(op, output)], "ReshapeOptions")

    def _concat(self, op: Operator, output: str) -> None:
        made = self.network.tensor[output].shape
        first = self.network.tensor[op.inputs[0]].shape
        axis = next(i for i, (a, b) in enumerate(zip(first, made, strict=True)) if a != b)
        axis = _axes(len(made)).index(axis)
        inputs = [self.index[name] for name in op.inputs]
        self.writer.operator(
            "CONCATENATION", inputs, [self._output(op, output)], "ConcatenationOptions", Axis=axis
        )

    def _elementwise(self, op: Operator, activation: int, output: str) -> None:
        code, table = ELEMENTWISE[op.kind]
        inputs = [self.index[name] for name in op.inputs if name in self.index]
        if len(inputs) != len(op.inputs):
            raise self._fail(op, "constants of it cannot be written as TFLite")
        options = {"FusedActivationFunction": activation} if op.kind in HOSTS else {}
        if op.kind == "softmax":
            options = {"Beta": 1}
        self.writer.operator(code, inputs, [self._output(op, output, activation)], table, **options)


def _axes(rank: int) -> list[int]:
    """Axes of (N, C, H, W) in TFLite's order (N, H, W, C); of others as they are."""
    return [0, 2, 3, 1] if rank == 4 else list(range(rank))


def _rows_first(shape: Shape) -> Shape:
    return permuted(shape, _axes(len(shape)))
