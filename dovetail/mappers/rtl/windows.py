"""Windows of layers, from how operators read their inputs."""

from __future__ import annotations

from dataclasses import replace

from dovetail.ir.operator import Einsum
from dovetail.ir.window import Window
from dovetail.networks.quantized import Activation


def convolution_window(einsum: Einsum, x: Activation) -> Window:
    """Window of a convolution, from how it reads its input."""
    rows, columns = (_axis(einsum, letters) for letters in (("P", "R"), ("Q", "S")))
    bare = Window(
        (einsum.extent("R"), einsum.extent("S")),
        (rows[0], columns[0]),
        (rows[2], columns[2], 0, 0),
        (rows[1], columns[1]),
    )
    return fitted(bare, x, (einsum.extent("P"), einsum.extent("Q")))


def _axis(einsum: Einsum, letters: tuple[str, str]) -> tuple[int, int, int]:
    """Stride, dilation and leading padding of one dimension."""
    output, kernel = letters
    for index in einsum.operands[0].indices:
        if index.coefficient(kernel) or index.coefficient(output):
            return (
                max(1, index.coefficient(output)),
                max(1, index.coefficient(kernel)),
                -index.offset,
            )
    return 1, 1, 0


def fitted(window: Window, x: Activation, outputs: tuple[int, int]) -> Window:
    """The same window with as much padding behind the image as its outputs need."""
    top, left = window.padding[:2]
    need = [
        (count - 1) * stride + (kernel - 1) * dilation + 1 - size - before
        for count, stride, kernel, dilation, size, before in zip(
            outputs,
            window.stride,
            window.kernel,
            window.dilation,
            (x.height, x.width),
            (top, left),
            strict=True,
        )
    ]
    return replace(window, padding=(top, left, max(0, need[0]), max(0, need[1])))
