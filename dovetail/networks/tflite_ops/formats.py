"""Element types of TFLite."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import NetworkError
from dovetail.ir.tensor import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
    INT32,
    NumberFormat,
    Quantization,
)

INT16 = NumberFormat("int", 16)
INT64 = NumberFormat("int", 64)

DTYPES: dict[int, tuple[str, type[np.generic] | None]] = {
    0: ("FLOAT32", np.float32), 1: ("FLOAT16", np.float16), 2: ("INT32", np.int32),
    3: ("UINT8", np.uint8), 4: ("INT64", np.int64), 5: ("STRING", None), 6: ("BOOL", np.uint8),
    7: ("INT16", np.int16), 8: ("COMPLEX64", None), 9: ("INT8", np.int8),
    10: ("FLOAT64", np.float64), 11: ("COMPLEX128", None), 12: ("UINT64", np.uint64),
    13: ("RESOURCE", None), 14: ("VARIANT", None), 15: ("UINT32", np.uint32),
    16: ("UINT16", np.uint16), 17: ("INT4", None), 18: ("BFLOAT16", None),
}  # fmt: skip
"""Name and numpy type by the schema's `TensorType`; None where numpy has none."""

FORMATS: dict[str, NumberFormat] = {
    "FLOAT32": FLOAT32, "FLOAT16": FLOAT16, "INT32": INT32, "UINT8": INT8, "INT64": INT64,
    "BOOL": INT8, "INT16": INT16, "INT8": INT8, "FLOAT64": NumberFormat("float", 64),
    "UINT64": INT64, "UINT32": INT32, "UINT16": INT16, "INT4": INT4, "BFLOAT16": BFLOAT16,
}  # fmt: skip

BITS = {name: form.bits for name, form in FORMATS.items()}
"""Stored bits of an element; odd numbers of 4-bit elements end in half a byte of padding."""

UNSIGNED = {"UINT8": 128, "UINT16": 2**15}
"""What unsigned codes lie above the signed ones that Dovetail's integers are."""

_CHUNK = 2**20


def format_of(kind: str, what: str) -> NumberFormat:
    """Format of an element type by name.

    Raises:
        NetworkError: if it is no number; `what` names the culprit.
    """
    if kind not in FORMATS:
        raise NetworkError(f"{what} has element type {kind}: only numbers can be imported")
    return FORMATS[kind]


def signed(quantization: Quantization | None, kind: str) -> Quantization | None:
    """The quantization of the signed codes: unsigned ones are shifted to them."""
    shift = UNSIGNED.get(kind, 0)
    if quantization is None or not shift:
        return quantization
    points = tuple(point - shift for point in quantization.zero_points)
    return Quantization(quantization.scales, points, quantization.axis)


def entropy_bits(data: NDArray[Any], kind: str) -> float | None:
    """Mean information of codes of 8 bits, each for itself; None of other types."""
    if kind not in ("INT8", "UINT8") or not data.size:
        return None
    flat = data.reshape(-1).view(np.uint8)
    counts = np.zeros(256, np.int64)
    for start in range(0, flat.size, _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK], minlength=256)
    shares = counts[counts > 0] / flat.size
    return float(-(shares * np.log2(shares)).sum()) + 0.0
