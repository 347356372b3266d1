"""Weights that lie beside an ONNX file."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from dovetail.errors import NetworkError
from dovetail.networks.assembly import Array
from dovetail.networks.onnx_ops.formats import format_of


class ExternalData:
    """Finds the external files of a model and reads the small tensors among them.

    Args:
        folder: where the model lies; files outside it are refused.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def __call__(self, name: str, proto: TensorProto, read: bool) -> Array | None:
        """Elements of an external tensor if `read`, else None; the file must hold them all.

        Elements of less than a byte are stored packed; they are never read.

        Raises:
            NetworkError: if the file is missing, lies elsewhere or is too short.
        """
        entries = {entry.key: entry.value for entry in proto.external_data}
        path = self._path(name, entries.get("location", ""))
        start = _number(name, entries, "offset", 0)
        dtype = helper.tensor_dtype_to_np_dtype(proto.data_type)
        bits = format_of(proto.data_type, f"tensor '{name}'").bits
        wanted = -(-math.prod(proto.dims) * bits // 8)
        length = _number(name, entries, "length", wanted)
        size = path.stat().st_size
        if start + length > size:
            raise NetworkError(
                f"tensor '{name}' needs bytes {start} to {start + length} of '{path.name}', which "
                f"holds {size} B"
            )
        if length != wanted:
            raise NetworkError(
                f"tensor '{name}' of shape {list(proto.dims)} has external length {length} B: must "
                f"be {wanted}"
            )
        if not read or bits < 8:
            return None
        with path.open("rb") as file:
            file.seek(start)
            raw = file.read(wanted)
        return np.frombuffer(raw, dtype=dtype).reshape([int(extent) for extent in proto.dims])

    def _path(self, name: str, location: str) -> Path:
        try:
            path = (self._folder / location).resolve()
            found = bool(location) and path.is_relative_to(self._folder) and path.is_file()
        except (OSError, ValueError):
            found = False
        if not found:
            raise NetworkError(
                f"tensor '{name}' lies in the external file '{location}', which is not in "
                f"'{self._folder}': put it beside the model"
            )
        return path


def _number(name: str, entries: dict[str, str], key: str, default: int) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise NetworkError(f"tensor '{name}' has external {key} '{text}': must be a number")
    return int(text)
