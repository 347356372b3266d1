"""Tensors and their number formats."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

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
class Quantization:
    """The real numbers that integer codes stand for: scale x (code - zero point).

    Attributes:
        scales: one, or one per element of `axis`.
        zero_points: as many.
        axis: dimension whose elements have scales of their own; None if the tensor has one.

    Raises:
        NetworkError: if a scale is not positive, or their numbers do not fit.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None = None

    def __post_init__(self) -> None:
        if len(self.scales) != len(self.zero_points) or not self.scales:
            raise NetworkError(
                f"quantization of {len(self.scales)} scales and {len(self.zero_points)} zero "
                "points: needs as many of each, at least one"
            )
        if self.axis is None and len(self.scales) > 1:
            raise NetworkError(f"quantization of {len(self.scales)} scales needs an axis")
        wrong = [scale for scale in self.scales if not 0 < scale < math.inf]
        if wrong:
            raise NetworkError(f"quantization scale {wrong[0]}: must be positive and finite")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A dense tensor.

    Attributes:
        name: unique within its network.
        shape: extents, each >= 1; () is a scalar.
        format: number format of every element. Floating formats mean "not quantized": such a
            tensor is deployed at the operand width of the accelerator that runs it.
        is_parameter: True for weights and other constants, False for activations.
        quantization: scales and zero points of integer codes; None where nobody has fixed them.
        entropy_bits: mean information of a stored code in bits, each code for itself (order 0):
            what an ideal code for single values needs; None where the values are unknown.

    Raises:
        NetworkError: if an extent is not positive, the tensor exceeds 2^48 elements, or its
            quantization does not fit its shape.
    """

    name: str
    shape: tuple[int, ...]
    format: NumberFormat = FLOAT32
    is_parameter: bool = False
    quantization: Quantization | None = None
    entropy_bits: float | None = None

    def __post_init__(self) -> None:
        if any(extent < 1 for extent in self.shape):
            raise NetworkError(
                f"tensor '{self.name}' has shape {list(self.shape)}: every extent must be >= 1"
            )
        if self.elements > MAX_ELEMENTS:
            raise NetworkError(
                f"tensor '{self.name}' of shape {list(self.shape)} exceeds 2^48 elements"
            )
        axis = self.quantization.axis if self.quantization else None
        if self.quantization and axis is not None:
            count = len(self.quantization.scales)
            if not 0 <= axis < len(self.shape) or self.shape[axis] != count:
                raise NetworkError(
                    f"tensor '{self.name}' of shape {list(self.shape)} has {count} scales along "
                    f"axis {axis}: needs one per element of it"
                )

    def seen_as(self, shape: tuple[int, ...]) -> Tensor:
        """The same elements in another shape; scales along an axis stay with the stored one."""
        whole = self.quantization is None or self.quantization.axis is None
        return replace(self, shape=shape, quantization=self.quantization if whole else None)

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes at the tensor's own format, elements packed without gaps."""
        return -(-self.elements * self.format.bits // 8)
