"""What every mapper of the spatial family returns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from dovetail.errors import UnknownNameError
from dovetail.ir.space import FloatArray

if TYPE_CHECKING:
    from dovetail.ir.mapping import Mapping
    from dovetail.sim.nest import NestCost

Amount = TypeVar("Amount", float, FloatArray)

OBJECTIVES = ("latency", "energy", "edp")
"""Cycles, pJ, and their product."""


@dataclass(frozen=True, slots=True)
class Found:
    """A mapping, what it costs, and what is known about better ones.

    Attributes:
        mapping: the best that was found.
        cost: of the mapping.
        bound: no mapping of the mapspace has a value below it. Loops in time multiply to
            ceil(extent / spatial counts) or to the padded totals of `optimal.padding`; other
            padding is outside of it.
        value: of the objective: cycles, pJ, or their product.
        proven: whether `bound` reaches `value`.
        nodes: mappings or branches that were looked at.
        interrupted: whether Ctrl-C or the time limit ended the search early.
    """

    mapping: Mapping
    cost: NestCost
    bound: float
    value: float
    proven: bool
    nodes: int
    interrupted: bool = False

    @property
    def gap(self) -> float:
        """By how much of its value the mapping may be worse than the best, 0 to 1."""
        if self.proven or self.value <= 0:
            return 0.0
        return max(0.0, 1.0 - self.bound / self.value)

    def named(self, operator: str) -> Found:
        """The same mapping as that of another, identical operator."""
        return replace(self, mapping=replace(self.mapping, operator=operator))


def check_objective(objective: str) -> str:
    """The objective itself.

    Raises:
        UnknownNameError: if it is none of `OBJECTIVES`.
    """
    if objective not in OBJECTIVES:
        raise UnknownNameError("objective", objective, OBJECTIVES)
    return objective


def value_of(cycles: Amount, energy_pj: Amount, objective: str) -> Amount:
    """Value of an objective, the less the better, of numbers or of arrays."""
    if objective == "latency":
        return cycles
    return energy_pj if objective == "energy" else cycles * energy_pj
