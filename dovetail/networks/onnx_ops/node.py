"""One ONNX node while it is imported: checked attributes, known inputs, emitted operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dovetail.ir.tensor import NumberFormat
from dovetail.ir.window import Window
from dovetail.networks.assembly import Array, Assembler, Value
from dovetail.networks.onnx_ops.attributes import Attributes
from dovetail.networks.onnx_ops.formats import format_of_array
from dovetail.networks.shapes import Shape

FOLD_ELEMENTS = 4096
"""Largest constant whose elements are computed; larger ones keep only their shape."""

FOLD_BUDGET = 2**22
"""Elements that one import computes in total, so that a small file cannot fill the memory."""

Fold = Callable[..., Any]
Extra = tuple[int, Shape, NumberFormat]


@dataclass(slots=True)
class Scope:
    """What all nodes of one import share.

    Attributes:
        graph: collects the operators.
        values: known values by name.
        opset: version of the default operator set.
        used: names that a node reads or the graph returns.
        budget: elements that folding may still compute.
    """

    graph: Assembler
    values: dict[str, Value]
    opset: int
    used: frozenset[str] | set[str]
    budget: int = FOLD_BUDGET


@dataclass(slots=True)
class Node(Attributes):
    """A node and its surroundings.

    Attributes:
        inputs: known values; None where an optional input is left out.
        outputs: names; "" where an optional output is left out.
        scope: shared state.
    """

    inputs: list[Value | None]
    outputs: list[str]
    scope: Scope

    @property
    def opset(self) -> int:
        """Version of the default operator set."""
        return self.scope.opset

    # Inputs

    def has(self, index: int) -> bool:
        """True if input `index` is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Value:
        """Input `index`, which must be given."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise self.fail(f"input {index} is missing")
        return value

    def optional(self, index: int) -> Value | None:
        """Input `index`, or None."""
        return self.inputs[index] if self.has(index) else None

    def given(self) -> list[Value]:
        """All inputs that are given."""
        return [value for value in self.inputs if value is not None]

    def known(self, index: int) -> Array:
        """Elements of input `index`, which must be a constant that folds.

        Raises:
            NetworkError: if it depends on activations or is too large to fold.
        """
        value = self.input(index)
        if value.data is None:
            why = "is too large to fold" if value.constant else "depends on activations"
            raise self.fail(f"input {index} ('{value.name}') must be a small constant; it {why}")
        return value.data

    def known_ints(self, index: int) -> list[int]:
        """Elements of a constant integer input, flat."""
        data = self.known(index)
        if data.dtype.kind not in "iu":
            raise self.fail(f"input {index} must hold integers, not {data.dtype}")
        return [int(element) for element in data.reshape(-1)]

    def image(self, index: int = 0) -> Value:
        """Input `index`, which must have a batch, a channel and one to three spatial axes."""
        value = self.input(index)
        if not 3 <= len(value.shape) <= 5:
            raise self.fail(f"input '{value.name}' {list(value.shape)} must be (N, C, spatial...)")
        return value

    def integers_or_input(self, name: str, index: int) -> list[int] | None:
        """A list that is an attribute in old operator sets and input `index` in recent ones."""
        listed = self.integers(name)
        if listed is not None:
            return listed
        return self.known_ints(index) if self.has(index) else None

    # Outputs

    def emit(
        self, kind: str, shape: Shape, inputs: Sequence[Value] | None = None, *,
        work: int | None = None, fold: Fold | None = None, form: NumberFormat | None = None,
        extra: Sequence[Extra] = (), window: Window | None = None,
    ) -> Value:  # fmt: skip
        """Adds an operator that writes output 0, or folds it if all inputs are constant.

        Args:
            kind: key of `SCALAR_OPS` or a view kind.
            shape: shape of the output.
            inputs: tensors that it reads; all by default.
            work: units of work, the output's elements by default.
            fold: computes the output's elements from those of `inputs`.
            form: number format of the output, that of the first input by default.
            extra: index, shape and format of further outputs, written if anything reads them.
            window: of a pooling over two spatial dimensions.
        """
        return self.emit_many(
            kind, [shape], inputs, work=work, fold=fold, form=form, extra=extra, window=window
        )[0]

    def emit_many(
        self, kind: str, shapes: Sequence[Shape], inputs: Sequence[Value] | None = None, *,
        work: int | None = None, fold: Fold | None = None, form: NumberFormat | None = None,
        extra: Sequence[Extra] = (), window: Window | None = None,
    ) -> list[Value]:  # fmt: skip
        """Adds an operator that writes the first outputs, like `emit`; `fold` returns a list."""
        read = list(self.given() if inputs is None else inputs)
        form = form or (read[0].format if read else None)
        names = [self.output(i) for i in range(len(shapes))]
        wanted = [
            (self.outputs[index], shape, extra_form)
            for index, shape, extra_form in extra
            if index < len(self.outputs) and self.outputs[index] in self.scope.used
        ]
        if all(value.constant for value in read):
            folded = self._fold(shapes, read, fold, single=len(shapes) == 1)
            parts = zip(names, shapes, folded, strict=True)
            main = [self._constant(name, shape, form, data) for name, shape, data in parts]
            more = [Value(*entry, constant=True) for entry in wanted]
        elif form is None:
            raise self.fail("has no inputs")
        else:
            main = [_activation(n, s, form) for n, s in zip(names, shapes, strict=True)]
            more = [_activation(*entry) for entry in wanted]
            self._append(kind, read, main, more, work, window)
        return [self.define(value) for value in (*main, *more)][: len(main)]

    def _append(
        self, kind: str, read: list[Value], main: list[Value], more: list[Value],
        work: int | None, window: Window | None,
    ) -> None:  # fmt: skip
        work = sum(value.elements for value in main) if work is None else work
        written = [value for value in (*main, *more) if not value.constant]
        if written:
            full = [value for value in read if value.elements]
            self.scope.graph.vector(self.name, kind, full, written, work, window)

    def output(self, index: int = 0) -> str:
        """Name of output `index`; a made-up one if it is left out."""
        name = self.outputs[index] if index < len(self.outputs) else ""
        if index == 0 and not name:
            raise self.fail("output 0 is missing")
        return name or f"{self.outputs[0]}.output{index}"

    def define(self, value: Value) -> Value:
        """Makes a value known to the nodes that follow.

        Raises:
            NetworkError: if its name is taken.
        """
        if value.name in self.scope.values:
            raise self.fail(f"writes '{value.name}' a second time")
        self.scope.values[value.name] = value
        return value

    def alias(self, source: Value) -> Value:
        """Lets output 0 be another name, or another view, of a constant."""
        if self.output() in self.scope.values:
            raise self.fail(f"writes '{self.output()}' a second time")
        self.scope.values[self.output()] = source
        return source

    def _fold(
        self, shapes: Sequence[Shape], read: Sequence[Value], fold: Fold | None, *, single: bool
    ) -> list[Array | None]:
        count = sum(math.prod(shape) for shape in shapes)
        datas = [value.data for value in read]
        small = all(math.prod(shape) <= FOLD_ELEMENTS for shape in shapes)
        if fold is None or not small or count > self.scope.budget or any(d is None for d in datas):
            return [None] * len(shapes)
        self.scope.budget -= count
        with np.errstate(all="ignore"):
            result = fold(*datas)
        arrays = [np.asarray(result)] if single else [np.asarray(part) for part in result]
        for array, shape in zip(arrays, shapes, strict=True):
            if array.shape != tuple(shape):
                raise self.fail(f"folds to shape {list(array.shape)}, not {list(shape)}")
        return list(arrays)

    def _constant(
        self, name: str, shape: Shape, form: NumberFormat | None, data: Array | None
    ) -> Value:
        if data is not None:
            form = format_of_array(data.dtype, f"'{name}'")
        if form is None:
            raise self.fail(f"constant '{name}' is too large to fold")
        return Value(name, shape, form, constant=True, data=data)


def _activation(name: str, shape: Shape, form: NumberFormat) -> Value:
    """Value of an operator's output; one without elements is a constant that nothing computes."""
    if math.prod(shape):
        return Value(name, shape, form)
    return Value(name, shape, form, constant=True, data=np.empty(shape, np.float32))
