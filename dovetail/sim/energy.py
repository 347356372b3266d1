"""Energy from counts: operations and bytes times the energy of each."""

from __future__ import annotations

from dovetail.arch.table import Design
from dovetail.ir.space import FloatArray
from dovetail.sim.columns import Cost
from dovetail.sim.kernel import kernel


@kernel
def fill_energy(design: FloatArray, cost: FloatArray) -> None:
    """Fills the energy columns from the counts: operations and bytes times energy of each."""
    cost[Cost.MAC_ENERGY] = cost[Cost.MAC_OPS] * design[Design.MAC_PJ]
    cost[Cost.VECTOR_ENERGY] = cost[Cost.VECTOR_OPS] * design[Design.VECTOR_PJ]
    moved_in = cost[Cost.INPUT_READ] + cost[Cost.DRAM_INPUT]
    moved_w = cost[Cost.WEIGHT_READ] + cost[Cost.DRAM_WEIGHT]
    moved_out = cost[Cost.OUTPUT_READ] + cost[Cost.OUTPUT_WRITE]
    cost[Cost.INPUT_ENERGY] = moved_in * design[Design.INPUT_PJ]
    cost[Cost.WEIGHT_ENERGY] = moved_w * design[Design.WEIGHT_PJ]
    cost[Cost.OUTPUT_ENERGY] = moved_out * design[Design.OUTPUT_PJ]
    dram = cost[Cost.DRAM_INPUT] + cost[Cost.DRAM_WEIGHT] + cost[Cost.DRAM_OUTPUT]
    cost[Cost.DRAM_ENERGY] = dram * design[Design.DRAM_PJ]
