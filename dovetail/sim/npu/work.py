"""What an Ethos-U is told to do at once: one block operation, and the block it is cut into."""

from __future__ import annotations

from dataclasses import dataclass

from dovetail.arch.npu_cores import Shape

KINDS = ("conv", "depthwise", "fully_connected", "pooling", "reduce_sum", "elementwise")
DEEP = ("conv", "fully_connected", "reduce_sum")
"""Kinds that sum over the input's channels."""
WEIGHTED = ("conv", "depthwise", "fully_connected")
"""Kinds that have weights and biases."""
SUB_KERNEL = 8
"""Rows and columns of a kernel that one pass over a block applies at most."""
BRICK = 16
"""Channels that the brick layout keeps together."""


@dataclass(frozen=True, slots=True)
class FeatureMap:
    """A feature map in memory.

    Attributes:
        shape: height, width, channels.
        bits: per element: 8, 16 or 32.
        bricks: layout NHCWB16, which keeps 16 channels together; else NHWC.
        memory: `sram` or `dram`.
    """

    shape: Shape
    bits: int = 8
    bricks: bool = True
    memory: str = "sram"

    @property
    def elements(self) -> int:
        """Elements, padding of the layout left out."""
        height, width, channels = self.shape
        return height * width * channels

    @property
    def stored_channels(self) -> int:
        """Channels of a stored pixel."""
        return round_up(self.shape[2], BRICK) if self.bricks else self.shape[2]

    @property
    def stored_bytes(self) -> int:
        """Bytes in memory."""
        height, width, _ = self.shape
        return height * width * self.stored_channels * self.bits // 8


@dataclass(frozen=True, slots=True)
class Work:
    """One block operation.

    Attributes:
        kind: one of `KINDS`.
        function: what pooling and elementwise operations compute: `max`, `average`, `add`, `sub`,
            `mul`, `shl`, `shr`, `clz`, ….
        ifm: input.
        ofm: output.
        ifm2: second input of elementwise operations.
        kernel: rows and columns.
        stride: of the kernel.
        dilation: of the kernel.
        activation: `none`, `relu` for anything that clips, `lut` for a table.
        scaled: whether results are scaled, which 16-bit inputs need wide accumulators for.
        weights_in: memory that the NPU reads weights from; "" without weights.
    """

    kind: str
    function: str
    ifm: FeatureMap
    ofm: FeatureMap
    ifm2: FeatureMap | None = None
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    activation: str = "none"
    scaled: bool = True
    weights_in: str = ""

    @property
    def taps(self) -> int:
        """Elements of the kernel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def sub_kernels(self) -> tuple[int, ...]:
        """Taps of each part of the kernel of at most 8 x 8."""
        rows, columns = (_parts(extent) for extent in self.kernel)
        return tuple(r * c for r in rows for c in columns)

    @property
    def macs(self) -> int:
        """Multiply-accumulates, as the operator counts them: none of elementwise operations."""
        height, width, channels = self.ofm.shape
        if self.kind == "elementwise":
            return 0
        deep = self.ifm.shape[2] if self.kind in DEEP else 1
        return height * width * channels * self.taps * deep

    @property
    def weights(self) -> int:
        """Weights, uncompressed; 0 without any."""
        if self.kind not in WEIGHTED:
            return 0
        return (
            self.taps * self.ofm.shape[2] * (1 if self.kind == "depthwise" else self.ifm.shape[2])
        )


@dataclass(frozen=True, slots=True)
class Block:
    """How an operation is cut.

    Attributes:
        ofm: results that the accumulators hold at once: height, width, channels.
        ifm: inputs that are fetched for them at once.
        part_kernel: traversal: kernel taps before channels, instead of the other way round.
        accumulator_bits: 32 or 40.
    """

    ofm: Shape
    ifm: Shape
    part_kernel: bool
    accumulator_bits: int


def round_up(count: int, to: int) -> int:
    """The least multiple of `to` that is not below `count`."""
    return -(-count // to) * to


def within(block: Shape, whole: Shape) -> Shape:
    """A block clipped to what it is cut from."""
    return min(block[0], whole[0]), min(block[1], whole[1]), min(block[2], whole[2])


def counts(whole: Shape, block: Shape) -> tuple[int, int, int]:
    """Blocks along each dimension."""
    return -(-whole[0] // block[0]), -(-whole[1] // block[1]), -(-whole[2] // block[2])


def _parts(extent: int) -> list[int]:
    return [min(SUB_KERNEL, extent - begin) for begin in range(0, extent, SUB_KERNEL)]
