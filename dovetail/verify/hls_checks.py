"""How kernels are checked: what a check consists of, and how its vectors are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from dovetail.ir.space import IntArray

Values = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Check:
    """How a kernel is checked.

    Attributes:
        forms: parameters to check it with; an empty form is the defaults.
        vectors: (parameters, generator, count) -> (count, arguments) integers, corners first.
        reference: (parameters, vectors) -> (count,) results as numbers.
    """

    forms: tuple[dict[str, int], ...]
    vectors: Callable[[Values, Generator, int], IntArray]
    reference: Callable[[Values, IntArray], IntArray]


@dataclass(frozen=True, slots=True)
class StreamCheck:
    """How a kernel with channels is checked.

    Attributes:
        forms: parameters to check it with; an empty form is the defaults.
        vectors: (parameters, generator, count) -> (count, fields) integers, corners first.
        words: (parameters, vectors) -> what the channel in carries, one word per vector.
        reference: (parameters, vectors) -> which vector completes each result, and the words of the
            channel out.
        large: further forms that build for minutes: for `dovetail verify hls`, not for the tests.
        turns: (parameters, vectors) -> the turn that takes each vector and the turn that gives each
            result, of a kernel that works on some words for several turns; a turn is a cycle.
    """

    forms: tuple[dict[str, int], ...]
    vectors: Callable[[Values, Generator, int], IntArray]
    words: Callable[[Values, IntArray], list[int]]
    reference: Callable[[Values, IntArray], tuple[list[int], list[int]]]
    large: tuple[dict[str, int], ...] = ()
    turns: Callable[[Values, IntArray], tuple[list[int], list[int]]] | None = None


def as_bits(values: NDArray[Any], width: int) -> NDArray[np.object_]:
    """Two's complement patterns of at most 64 bits, as Python integers."""
    mask = (1 << width) - 1
    return np.array([int(value) & mask for value in values.tolist()], dtype=object)


def signed_corners(bits: int) -> tuple[int, ...]:
    """Numbers around zero and both ends of a signed format."""
    top = 1 << (bits - 1)
    return tuple(sorted({-top, -top + 1, -1, 0, 1, top - 2, top - 1}))


def stack(corners: Iterable[tuple[int, ...]], random: IntArray, count: int) -> IntArray:
    """The first `count` of corners and random vectors."""
    first = np.array(list(corners), dtype=np.int64)
    return np.concatenate([first, random])[:count]


def packed(rows: IntArray, width: int) -> list[int]:
    """Each row as one number, its first element in the lowest bits."""
    patterns = (as_bits(row, width).tolist() for row in rows)
    return [sum(value << (width * i) for i, value in enumerate(row)) for row in patterns]
