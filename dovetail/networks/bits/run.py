"""Runs a network of convolutions, linear layers, ReLUs, sums and global pooling on images."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F  # noqa: N812

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.networks.bits.layers import weight_of
from dovetail.networks.elastic.quantize import Tensor

Values = dict[str, Tensor]
"""Activations by name."""

Compute = Callable[[Operator, Tensor], Tensor]
"""What a layer makes of what it reads."""


def run(network: Network, values: Values, compute: Compute, start: int = 0) -> Tensor:
    """Computes a network's operators, from number `start` on, and returns its output.

    Args:
        network: of convolutions, linear layers, ReLUs, sums, global average pooling, flattening.
        values: what is known: the input, and what operators before `start` wrote; filled.
        compute: every layer.
        start: first operator to compute.

    Raises:
        NetworkError: if an operator is of another kind.
    """
    for op in network.operators[start:]:
        inputs = [values[name] for name in op.inputs if name in values]
        if weight_of(network, op):
            values[op.outputs[0]] = compute(op, inputs[0])
        else:
            values[op.outputs[0]] = _plain(op, inputs)
    return values[network.outputs[0]]


def layer(op: Operator, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A convolution or linear layer of `op`'s window on x."""
    assert op.einsum is not None
    if weight.dim() == 2:
        return F.linear(x, weight, bias)
    stride, padding = window_of(op.einsum)
    groups = op.einsum.extent("G")
    return F.conv2d(x, weight, bias, stride=stride, padding=padding, groups=groups)


def window_of(einsum: Einsum) -> tuple[tuple[int, int], tuple[int, int]]:
    """Stride and padding of a convolution: rows, then columns."""
    rows, columns = einsum.operands[0].indices[-2:]
    stride = rows.coefficient("P") or 1, columns.coefficient("Q") or 1
    return stride, (-rows.offset, -columns.offset)


def parameters(network: Network, op: Operator) -> tuple[str, str | None]:
    """Names of a layer's weight and bias."""
    weight = weight_of(network, op)
    assert weight is not None
    bias = next((n for n in op.inputs if n != weight and network.tensor[n].is_parameter), None)
    return weight, bias


def float_layers(network: Network, weights: Mapping[str, Tensor]) -> Compute:
    """Layers with these weights, by name, as they are."""

    def compute(op: Operator, x: Tensor) -> Tensor:
        weight, bias = parameters(network, op)
        return layer(op, x, weights[weight], weights[bias] if bias else None)

    return compute


def _plain(op: Operator, inputs: list[Tensor]) -> Tensor:
    if op.kind == "relu":
        return inputs[0].relu()
    if op.kind == "add" and len(inputs) == 2:
        return inputs[0] + inputs[1]
    if op.kind == "flatten":
        return inputs[0].flatten(1)
    if op.kind == "avgpool" and op.window and op.window.kernel == tuple(inputs[0].shape[2:]):
        return inputs[0].mean((2, 3), keepdim=True)
    raise NetworkError(f"operator '{op.name}' ({op.kind}) cannot be run with bits per layer")


def initial_weights(network: Network, seed: int) -> dict[str, Tensor]:
    """Weights of He's variance, smaller where a sum follows; biases are 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for op in network.operators:
        if not weight_of(network, op):
            continue
        weight, bias = parameters(network, op)
        shape = network.tensor[weight].shape
        readers = network.consumers[op.outputs[0]]
        gain = 0.5 if any(reader.kind == "add" for reader in readers) else 2.0
        fan_in = network.tensor[weight].elements // shape[0]
        weights[weight] = torch.randn(shape, generator=generator) * (gain / fan_in) ** 0.5
        if bias:
            weights[bias] = torch.zeros(network.tensor[bias].shape)
    return weights
