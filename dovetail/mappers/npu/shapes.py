"""Tensors as an Ethos-U sees them: rows, columns and channels of 8, 16 or 32 bits."""

from __future__ import annotations

import math

from dovetail.arch.npu_cores import Shape
from dovetail.errors import MappingError
from dovetail.ir.tensor import Tensor


class Refused(Exception):  # noqa: N818  caught where the host takes over
    """Why the NPU leaves an operator to the host."""


def bits_of(tensor: Tensor) -> int:
    """Bits of an element in memory; floating tensors are deployed with 8."""
    if tensor.format.kind != "int":
        return 8
    return next((bits for bits in (8, 16, 32) if tensor.format.bits <= bits), 32)


def shape_of(tensor: Tensor) -> Shape:
    """Height, width, channels: of (N, C, H, W), or of rows of channels.

    Raises:
        MappingError: if there is more than one image.
        Refused: if the tensor has more than two spatial dimensions.
    """
    shape = tensor.shape
    if len(shape) == 4:
        if shape[0] > 1:
            raise MappingError(
                f"tensor '{tensor.name}' holds {shape[0]} images: an Ethos-U runs one input at a "
                "time: set the network's batch to 1"
            )
        return shape[2], shape[3], shape[1]
    if len(shape) > 4:
        raise Refused(f"tensor of {len(shape)} dimensions")
    channels = shape[-1] if shape else 1
    return 1, math.prod(shape) // channels, channels
