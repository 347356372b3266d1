"""What the RTL machine runs: a memory image with segments, weights and room for activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import MappingError
from dovetail.ir.program import Program

Bytes = NDArray[np.uint8]
_NATIVE = {8: "<i1", 16: "<i2", 32: "<i4"}


@dataclass(frozen=True, slots=True)
class Machine:
    """The RTL parameters that give an image its meaning.

    Attributes:
        rows: inputs per word. cols: weights, accumulators and parameter lanes per word.
        input_bits, weight_bits, accumulator_bits: operand widths.
        bus_bits: a beat.
        input_words, weight_words, accumulator_words: of one half of each scratchpad.
    """

    rows: int
    cols: int
    input_bits: int
    weight_bits: int
    accumulator_bits: int
    bus_bits: int
    input_words: int
    weight_words: int
    accumulator_words: int

    @property
    def lanes(self) -> int:
        """Channels per word of vector instructions."""
        return min(self.rows, self.cols)


@dataclass(frozen=True, slots=True)
class Region:
    """Where a tensor lies: [row][column][channel], channels padded to `pitch`.

    Attributes:
        name: of the tensor.
        address: first byte.
        channels, height, width: of the tensor.
        pitch: values per pixel, a whole number of bytes.
        bits: of a value.
    """

    name: str
    address: int
    channels: int
    height: int
    width: int
    pitch: int
    bits: int

    @property
    def pixel_bytes(self) -> int:
        """Bytes from one pixel to the next."""
        return self.pitch * self.bits // 8

    @property
    def row_bytes(self) -> int:
        """Bytes from one row to the next."""
        return self.width * self.pixel_bytes

    @property
    def size(self) -> int:
        """Bytes of the region."""
        return self.height * self.row_bytes

    def pack(self, values: NDArray[Any]) -> Bytes:
        """Bytes of (channels, height, width) values; padding is 0."""
        self._require_shape(values)
        padded = np.zeros((self.height, self.width, self.pitch), dtype=np.int64)
        padded[:, :, : self.channels] = values.transpose(1, 2, 0)
        return pack_lanes(padded, self.bits)

    def unpack(self, memory: Bytes) -> NDArray[np.int64]:
        """(channels, height, width) values from the whole memory."""
        data = memory[self.address : self.address + self.size]
        values = unpack_lanes(data, self.bits).reshape(self.height, self.width, self.pitch)
        return np.ascontiguousarray(values[:, :, : self.channels].transpose(2, 0, 1))

    def _require_shape(self, values: NDArray[Any]) -> None:
        shape = (self.channels, self.height, self.width)
        if values.shape != shape:
            raise MappingError(f"tensor '{self.name}' of shape {values.shape}: must be {shape}")


@dataclass(frozen=True, slots=True)
class PlanarRegion(Region):
    """Where a tensor lies as [channel][pixel], pixels padded to `pitch`, channels to `planes`.

    Attributes:
        planes: channels with room in memory.
    """

    planes: int

    @property
    def size(self) -> int:
        """Bytes of the region."""
        return self.planes * self.pixel_bytes

    def pack(self, values: NDArray[Any]) -> Bytes:
        """Bytes of (channels, height, width) values; padding is 0."""
        self._require_shape(values)
        padded = np.zeros((self.planes, self.pitch), dtype=np.int64)
        padded[: self.channels, : self.height * self.width] = values.reshape(self.channels, -1)
        return pack_lanes(padded, self.bits)

    def unpack(self, memory: Bytes) -> NDArray[np.int64]:
        """(channels, height, width) values from the whole memory."""
        data = memory[self.address : self.address + self.size]
        values = unpack_lanes(data, self.bits).reshape(self.planes, self.pitch)
        inside = values[: self.channels, : self.height * self.width]
        return inside.reshape(self.channels, self.height, self.width)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """One layer's part of the image.

    Attributes:
        program: its instructions.
        address: of its header.
        size: bytes of header, entries and parameters.
        entries: per queue, HALT included.
        parameters: (words, cols) parameter lanes of 64 bits.
    """

    program: Program
    address: int
    size: int
    entries: tuple[int, int, int]
    parameters: NDArray[np.uint64]


@dataclass(frozen=True, slots=True, eq=False)
class Executable:
    """A network ready to run.

    Attributes:
        name: of the network.
        machine: that it was lowered to.
        image: bytes of the memory from address 0: segments and weights.
        start: address of the first segment.
        segments: in the order in which they run.
        regions: where the tensors lie, in the order of the network.
        input, output: names of the given and the wanted tensor.
        size: bytes of memory that it needs, tensors included.
    """

    name: str
    machine: Machine
    image: bytes
    start: int
    segments: tuple[Segment, ...]
    regions: tuple[Region, ...]
    input: str
    output: str
    size: int

    def region(self, name: str) -> Region:
        """Where a tensor lies."""
        return next(r for r in self.regions if r.name == name)

    def memory(self, image: NDArray[Any] | None = None) -> Bytes:
        """A memory that holds the program and, if given, a (C, H, W) input."""
        memory = np.zeros(self.size, dtype=np.uint8)
        memory[: len(self.image)] = np.frombuffer(self.image, dtype=np.uint8)
        if image is not None:
            region = self.region(self.input)
            memory[region.address : region.address + region.size] = region.pack(image)
        return memory

    @property
    def program_depth(self) -> int:
        """Most entries of a queue in any segment."""
        return max(max(s.entries) for s in self.segments)

    @property
    def param_depth(self) -> int:
        """Most parameter words of any segment."""
        return max(len(s.parameters) for s in self.segments)


def pack_lanes(values: NDArray[Any], bits: int) -> Bytes:
    """Values of `bits` bits one after the other, the first one lowest.

    Args:
        values: integers of any shape, a whole number of bytes in all.
        bits: of each; higher ones are dropped.
    """
    if bits in _NATIVE:
        return values.astype(_NATIVE[bits]).reshape(-1).view(np.uint8)
    planes = (values.reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(planes.astype(np.uint8).reshape(-1), bitorder="little")


def unpack_lanes(data: Bytes, bits: int) -> NDArray[np.int64]:
    """Inverse of `pack_lanes`, flat: signed values."""
    if bits in _NATIVE:
        return np.ascontiguousarray(data).view(_NATIVE[bits]).astype(np.int64)
    planes = np.unpackbits(data, bitorder="little")[: data.size * 8 // bits * bits]
    weights = np.left_shift(1, np.arange(bits, dtype=np.int64))
    weights[-1] = -weights[-1]
    return planes.reshape(-1, bits).astype(np.int64) @ weights
