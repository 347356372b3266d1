"""The batched estimate: closed-form costs of (design, operator) pairs under given tilings."""

from __future__ import annotations

import numpy as np

from dovetail.arch.systolic import MACHINES
from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray, IntArray
from dovetail.sim.closed_form import array_cost
from dovetail.sim.columns import ARRAY, NONE, VECTOR, Cost, Op
from dovetail.sim.kernel import kernel
from dovetail.sim.rtl_closed_form import rtl_cost
from dovetail.sim.streaming import vector_cost

RTL = MACHINES.index("rtl")


def estimate(
    designs: FloatArray,
    ops: IntArray,
    pair_design: IntArray,
    pair_op: IntArray,
    tiles: IntArray,
) -> FloatArray:
    """Costs pairs; no Python per pair.

    Args:
        designs: rows of `dovetail.arch.table.Design` columns, (designs, len(Design)).
        ops: rows of `Op` columns, (operators, len(Op)).
        pair_design: (pairs,) row of `designs`.
        pair_op: (pairs,) row of `ops`.
        tiles: rows of `Tile` columns, (pairs, len(Tile)); the ideal machine
            does not read those of vector operators.

    Returns:
        Rows of `Cost` columns, (pairs, len(Cost)): cycles, bytes, energies in pJ.
    """
    costs = np.empty((len(pair_op), len(Cost)), dtype=np.float64)
    _estimate(designs, ops, pair_design, pair_op, tiles, costs)
    return costs


@kernel
def _estimate(
    designs: FloatArray, ops: IntArray, pair_design: IntArray, pair_op: IntArray,
    tiles: IntArray, costs: FloatArray,
) -> None:  # fmt: skip
    for i in range(pair_op.shape[0]):
        design, op = designs[pair_design[i]], ops[pair_op[i]]
        if op[Op.ENGINE] != NONE and design[Design.MACHINE] == RTL:
            rtl_cost(design, op, tiles[i], costs[i])
        elif op[Op.ENGINE] == ARRAY:
            array_cost(design, op, tiles[i], costs[i])
        elif op[Op.ENGINE] == VECTOR:
            vector_cost(design, op, costs[i])
        else:
            costs[i, :] = 0.0
