"""Graph scheduling: operator order, scratchpad placement and tensor replacement together.

`read_problem` makes the problem of a network, `minimum_peak` its smallest footprint, `schedule`
the schedule of fewest non-compulsory bytes, and `replay` checks and counts it.
"""

from dovetail.mappers.graph.order import PeakOrder, minimum_peak
from dovetail.mappers.graph.plan import Plan, Stay
from dovetail.mappers.graph.problem import Item, Problem
from dovetail.mappers.graph.reading import read_problem
from dovetail.mappers.graph.replay import Traffic, faults, replay
from dovetail.mappers.graph.solve import Scheduled, schedule

__all__ = [
    "Item",
    "PeakOrder",
    "Plan",
    "Problem",
    "Scheduled",
    "Stay",
    "Traffic",
    "faults",
    "minimum_peak",
    "read_problem",
    "replay",
    "schedule",
]
