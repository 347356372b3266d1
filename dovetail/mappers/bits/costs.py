"""What bits cost on a systolic array: latency and energy of every layer at every width.

An operand wider than the PEs' takes several passes, a narrower one less traffic. Results leave a
layer at the array's own input width, and operators without weights work at it: so a layer's cost
depends on its own bits alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dovetail.arch.systolic import SystolicArray
from dovetail.arch.table import design_row
from dovetail.errors import MappingError
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray
from dovetail.mappers.schedule import op_rows, schedule
from dovetail.mappers.systolic.batch import batch_totals, energy_pj
from dovetail.networks.bits.layers import LayerGraph, Option
from dovetail.sim.columns import NONE, Cost, Op


@dataclass(frozen=True)
class BitCosts:
    """Costs of a network's layers on one array.

    Attributes:
        latency_ms: (layers, options).
        energy_mj: (layers, options).
        rest_ms: latency of the operators without weights.
        rest_mj: their energy.
    """

    latency_ms: FloatArray
    energy_mj: FloatArray
    rest_ms: float
    rest_mj: float


def bit_costs(
    network: Network,
    graph: LayerGraph,
    accelerator: SystolicArray,
    options: Sequence[Option],
    *,
    mapper: str = "exhaustive",
) -> BitCosts:
    """Costs of every layer of a network under every option.

    Args:
        network: whose layers `graph` holds.
        graph: of the network.
        accelerator: an ideal array.
        options: bits of weights and inputs.
        mapper: `exhaustive` or `greedy`.

    Raises:
        MappingError: if the accelerator is not an ideal systolic array, or an operator fits no
            tiling.
    """
    if accelerator.family != "systolic" or accelerator.machine != "ideal":
        raise MappingError(
            f"accelerator '{accelerator.name}': bits per layer are costed on a systolic array of "
            "machine 'ideal'; the RTL machine's operands have one width"
        )
    plan = schedule(network)
    rows = dict(
        zip((p.operator.name for p in plan.placements), op_rows(network, plan), strict=True)
    )
    layers = [rows.pop(layer.name) for layer in graph.layers]
    others = [row for row in rows.values() if row[Op.ENGINE] != NONE]
    table = np.stack([_with_bits(row, option) for row in layers for option in options])
    cycles, pj = _costs(
        np.concatenate([table, *(row[None] for row in others)]), accelerator, mapper
    )
    if np.isnan(cycles).any():
        names = [layer.name for layer in graph.layers for _ in options]
        names += [name for name, row in rows.items() if row[Op.ENGINE] != NONE]
        first = names[int(np.isnan(cycles).argmax())]
        raise MappingError(f"operator '{first}' fits no tiling: enlarge the scratchpads")
    ms, mj, count = cycles / accelerator.clock_mhz / 1e3, pj * 1e-9, len(table)
    shape = len(graph), len(options)
    return BitCosts(
        ms[:count].reshape(shape), mj[:count].reshape(shape),
        float(ms[count:].sum()), float(mj[count:].sum()),
    )  # fmt: skip


def _with_bits(row: IntArray, option: Option) -> IntArray:
    """An operator's row with these widths, its results at the array's own."""
    changed = row.copy()
    changed[[Op.WEIGHT_BITS, Op.INPUT_BITS]] = option
    changed[Op.OUTPUT_BITS] = 0
    return changed


def _costs(
    rows: IntArray, accelerator: SystolicArray, mapper: str
) -> tuple[FloatArray, FloatArray]:
    """Cycles and pJ (n,) of operators (n, len(Op))."""
    distinct, back = np.unique(rows, axis=0, return_inverse=True)
    design = np.repeat(design_row(accelerator)[None], len(distinct), axis=0)
    totals = batch_totals(design, distinct, np.arange(len(distinct))[:, None], mapper=mapper)
    back = back.reshape(-1)
    return totals[back, Cost.CYCLES], energy_pj(totals)[back]
