"""Tensors and their number formats."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dovetail.errors import NetworkError

KINDS = ("int", "float", "bfloat")
MAX_ELEMENTS = 2**48


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How one element is stored.

    Attributes:
        kind: `int` (two's complement), `float` (IEEE 754) or `bfloat`.
        bits: width of one element in bits, 1 to 64.
    """

    kind: str
    bits: int

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise NetworkError(f"number format kind '{self.kind}': must be one of {KINDS}")
        if not 1 <= self.bits <= 64:
            raise NetworkError(f"number format of {self.bits} bits: must be within 1 to 64")

    def __str__(self) -> str:
        return f"{self.kind}{self.bits}"


INT4 = NumberFormat("int", 4)
INT8 = NumberFormat("int", 8)
INT32 = NumberFormat("int", 32)
FLOAT16 = NumberFormat("float", 16)
BFLOAT16 = NumberFormat("bfloat", 16)
FLOAT32 = NumberFormat("float", 32)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A dense tensor.

    Attributes:
        name: unique within its network.
        shape: extents, each >= 1; () is a scalar.
        format: number format of every element. Floating formats mean "not quantized": such a
            tensor is deployed at the operand width of the accelerator that runs it.
        is_parameter: True for weights and other constants, False for activations.

    Raises:
        NetworkError: if an extent is not positive or the tensor exceeds 2^48 elements.
    """

    name: str
    shape: tuple[int, ...]
    format: NumberFormat = FLOAT32
    is_parameter: bool = False

    def __post_init__(self) -> None:
        if any(extent < 1 for extent in self.shape):
            raise NetworkError(
                f"tensor '{self.name}' has shape {list(self.shape)}: every extent must be >= 1"
            )
        if self.elements > MAX_ELEMENTS:
            raise NetworkError(
                f"tensor '{self.name}' of shape {list(self.shape)} exceeds 2^48 elements"
            )

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes at the tensor's own format, elements packed without gaps."""
        return -(-self.elements * self.format.bits // 8)
