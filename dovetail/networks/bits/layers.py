"""The layers of a network whose bits can be chosen, and who feeds whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.space import FloatArray, IntArray

Option = tuple[int, int]
"""Bits of a layer's weights, and of the activations that it reads."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An Einsum with a parameter: convolution, linear layer.

    Attributes:
        name: of its operator.
        kind: of its operator.
        macs: multiply-accumulates.
        parameters: elements of its weight; 0 if an earlier layer shares it.
        outputs: output channels, over all groups.
        fan_in: products that one output sums.
        kernel: taps, rows x columns.
        stride: of rows.
    """

    name: str
    kind: str
    macs: int
    parameters: int
    outputs: int
    fan_in: int
    kernel: int
    stride: int


@dataclass(frozen=True)
class LayerGraph:
    """Layers in topological order.

    Attributes:
        network: name.
        layers: all layers.
        edges: (edges, 2) pairs (from, to) of layers without a third between them.
    """

    network: str
    layers: tuple[Layer, ...]
    edges: IntArray

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def macs(self) -> FloatArray:
        """Multiply-accumulates (layers,)."""
        return np.array([layer.macs for layer in self.layers], dtype=np.float64)

    @property
    def parameters(self) -> FloatArray:
        """Weights (layers,)."""
        return np.array([layer.parameters for layer in self.layers], dtype=np.float64)

    def size_mb(self, options: Sequence[Option]) -> FloatArray:
        """10^6 bytes of weights (layers, options)."""
        bits = np.array([weights for weights, _ in options])
        return self.parameters[:, None] * bits / 8e6

    def gbops(self, options: Sequence[Option]) -> FloatArray:
        """10^9 bit operations, MACs x bits x bits (layers, options)."""
        products = np.array([weights * inputs for weights, inputs in options])
        return self.macs[:, None] * products / 1e9


def layer_graph(network: Network) -> LayerGraph:
    """Finds a network's layers.

    Raises:
        NetworkError: if it has none.
    """
    layers: list[Layer] = []
    edges: set[tuple[int, int]] = set()
    seen: set[str] = set()
    behind: dict[str, frozenset[int]] = {}  # layers whose results reach a tensor, through no other
    for op in network.operators:
        sources = frozenset().union(*(behind.get(name, frozenset()) for name in op.inputs))
        if op.einsum is not None and (weight := weight_of(network, op)):
            edges |= {(source, len(layers)) for source in sources}
            sources = frozenset({len(layers)})
            layers.append(_layer(network, op, op.einsum, weight, shared=weight in seen))
            seen.add(weight)
        behind |= dict.fromkeys(op.outputs, sources)
    if not layers:
        raise NetworkError(f"network '{network.name}' has no layer with weights: nothing to choose")
    pairs = np.array(sorted(edges), dtype=np.int64).reshape(-1, 2)
    return LayerGraph(network.name, tuple(layers), pairs)


def weight_of(network: Network, op: Operator) -> str | None:
    """Name of the parameter that an Einsum multiplies by; None if both factors are activations."""
    if op.einsum is None or len(op.einsum.operands) != 2:
        return None
    name = op.einsum.operands[1].tensor
    return name if network.tensor[name].is_parameter else None


def _layer(network: Network, op: Operator, einsum: Einsum, weight: str, *, shared: bool) -> Layer:
    summed = [extent for rank, extent in einsum.ranks if rank not in einsum.output.ranks]
    return Layer(
        name=op.name,
        kind=op.kind,
        macs=op.macs,
        parameters=0 if shared else network.tensor[weight].elements,
        outputs=einsum.extent("K") * einsum.extent("G"),
        fan_in=math.prod(summed),
        kernel=einsum.extent("R") * einsum.extent("S"),
        stride=max((i.coefficient("P") for i in einsum.operands[0].indices), default=0) or 1,
    )
