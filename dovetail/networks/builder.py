"""A builder of networks: operators in, tensor names out, shapes inferred and names kept unique."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import FLOAT32, NumberFormat, Tensor
from dovetail.networks import operators
from dovetail.networks.operators import Window
from dovetail.networks.windows import (
    Padding,
    Pair,
    Triple,
    axis_index,
    broadcast,
    make_window,
    make_windows,
    output_size,
)

POOL_KINDS = ("maxpool", "avgpool")
NORM_PARAMETERS = {
    "batchnorm": (1, 2), "layernorm": (-1, 2), "groupnorm": (1, 2), "instancenorm": (1, 2),
    "rmsnorm": (-1, 1),
}  # fmt: skip
"""Axis that the parameters of a norm follow, and their number per element of that axis."""


class NetworkBuilder:
    """Builds one network, operator by operator.

    Every method that adds an operator returns the name of the tensor that it writes, which is
    also the operator's name. A name that is not given is the operator's kind; a name that is
    taken gets a number. Parameters of operator `x` are called `x.weight` and `x.bias`.

    Args:
        name: name of the network.
        number_format: format of every tensor that is not given another.
    """

    def __init__(self, name: str, number_format: NumberFormat = FLOAT32) -> None:
        self.name = name
        self.number_format = number_format
        self._tensors: dict[str, Tensor] = {}
        self._operators: list[Operator] = []
        self._inputs: list[str] = []
        self._next: dict[str, int] = {}
        self._scopes: list[str] = []

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Prefixes `name.` to the names of everything made inside."""
        self._scopes.append(name)
        try:
            yield
        finally:
            self._scopes.pop()

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor.

        Raises:
            NetworkError: if this builder has no such tensor.
        """
        return self._get(tensor).shape

    def input(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None
    ) -> str:
        """Adds an activation that the network is given."""
        self._inputs.append(self._tensor(self._unique(name), shape, number_format).name)
        return self._inputs[-1]

    def parameter(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None
    ) -> str:
        """Adds a weight or another constant."""
        return self._tensor(self._unique(name), shape, number_format, is_parameter=True).name

    def conv2d(
        self, x: str, channels: int, kernel: Pair, *, stride: Pair = 1, padding: Padding = 0,
        dilation: Pair = 1, groups: int = 1, bias: bool = False, name: str = "conv2d",
    ) -> str:  # fmt: skip
        """Convolves x (N, C, H, W) into (N, channels, P, Q).

        Args:
            x: input tensor.
            channels: output channels.
            kernel: rows and columns, or one number for both.
            stride: as `kernel`.
            padding: zeros as one number, (rows, columns), (top, left, bottom, right), or "same":
                as many as keep ceil(size / stride), the odd one at the end.
            dilation: as `kernel`.
            groups: groups of channels; C makes the convolution depthwise.
            bias: whether it has a bias of shape (channels,).
            name: wanted name.
        """
        name = self._unique(name)
        n, c, h, w = self._shape4(name, x)
        _check_groups(name, c, channels, groups)
        window = make_window(name, (h, w), kernel, stride, padding, dilation)
        p, q = output_size(name, window, h, w)
        weight = self._parameter(f"{name}.weight", (channels, c // groups, *window.kernel))
        bias_tensor = self._parameter(f"{name}.bias", (channels,)) if bias else None
        output = self._tensor(name, (n, channels, p, q))
        return self._append(
            operators.conv2d(name, self._get(x), weight, output, window, groups, bias_tensor)
        )

    def conv3d(
        self, x: str, channels: int, kernel: Triple, *, stride: Triple = 1,
        padding: Triple | str = 0, dilation: Triple = 1, groups: int = 1, bias: bool = False,
        name: str = "conv3d",
    ) -> str:  # fmt: skip
        """Convolves x (N, C, D, H, W) into (N, channels, O, P, Q).

        Args:
            x: input tensor; D is depth, or the frames of a clip.
            channels: output channels.
            kernel: depth, rows and columns, or one number for all.
            stride: as `kernel`.
            padding: zeros at both ends, as `kernel`, or "same".
            dilation: as `kernel`.
            groups: as in `conv2d`.
            bias: whether it has a bias of shape (channels,).
            name: wanted name.
        """
        name = self._unique(name)
        n, c, *sizes = self._shape5(name, x)
        _check_groups(name, c, channels, groups)
        window, made = make_windows(name, tuple(sizes), kernel, stride, padding, dilation)
        weight = self._parameter(f"{name}.weight", (channels, c // groups, *window.kernel))
        bias_tensor = self._parameter(f"{name}.bias", (channels,)) if bias else None
        output = self._tensor(name, (n, channels, *made))
        return self._append(
            operators.conv3d(name, self._get(x), weight, output, window, groups, bias_tensor)
        )

    def depthwise(
        self, x: str, kernel: Pair, *, stride: Pair = 1, padding: Padding = 0,
        dilation: Pair = 1, multiplier: int = 1, bias: bool = False, name: str = "depthwise",
    ) -> str:  # fmt: skip
        """Convolves every channel of x (N, C, H, W) alone into (N, C * multiplier, P, Q)."""
        channels = self._shape4(name, x)[1]
        return self.conv2d(
            x, channels * multiplier, kernel, stride=stride, padding=padding, dilation=dilation,
            groups=channels, bias=bias, name=name,
        )  # fmt: skip

    def linear(
        self, x: str, features: int, *, bias: bool = True, weight: str | None = None,
        name: str = "linear",
    ) -> str:  # fmt: skip
        """Multiplies x (..., C) with a weight (features, C) into (..., features).

        `weight` names a tensor to share, e.g. an embedding table; by default a new one is made.
        """
        name = self._unique(name)
        rows = self._get(x)
        if len(rows.shape) < 2:
            raise NetworkError(
                f"operator '{name}': input '{x}' of shape {list(rows.shape)} needs 2 dimensions"
            )
        matrix = (
            self._get(weight)
            if weight
            else self._parameter(f"{name}.weight", (features, rows.shape[-1]))
        )
        bias_tensor = self._parameter(f"{name}.bias", (features,)) if bias else None
        output = self._tensor(name, (*rows.shape[:-1], features))
        return self._append(
            operators.matmul(name, rows, matrix, output, bias_tensor, transpose_b=True)
        )

    def matmul(self, a: str, b: str, *, transpose_b: bool = False, name: str = "matmul") -> str:
        """Multiplies a (..., M, K) with b (..., K, N), or (..., N, K) transposed."""
        name = self._unique(name)
        left, right = self._get(a), self._get(b)
        if min(len(left.shape), len(right.shape)) < 2:
            raise NetworkError(
                f"operator '{name}': {list(left.shape)} x {list(right.shape)}: both operands of "
                "a matmul need at least 2 dimensions"
            )
        columns = right.shape[-2 if transpose_b else -1]
        output = self._tensor(name, (*left.shape[:-1], columns))
        return self._append(operators.matmul(name, left, right, output, transpose_b=transpose_b))

    def pool(
        self, x: str, kind: str, kernel: Pair, *, stride: Pair | None = None,
        padding: Padding = 0, ceil: bool = False, name: str | None = None,
    ) -> str:  # fmt: skip
        """Pools x (N, C, H, W) by `maxpool` or `avgpool`; the stride defaults to the kernel."""
        name = self._unique(name or kind)
        _check_pool(name, kind)
        n, c, h, w = self._shape4(name, x)
        window = make_window(name, (h, w), kernel, kernel if stride is None else stride, padding, 1)
        shape = (n, c, *output_size(name, window, h, w, ceil=ceil))
        work = math.prod(shape) * math.prod(window.kernel)
        return self._vector(name, kind, (x,), shape, work, window=window)

    def pool3d(
        self, x: str, kind: str, kernel: Triple, *, stride: Triple | None = None,
        padding: Triple | str = 0, name: str | None = None,
    ) -> str:  # fmt: skip
        """Pools x (N, C, D, H, W) as `pool` does."""
        name = self._unique(name or kind)
        _check_pool(name, kind)
        n, c, *sizes = self._shape5(name, x)
        step = kernel if stride is None else stride
        window, made = make_windows(name, tuple(sizes), kernel, step, padding, 1)
        shape = (n, c, *made)
        return self._vector(name, kind, (x,), shape, math.prod(shape) * math.prod(window.kernel))

    def global_pool(self, x: str, kind: str = "avgpool", *, name: str | None = None) -> str:
        """Pools x (N, C, H, W) or (N, C, D, H, W) to one element per channel."""
        if len(self.shape(x)) == 5:
            return self.pool3d(x, kind, self._shape5(name or kind, x)[2:], name=name)
        return self.pool(x, kind, self._shape4(name or kind, x)[2:], name=name)

    def vector(
        self, kind: str, inputs: Sequence[str], shape: Sequence[int], *,
        work_elements: int | None = None, number_format: NumberFormat | None = None,
        name: str | None = None,
    ) -> str:  # fmt: skip
        """Adds an operator without an Einsum that writes one tensor of `shape`."""
        return self._vector(
            self._unique(name or kind), kind, inputs, shape, work_elements, number_format
        )

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

    def build(self, outputs: Sequence[str]) -> Network:
        """The network that returns `outputs`.

        Raises:
            NetworkError: if it is empty, or returns a tensor that it does not have.
        """
        return Network(
            self.name,
            tuple(self._operators),
            tuple(self._tensors.values()),
            tuple(self._inputs),
            tuple(outputs),
        )

    def _vector(
        self, name: str, kind: str, inputs: Sequence[str], shape: Sequence[int],
        work_elements: int | None = None, number_format: NumberFormat | None = None,
        window: Window | None = None,
    ) -> str:  # fmt: skip
        read = tuple(self._get(x) for x in inputs)
        output = self._tensor(name, shape, number_format)
        return self._append(
            operators.vector(
                name, kind, read, (output,), work_elements=work_elements, window=window
            )
        )

    def _append(self, operator: Operator) -> str:
        self._operators.append(operator)
        return operator.outputs[0]

    def _get(self, tensor: str) -> Tensor:
        if tensor not in self._tensors:
            raise NetworkError(f"network '{self.name}' has no tensor '{tensor}'")
        return self._tensors[tensor]

    def _parameter(self, name: str, shape: Sequence[int]) -> Tensor:
        return self._tensor(name, shape, is_parameter=True)

    def _tensor(
        self, name: str, shape: Sequence[int], number_format: NumberFormat | None = None,
        *, is_parameter: bool = False,
    ) -> Tensor:  # fmt: skip
        if name in self._tensors:
            raise NetworkError(f"network '{self.name}' already has a tensor '{name}'")
        tensor = Tensor(name, tuple(shape), number_format or self.number_format, is_parameter)
        self._tensors[name] = tensor
        return tensor

    def _unique(self, wanted: str) -> str:
        base = ".".join((*self._scopes, wanted))
        name = base
        while name in self._next:
            self._next[base] += 1
            name = f"{base}_{self._next[base]}"
        self._next[name] = 1
        return name

    def _shape4(self, operator: str, x: str) -> tuple[int, int, int, int]:
        shape = self.shape(x)
        if len(shape) != 4:
            raise NetworkError(
                f"operator '{operator}': input '{x}' of shape {list(shape)} must be (N, C, H, W)"
            )
        n, c, h, w = shape
        return n, c, h, w

    def _shape5(self, operator: str, x: str) -> tuple[int, int, int, int, int]:
        shape = self.shape(x)
        if len(shape) != 5:
            raise NetworkError(
                f"operator '{operator}': input '{x}' of shape {list(shape)} must be (N, C, D, H, W)"
            )
        n, c, d, h, w = shape
        return n, c, d, h, w


def _check_groups(name: str, inputs: int, outputs: int, groups: int) -> None:
    if groups < 1 or inputs % groups or outputs % groups:
        raise NetworkError(
            f"operator '{name}': groups {groups} must divide input channels {inputs} and output "
            f"channels {outputs}"
        )


def _check_pool(name: str, kind: str) -> None:
    if kind not in POOL_KINDS:
        raise NetworkError(f"operator '{name}': pool kind '{kind}' is none of {POOL_KINDS}")
