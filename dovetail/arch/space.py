"""The design space of an accelerator family: knobs over a base design, evaluated in batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from dovetail.arch.knobs import DesignSpace
from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import (
    DEPENDS,
    RTL_LAWS,
    TILE_LAWS,
    Design,
    areas,
    design_row,
    excesses,
    rtl_faults,
)
from dovetail.errors import AcceleratorError
from dovetail.ir.space import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class SystolicSpace(DesignSpace):
    """Systolic arrays that share a base design and differ in some parameters.

    Attributes:
        base: gives every parameter that is no knob.
        knobs: values by parameter name.

    Raises:
        AcceleratorError: if a knob is no parameter, or one of its values is illegal.
    """

    base: SystolicArray

    enumerable: ClassVar[int] = 2**22

    def __post_init__(self) -> None:
        if "machine" in self.knobs:
            raise AcceleratorError(
                "knob 'machine': operators are laid out for one machine; set it in the base"
            )
        super().__post_init__()

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
    def levels(self) -> dict[Design, FloatArray]:
        """Values that each column takes over all designs, ascending."""
        return {column: np.unique(values) for column, (_, values) in self._tables.items()}

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

    @property
    def bound(self) -> tuple[str, ...]:
        """Knobs that laws speak of; whether a design is legal does not depend on the others."""
        columns = TILE_LAWS if self.base.machine == "ideal" else {*TILE_LAWS, *RTL_LAWS}
        named = {name for column in columns for name in DEPENDS[column]}
        return tuple(name for name in self.space.names if name in named)

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
