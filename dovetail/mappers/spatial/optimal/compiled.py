"""The decorator of this mapper's kernels: they call nothing outside of its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from dovetail.sim.kernel import compiled, folder_of

P = ParamSpec("P")
T = TypeVar("T")

FOLDER = folder_of(Path(__file__).parent.glob("*.py"))


def kernel(function: Callable[P, T]) -> Callable[P, T]:
    """Compiles a function; its code is kept until a file of this folder changes."""
    result: Callable[P, T] = compiled(function, FOLDER)
    return result
