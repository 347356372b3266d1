"""A builder of networks: operators in, tensor names out, shapes inferred and names kept unique."""

from __future__ import annotations

import math

from dovetail.errors import NetworkError
from dovetail.networks import operators
from dovetail.networks.elementary import Elementary
from dovetail.networks.windows import (
    Padding,
    Pair,
    Triple,
    make_window,
    make_windows,
    output_size,
)

POOL_KINDS = ("maxpool", "avgpool")


class NetworkBuilder(Elementary):
    """Builds one network, operator by operator.

    Every method that adds an operator returns the name of the tensor that it writes, which is
    also the operator's name. A name that is not given is the operator's kind; a name that is
    taken gets a number. Parameters of operator `x` are called `x.weight` and `x.bias`.

    Args:
        name: name of the network.
        number_format: format of every tensor that is not given another.
    """

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
