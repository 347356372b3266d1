"""Searched cells: the part that the networks of architecture search are stacks of.

A cell reads the outputs of the two cells before it, brings both to its own width, and adds
states: each the sum of two operations on earlier states. An operation is named by its kind and
the rows of its window: `sep5` is two separable 5x5 convolutions, `dil3` one dilated by 2, `conv1`
a 1x1, `conv3` a 3x3 and `conv7` a 1x7 and a 7x1 between two 1x1 that quarter the channels,
`max3` and `avg3` poolings, `none` the state itself. Convolutions follow a ReLU and lead to a
batchnorm.
"""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.errors import NetworkError
from dovetail.networks.builder import NetworkBuilder

Step = tuple[str, int]
"""An operation, and the state that it reads."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a search found.

    Attributes:
        sums: pairs of steps; the first makes state 2. State 0 comes from the cell before the
            previous one, state 1 from the previous one.
        outputs: states whose channels are joined.
        projects: whether state 0 is convolved even if it has the cell's shape.
    """

    sums: tuple[tuple[Step, Step], ...]
    outputs: tuple[int, ...]
    projects: bool = False


@dataclass(slots=True)
class Stack:
    """Cells on top of each other.

    Attributes:
        net: network that they extend.
        x: output of the last cell.
        earlier: output of the cell before it, None where there is none.
        cells: number of cells so far.
    """

    net: NetworkBuilder
    x: str
    earlier: str | None = None
    cells: int = 0

    def add(self, cell: Cell, width: int, stride: int = 1) -> None:
        """Adds a cell of states of `width` channels; see `add_cell`."""
        with self.net.scope(f"cell{self.cells}"):
            y = add_cell(self.net, cell, self.earlier, self.x, width, stride)
        self.earlier, self.x = self.x, y
        self.cells += 1


def add_cell(
    net: NetworkBuilder, cell: Cell, earlier: str | None, x: str, width: int, stride: int = 1
) -> str:
    """Adds a cell over x (N, C, H, W).

    Args:
        net: network to extend.
        cell: its structure.
        earlier: output of the cell before the previous one, with the rows and columns of x or
            twice as many; None where there is none: x itself is state 0.
        x: output of the previous cell.
        width: channels of every state.
        stride: of operations that read states 0 and 1.

    Returns:
        The outputs, joined: (N, len(cell.outputs) * width, H / stride, W / stride).
    """
    first = x if earlier is None else _fitted(net, cell, earlier, x, width)
    states = [first, relu_conv_norm(net, x, width, name="previous")]
    for pair in cell.sums:
        with net.scope(f"state{len(states)}"):
            a, b = (
                _operation(net, name, states[state], width, stride if state < 2 else 1)
                for name, state in pair
            )
            states.append(net.add(a, b))
    return net.concat([states[state] for state in cell.outputs], axis=1)


def relu_conv_norm(
    net: NetworkBuilder, x: str, channels: int, kernel: int | tuple[int, int] = 1, *, name: str,
    stride: int | tuple[int, int] = 1,
) -> str:  # fmt: skip
    """ReLU, convolution and batchnorm: the order of all searched cells."""
    with net.scope(name):
        x = net.activation(x, "relu")
        x = net.conv2d(x, channels, kernel, stride=stride, padding="same", name="conv")
        return net.norm(x, "batchnorm", name="norm")


def _fitted(net: NetworkBuilder, cell: Cell, earlier: str, x: str, width: int) -> str:
    """The output of the cell before the previous one in this cell's shape."""
    if net.shape(earlier)[2:] != net.shape(x)[2:]:
        return _factorized(net, earlier, width)
    if cell.projects or net.shape(earlier)[1] != width:
        return relu_conv_norm(net, earlier, width, name="earlier")
    return earlier


def _factorized(net: NetworkBuilder, x: str, width: int) -> str:
    """Halves rows and columns: each of two 1x1 convolutions reads another quarter of the pixels."""
    with net.scope("earlier"):
        batch, channels, rows, columns = net.shape(x)
        x = net.activation(x, "relu")
        even = net.conv2d(x, width // 2, 1, stride=2, name="even")
        odd = net.vector("slice", (x,), (batch, channels, rows - 1, columns - 1), name="shift")
        odd = net.conv2d(odd, width - width // 2, 1, stride=2, padding=(0, 0, 1, 1), name="odd")
        return net.norm(net.concat((even, odd), axis=1), "batchnorm", name="norm")


def _operation(net: NetworkBuilder, name: str, x: str, width: int, stride: int) -> str:
    kind, size = (name, 1) if name == "none" else (name[:-1], int(name[-1]))
    with net.scope(name):
        match kind:
            case "none":
                if stride == 1 and net.shape(x)[1] == width:
                    return x
                return relu_conv_norm(net, x, width, name="project", stride=stride)
            case "max" | "avg":
                return _pool(net, f"{kind}pool", x, size, width, stride)
            case "sep":
                x = _separable(net, x, size, width, stride, name="first")
                return _separable(net, x, size, width, 1, name="second")
            case "dil":
                return _separable(net, x, size, width, stride, dilation=2, name="dilated")
            case "conv":
                return _convolution(net, x, size, width, stride)
    raise NetworkError(f"cell operation '{name}' is none of sep, dil, conv, max, avg and none")


def _pool(net: NetworkBuilder, kind: str, x: str, size: int, width: int, stride: int) -> str:
    x = net.pool(x, kind, size, stride=stride, padding="same")
    if net.shape(x)[1] == width:
        return x
    return net.norm(net.conv2d(x, width, 1, name="conv"), "batchnorm", name="norm")


def _separable(
    net: NetworkBuilder, x: str, size: int, width: int, stride: int, *, name: str,
    dilation: int = 1,
) -> str:  # fmt: skip
    with net.scope(name):
        x = net.activation(x, "relu")
        x = net.depthwise(x, size, stride=stride, padding="same", dilation=dilation)
        return net.norm(net.conv2d(x, width, 1, name="pointwise"), "batchnorm", name="norm")


def _convolution(net: NetworkBuilder, x: str, size: int, width: int, stride: int) -> str:
    if size == 1:
        return relu_conv_norm(net, x, width, name="point", stride=stride)
    x = relu_conv_norm(net, x, width // 4, name="reduce")
    if size == 7:
        x = relu_conv_norm(net, x, width // 4, (1, 7), stride=(1, stride), name="row")
        x = relu_conv_norm(net, x, width // 4, (7, 1), stride=(stride, 1), name="column")
    else:
        x = relu_conv_norm(net, x, width // 4, size, stride=stride, name="spatial")
    return relu_conv_norm(net, x, width, name="expand")
