"""A builder's operators without an Einsum: elementwise ones, norms, and moves of data."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.errors import NetworkError
from dovetail.ir.tensor import INT32
from dovetail.networks import operators
from dovetail.networks.draft import Draft
from dovetail.networks.windows import axis_index, broadcast

NORM_PARAMETERS = {
    "batchnorm": (1, 2), "layernorm": (-1, 2), "groupnorm": (1, 2), "instancenorm": (1, 2),
    "rmsnorm": (-1, 1),
}  # fmt: skip
"""Axis that the parameters of a norm follow, and their number per element of that axis."""


class Elementary(Draft):
    """Adds operators that a vector unit runs, or that only move data."""

    def activation(self, x: str, kind: str, *, name: str | None = None) -> str:
        """Applies an elementwise function of one operand, e.g. `relu`, `gelu`, `silu`."""
        return self.vector(kind, (x,), self.shape(x), name=name)

    def elementwise(self, kind: str, a: str, b: str, *, name: str | None = None) -> str:
        """Combines two tensors element by element; extents of 1 are broadcast."""
        return self.vector(
            kind, (a, b), broadcast(name or kind, self.shape(a), self.shape(b)), name=name
        )

    def add(self, a: str, b: str, *, name: str = "add") -> str:
        """Adds two tensors."""
        return self.elementwise("add", a, b, name=name)

    def mul(self, a: str, b: str, *, name: str = "mul") -> str:
        """Multiplies two tensors element by element."""
        return self.elementwise("mul", a, b, name=name)

    def norm(self, x: str, kind: str, *, name: str | None = None) -> str:
        """Normalizes x by a key of `NORM_PARAMETERS`.

        An inference batchnorm holds a scale and a shift per channel: the statistics are folded
        into them, so that parameter counts are those of the trainable ones.
        """
        name = self._unique(name or kind)
        if kind not in NORM_PARAMETERS:
            raise NetworkError(
                f"operator '{name}': norm '{kind}' is none of {', '.join(NORM_PARAMETERS)}"
            )
        axis, count = NORM_PARAMETERS[kind]
        shape = self.shape(x)
        if len(shape) < 2:
            raise NetworkError(f"operator '{name}': {kind} needs 2 dimensions, not {list(shape)}")
        suffixes = ("weight", "bias")[:count]
        scales = [self._parameter(f"{name}.{end}", (shape[axis],)).name for end in suffixes]
        return self._vector(name, kind, (x, *scales), shape)

    def softmax(self, x: str, *, name: str = "softmax") -> str:
        """Softmax over the last dimension."""
        return self.activation(x, "softmax", name=name)

    def topk(self, x: str, count: int, *, name: str = "topk") -> tuple[str, str]:
        """The `count` largest elements of every last dimension, and their places."""
        shape = self.shape(x)
        if not 1 <= count <= shape[-1]:
            raise NetworkError(f"operator '{name}': {count} of {shape[-1]} elements")
        name, kept = self._unique(name), (*shape[:-1], count)
        best, places = self._tensor(name, kept), self._tensor(f"{name}.places", kept, INT32)
        self._append(
            operators.vector(
                name, "topk", (self._get(x),), (best, places), work_elements=math.prod(shape)
            )
        )
        return best.name, places.name

    def concat(self, tensors: Sequence[str], axis: int, *, name: str = "concat") -> str:
        """Joins tensors along `axis`; their other extents are equal."""
        shapes = [list(self.shape(t)) for t in tensors]
        axis = axis_index(name, axis, len(shapes[0]) if shapes else 0)
        rests = {tuple(s[:axis] + s[axis + 1 :]) for s in shapes}
        if len(rests) != 1 or len({len(s) for s in shapes}) != 1:
            raise NetworkError(f"operator '{name}': shapes {shapes} do not join along axis {axis}")
        joined = shapes[0].copy()
        joined[axis] = sum(s[axis] for s in shapes)
        return self.vector("concat", tensors, joined, name=name)

    def reshape(self, x: str, shape: Sequence[int], *, name: str = "reshape") -> str:
        """Renames the elements of x to `shape`: a view, free of cost."""
        if math.prod(shape) != self._get(x).elements:
            raise NetworkError(
                f"operator '{name}': {list(self.shape(x))} does not reshape to {list(shape)}"
            )
        return self.vector("reshape", (x,), shape, name=name)

    def flatten(self, x: str, *, name: str = "flatten") -> str:
        """Joins all dimensions but the first."""
        first, *rest = self.shape(x)
        return self.vector("flatten", (x,), (first, math.prod(rest)), name=name)

    def transpose(self, x: str, axes: Sequence[int], *, name: str = "transpose") -> str:
        """Permutes the dimensions of x: output dimension i is dimension axes[i] of x."""
        shape = self.shape(x)
        if sorted(axes) != list(range(len(shape))):
            raise NetworkError(f"operator '{name}': axes {list(axes)} do not permute {len(shape)}")
        return self.vector("transpose", (x,), [shape[axis] for axis in axes], name=name)

    def slice(self, x: str, axis: int, start: int, stop: int, *, name: str = "slice") -> str:
        """Takes the elements start <= i < stop along `axis`."""
        shape = list(self.shape(x))
        axis = axis_index(name, axis, len(shape))
        if not 0 <= start < stop <= shape[axis]:
            raise NetworkError(
                f"operator '{name}': slice {start}:{stop} lies outside extent {shape[axis]}"
            )
        shape[axis] = stop - start
        return self.vector("slice", (x,), shape, name=name)

    def gather(self, table: str, indices: str, *, name: str = "gather") -> str:
        """Looks rows of a table (rows, ...) up by indices of any shape: an embedding."""
        shape = (*self.shape(indices), *self.shape(table)[1:])
        return self.vector("gather", (table, indices), shape, name=name)
