"""What a mapping costs on a spatial accelerator: exact counts, cycles and energy of loop nests."""

from dovetail.sim.nest.analysis import analyse, analyse_batch
from dovetail.sim.nest.batch import MappingBatch, Nest
from dovetail.sim.nest.boundary import Boundary, Flow, boundaries, footprint
from dovetail.sim.nest.cost import BatchCost, Chain, LevelCost, NestCost
from dovetail.sim.nest.faults import faults
from dovetail.sim.nest.tree import analyse_tree, tree_faults

__all__ = [
    "BatchCost",
    "Boundary",
    "Chain",
    "Flow",
    "LevelCost",
    "MappingBatch",
    "Nest",
    "NestCost",
    "analyse",
    "analyse_batch",
    "analyse_tree",
    "boundaries",
    "faults",
    "footprint",
    "tree_faults",
]
