"""The decorator of compiled kernels.

numba keeps compiled code on disk and looks only at the file that a function stands in; a kernel
that calls one from an edited file would go on running the old code. Here the folder of the compiled
code is named after the text of every file that kernels are made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba

P = ParamSpec("P")
T = TypeVar("T")

PACKAGE = Path(__file__).parents[1]


def folder_of(files: Iterable[Path]) -> str:
    """Where code is kept that was compiled from the present text of these files."""
    text = hashlib.sha256(numba.__version__.encode())
    for file in sorted(files):
        text.update(file.read_bytes())
    return str(PACKAGE / "__pycache__" / f"kernels-{text.hexdigest()[:16]}")


FOLDER = folder_of(
    [
        *PACKAGE.glob("sim/*.py"),
        *PACKAGE.glob("mappers/systolic/*.py"),
        *(PACKAGE / "arch" / name for name in ("systolic.py", "table.py")),
    ]
)


def compiled(function: Callable[..., Any], folder: str, **options: Any) -> Any:
    """Compiles a function without Python objects; integer division by zero is not checked."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = folder  # read once, while decorating
    try:
        return numba.njit(cache=True, error_model="numpy", nogil=True, **options)(function)
    finally:
        numba.config.CACHE_DIR = before


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Compiles a function of the closed forms."""
    result: Callable[P, T] = compiled(function, FOLDER)
    return result


def inlined(function: Callable[P, T]) -> Callable[P, T]:
    """Compiles a function into every loop that calls it, so that the loop becomes vectors."""
    result: Callable[P, T] = compiled(function, FOLDER, forceinline=True)
    return result
