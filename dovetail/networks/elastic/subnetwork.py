"""One sub-network of an elastic family: its decoded choice and its inference graph."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.ir.tensor import INT32, NumberFormat, Tensor
from dovetail.networks.operators import Window, conv2d, matmul, vector


@dataclass(frozen=True, slots=True)
class Block:
    """One convolution block of a sub-network.

    Attributes:
        stage: stage, from 0.
        index: position within the stage, from 0.
        in_channels: channels read.
        channels: channels written.
        kernel: kernel rows and columns, odd.
        stride: rows and columns.
        size: rows and columns written.
    """

    stage: int
    index: int
    in_channels: int
    channels: int
    kernel: int
    stride: int
    size: int

    @property
    def name(self) -> str:
        """Prefix of the names of its operators and tensors."""
        return f"stage{self.stage + 1}.block{self.index + 1}"

    @property
    def residual(self) -> bool:
        """True if the block adds its input."""
        return self.index > 0


@dataclass(frozen=True, slots=True)
class SubNetwork:
    """The decoded choice of one sub-network.

    Attributes:
        resolution: rows and columns of the image.
        depths: blocks per stage.
        widths: channels per stage.
        kernels: kernel size per stage.
        weight_bits: of every weight.
        activation_bits: of every activation.
    """

    resolution: int
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    kernels: tuple[int, ...]
    weight_bits: int
    activation_bits: int

    def stage(self, stage: int, in_channels: int) -> tuple[Block, ...]:
        """Blocks of one stage; `in_channels` is what the network reads, not the stage."""
        channels = self.widths[stage]
        before = self.widths[stage - 1] if stage else in_channels
        size = self.resolution
        for _ in range(stage):
            size = (size - 1) // 2 + 1
        return tuple(
            Block(
                stage=stage,
                index=index,
                in_channels=channels if index else before,
                channels=channels,
                kernel=self.kernels[stage],
                stride=1 if index or not stage else 2,
                size=size,
            )
            for index in range(self.depths[stage])
        )


def build(name: str, sub: SubNetwork, in_channels: int, classes: int) -> Network:
    """Inference graph of `sub` for one image of `in_channels` channels."""
    graph = _Graph(sub)
    x = graph.activation("image", (1, in_channels, sub.resolution, sub.resolution))
    for stage in range(len(sub.widths)):
        for block in sub.stage(stage, in_channels):
            x = graph.block(block, x)
    graph.classifier(graph.pool(x), classes)
    return Network(name, tuple(graph.operators), tuple(graph.tensors), ("image",), ("logits",))


class _Graph:
    """Collects the operators and tensors of one sub-network."""

    def __init__(self, sub: SubNetwork) -> None:
        self.weights = NumberFormat("int", sub.weight_bits)
        self.activations = NumberFormat("int", sub.activation_bits)
        self.operators: list[Operator] = []
        self.tensors: list[Tensor] = []

    def _keep(self, tensor: Tensor) -> Tensor:
        self.tensors.append(tensor)
        return tensor

    def activation(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return self._keep(Tensor(name, shape, self.activations))

    def parameters(self, name: str, shape: tuple[int, ...], outputs: int) -> tuple[Tensor, Tensor]:
        weight = self._keep(Tensor(f"{name}.weight", shape, self.weights, is_parameter=True))
        bias = self._keep(Tensor(f"{name}.bias", (outputs,), INT32, is_parameter=True))
        return weight, bias

    def block(self, block: Block, x: Tensor) -> Tensor:
        k, pad = block.kernel, block.kernel // 2
        shape = (1, block.channels, block.size, block.size)
        weight, bias = self.parameters(
            f"{block.name}.conv", (block.channels, block.in_channels, k, k), block.channels
        )
        window = Window((k, k), (block.stride, block.stride), (pad, pad, pad, pad))
        out = self.activation(f"{block.name}.conv.out", shape)
        conv = conv2d(f"{block.name}.conv", x, weight, out, window, bias=bias)
        self.operators.append(conv)
        if block.residual:
            total = self.activation(f"{block.name}.add.out", shape)
            self.operators.append(vector(f"{block.name}.add", "add", (out, x), (total,)))
            out = total
        result = self.activation(f"{block.name}.out", shape)
        self.operators.append(vector(f"{block.name}.relu", "relu", (out,), (result,)))
        return result

    def pool(self, x: Tensor) -> Tensor:
        out = self.activation("pool.out", (1, x.shape[1]))
        window = Window((x.shape[2], x.shape[3]))
        self.operators.append(
            vector("pool", "avgpool", (x,), (out,), work_elements=x.elements, window=window)
        )
        return out

    def classifier(self, x: Tensor, classes: int) -> None:
        weight, bias = self.parameters("classifier", (x.shape[1], classes), classes)
        logits = self._keep(Tensor("logits", (1, classes), INT32))
        self.operators.append(matmul("classifier", x, weight, logits, bias))
