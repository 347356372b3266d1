"""Networks of few operators on few accelerators: every operator is costed once per accelerator.

A network's cost is the sum of its operators'. Where accelerators times operators are so few that
all their costs can be kept, a design costs two look-ups and a product of short rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from dovetail.arch.space import SystolicSpace
from dovetail.arch.table import design_row
from dovetail.envs.costing import METRICS, Workload, figures
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.batch import batch_totals, energy_pj
from dovetail.sim.columns import Cost

MOST_CELLS = 4_000_000
"""Costs that are kept at most: accelerators times operators; 64 MB."""


@dataclass
class TabulatedWork:
    """Networks on systolic arrays, whose costs are computed when first asked for, and kept.

    Attributes:
        hardware: the accelerators, at most `MOST_CELLS` / operators.
        workload: operators that the networks are made of.
        counts: how often each network has each operator, (networks, operators).
        number: rows of `counts` (n,) of choices (n, knobs).
    """

    hardware: SystolicSpace
    workload: Workload
    counts: FloatArray
    number: Callable[[IntArray], IntArray]
    _known: dict[int, int] = field(default_factory=dict, repr=False)
    _costs: list[FloatArray] = field(default_factory=list, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that designs have."""
        return METRICS

    def metrics(self, choices: IntArray, hardware: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) of lawful designs; NaN where an operator has no tiling that fits."""
        sizes = tuple(self.hardware.space.cardinalities)
        keys = np.ravel_multi_index(tuple(hardware.T), sizes)
        distinct, first, back = np.unique(keys, return_index=True, return_inverse=True)
        rows = self.hardware.rows(hardware[first])
        costs = np.stack([self._of(int(key), row) for key, row in zip(distinct, rows, strict=True)])
        return self.totals(rows[back], costs[back], self.counts[self.number(choices)])

    def totals(
        self, designs: FloatArray, costs: FloatArray, counts: FloatArray
    ) -> dict[str, FloatArray]:
        """Metrics (n,) of networks that have each operator so often.

        Args:
            designs: rows of `Design` columns, (n, len(Design)).
            costs: cycles and pJ of each operator, (n, 2, operators); NaN if it does not fit.
            counts: (n, operators).
        """
        unfit = np.isnan(costs[:, 0])
        if unfit.any():
            costs = np.where(unfit[:, None], 0.0, costs)
        each = np.einsum("nr,nkr->nk", counts, costs)
        each[(unfit & (counts > 0)).any(axis=1)] = np.nan
        return figures(designs, each[:, 0], each[:, 1], self._macs(counts))

    def costs(self, designs: FloatArray) -> FloatArray:
        """Cycles and pJ of every operator on designs (n, len(Design)): (n, 2, operators)."""
        work, count = self.workload, len(self.workload.operators)
        totals = batch_totals(
            np.repeat(designs, count, axis=0),
            work.operators,
            np.tile(np.arange(count), len(designs))[:, None],
            objective=work.mapping,
            mapper=work.mapper,
        )
        pair = np.stack([totals[:, Cost.CYCLES], energy_pj(totals)], axis=1)
        return pair.reshape(len(designs), count, 2).transpose(0, 2, 1)

    def base(self, choice: IntArray) -> dict[str, float]:
        """Metrics of the base design with a choice (knobs,) of the network."""
        designs = design_row(self.hardware.base)[None]
        counts = self.counts[self.number(choice[None])]
        found = self.totals(designs, self.costs(designs), counts)
        return {name: float(values[0]) for name, values in found.items()}

    def _of(self, key: int, design: FloatArray) -> FloatArray:
        if key not in self._known:
            self._costs.append(self.costs(design[None])[0])
            self._known[key] = len(self._costs) - 1
        return self._costs[self._known[key]]

    def _macs(self, counts: FloatArray) -> FloatArray:
        operators = len(self.workload.operators)
        return counts @ self.workload.macs(np.arange(operators)[:, None])
