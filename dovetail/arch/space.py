"""The design space of an accelerator family: knobs over a base design, evaluated in batches."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import DEPENDS, Design, areas, design_row, excesses, rtl_faults
from dovetail.errors import AcceleratorError
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space, Value

DEFAULT_KNOBS: dict[str, tuple[Value, ...]] = {
    "rows": (4, 8, 16, 32, 64),
    "cols": (4, 8, 16, 32, 64),
    "dataflow": ("ws", "os", "is"),
    "input_bits": (4, 8),
    "weight_bits": (2, 4, 8),
    "input_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "weight_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "output_sram_kib": (2, 4, 8, 16, 32, 64, 128),
    "vector_lanes": (4, 8, 16, 32, 64),
    "clock_mhz": (125, 250, 500, 1000),
}
"""An edge-class space of 3 million designs; the `edge` preset is one of them."""


@dataclass(frozen=True)
class SystolicSpace:
    """Systolic arrays that share a base design and differ in some parameters.

    Attributes:
        base: gives every parameter that is no knob.
        knobs: values by parameter name.

    Raises:
        AcceleratorError: if a knob is no parameter, or one of its values is illegal.
    """

    base: SystolicArray
    knobs: Mapping[str, Sequence[Value]]

    batched: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, values in self.knobs.items():
            if name == "name" or not values:
                raise AcceleratorError(f"knob '{name}' needs at least one value of a parameter")
            if name == "machine":
                raise AcceleratorError(
                    "knob 'machine': operators are laid out for one machine; set it in the base"
                )
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

    def decode(self, design: Sequence[int] | IntArray) -> SystolicArray:
        """The accelerator of one index vector (knobs,)."""
        return self.base.replace(self.space.decode(design), "design")

    def rows(self, designs: IntArray) -> FloatArray:
        """Designs (n, knobs) as rows of `Design` columns, (n, len(Design))."""
        table = np.empty((len(designs), len(Design)), dtype=np.float64)
        for column, (positions, values) in self._tables.items():
            index = tuple(designs[:, position] for position in positions)
            table[:, column] = values[index]
        return table

    @cached_property
    def _tables(self) -> dict[Design, tuple[tuple[int, ...], FloatArray]]:
        """Per column: positions of the knobs it depends on, and its values over their product."""
        return {column: self._table(column) for column in Design}

    def _table(self, column: Design) -> tuple[tuple[int, ...], FloatArray]:
        names = self.space.names
        positions = tuple(names.index(name) for name in DEPENDS[column] if name in names)
        lists = [self.space.knobs[position].values for position in positions]
        values = np.empty(tuple(len(entries) for entries in lists), dtype=np.float64)
        for index in itertools.product(*(range(len(entries)) for entries in lists)):
            chosen = {names[p]: lists[i][index[i]] for i, p in enumerate(positions)}
            values[index] = design_row(self.base.replace(chosen, "design"))[column]
        return positions, values

    def areas(self, designs: IntArray) -> FloatArray:
        """Areas in mm2, (n, knobs) -> (n,)."""
        return areas(self.rows(designs))

    def violations(self, designs: IntArray) -> FloatArray:
        """Sum of relative excesses over the family's laws, (n, knobs) -> (n,); 0 if legal.

        Each law of the RTL machine that is broken counts 1.
        """
        rows = self.rows(designs)
        total: FloatArray = excesses(rows).sum(axis=1) + rtl_faults(rows)
        return total

    def masks(self) -> tuple[BoolArray, ...]:
        """Per knob, which values some legal design has.

        The laws bound a tile of rows x cols from above by each scratchpad, so a value is possible
        exactly if it is legal with all other knobs at their most lenient: the smallest arrays and
        widths, the largest scratchpads. The RTL machine's laws about single widths are left to
        `violations`.
        """
        sizes = self.space.cardinalities
        lenient = np.zeros(len(sizes), dtype=np.int64)
        for position, knob in enumerate(self.space.knobs):
            if knob.ordered:
                pick = np.argmax if knob.name.endswith("_sram_kib") else np.argmin
                lenient[position] = int(pick(np.array(knob.values, dtype=np.float64)))
        masks = []
        for position, count in enumerate(sizes):
            designs = np.tile(lenient, (int(count), 1))
            designs[:, position] = np.arange(count)
            masks.append(excesses(self.rows(designs)).sum(axis=1) <= 0)
        return tuple(masks)
