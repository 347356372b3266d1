"""The decorator of compiled kernels.

numba keeps compiled code on disk and looks only at the file that a function stands in; a kernel
that calls one from an edited file would go on running the old code. Here the folder of the compiled
code is named after the text of every file that kernels are made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numba

P = ParamSpec("P")
T = TypeVar("T")


def _digest() -> str:
    package = Path(__file__).parents[1]
    files = [*package.glob("sim/*.py"), *package.glob("mappers/*.py"), *package.glob("arch/*.py")]
    text = hashlib.sha256(numba.__version__.encode())
    for file in sorted(files):
        text.update(file.read_bytes())
    return text.hexdigest()[:16]


FOLDER = str(Path(__file__).parents[1] / "__pycache__" / f"kernels-{_digest()}")


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Compiles a function without Python objects; integer division by zero is not checked."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = FOLDER  # read once, while decorating
    try:
        compiled: Callable[P, T] = numba.njit(cache=True, error_model="numpy", nogil=True)(function)
    finally:
        numba.config.CACHE_DIR = before
    return compiled
