"""NumPy archives from untrusted places: read whole, without pickles, within a size."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

MAX_BYTES = 2**32
"""Unpacked size of an archive: a small file can claim to hold much more."""

UNREADABLE = (
    OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, MemoryError, SyntaxError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What a broken archive raises on the way."""


def read_archive(path: Path) -> Arrays:
    """Arrays of an .npz file by name.

    Raises:
        ValueError: in one line, if it cannot be read, unpacks to more than `MAX_BYTES`, or holds
            pickles.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_BYTES:
                raise ValueError(f"it unpacks to {size} B; at most {MAX_BYTES} are read")
            torn = archive.testzip()
            if torn:
                raise ValueError(f"'{torn}' has a wrong checksum")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except UNREADABLE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(text) from error
