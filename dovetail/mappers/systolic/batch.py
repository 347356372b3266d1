"""Thousands of designs at once: mapped, costed and added up by one compiled loop."""

from __future__ import annotations

import numpy as np

from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.systolic.tiling import mapper_code, objective_code, total_costs
from dovetail.sim.columns import Cost


def batch_totals(
    designs: FloatArray,
    ops: IntArray,
    row_index: IntArray,
    *,
    objective: str = "latency",
    mapper: str = "greedy",
) -> FloatArray:
    """Total cost of each design running its own network.

    Args:
        designs: rows of `dovetail.arch.table.Design` columns, (n, len(Design)).
        ops: rows of `dovetail.sim.columns.Op` columns, (operators, len(Op)).
        row_index: (n, slots) row of `ops` that each slot of a design's network holds, -1 if none;
            or (slots,), one network for all designs.
        objective: what each tiling minimises: latency, energy or edp.
        mapper: `greedy` or `exhaustive`.

    Returns:
        Rows of `Cost` columns, (n, len(Cost)): cycles and bytes, energies in pJ; NaN where an
        operator has no tiling that fits.
    """
    if row_index.ndim == 1:
        row_index = np.broadcast_to(row_index, (len(designs), len(row_index)))
    totals = np.empty((len(designs), len(Cost)), dtype=np.float64)
    total_costs(
        np.ascontiguousarray(designs),
        np.ascontiguousarray(ops),
        np.ascontiguousarray(row_index),
        objective_code(objective),
        mapper_code(mapper),
        totals,
    )
    return totals


def energy_pj(totals: FloatArray) -> FloatArray:
    """Energy in pJ over all components, (n, len(Cost)) -> (n,)."""
    energy: FloatArray = totals[:, Cost.MAC_ENERGY : Cost.DRAM_ENERGY + 1].sum(axis=1)
    return energy
