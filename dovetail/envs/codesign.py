"""The co-design problem: which sub-network, and which systolic array to run it on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np

from dovetail.arch.space import SystolicSpace
from dovetail.envs.costing import METRICS, Workload, rows_by_operator
from dovetail.envs.slots import Family, tabulate
from dovetail.envs.systolic import SystolicProblem
from dovetail.ir.network import Network
from dovetail.ir.space import FloatArray, IntArray, Knob, Space

OBJECTIVES = ("error", "latency_ms", "energy_mj", "area_mm2")


class Oracle(Protocol):
    """Knows how well every network of a family does."""

    def errors(self, choices: IntArray) -> FloatArray:
        """Fraction of held-out samples classified wrong (n,), of choices (n, knobs)."""

    def describe(self) -> Mapping[str, object]:
        """What the errors depend on, JSON-able."""


class CoDesignProblem(SystolicProblem):
    """Designs are an elastic network's choices, then the accelerator's parameters.

    Args:
        family: the networks.
        oracle: their errors.
        hardware: the accelerators.
        objectives: metrics to minimise; costs count in decades against the family's largest
            network on the base design, `error` in tenths.
        constraints: bounds such as `error<=0.05`.
        mapping: what each operator's tiling minimises: `latency`, `energy` or `edp`.

    Raises:
        ProblemError: if the base design is illegal, or objectives or constraints are ill-formed.
    """

    def __init__(
        self,
        family: Family,
        oracle: Oracle,
        hardware: SystolicSpace,
        objectives: Iterable[str] = OBJECTIVES,
        constraints: Iterable[str] = (),
        *,
        mapping: str = "latency",
    ) -> None:
        self.family = family
        self.oracle = oracle
        self._slots = tabulate(family, rows_by_operator)
        self.name = f"codesign-{hardware.base.name}"
        choices = Space(
            tuple(Knob(f"network.{k.name}", k.values, k.ordered) for k in family.space.knobs)
        )
        super().__init__(
            hardware,
            Workload(self._slots.operators, mapping),
            choices,
            (*METRICS, "error"),
            objectives,
            constraints,
        )

    def network(self, design: IntArray) -> Network:
        """The network of one design (knobs,)."""
        return self.family.network(np.asarray(design)[: len(self.choices.knobs)])

    def _networks(self, choices: IntArray) -> IntArray:
        return self._slots.index(choices)

    def _measured(self, choices: IntArray) -> dict[str, FloatArray]:
        return {"error": np.asarray(self.oracle.errors(choices), dtype=np.float64)}

    def _base_choice(self) -> IntArray:
        return self.family.space.cardinalities - 1

    def describe(self) -> dict[str, object]:
        """JSON-able specification that rebuilds the same problem."""
        return {"problem": "codesign", **self.oracle.describe(), **self._hardware_spec()}
