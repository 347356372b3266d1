"""Design spaces of any family: knobs by name over a base design, evaluated one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dovetail.arch.accelerator import Accelerator
from dovetail.errors import AcceleratorError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space, Value


@dataclass(frozen=True)
class DesignSpace:
    """Accelerators that share a base design and differ in some parameters.

    Attributes:
        base: gives every parameter that is no knob.
        knobs: values by parameter name, as `replace` takes them.

    Raises:
        AcceleratorError: if a knob is no parameter, or one of its values is illegal by itself.
    """

    base: Accelerator
    knobs: Mapping[str, Sequence[Value]]

    enumerable: ClassVar[int] = 2**14
    """Designs whose laws are checked in some seconds, one after the other."""

    def __post_init__(self) -> None:
        for name, values in self.knobs.items():
            if name == "name" or not values:
                raise AcceleratorError(f"knob '{name}' needs at least one value of a parameter")
            for value in values:
                self.base.replace({name: value}, f"knob '{name}'")

    @cached_property
    def space(self) -> Space:
        """The knobs as a design space."""
        return Space(
            tuple(
                Knob(name, tuple(values), ordered=not isinstance(values[0], str))
                for name, values in self.knobs.items()
            )
        )

    def decode(self, design: Sequence[int] | IntArray) -> Accelerator:
        """The accelerator of one index vector (knobs,)."""
        return self.base.replace(self.space.decode(design), "design")

    def violations(self, designs: IntArray) -> FloatArray:
        """How many laws each design breaks, (n, knobs) -> (n,)."""
        return np.array([len(self.decode(d).validate()) for d in designs], dtype=np.float64)

    @property
    def bound(self) -> tuple[str, ...]:
        """Knobs that laws speak of; whether a design is legal does not depend on the others."""
        return self.space.names

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, (values,): False where no legal design was found with that value.

        A value counts as possible if it is legal over the base, or with every other number at
        its least or at its largest.
        """
        around = [self._base_choice()]
        around += [np.zeros_like(around[0]), self.space.cardinalities - 1]
        masks = []
        for position, count in enumerate(self.space.cardinalities):
            mask = np.zeros(int(count), dtype=np.bool_)
            for value in range(int(count)):
                tried = (_with(design, position, value) for design in around)
                mask[value] = any(not self.decode(design).validate() for design in tried)
            masks.append(mask)
        return tuple(masks)

    def _base_choice(self) -> IntArray:
        """Indices of the base's own values; the middle where it has none of a knob's."""
        own = self.base.to_dict()
        return np.array(
            [
                values.index(own[name]) if own.get(name) in values else len(values) // 2
                for name, values in ((k.name, k.values) for k in self.space.knobs)
            ],
            dtype=np.int64,
        )


def _with(design: IntArray, position: int, value: int) -> IntArray:
    changed = design.copy()
    changed[position] = value
    return changed
