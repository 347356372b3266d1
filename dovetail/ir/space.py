"""Design spaces: ordered knobs with finite value lists, designs as integer index vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dovetail.errors import ProblemError

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
Value: TypeAlias = int | float | str


@dataclass(frozen=True, slots=True)
class Knob:
    """One choice of a design.

    Attributes:
        name: parameter that it sets.
        values: legal values, at least one, in the order that their indices mean.
        ordered: True if neighbouring values are similar (numbers), False for categories.
    """

    name: str
    values: tuple[Value, ...]
    ordered: bool = True

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ProblemError(f"knob '{self.name}' needs distinct values, has {self.values}")


@dataclass(frozen=True, slots=True)
class Space:
    """A finite product of knobs; a design is a vector of value indices."""

    knobs: tuple[Knob, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Knob names, in order."""
        return tuple(knob.name for knob in self.knobs)

    @property
    def cardinalities(self) -> IntArray:
        """Number of values of each knob, shape (knobs,)."""
        return np.array([len(knob.values) for knob in self.knobs], dtype=np.int64)

    @property
    def size(self) -> int:
        """Number of designs."""
        return math.prod(len(knob.values) for knob in self.knobs)

    def sample(self, rng: np.random.Generator, count: int) -> IntArray:
        """Draws `count` designs uniformly; returns indices, shape (count, knobs)."""
        return rng.integers(0, self.cardinalities, size=(count, len(self.knobs)), dtype=np.int64)

    def decode(self, design: Sequence[int] | IntArray) -> dict[str, Value]:
        """Values by knob name of one index vector."""
        return {k.name: k.values[int(i)] for k, i in zip(self.knobs, design, strict=True)}

    def encode(self, values: Mapping[str, Value]) -> IntArray:
        """Index vector of values by knob name.

        Raises:
            ProblemError: if a knob is missing or its value is not in its list.
        """
        indices = []
        for knob in self.knobs:
            if values.get(knob.name) not in knob.values:
                given = values.get(knob.name)
                raise ProblemError(f"knob '{knob.name}' = {given!r}: must be one of {knob.values}")
            indices.append(knob.values.index(values[knob.name]))
        return np.array(indices, dtype=np.int64)

    def check(self, designs: IntArray) -> None:
        """Checks that every index is legal.

        Raises:
            ProblemError: if the shape is not (n, knobs), or an index is no whole number or out of
                range.
        """
        if designs.ndim != 2 or designs.shape[1] != len(self.knobs):
            raise ProblemError(f"designs of shape {designs.shape}: must be (n, {len(self.knobs)})")
        if designs.dtype.kind not in "iu":
            raise ProblemError(f"designs of type {designs.dtype}: must be whole numbers")
        if ((designs < 0) | (designs >= self.cardinalities)).any():
            raise ProblemError("a design index lies outside its knob's values")

    def numeric(self, name: str, designs: IntArray) -> FloatArray:
        """Values of one numeric knob over designs (n, knobs) -> (n,)."""
        column = self.names.index(name)
        table = np.array(self.knobs[column].values, dtype=np.float64)
        return table[designs[:, column]]

    def __add__(self, other: Space) -> Space:
        return Space(self.knobs + other.knobs)
