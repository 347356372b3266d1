"""What batches of accelerators cost when they run networks: laws first, then the closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dovetail.arch.space import SystolicSpace
from dovetail.arch.table import Design, areas, design_row
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.rtl.rows import rtl_rows
from dovetail.mappers.rtl.twins import structure
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.batch import PairCosts, Rows, energy_pj, sum_up
from dovetail.mappers.systolic.counts import Count
from dovetail.sim.columns import ARRAY, NONE, Op

METRICS = ("latency_ms", "energy_mj", "edp_mj_ms", "area_mm2", "utilization")
"""Metrics that an accelerator running a network has."""

UNMAPPABLE = 1.0
"""Violation of a lawful accelerator on which some operator has no tiling at all."""

_RANKS = (Op.G, Op.N, Op.K, Op.C, Op.P, Op.Q, Op.R, Op.S)


Networks = tuple[Rows, IntArray]
"""Rows of operators in the slots of networks (networks, slots), -1 if none; and which each of n
designs runs (n,)."""


@dataclass(frozen=True)
class Workload:
    """Operators that networks are made of.

    Attributes:
        operators: rows of `Op` columns, (operators, len(Op)).
        mapping: what each tiling minimises: `latency`, `energy` or `edp`.
        mapper: `greedy`, or `exhaustive`: slower, rarely better.
    """

    operators: IntArray
    mapping: str = "latency"
    mapper: str = "greedy"

    def macs(self, networks: Rows, number: IntArray) -> FloatArray:
        """Multiply-accumulates (n,) of the networks `number` (n,), rows of `networks`."""
        each = np.prod(self.operators[:, _RANKS], axis=1, dtype=np.float64)
        sums = np.empty(len(number))
        sum_up(np.where(self.operators[:, Op.ENGINE] == ARRAY, each, 0.0), networks, number, sums)
        return sums


@dataclass(frozen=True)
class BatchWork:
    """Networks on systolic arrays, costed as arrays of numbers.

    Attributes:
        hardware: the accelerators.
        workload: operators that the networks are made of.
        networks: networks of choices (n, knobs).
    """

    hardware: SystolicSpace
    workload: Workload
    networks: Callable[[IntArray], Networks]

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that designs have."""
        return METRICS

    @cached_property
    def pairs(self) -> PairCosts:
        """Costs of operators on accelerators, kept from batch to batch."""
        work = self.workload
        return PairCosts(work.operators, work.mapping, work.mapper, self.hardware.levels)

    def metrics(self, choices: IntArray, hardware: IntArray) -> dict[str, FloatArray]:
        """Metrics (n,) of lawful designs; NaN where an operator has no tiling that fits."""
        return self._metrics(self.pairs, self.hardware.rows(hardware), choices)

    def base(self, choice: IntArray) -> dict[str, float]:
        """Metrics of the base design with a choice (knobs,) of the network."""
        work = self.workload
        once = PairCosts(work.operators, work.mapping, work.mapper)
        costs = self._metrics(once, design_row(self.hardware.base)[None], choice[None])
        return {name: float(values[0]) for name, values in costs.items()}

    def _metrics(
        self, pairs: PairCosts, designs: FloatArray, choices: IntArray
    ) -> dict[str, FloatArray]:
        networks, number = self.networks(choices)
        totals = pairs.totals(designs, networks, number)
        macs = self.workload.macs(networks, number)
        return figures(designs, totals[:, Count.CYCLES], energy_pj(totals), macs)


def figures(
    designs: FloatArray, cycles: FloatArray, energy: FloatArray, macs: FloatArray
) -> dict[str, FloatArray]:
    """Metrics of n lawful accelerators from what their networks cost.

    Args:
        designs: rows of `Design` columns, (n, len(Design)).
        cycles: (n,); NaN where an operator has no tiling.
        energy: pJ (n,).
        macs: multiply-accumulates on the array (n,).

    Returns:
        `METRICS` by name, each (n,).
    """
    latency_ms = cycles / designs[:, Design.CLOCK_MHZ] / 1e3
    energy_mj = energy * 1e-9
    peak = designs[:, [Design.ROWS, Design.COLS, Design.ARRAYS]].prod(axis=1)
    return {
        "latency_ms": latency_ms,
        "energy_mj": energy_mj,
        "edp_mj_ms": energy_mj * latency_ms,
        "area_mm2": np.where(np.isnan(cycles), np.nan, areas(designs)),
        "utilization": macs / (cycles * peak),
    }


def rows_by_operator(network: Network, machine: str = "ideal") -> dict[str, IntArray]:
    """Rows of `Op` columns of the operators that take time: no views, none fused into others.

    Raises:
        MappingError: if the RTL machine has no twin of an operator.
    """
    plan = schedule(network)
    rows = rtl_rows(plan, structure(network, plan)) if machine == "rtl" else op_rows(network, plan)
    named = zip(plan.placements, rows, strict=True)
    return {placed.operator.name: row for placed, row in named if row[Op.ENGINE] != NONE}
