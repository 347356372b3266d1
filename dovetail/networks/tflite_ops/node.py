"""One TFLite operator while it is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from dovetail.errors import NetworkError
from dovetail.ir.window import Window, Windows
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.shapes import Shape, permuted, same_padding
from dovetail.networks.tflite_ops.formats import format_of, signed
from dovetail.networks.tflite_ops.reading import StoredOperator, StoredTensor

MAX_KNOWN = 4096
"""Elements of the longest constant that says how an operator works (axes, paddings, shapes)."""

ACTIVATIONS = {1: "relu", 2: "clip", 3: "clip", 4: "tanh", 5: "sign"}
"""Kind of `ActivationFunctionType`: RELU, RELU_N1_TO_1, RELU6, TANH, SIGN_BIT; 0 is none."""

SAME, VALID = 0, 1


@dataclass(slots=True)
class Node:
    """An operator, its values and where it goes.

    Attributes:
        stored: as the file has it.
        index: in the file.
        tensors: of the file.
        values: known ones by index of their tensor.
        graph: collects operators.
        margins: zeros around images by index of the padded tensor, whose value is the bare image.
    """

    stored: StoredOperator
    index: int
    tensors: tuple[StoredTensor, ...]
    values: dict[int, Value]
    graph: Assembler
    margins: Mapping[int, tuple[Shape, Shape]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the operator: that of its first output."""
        return self.tensors[self._output_index(0)].name

    def fail(self, text: str) -> NetworkError:
        """An error that names the operator."""
        return NetworkError(f"operator {self.index} ({self.stored.code}): {text}")

    def option(self, table: str, field: str) -> Any:
        """A field of the options; a table that the file leaves out has all defaults."""
        return self.stored.options(table, field)

    # Inputs

    def has(self, position: int) -> bool:
        """True if the input is given."""
        return position < len(self.stored.inputs) and self.stored.inputs[position] >= 0

    def input(self, position: int) -> Value:
        """An input, which must be given."""
        if not self.has(position):
            raise self.fail(f"input {position} is missing")
        index = self.stored.inputs[position]
        if index not in self.values:
            if index >= len(self.tensors) or self.tensors[index].data is None:
                raise self.fail(f"input {position} (tensor {index}) is read before it is written")
            self.values[index] = value_of(self.tensors[index])
        return self.values[index]

    def optional(self, position: int) -> Value | None:
        """An input, or None."""
        return self.input(position) if self.has(position) else None

    def given(self) -> list[Value]:
        """All inputs."""
        return [self.input(i) for i in range(len(self.stored.inputs)) if self.has(i)]

    def known(self, position: int) -> list[int]:
        """Elements of an input that must be a short constant of integers, flat."""
        self.input(position)
        tensor = self.tensors[self.stored.inputs[position]]
        data = tensor.data
        if data is None or data.dtype.kind not in "iu" or tensor.type.startswith("U"):
            raise self.fail(f"input {position} ('{tensor.name}') must be a constant of integers")
        if data.size > MAX_KNOWN:
            raise self.fail(f"input {position} ('{tensor.name}') has more than {MAX_KNOWN} entries")
        return [int(element) for element in np.asarray(data).reshape(-1)]

    # Outputs

    def output(self, position: int = 0) -> Value:
        """An output, as the file declares it."""
        index = self._output_index(position)
        return value_of(self.tensors[index])

    def outputs(self) -> list[Value]:
        """All outputs."""
        return [self.output(i) for i in range(len(self.stored.outputs))]

    def _output_index(self, position: int) -> int:
        if position >= len(self.stored.outputs):
            raise self.fail(f"output {position} is missing")
        index = self.stored.outputs[position]
        if not 0 <= index < len(self.tensors):
            raise self.fail(f"output {position} is tensor {index}, which does not exist")
        return index

    def shaped(self, shape: Shape, position: int = 0) -> Value:
        """An output, which must have this shape."""
        value = self.output(position)
        if value.shape != tuple(shape):
            raise self.fail(
                f"'{value.name}' is declared as {list(value.shape)}, but computes {list(shape)}"
            )
        return value

    def define(self, value: Value, position: int = 0) -> None:
        """Makes an output known to what follows."""
        index = self._output_index(position)
        if index in self.values:
            raise self.fail(f"writes '{value.name}' a second time")
        self.values[index] = value

    def vector(
        self, kind: str, inputs: Sequence[Value], outputs: Sequence[Value], *,
        work: int | None = None, window: Window | None = None,
    ) -> None:  # fmt: skip
        """Adds an operator without an Einsum that writes all outputs.

        Of nothing but constants it is one that nobody computes at run time.
        """
        constant = all(value.constant for value in inputs)
        for position, value in enumerate(outputs):
            self.define(replace(value, constant=True) if constant else value, position)
        if not constant:
            self.graph.vector(self.name, kind, inputs, outputs, work, window)

    def activated(
        self, activation: int, output: Value, write: Callable[[str, Value], None]
    ) -> None:
        """Lets `write` add an operator, and its fused activation as one of its own behind it.

        Args:
            activation: an `ActivationFunctionType`.
            output: what is written in the end.
            write: adds the operator of a name that writes a value.
        """
        if activation == 0:
            write(self.name, output)
        elif activation in ACTIVATIONS:
            kind = ACTIVATIONS[activation]
            inner = replace(output, name=f"{output.name}.linear")
            write(inner.name, inner)
            self.graph.vector(self.name, kind, [inner], [output])
        else:
            raise self.fail(f"fused activation {activation} is unknown")
        self.define(output)

    def window(self, sizes: Shape, kernel: Shape, table: str, *, dilated: bool = True) -> Windows:
        """The window of a convolution or pooling over spatial axes, by its options.

        Args:
            sizes: input extents: rows and columns, or depth, rows and columns.
            kernel: taps.
            table: of the options.
            dilated: whether they have dilations.
        """
        axes = "DHW"[-len(sizes) :]
        stride = tuple(self.option(table, f"Stride{axis}") for axis in axes)
        dilation = (1,) * len(sizes)
        if dilated:
            dilation = tuple(self.option(table, f"Dilation{axis}Factor") for axis in axes)
        padding = self.option(table, "Padding")
        if padding not in (SAME, VALID):
            raise self.fail(f"padding {padding} is unknown: must be SAME or VALID")
        if min(*stride, *dilation, *kernel) < 1:
            raise self.fail("kernel, stride and dilation must be >= 1")
        begin = end = (0,) * len(sizes)
        if padding == SAME:
            begin, end = same_padding(sizes, kernel, stride, dilation)
        elif self.stored.inputs[0] in self.margins:
            begin, end = self.margins[self.stored.inputs[0]]
        return Windows(kernel, stride, begin, end, dilation)


def value_of(tensor: StoredTensor) -> Value:
    """What is known of a tensor; images are stored channels first, as everywhere in Dovetail.

    Raises:
        NetworkError: if its elements are no numbers.
    """
    form = format_of(tensor.type, f"tensor '{tensor.name}'")
    quantization = signed(tensor.quantization, tensor.type)
    axes = channels_first(len(tensor.shape))
    if quantization and quantization.axis is not None:
        quantization = replace(quantization, axis=axes.index(quantization.axis))
    return Value(
        tensor.name, tensor.shape, form, tensor.data is not None,
        stored=permuted(tensor.shape, axes), quantization=quantization,
        entropy_bits=tensor.entropy_bits,
    )  # fmt: skip


def image(value: Value) -> Value:
    """The value seen with its channels first."""
    return reordered(value, channels_first(len(value.shape)))


def reordered(value: Value, axes: Sequence[int]) -> Value:
    """The value seen with its dimensions permuted; a constant is stored so, too.

    Args:
        value: of the file's shape.
        axes: dimension i is dimension axes[i] of that shape.
    """
    shape, usual = permuted(value.shape, axes), channels_first(len(value.shape))
    if not value.constant or value.stored != permuted(value.shape, usual):
        return replace(value, shape=shape)
    quantization = value.quantization
    if quantization and quantization.axis is not None:
        axis = list(axes).index(usual[quantization.axis])
        quantization = replace(quantization, axis=axis)
    return replace(value, shape=shape, stored=shape, quantization=quantization)


def channels_first(rank: int) -> list[int]:
    """Axes of (N, ..., C) in the order (N, C, ...), for images and volumes; else as they are."""
    return [0, rank - 1, *range(1, rank - 1)] if rank in (4, 5) else list(range(rank))
