"""Number formats of ONNX element types."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto

from dovetail.errors import NetworkError
from dovetail.ir.tensor import BFLOAT16, FLOAT16, FLOAT32, INT4, INT8, INT32, NumberFormat

INT64 = NumberFormat("int", 64)

_NAMES: dict[str, NumberFormat] = {
    "FLOAT": FLOAT32, "UINT8": INT8, "INT8": INT8, "UINT16": NumberFormat("int", 16),
    "INT16": NumberFormat("int", 16), "INT32": INT32, "INT64": INT64, "BOOL": INT8,
    "FLOAT16": FLOAT16, "DOUBLE": NumberFormat("float", 64), "UINT32": INT32, "UINT64": INT64,
    "BFLOAT16": BFLOAT16, "FLOAT8E4M3FN": NumberFormat("float", 8),
    "FLOAT8E4M3FNUZ": NumberFormat("float", 8), "FLOAT8E5M2": NumberFormat("float", 8),
    "FLOAT8E5M2FNUZ": NumberFormat("float", 8), "FLOAT8E8M0": NumberFormat("float", 8),
    "UINT4": INT4, "INT4": INT4, "FLOAT4E2M1": NumberFormat("float", 4),
    "UINT2": NumberFormat("int", 2), "INT2": NumberFormat("int", 2),
}  # fmt: skip

FORMATS: dict[int, NumberFormat] = {
    getattr(TensorProto, name): form for name, form in _NAMES.items() if hasattr(TensorProto, name)
}
"""Formats by ONNX element type; an element that needs a byte alone, such as a bool, has 8 bits."""


_SMALL = {
    "bfloat16": BFLOAT16, "float8": NumberFormat("float", 8), "float4": NumberFormat("float", 4),
    "int4": INT4, "uint4": INT4, "int2": NumberFormat("int", 2), "uint2": NumberFormat("int", 2),
}  # fmt: skip
"""Formats of numpy's extension types, by the start of their name."""


def format_of(elem_type: int, what: str) -> NumberFormat:
    """Format of an ONNX element type.

    Raises:
        NetworkError: if it is a string, complex or unknown type; `what` names the culprit.
    """
    if elem_type not in FORMATS:
        known = TensorProto.DataType.values()
        text = TensorProto.DataType.Name(elem_type) if elem_type in known else str(elem_type)
        raise NetworkError(f"{what} has element type {text}: only numbers can be imported")
    return FORMATS[elem_type]


def format_of_array(dtype: np.dtype[Any], what: str) -> NumberFormat:
    """Format of a numpy array's elements; a plain python number's array has 64 bits."""
    for prefix, form in _SMALL.items():
        if dtype.name.startswith(prefix):
            return form
    if dtype.kind == "b":
        return INT8
    if dtype.kind in "iu":
        return NumberFormat("int", 8 * dtype.itemsize)
    if dtype.kind == "f":
        return NumberFormat("float", 8 * dtype.itemsize)
    raise NetworkError(f"{what} has element type {dtype}: only numbers can be imported")
