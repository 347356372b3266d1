"""Assembling a network from operators that another tool has named and shaped.

Importers know every value's shape and name; the assembler turns values into tensors when an
operator first reads or writes them, and picks the Einsum of each contraction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Access, Affine, Einsum, Operator
from dovetail.ir.tensor import FLOAT32, NumberFormat, Quantization, Tensor
from dovetail.ir.window import Windows
from dovetail.networks import operators
from dovetail.networks.operators import Window
from dovetail.networks.shapes import MAX_RANK, Shape, broadcast

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """What an importer knows of one value of a graph.

    Attributes:
        name: unique within its graph.
        shape: extents.
        format: number format of one element.
        constant: True if it is the same in every inference.
        data: elements of a small constant, else None.
        stored: shape of the tensor of this name, if the value is another view of it.
        quantization: scales and zero points of the tensor, along an axis of its stored shape.
        entropy_bits: as of the tensor.
    """

    name: str
    shape: Shape
    format: NumberFormat = FLOAT32
    constant: bool = False
    data: Array | None = None
    stored: Shape | None = None
    quantization: Quantization | None = None
    entropy_bits: float | None = None

    def __post_init__(self) -> None:
        if len(self.shape) > MAX_RANK:
            raise NetworkError(
                f"tensor '{self.name}' has {len(self.shape)} dimensions: at most {MAX_RANK}"
            )

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_immediate(self) -> bool:
        """True for a single known number: operators hold it, no memory does."""
        return self.constant and self.data is not None and self.elements == 1

    def seen_as(self, shape: Shape) -> Value:
        """The same constant in another shape or order: tied weights are stored once."""
        return replace(self, shape=shape, data=None, stored=self.stored or self.shape)


class Assembler:
    """Collects operators and the tensors that they touch.

    Args:
        name: name of the network.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._inputs: list[str] = []
        self._taken: dict[str, int] = {}

    def input(self, name: str, shape: Shape, number_format: NumberFormat = FLOAT32) -> Value:
        """Adds an activation that the network is given."""
        return self.give(Value(name, shape, number_format))

    def give(self, value: Value) -> Value:
        """Makes a value an activation that the network is given."""
        self._tensor(value)
        self._inputs.append(value.name)
        return value

    def vector(
        self, name: str, kind: str, inputs: Sequence[Value], outputs: Sequence[Value],
        work: int | None = None, window: Window | None = None,
    ) -> None:  # fmt: skip
        """Adds an operator without an Einsum; `work` and `window` as in `operators.vector`."""
        read, written = self._tensors_of(inputs), self._tensors_of(outputs)
        name = self._fresh(name)
        self._append(operators.vector(name, kind, read, written, work_elements=work, window=window))

    def conv(
        self, name: str, x: Value, weight: Value, output: Value, window: Windows,
        groups: int = 1, bias: Value | None = None,
    ) -> None:  # fmt: skip
        """Adds a convolution of one to three spatial dimensions.

        A 1-D one is accessed as if its tensors had a last extent of 1.
        """
        image, kernel, result = (_as_image(self._tensor(v)) for v in (x, weight, output))
        offset = self._tensor(bias) if bias else None
        name = self._fresh(name)
        if len(window.kernel) == 3:
            self._append(operators.conv3d(name, image, kernel, result, window, groups, offset))
            return
        self._append(operators.conv2d(name, image, kernel, result, _flat(window), groups, offset))

    def matmul(
        self, name: str, a: Value, b: Value, output: Value, *, bias: Value | None = None,
        transpose_b: bool = False,
    ) -> None:  # fmt: skip
        """Adds the product of a (..., M, K) and b (..., K, N), leading extents broadcast.

        One-dimensional operands are a row on the left and a column on the right. A matrix times a
        batch is the weight that all slices share; other operands that must be repeated are
        expanded first.
        """
        left, right = self._tensor(a), self._tensor(b)
        rows = left.seen_as((1, *left.shape)) if len(left.shape) == 1 else left
        columns = right.seen_as((*right.shape, 1)) if len(right.shape) == 1 else right
        lead_a, lead_b = rows.shape[:-2], columns.shape[:-2]
        if math.prod(lead_a) == 1 < math.prod(lead_b) and not transpose_b and not bias:
            self._shared_matrix(name, rows, columns, output)
            return
        lead = broadcast(lead_a, lead_b)
        rows = self._expanded(name, a, rows, lead)
        if math.prod(lead_b) > 1 and not _slices_follow(lead, lead_b):
            columns = self._expanded(name, b, columns, lead)
        offset = self._tensor(bias) if bias else None
        result = self._tensor(output)
        self._append(
            operators.matmul(
                self._fresh(name), rows, columns, result, offset, transpose_b=transpose_b
            )
        )

    def product(
        self, name: str, a: Value, b: Value, output: Value, views: tuple[Shape, Shape],
        *, transpose_b: bool = False,
    ) -> None:  # fmt: skip
        """Adds the product of a and b, whose elements are seen as tensors of shape `views`."""
        left, right = self._tensor(a), self._tensor(b)
        for tensor, view in ((left, views[0]), (right, views[1])):
            if math.prod(view) != tensor.elements:
                raise NetworkError(f"'{tensor.name}' {list(tensor.shape)} is no {list(view)}")
        left, right = left.seen_as(views[0]), right.seen_as(views[1])
        self._append(
            operators.matmul(
                self._fresh(name), left, right, self._tensor(output), transpose_b=transpose_b
            )
        )

    def attention(
        self, name: str, query: Value, key: Value, value: Value, output: Value, *,
        mask: Value | None = None, causal: bool = False,
    ) -> None:  # fmt: skip
        """Adds scaled dot-product attention: two products around a softmax.

        Args:
            name: prefix of the operators' names.
            query: (..., heads, L, E).
            key: (..., key heads, S, E); consecutive query heads share a key head.
            value: (..., key heads, S, V).
            output: (..., heads, L, V).
            mask: addend of the scores, if any.
            causal: whether later keys are masked out; all scores are computed all the same.

        Raises:
            NetworkError: if the shapes do not fit each other.
        """
        if min(len(v.shape) for v in (query, key, value)) < 2:
            raise NetworkError(f"attention '{name}' needs operands of at least 2 dimensions")
        shape = (*query.shape[:-1], key.shape[-2])
        scores = Value(f"{name}.scores", shape, query.format)
        views = (query.shape, key.shape)
        self.product(f"{name}.scores", query, key, scores, views, transpose_b=True)
        if mask is not None or causal:
            masked = Value(f"{name}.masked", shape, query.format)
            read = [scores] if mask is None else [scores, mask]
            self.vector(masked.name, "where" if mask is None else "add", read, [masked])
            scores = masked
        weights = Value(f"{name}.softmax", shape, query.format)
        self.vector(weights.name, "softmax", [scores], [weights])
        self.product(name, weights, value, output, (shape, value.shape))

    def build(self, outputs: Sequence[Value]) -> Network:
        """The network that returns `outputs`."""
        names = tuple(self._tensor(value).name for value in outputs)
        return Network(
            self.name,
            tuple(self._operators),
            tuple(self._tensors.values()),
            tuple(self._inputs),
            names,
        )

    def _shared_matrix(self, name: str, a: Tensor, b: Tensor, output: Value) -> None:
        rows, inner = a.shape[-2:]
        batch, columns = math.prod(b.shape[:-2]), b.shape[-1]
        if b.shape[-2] != inner:
            raise NetworkError(f"operator '{name}': {list(a.shape)} x {list(b.shape)} do not fit")
        result = self._tensor(output)
        batches, row, column, depth = (Affine(((rank, 1),)) for rank in "NKPC")
        einsum = Einsum(
            (("N", batch), ("K", rows), ("C", inner), ("P", columns)),
            (Access(b.name, (batches, depth, column)), Access(a.name, (row, depth))),
            Access(result.name, (batches, row, column)),
        )
        name = self._fresh(name)
        self._append(Operator(name, "matmul", (b.name, a.name), (result.name,), einsum))

    def _expanded(self, name: str, value: Value, tensor: Tensor, lead: Shape) -> Tensor:
        shape = (*lead, *tensor.shape[-2:])
        if math.prod(shape) == tensor.elements:
            return tensor.seen_as(shape)
        wide = Value(f"{name}.{value.name}.expanded", shape, tensor.format)
        self.vector(wide.name, "expand", (value,), (wide,))
        return self._tensor(wide)

    def _tensors_of(self, values: Sequence[Value]) -> tuple[Tensor, ...]:
        return tuple(self._tensor(value) for value in values)

    def _tensor(self, value: Value) -> Tensor:
        known = self._tensors.get(value.name)
        if known is None:
            shape = value.stored or value.shape
            known = Tensor(
                value.name, shape, value.format, value.constant, value.quantization,
                value.entropy_bits,
            )  # fmt: skip
            self._tensors[value.name] = known
        if known.elements != value.elements:
            raise NetworkError(f"'{value.name}' {list(known.shape)} is no {list(value.shape)}")
        return known if known.shape == value.shape else known.seen_as(value.shape)

    def _append(self, operator: Operator) -> None:
        self._operators.append(operator)

    def _fresh(self, wanted: str) -> str:
        name = wanted
        while name in self._taken:
            self._taken[wanted] += 1
            name = f"{wanted}_{self._taken[wanted]}"
        self._taken[name] = 1
        return name


def _as_image(tensor: Tensor) -> Tensor:
    return tensor.seen_as((*tensor.shape, 1)) if len(tensor.shape) == 3 else tensor


def _flat(window: Windows) -> Window:
    """The window over rows and columns; a 1-D one is a column wide."""
    numbers = (window.kernel, window.stride, window.begin, window.end, window.dilation)
    kernel, stride, begin, end, dilation = (
        (entries[0], entries[1] if len(entries) > 1 else fill)
        for entries, fill in zip(numbers, (1, 1, 0, 0, 1), strict=True)
    )
    return Window(kernel, stride, (*begin, *end), dilation)


def _slices_follow(lead: Shape, lead_b: Shape) -> bool:
    """True if consecutive slices of `lead` share one of `lead_b`: its extents are a prefix."""
    padded = (1,) * (len(lead) - len(lead_b)) + lead_b
    wide = [i for i, (a, b) in enumerate(zip(lead, padded, strict=True)) if a != b]
    return not wide or all(extent == 1 for extent in padded[wide[0] :])
