"""Which layer of integers each operator of a network becomes on the RTL machine.

Batch 1 runs image by image. Tensors are (channels, height, width): a matrix (M, C) is an image of
C channels, M rows and one column, and a flattened image stays the image that it was: the linear
layer that reads it becomes a convolution whose kernel covers it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.operator import Einsum, Operator
from dovetail.ir.schedule import Placement, Schedule
from dovetail.ir.window import Window
from dovetail.mappers.rtl.windows import convolution_window, fitted
from dovetail.networks.quantized import (
    Activation,
    Addition,
    Convolution,
    Layer,
    Pooling,
    QuantizedNetwork,
    Requantization,
)

HOST_KINDS = frozenset({"softmax", "log_softmax", "argmax"})
"""Left to the host where they end a network: they read its sums."""

AFFINE = frozenset({"batchnorm", "add", "sub", "mul", "div", "neg"})
BROADCAST = AFFINE - {"batchnorm"}
"""Those whose parameters have the dimensions of what they change, the last ones at least."""

CLAMPS = {"relu": (0.0, math.inf), "clip": (0.0, 6.0)}
"""Bounds of elementwise kinds; a network does not say those of a clip: ReLU6 is meant."""

NEUTRAL = frozenset({"cast", "quantize", "dequantize"})
EPILOGUE = AFFINE | NEUTRAL | set(CLAMPS)
POOLS = {"maxpool": "max", "avgpool": "sum"}
POINT = Window((1, 1))


@dataclass(frozen=True, slots=True)
class Place:
    """Where the elements of a tensor lie.

    Attributes:
        activation: the tensor of the quantized network.
        flat: its channels, rows and columns count as one dimension.
        matrix: its channels are the tensor's last dimension, not its second.
    """

    activation: Activation
    flat: bool = False
    matrix: bool = False

    def has_channels(self, *, last: bool) -> bool:
        """Whether the channels are the last (or else the second) dimension, or all there is."""
        return self.matrix == last or self.activation.height * self.activation.width == 1


@dataclass(frozen=True, slots=True)
class Twin:
    """One layer, and the operators whose numbers it takes.

    Attributes:
        layer: its structure; all weights and biases 0.
        operator: its host.
        epilogue: elementwise operators behind it, in order.
    """

    layer: Layer
    operator: Operator
    epilogue: tuple[Operator, ...]


@dataclass(frozen=True, slots=True)
class Twins:
    """A network as layers without numbers."""

    network: Network
    input: Activation
    output: Activation
    tensors: tuple[Activation, ...]
    layers: tuple[Twin, ...]


def structure(
    network: Network, plan: Schedule, *, activation_bits: int = 8, weight_bits: int = 8,
    accumulator_bits: int = 32,
) -> QuantizedNetwork:  # fmt: skip
    """The quantized network with zeros for all weights: enough to lay it out and to time it.

    Args:
        network: of batch 1.
        plan: its schedule.
        activation_bits: width of codes.
        weight_bits: width of weights.
        accumulator_bits: width of sums.

    Raises:
        MappingError: if an operator has no RTL twin.
    """
    twins = twins_of(network, plan)
    layers = tuple(twin.layer for twin in twins.layers)
    return QuantizedNetwork(
        network.name, twins.tensors, layers, twins.input.name, twins.output.name,
        activation_bits, weight_bits, accumulator_bits,
    )  # fmt: skip


def twins_of(network: Network, plan: Schedule) -> Twins:
    """Layers of a network, in order.

    Raises:
        MappingError: if an operator has no RTL twin.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise MappingError(
            f"network '{network.name}' has inputs {list(network.inputs)} and outputs "
            f"{list(network.outputs)}: the RTL runs networks of one input and one output"
        )
    return _Builder(network).run(plan)


class _Builder:
    """Walks through the placements."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.places: dict[str, Place] = {}
        self._written: dict[str, Activation] = {}
        self.twins: list[Twin] = []

    def run(self, plan: Schedule) -> Twins:
        source = self._input()
        for placement in plan.placements:
            self._place(placement)
        if not self.twins:
            raise MappingError(f"network '{self.network.name}' has only views: nothing to run")
        output = self._widen(self.places[self.network.outputs[0]].activation)
        tensors = {source.name: source}
        for twin in self.twins:
            written = self._written[twin.layer.output]
            tensors[written.name] = output if written.name == output.name else written
        return Twins(self.network, source, output, tuple(tensors.values()), tuple(self.twins))

    def _input(self) -> Activation:
        name = self.network.inputs[0]
        shape, matrix = self.network.tensor[name].shape, False
        readers = self.network.consumers[name]
        if len(shape) == 4 and shape[0] == 1:
            extents = shape[1:]
        elif len(shape) == 3 and shape[0] == 1 and readers and readers[0].kind != "matmul":
            extents = (*shape[1:], 1)
        elif len(shape) in (2, 3) and (len(shape) == 2 or shape[0] == 1):
            extents, matrix = (shape[-1], shape[-2], 1), True
        else:
            raise MappingError(
                f"network '{self.network.name}' reads '{name}' {list(shape)}: the RTL runs one "
                "image (1, C, H, W) or a matrix (M, C) at a time: set batch 1"
            )
        activation = Activation(name, *extents)
        self.places[name] = Place(activation, matrix=matrix)
        return activation

    def _place(self, placement: Placement) -> None:
        op = placement.operator
        if op.is_view:
            self.places[op.outputs[0]] = self._view(op)
        elif op.einsum is not None:
            self._contraction(op, op.einsum, placement.fused)
        elif op.kind in HOST_KINDS and op.outputs[0] in self.network.outputs:
            self.places[op.outputs[0]] = self._read(op, op.inputs[0])
        elif op.kind in POOLS:
            self._pool(op, placement.fused)
        elif op.kind in ("add", "sub") and len(self._moving(op)) == 2:
            self._addition(op, placement.fused)
        elif op.kind in EPILOGUE and len(self._moving(op)) == 1:
            self._alone(op, placement.fused)
        else:
            raise _no_twin(op, "run it on a design with machine = ideal, or change the network")

    def _moving(self, op: Operator) -> list[str]:
        """Activations that an operator reads; one that it reads twice counts twice."""
        return [name for name in op.inputs if not self.network.tensor[name].is_parameter]

    def _read(self, op: Operator, name: str) -> Place:
        if name not in self.places:
            raise _no_twin(op, f"it reads '{name}', which no layer writes")
        return self.places[name]

    def _view(self, op: Operator) -> Place:
        source = self._read(op, op.inputs[0])
        shapes = [self.network.tensor[name].shape for name in (op.inputs[0], op.outputs[0])]
        before, after = ([extent for extent in shape if extent > 1] for shape in shapes)
        if before == after:
            return source
        if len(after) <= 1:
            return replace(source, flat=True)
        raise _no_twin(op, f"the view {shapes[0]} -> {shapes[1]} changes the order in memory")

    def _contraction(self, op: Operator, einsum: Einsum, fused: tuple[Operator, ...]) -> None:
        moving, weight = (self.network.tensor[access.tensor] for access in einsum.operands)
        if not weight.is_parameter or moving.is_parameter:
            raise _no_twin(op, "its weight must be a parameter, its input an activation")
        place = self._read(op, moving.name)
        if op.kind == "matmul":
            window, groups = self._matrix_window(op, einsum, place), 1
        elif place.has_channels(last=False):
            window, groups = convolution_window(einsum, place.activation), einsum.extent("G")
        else:
            raise _no_twin(op, "the last dimension of its input lies as channels")
        channels = einsum.extent("G") * einsum.extent("K")
        depth = place.activation.channels // groups
        shape = (channels, depth, *window.kernel)
        if math.prod(shape) != weight.elements or (place.flat and op.kind != "matmul"):
            raise _no_twin(op, f"weight {list(weight.shape)} does not fit {place.activation.shape}")
        zeros = np.broadcast_to(np.zeros(1, dtype=np.int8), shape)
        self._append(
            op,
            fused,
            place,
            (channels, *window.output(*place.activation.shape[1:])),
            lambda name, out, values: Convolution(
                name, place.activation.name, out, zeros, window, groups, values
            ),
        )

    def _matrix_window(self, op: Operator, einsum: Einsum, place: Place) -> Window:
        """Kernel 1x1 over the rows of a matrix; the whole of a flattened image."""
        x, depth = place.activation, einsum.extent("C")
        if einsum.extent("G") > 1 or einsum.extent("N") > 1:
            raise _no_twin(op, "it multiplies a batch of matrices: set batch 1")
        alike = x.channels == depth and x.height * x.width == einsum.extent("P")
        if alike and place.has_channels(last=True):
            return POINT
        if place.flat and math.prod(x.shape) == depth and einsum.extent("P") == 1:
            return Window((x.height, x.width))
        raise _no_twin(op, f"its input lies as {x.shape} (channels, rows, columns)")

    def _pool(self, op: Operator, fused: tuple[Operator, ...]) -> None:
        place = self._read(op, op.inputs[0])
        if op.window is None or place.flat or not place.has_channels(last=False):
            raise _no_twin(op, "its window is not known: give kernel and stride of two dimensions")
        output = self.network.tensor[op.outputs[0]]
        shape = (*output.shape, 1, 1)[2:4]
        window = fitted(op.window, place.activation, (shape[0], shape[1]))
        self._append_pooling(op, fused, place, POOLS[op.kind], window)

    def _alone(self, op: Operator, fused: tuple[Operator, ...]) -> None:
        """An elementwise operator that nothing hosts: the sum of one element."""
        place = self._read(op, self._moving(op)[0])
        self._append_pooling(op, (op, *fused), place, "sum", POINT)

    def _append_pooling(
        self, op: Operator, fused: tuple[Operator, ...], place: Place, kind: str, window: Window
    ) -> None:
        x = place.activation
        self._append(
            op,
            fused,
            place,
            (x.channels, *window.output(*place.activation.shape[1:])),
            lambda name, out, values: Pooling(name, x.name, out, kind, window, values),
        )

    def _addition(self, op: Operator, fused: tuple[Operator, ...]) -> None:
        a, b = (self._read(op, name) for name in self._moving(op))
        alike = a.flat == b.flat and b.has_channels(last=a.matrix)
        if a.activation.shape != b.activation.shape or not alike:
            raise _no_twin(op, f"operands {a.activation.shape} and {b.activation.shape} differ")
        names = a.activation.name, b.activation.name
        weights = (1, -1 if op.kind == "sub" else 1)
        self._append(
            op,
            fused,
            a,
            a.activation.shape,
            lambda name, out, values: Addition(name, *names, out, *weights, values),
        )

    def _append(
        self,
        op: Operator,
        fused: tuple[Operator, ...],
        source: Place,
        shape: tuple[int, int, int],
        make: Callable[[str, str, Requantization], Layer],
    ) -> None:
        last = (fused or (op,))[-1].outputs[0]
        activation = Activation(last, *shape)
        self._written[last] = activation
        kept = op.einsum is None
        matrix = op.kind == "matmul" or (kept and source.matrix)
        place = self.places[last] = Place(activation, kept and source.flat, matrix)
        for item in fused:
            if item.kind not in EPILOGUE:
                raise _no_twin(item, "use relu or clip, or a design with machine = ideal")
            if item.kind in BROADCAST:
                self._require_channels(item, place)
        self.twins.append(Twin(make(op.name, last, _nothing(shape[0])), op, fused))

    def _require_channels(self, op: Operator, place: Place) -> None:
        """Parameters of an elementwise operator must vary along the channels only."""
        axes = _varying(self.network.tensor[op.outputs[0]].shape)
        channels = axes[0 if place.matrix else -1] if place.activation.channels > 1 else 0
        for name in op.inputs:
            tensor = self.network.tensor[name]
            if tensor.is_parameter and not {channels}.issuperset(_varying(tensor.shape)):
                raise _no_twin(op, f"its parameter {list(tensor.shape)} varies within a channel")

    def _widen(self, output: Activation) -> Activation:
        """Lets sums leave as they are where nothing but a bias and a scale follows them."""
        last = self.twins[-1]
        read = any(output.name in twin.layer.inputs for twin in self.twins)
        bare = all(item.kind not in CLAMPS for item in last.epilogue)
        if last.layer.output != output.name or read or not isinstance(last.layer, Convolution):
            return output
        if not bare:
            return output
        wide = Requantization.wide_of(np.broadcast_to(np.zeros(1, np.int64), output.channels))
        self.twins[-1] = replace(last, layer=replace(last.layer, requantization=wide))
        return replace(output, wide=True)


def _varying(shape: tuple[int, ...]) -> list[int]:
    """Dimensions of more than one element, counted from the last one, which is 1."""
    return [i for i, extent in enumerate(reversed(shape), 1) if extent > 1]


def _nothing(channels: int) -> Requantization:
    zeros = np.broadcast_to(np.zeros(1, dtype=np.int64), channels)
    ones = np.broadcast_to(np.ones(1, dtype=np.int64), channels)
    return Requantization(zeros, ones, zeros, low=0, high=0)


def _no_twin(op: Operator, why: str) -> MappingError:
    return MappingError(f"operator '{op.name}' ({op.kind}) has no RTL twin: {why}")
